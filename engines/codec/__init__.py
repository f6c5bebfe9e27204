"""Codecs: sound to tokens and back.

``base.py`` is what all engines share, ``frames.py`` what a network must offer; each other file wraps one
family of published codecs.
"""
