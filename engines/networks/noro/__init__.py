"""Noro: voice conversion that bears noise in the reference; HuBERT units and F0 to a mel at 16 kHz."""
