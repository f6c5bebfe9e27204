"""FAcodec of Plachta for Amphion: a causal 24 kHz codec after NaturalSpeech 3, for live conversion."""
