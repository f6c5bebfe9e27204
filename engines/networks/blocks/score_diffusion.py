"""Diffusion in continuous time whose network predicts the clean signal (NaturalSpeech 2, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import torch
from torch import Tensor, nn

from engines.networks.blocks.film_wavenet import FilmWaveNet, FilmWaveNetConfig
from engines.networks.weights import WeightsError

EPSILON = 1e-8
EARLIEST = 1e-5  # times of the training keep this far from 0 and 1


class DiffusionKind(StrEnum):
    """What the network predicts: the clean signal, or the direction of a flow."""

    DIFFUSION = "diffusion"
    FLOW = "flow"


@dataclass(frozen=True)
class NoiseSchedule:
    """A noise rate that rises linearly over the time 0 to 1."""

    beta_min: float = 0.05
    beta_max: float = 20.0

    def rate(self, time: float) -> float:
        """The noise rate."""
        return self.beta_min + (self.beta_max - self.beta_min) * time

    def integral(self, time: Tensor) -> Tensor:
        """The integral of the rate from 0 to ``time``."""
        return self.beta_min * time + 0.5 * (self.beta_max - self.beta_min) * time.square()

    def noisy(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """``clean`` (B, C, T) with normal ``noise`` at times (B,)."""
        kept, spread = self._parts(time)
        return clean * kept + noise * spread

    def noise_in(self, x: Tensor, clean: Tensor, time: Tensor) -> Tensor:
        """The noise that ``x`` (B, C, T) holds if ``clean`` is right."""
        kept, spread = self._parts(time)
        return (x - clean * kept) / spread

    def _parts(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Factor of the clean signal and deviation of the noise, (B, 1, 1)."""
        integral = self.integral(time)[:, None, None]
        return (-integral / 2).exp(), (1 - (-integral).exp()).sqrt()


class ScoreDiffusion(nn.Module):
    """The denoiser with its schedule. Key ``diff_estimator``."""

    def __init__(
        self,
        config: FilmWaveNetConfig,
        schedule: NoiseSchedule | None = None,
        kind: DiffusionKind = DiffusionKind.DIFFUSION,
    ) -> None:
        super().__init__()
        self.schedule = schedule or NoiseSchedule()
        self.kind = kind
        self.diff_estimator = FilmWaveNet(config)

    @classmethod
    def read(cls, given: Mapping[str, Any], wavenet: str, solver: str) -> Self:
        """From the published ``diffusion``, where the denoiser and the solver stand under these names.

        Raises ``WeightsError`` for a solver other than Euler's.
        """
        if given[solver] != "euler":
            raise WeightsError(f"The solver must be euler, not {given[solver]}.")
        return cls(
            FilmWaveNetConfig.read(given[wavenet]),
            NoiseSchedule(given["beta_min"], given["beta_max"]),
            DiffusionKind(given.get("diffusion_type", DiffusionKind.DIFFUSION)),
        )

    def sample(self, condition: Tensor, prompt: Tensor, z: Tensor, steps: int) -> Iterator[Tensor]:
        """Signals (B, C, T) after each of ``steps`` Euler steps, the last of them the result.

        ``z`` (B, C, T) is where to start; ``condition`` (B, T, H) and ``prompt`` (B, M, H) may have a
        batch of 1.
        """
        prepared = self.diff_estimator.prepare(condition, prompt)
        x = z
        for place in range(steps):
            time = 1 - (place + 0.5) / steps
            times = torch.full((len(x),), time, device=x.device, dtype=x.dtype)
            predicted = self.diff_estimator.denoise(x, times, prepared)
            if self.kind is DiffusionKind.FLOW:
                x = x - predicted / steps
            else:
                x = x + 0.5 * self.schedule.rate(time) / steps * (
                    self._score(x, predicted, time) + x
                )
            yield x

    def _score(self, x: Tensor, clean: Tensor, time: float) -> Tensor:
        """Gradient of the log density of ``x`` around ``clean``."""
        integral = float(self.schedule.integral(torch.tensor(time, dtype=torch.float64)))
        return -(x - clean * math.exp(-integral / 2)) / (1 - math.exp(-integral) + EPSILON)

    def losses(
        self,
        clean: Tensor,
        mask: Tensor,
        condition: Tensor,
        prompt: Tensor,
        time: Tensor,
        noise: Tensor,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The predicted clean signal (B, C, T), and its ``x0`` and ``noise`` errors inside ``mask`` (B, T).

        ``time`` (B,) is uniform between ``EARLIEST`` and 1 - ``EARLIEST``, ``noise`` (B, C, T) normal.
        """
        x = self.schedule.noisy(clean, noise, time)
        predicted = self.diff_estimator(x, time, condition, prompt)
        implied = self.schedule.noise_in(x, predicted, time)
        return predicted, {
            "x0": masked_l1(predicted, clean, mask),
            "noise": masked_l1(implied, noise, mask),
        }


def masked_l1(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference of (B, C, T) or (B, T) where ``mask`` (B, T) is True."""
    inside = mask if a.dim() == 2 else mask[:, None].expand_as(a)
    return ((a - b).abs() * inside).sum() / inside.sum()
