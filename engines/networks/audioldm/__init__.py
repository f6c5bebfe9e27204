"""AudioLDM of the Amphion toolkit (Liu et al. 2023): text to sound by diffusion in a latent of mels.

``network.py`` is the U-Net, ``pipeline.py`` all parts, their published files and the sampling.
"""
