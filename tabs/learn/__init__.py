"""The learning loop: datasets, training runs, adapters."""
