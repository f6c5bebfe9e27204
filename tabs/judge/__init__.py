"""Judging: ratings, blind comparisons, listening tests."""
