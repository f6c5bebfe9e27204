"""The learning loop inside the app: datasets, runs, adapters and their blind tests."""
