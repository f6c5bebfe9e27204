"""Judgements: ratings, comparisons, listening tests and what they show."""
