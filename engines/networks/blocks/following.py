"""Following a sampler: telling its steps and taking its result."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from engines.networks.blocks.sampling import Progress


def unheard(done: int, total: int) -> None:
    """A ``Progress`` for callers who follow nothing."""


def last_of(steps: Iterator[Tensor], progress: Progress, done: int, total: int) -> Tensor:
    """What the last of ``steps`` gave, each told to ``progress`` and counted on from ``done``."""
    result: Tensor | None = None
    for place, tensor in enumerate(steps, done + 1):
        result = tensor
        progress(place, total)
    if result is None:
        raise ValueError("Nothing to generate: the number of steps is 0.")
    return result
