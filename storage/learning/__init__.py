"""What people said and what was learned from it: prompts, judgements, tests, datasets, runs, adapters."""
