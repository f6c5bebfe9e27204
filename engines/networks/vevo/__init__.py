"""Vevo (Zhang et al. 2025): voices converted in timbre, style or both, and speech from text."""
