"""Composes pieces by rules and plays them with sampled instruments."""
