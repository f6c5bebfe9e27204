"""Vocoders of the Amphion toolkit: mel (B, n_mels, T) to samples (B, 1, T * hop)."""
