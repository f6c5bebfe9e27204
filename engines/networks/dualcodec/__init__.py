"""DualCodec (Li et al. 2025), whose first codebook is semantic, and its VALL-E, which speaks text.

``codec.py`` and ``features.py`` are the codec, ``first.py`` writes the semantic codes, ``fill.py`` the
acoustic ones, ``speech.py`` goes from text to sound.
"""
