"""FastSpeech 2 (Ren et al. 2021): text to a mel spectrogram with pitch, energy and duration of each phone."""
