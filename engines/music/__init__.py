"""Text to music."""
