"""WORLD: a voice taken apart into F0, envelope and aperiodicity, and put together again.

M. Morise, F. Yokomori, K. Ozawa, "WORLD: A Vocoder-Based High-Quality Speech Synthesis System for
Real-Time Applications", IEICE Trans. Inf. & Syst. E99-D (2016). The library is BSD-3-Clause, its wrapper
pyworld MIT. Voice conversion and singing stand on this folder; arrays in, arrays out.
"""
