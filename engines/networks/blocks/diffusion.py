"""Discrete diffusion: a noise schedule, and samplers that go along it from noise to data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Predict = Callable[[Tensor, int], Tensor]  # noisy data and time step to what the network predicts
SMALLEST_VARIANCE = 1e-20


@dataclass(frozen=True)
class NoiseSchedule:
    """``kept`` (N,): how much of the data's variance is left at each time step (alpha bar)."""

    kept: Tensor

    @classmethod
    def scaled_linear(
        cls, *, steps: int = 1000, first: float = 0.00085, last: float = 0.012
    ) -> NoiseSchedule:
        """Betas whose square roots go evenly from that of ``first`` to that of ``last``."""
        with torch.device("cpu"):
            betas = torch.linspace(math.sqrt(first), math.sqrt(last), steps) ** 2
        return cls((1 - betas).cumprod(0))

    def stride(self, steps: int) -> int:
        """Time steps between two of ``steps`` samplings.

        Raises ``ValueError`` unless 1 <= ``steps`` < N.
        """
        if not 1 <= steps < len(self.kept):
            raise ValueError(f"steps is {steps} and should be 1 to {len(self.kept) - 1}.")
        return len(self.kept) // steps

    def timesteps(self, steps: int) -> list[int]:
        """Falling time steps, spaced evenly, the last of them 1."""
        stride = self.stride(steps)
        return [stride * place + 1 for place in reversed(range(steps))]

    def kept_at(self, step: int, *, clean: float) -> float:
        """``kept`` of a time step; ``clean`` before the first."""
        return float(self.kept[step]) if step >= 0 else clean


def move(x: Tensor, noise: Tensor, kept: float, target: float) -> Tensor:
    """``x`` from one level of ``kept`` to another along predicted ``noise`` (Liu et al. 2022, eq. 11)."""
    spread = kept * math.sqrt(1 - target) + math.sqrt(kept * (1 - kept) * target)
    return math.sqrt(target / kept) * x - (target - kept) / spread * noise


def plms_timesteps(schedule: NoiseSchedule, steps: int) -> list[int]:
    """Time step of each call of ``plms``: the second one twice."""
    times = schedule.timesteps(steps)
    return times[:2] + times[1:]


def plms(schedule: NoiseSchedule, predict: Predict, x: Tensor, steps: int) -> Iterator[Tensor]:
    """Pseudo linear multistep sampling; gives the state after each of ``steps`` + 1 calls.

    ``predict`` gives the noise. The second call goes once more over the first interval, with the mean
    of both predictions.
    """
    stride, clean = schedule.stride(steps), float(schedule.kept[0])
    start, history = x, list[Tensor]()
    for call, time in enumerate(plms_timesteps(schedule, steps)):
        noise, target = predict(x, time), time - stride
        if call == 1:
            noise = (noise + history[0]) / 2
            time, target, x = time + stride, time, start
        else:
            history = [noise, *history[:3]]
            noise = extrapolate(history)
        x = move(
            x, noise, schedule.kept_at(time, clean=clean), schedule.kept_at(target, clean=clean)
        )
        yield x


def extrapolate(history: Sequence[Tensor]) -> Tensor:
    """The next noise from up to four predictions, the latest first (Adams-Bashforth)."""
    weights = {
        1: (1.0,),
        2: (3 / 2, -1 / 2),
        3: (23 / 12, -16 / 12, 5 / 12),
        4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
    }[len(history)]
    total = weights[0] * history[0]
    for weight, noise in zip(weights[1:], history[1:], strict=True):
        total = total + weight * noise
    return total


def ancestral(
    schedule: NoiseSchedule,
    predict: Predict,
    x: Tensor,
    steps: int,
    draw: Callable[[tuple[int, ...]], Tensor],
) -> Iterator[Tensor]:
    """DDPM sampling (Ho et al. 2020); gives the state after each of ``steps`` calls.

    ``predict`` gives v (Salimans & Ho 2022), ``draw`` normal numbers of a shape in each call.
    """
    stride = schedule.stride(steps)
    for time in schedule.timesteps(steps):
        kept = schedule.kept_at(time, clean=1.0)
        target = schedule.kept_at(time - stride, clean=1.0)
        data = math.sqrt(kept) * x - math.sqrt(1 - kept) * predict(x, time)
        alpha = kept / target
        towards = math.sqrt(target) * (1 - alpha) / (1 - kept)
        stay = math.sqrt(alpha) * (1 - target) / (1 - kept)
        variance = max((1 - target) / (1 - kept) * (1 - alpha), SMALLEST_VARIANCE)
        x = towards * data + stay * x + math.sqrt(variance) * draw(tuple(x.shape)).to(x)
        yield x


def normal(shape: Sequence[int], generators: Sequence[torch.Generator]) -> Tensor:
    """Normal numbers (B, ...) on the CPU, each row from its own generator."""
    assert shape[0] == len(generators)
    rows = [torch.randn(tuple(shape[1:]), generator=generator) for generator in generators]
    return torch.stack(rows)
