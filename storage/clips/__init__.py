"""Clips: rows, search, tags, and bringing them back from files."""
