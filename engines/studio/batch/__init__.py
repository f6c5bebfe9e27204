"""Batches: any engine from a table whose columns are its parameters."""
