"""VALL-E of the Amphion toolkit (Wang et al. 2023): phones and EnCodec codes to EnCodec codes.

``network.py`` is both transformers, ``sampling.py`` the two ways of decoding, ``losses.py`` the two
stages of training.
"""
