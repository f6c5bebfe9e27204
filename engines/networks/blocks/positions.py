"""Sinusoidal positions (Vaswani et al. 2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoid_table(length: int, channels: int) -> Tensor:
    """(``length``, ``channels``): sines at even and cosines at odd channels, base 10000."""
    rates = (torch.arange(0, channels, 2) * (-math.log(10000.0) / channels)).exp()
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)
