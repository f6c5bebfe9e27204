"""FACodec of NaturalSpeech 3 (Ju et al. 2024): prosody, content, detail and speaker apart."""
