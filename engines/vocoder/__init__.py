"""Vocoders: a mel-spectrogram to sound.

``base.py`` is what all engines share; each other file wraps one family of published vocoders.
"""
