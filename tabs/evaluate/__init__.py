"""Evaluation: measures of one sound, a pair, or many."""
