"""Batches: any engine from a table."""
