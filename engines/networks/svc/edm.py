"""The decoder of DiffComoSVC: EDM preconditioning (Karras et al. 2022) and the samplers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from engines.networks.blocks.draws import Draw
from engines.networks.svc.denoiser import Denoiser


@dataclass(frozen=True)
class Edm:
    """Noise levels and the scalings that depend on them."""

    sigma_data: float = 0.5
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def denoise(
        self, denoiser: Denoiser, x: Tensor, sigma: Tensor, contexts: Sequence[Tensor]
    ) -> Tensor:
        """D(x, sigma) of mels (B, n_mels, T) with noise of deviation ``sigma`` (B,)."""
        power = self.sigma_data**2
        s = sigma[:, None, None]
        total = (s.square() + power).sqrt()
        kept = power / total.square()
        scale = (s - self.sigma_min) * self.sigma_data / total
        return kept * x + scale * denoiser.denoise(x / total, sigma.log() / 4, contexts)

    def weight(self, sigma: Tensor) -> Tensor:
        """Weight of the square error at noise levels ``sigma``."""
        return (sigma.square() + self.sigma_data**2) / (sigma * self.sigma_data).square()

    def levels(self, low: float, high: float, parts: Tensor) -> Tensor:
        """Noise levels at ``parts`` in [0, 1] of the way from ``low`` to ``high``, on the curve of rho."""
        start, end = low ** (1 / self.rho), high ** (1 / self.rho)
        return (start + parts * (end - start)) ** self.rho

    def rising(self, steps: int) -> Tensor:
        """0, then ``steps`` levels from the lowest to the highest: (steps + 1,)."""
        levels = self.levels(self.sigma_min, self.sigma_max, torch.arange(steps) / (steps - 1))
        return torch.cat([torch.zeros(1), levels])

    def falling(self, steps: int) -> Tensor:
        """``steps`` + 1 levels from the highest to the lowest, then 0: (steps + 2,)."""
        levels = self.levels(self.sigma_max, self.sigma_min, torch.arange(steps + 1) / steps)
        return torch.cat([levels, torch.zeros(1)])


def sample_teacher(
    edm: Edm, denoiser: Denoiser, mu: Tensor, z: Tensor, steps: int
) -> Iterator[Tensor]:
    """Mels (B, n_mels, T) after each of ``steps`` + 1 Euler steps, the last of them the result.

    ``mu`` (B, n_mels, T) is the encoder's mel, around which the noise ``z`` lies.
    """
    contexts = denoiser.contexts(mu)
    levels = edm.falling(steps).to(mu)
    x = (z + mu) * edm.sigma_max
    for here, there in pairwise(levels):
        slope = (x - edm.denoise(denoiser, x, here.expand(len(x)), contexts)) / here
        x = x + (there - here) * slope
        yield x


def sample_student(
    edm: Edm, denoiser: Denoiser, mu: Tensor, z: Tensor, steps: int, draw: Draw
) -> Iterator[Tensor]:
    """Mels (B, n_mels, T) after each of ``steps`` consistency steps, the last of them the result.

    ``draw`` gives normal numbers of a shape for every step after the first (Song et al. 2023,
    algorithm 1).
    """
    contexts = denoiser.contexts(mu)
    levels = edm.falling(steps)[:-2].to(mu)
    x = z + mu
    for place, level in enumerate(levels):
        if place == 0:
            noisy = x * level
        else:
            spread = math.sqrt(max(float(level) ** 2 - edm.sigma_min**2, 0.0))
            noisy = x + spread * (draw(tuple(x.shape)).to(mu) + mu)
        x = edm.denoise(denoiser, noisy, level.expand(len(mu)), contexts)
        yield x
