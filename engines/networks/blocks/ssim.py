"""Structural similarity of mels as images (Wang et al. 2004)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIZE, DEVIATION = 11, 1.5
C1, C2 = 0.01**2, 0.03**2
OFFSET = 6.0  # added to both mels


def gaussian_window(size: int = SIZE, deviation: float = DEVIATION) -> Tensor:
    """A window (1, 1, ``size``, ``size``) that sums to 1."""
    place = torch.arange(size) - size // 2
    line = (-place.square() / (2 * deviation**2)).exp()
    line = line / line.sum()
    return torch.outer(line, line)[None, None]


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Similarity at each pixel of images (B, 1, H, W), zeros around them."""
    window = gaussian_window().to(a)

    def blur(image: Tensor) -> Tensor:
        return F.conv2d(image, window, padding=SIZE // 2)

    mean_a, mean_b = blur(a), blur(b)
    variance_a = blur(a * a) - mean_a.square()
    variance_b = blur(b * b) - mean_b.square()
    covariance = blur(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + C1) * (2 * covariance + C2)
    return likeness / ((mean_a.square() + mean_b.square() + C1) * (variance_a + variance_b + C2))


def ssim_loss(mel: Tensor, target: Tensor) -> Tensor:
    """1 less the mean similarity of normalised mels (B, n_mels, T); padding counts, as in the original."""
    images = (x.transpose(1, 2)[:, None] + OFFSET for x in (mel, target))
    return 1 - ssim(*images).mean()
