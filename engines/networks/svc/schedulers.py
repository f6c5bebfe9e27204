"""Samplers of a diffusion with linear betas: DDPM, DDIM and the pseudo-linear PNDM.

Each is made for a number of steps and is then fed the predicted noise of its ``timesteps`` in turn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

WARM_UP = 12  # Runge-Kutta calls of PNDM
SMALLEST_VARIANCE = 1e-20


@dataclass(frozen=True)
class Diffusion:
    """Noise of the training: ``steps`` betas from ``first`` to ``last``."""

    steps: int = 1000
    first: float = 1e-4
    last: float = 0.02

    def kept(self) -> Tensor:
        """For each step the part of the signal's power that is left, (steps,)."""
        return (1 - torch.linspace(self.first, self.last, self.steps)).cumprod(0)

    def noisy(self, mel: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """``mel`` (B, n_mels, T) with ``noise`` at whole steps (B,)."""
        kept = self.kept().to(mel)[step][:, None, None]
        return kept.sqrt() * mel + (1 - kept).sqrt() * noise


class Sampler(ABC):
    """Goes from noise to a mel along ``timesteps``."""

    timesteps: list[int]

    def __init__(self, diffusion: Diffusion, steps: int) -> None:
        least = self.least_steps()
        if not least <= steps <= diffusion.steps:
            raise ValueError(f"Steps must lie between {least} and {diffusion.steps}, not {steps}.")
        self.kept = diffusion.kept()
        self.stride = diffusion.steps // steps
        self.timesteps = [self.stride * place for place in reversed(range(steps))]

    @staticmethod
    def least_steps() -> int:
        """Fewer steps than these can't be sampled."""
        return 1

    @property
    def draws(self) -> int:
        """How many times ``move`` needs fresh noise."""
        return 0

    @abstractmethod
    def move(self, place: int, x: Tensor, noise: Tensor, fresh: Tensor | None = None) -> Tensor:
        """``x`` after the call at ``timesteps[place]``, given the predicted ``noise``."""

    def _before(self, step: int, beyond: float) -> Tensor:
        """Kept power one stride before ``step``; ``beyond`` the start it is the given value."""
        return self.kept[step - self.stride] if step >= self.stride else torch.tensor(beyond)

    def _clean(self, x: Tensor, noise: Tensor, step: int) -> Tensor:
        """The mel that ``x`` would be without its noise, in [-1, 1]."""
        kept = self.kept[step]
        clean = (x - float((1 - kept).sqrt()) * noise) / float(kept.sqrt())
        return clean.clamp(-1, 1)


class Ddpm(Sampler):
    """Ancestral sampling (Ho et al. 2020) with the smaller variance."""

    @property
    def draws(self) -> int:
        return len(self.timesteps) - 1

    def move(self, place: int, x: Tensor, noise: Tensor, fresh: Tensor | None = None) -> Tensor:
        step = self.timesteps[place]
        kept, before = self.kept[step], self._before(step, 1.0)
        ratio = kept / before
        left = (1 - before) / (1 - kept)
        mean = float(before.sqrt() * (1 - ratio) / (1 - kept)) * self._clean(x, noise, step)
        mean = mean + float(ratio.sqrt() * left) * x
        if fresh is None:
            return mean
        return mean + float((left * (1 - ratio)).clamp(min=SMALLEST_VARIANCE).sqrt()) * fresh


class Ddim(Sampler):
    """Deterministic sampling (Song et al. 2021, eta 0)."""

    def move(self, place: int, x: Tensor, noise: Tensor, fresh: Tensor | None = None) -> Tensor:
        step = self.timesteps[place]
        before = self._before(step, 1.0)
        return (
            float(before.sqrt()) * self._clean(x, noise, step) + float((1 - before).sqrt()) * noise
        )


class Pndm(Sampler):
    """Pseudo-linear multistep sampling (Liu et al. 2022) after three Runge-Kutta steps.

    ``steps`` steps are ``steps`` + 9 calls: twelve to warm up, then one for each that is left.
    """

    def __init__(self, diffusion: Diffusion, steps: int) -> None:
        super().__init__(diffusion, steps)
        whole, half = self.timesteps, self.stride // 2
        warm = [whole[0]]
        for lower in whole[1:4]:
            warm += [lower + half, lower + half, lower, lower]
        self.timesteps = warm[:WARM_UP] + whole[3:]
        self._history: list[Tensor] = []

    @staticmethod
    def least_steps() -> int:
        return 4

    def move(self, place: int, x: Tensor, noise: Tensor, fresh: Tensor | None = None) -> Tensor:
        step = self.timesteps[place]
        if place < WARM_UP:
            return self._runge_kutta(place, step, x, noise)
        self._history = [*self._history[-3:], noise]
        e3, e2, e1, e0 = self._history
        return self._transfer(
            x, step, step - self.stride, (55 * e0 - 59 * e1 + 37 * e2 - 9 * e3) / 24
        )

    def _runge_kutta(self, place: int, step: int, x: Tensor, noise: Tensor) -> Tensor:
        """A quarter of a step: its first call keeps where it began."""
        quarter = place % 4
        if quarter == 0:
            self._start, self._slope = x, noise / 6
            self._history.append(noise)
        elif quarter < 3:
            self._slope = self._slope + noise / 3
        else:
            noise = self._slope + noise / 6
        target = step - self.stride // 2 if quarter % 2 == 0 else step
        return self._transfer(self._start, self.timesteps[place - quarter], target, noise)

    def _transfer(self, x: Tensor, step: int, target: int, noise: Tensor) -> Tensor:
        """``x`` taken from ``step`` to ``target`` along ``noise`` (equation 9 of the paper)."""
        kept, after = self.kept[step], self.kept[max(target, 0)]
        scale = kept * (1 - after).sqrt() + (kept * (1 - kept) * after).sqrt()
        return float((after / kept).sqrt()) * x - float((after - kept) / scale) * noise


class SamplerKind(StrEnum):
    """The samplers by their published names."""

    PNDM = "pndm"
    DDPM = "ddpm"
    DDIM = "ddim"


SAMPLERS: dict[SamplerKind, type[Sampler]] = {
    SamplerKind.PNDM: Pndm,
    SamplerKind.DDPM: Ddpm,
    SamplerKind.DDIM: Ddim,
}
