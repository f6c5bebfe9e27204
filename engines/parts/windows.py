"""Long sounds through models that hear a few seconds: windows that meet at quiet places.

Each window is converted with some of what comes before and after it, and only what lies between its
cuts is kept; neighbours fade into one another within a few milliseconds around the cut.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engines.audio import Joiner
from engines.parts.references import Sound

FRAME_S = 0.02
FADE_S = 0.02
CONTEXT_S = 0.5  # heard on either side of a window
SEARCH = 0.4  # share of a window, at its end, in which the cut is looked for

Convert = Callable[[Sound, int], np.ndarray]
"""A window and its number to samples ``(T,)`` at the model's rate, that start where the window does."""


@dataclass(frozen=True)
class Window:
    """Times in seconds: what is heard, and what of it is kept."""

    start_s: float
    end_s: float
    first_s: float
    last_s: float


def windows(sound: Sound, longest_s: float) -> list[Window]:
    """Windows of at most ``longest_s`` with their context, cut where the sound is quietest."""
    cuts = [0.0, *_cuts(sound, longest_s - 2 * CONTEXT_S), sound.duration_s]
    if sound.duration_s <= longest_s:
        cuts = [0.0, sound.duration_s]
    fade = FADE_S / 2
    return [
        Window(
            max(0.0, first - CONTEXT_S),
            min(sound.duration_s, last + CONTEXT_S),
            max(0.0, first - fade),
            min(sound.duration_s, last + fade),
        )
        for first, last in itertools.pairwise(cuts)
    ]


def _cuts(sound: Sound, step_s: float) -> Iterator[float]:
    size = round(FRAME_S * sound.rate)
    whole = len(sound.samples) // size
    power = np.square(sound.samples[: whole * size].reshape(whole, size)).mean(axis=1)
    smooth = np.convolve(power, np.ones(5) / 5, mode="same")
    start, step = 0, round(step_s / FRAME_S)
    while whole - start > step:
        low = start + round(step * (1 - SEARCH))
        start = low + int(np.argmin(smooth[low : start + step]))
        yield start * FRAME_S


def converted(
    sound: Sound, cut: Sequence[Window], rate: int, convert: Convert
) -> Iterator[np.ndarray]:
    """Pieces ``(T,)`` at ``rate``, together exactly as long as ``sound``.

    A window that comes back shorter than it should is filled up with silence.
    """
    joiner = Joiner(rate, FADE_S)
    total = round(sound.duration_s * rate)
    given = 0
    for number, window in enumerate(cut):
        made = convert(sound.part(window.start_s, window.end_s), number)
        first = round(window.first_s * rate)
        length = round(window.last_s * rate) - first
        offset = first - round(window.start_s * rate)
        piece = np.zeros(length, np.float32)
        kept = np.clip(made[offset : offset + length], -1, 1)
        piece[: len(kept)] = kept
        ready = joiner.feed(piece)
        if number == len(cut) - 1:
            ready = np.concatenate([ready, joiner.finish()])
            ready = np.pad(ready, (0, max(0, total - given - len(ready))))[: total - given]
        given += len(ready)
        yield ready
