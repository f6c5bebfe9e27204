"""Text to audio: sounds and scenes from words."""
