"""What is particular to MusicGen as a model that is trained."""
