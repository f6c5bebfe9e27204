"""How well a small model trained by ``training.recipes`` does what it is asked: ``studio-tiny``."""
