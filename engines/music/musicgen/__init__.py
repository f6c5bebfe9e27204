"""MusicGen: decoding, codes, adapters, and the model that ships with the studio."""
