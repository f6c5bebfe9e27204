"""Project files: writing one, and taking one in."""
