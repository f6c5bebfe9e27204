"""Metis (Wang et al. 2025): one masked generator of semantic tokens, adapted to several tasks."""
