"""The two stages of Vevo and VevoSing: tokens are drawn in variations, then each is given a sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engines.networks.blocks.sampling import Progress

Drawing = Callable[[Progress], list[Tensor]]
"""Draws tokens (T,) of each variation and tells its steps."""

Voicing = Callable[[Tensor, torch.Generator, Progress], Tensor]
"""Tokens (1, T) to samples (1, L)."""


def in_two_stages(
    draw: Drawing,
    voice: Voicing,
    generators: Sequence[torch.Generator],
    *,
    room: int,
    steps: int,
    progress: Progress,
) -> list[Tensor]:
    """Samples (1, L) of each variation, with one count of steps over all.

    Tokens end by themselves, at most after ``room`` steps, which count as done when they do; each
    variation's sound takes ``steps``.
    """
    total = room + steps * len(generators)
    rows = draw(lambda done, _: progress(done, total))
    sounds: list[Tensor] = []
    for row, generator in zip(rows, generators, strict=True):
        before = room + steps * len(sounds)

        def told(done: int, _: int, before: int = before) -> None:
            progress(before + done, total)

        sounds.append(voice(row[None], generator, told))
    return sounds
