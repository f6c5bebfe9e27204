"""Several results of one run: their seeds, and random numbers row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from engines.networks.blocks.draws import Draw


def seeds(seed: int, count: int) -> list[int]:
    """The seed of each variation: the first is ``seed``, the others depend on it and their number."""
    drawn = [np.random.SeedSequence((seed, i)).generate_state(1)[0] for i in range(1, count)]
    return [seed, *map(int, drawn)]


def normal_rows(generators: Sequence[torch.Generator]) -> Draw:
    """Normal numbers (B, ...), each row from its own generator."""
    import torch

    return lambda shape: torch.stack([torch.randn(shape[1:], generator=g) for g in generators])


def uniform_rows(generators: Sequence[torch.Generator]) -> Draw:
    """Numbers in [0, 1) (B, ...), each row from its own generator."""
    import torch

    return lambda shape: torch.stack([torch.rand(shape[1:], generator=g) for g in generators])
