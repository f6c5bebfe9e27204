"""MaskGCT (Wang et al. 2024): speech from text in a prompt's voice, by masked generation in two stages."""
