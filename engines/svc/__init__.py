"""Singing: a voice moved in key, tempo, vibrato, formants and melody, and notes heard in a sound.

It stands on WORLD (``engines.world``) and, for another singer's timbre, on ``engines.vc``. Notes are
heard by Basic Pitch (Spotify, Apache-2.0; ``assets/``).
"""
