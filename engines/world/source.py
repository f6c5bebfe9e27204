"""A sound of any length as frames: cut in quiet places, analysed window by window, put together again.

F0 is found once for the whole sound. Everything else is done in windows with context, which are joined
where the sound is quietest; if it is never quiet, pulses are aligned before they are faded over.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engines.world.frames import (
    F0_CEILING,
    F0_FLOOR,
    HOP_S,
    Frames,
    analyse,
    count,
    harvest,
    synthesise,
)

GRID_S = 0.02  # where cuts may be: whole samples and whole frames at all usual rates
PER_GRID = round(GRID_S / HOP_S)
WINDOW_S, SEARCH_S, CONTEXT_S = 20.0, 4.0, 0.4
FADE_S = 0.01
KEPT = 4  # windows whose frames stay in memory: 25 MB each at 24 kHz

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class Window:
    """Frames ``first`` to ``last`` of a sound, and those with context, ``start`` to ``end``."""

    first: int
    last: int
    start: int
    end: int


class Source:
    """Mono ``samples`` at ``rate`` with their F0, and frames on demand. Used by one thread."""

    def __init__(
        self,
        samples: np.ndarray,
        rate: int,
        floor: float = F0_FLOOR,
        ceiling: float = F0_CEILING,
        progress: Progress | None = None,
    ):
        self.samples, self.rate = samples, rate
        self.frames = count(len(samples), rate)
        self.windows = _windows(samples, rate, self.frames)
        self._kept: OrderedDict[int, Frames] = OrderedDict()
        self.f0 = np.zeros(self.frames)
        for number, window in enumerate(self.windows):
            found = harvest(self.heard(window), rate, floor, ceiling)
            found = found[window.first - window.start : window.last - window.start]
            self.f0[window.first : window.first + len(found)] = found
            if progress is not None:
                progress(number + 1, len(self.windows))

    def heard(self, window: Window) -> np.ndarray:
        """The samples of a window with its context."""
        return self.samples[round(window.start * HOP_S * self.rate) : self._sample(window.end)]

    def _sample(self, frame: int) -> int:
        """Where a frame begins; the last ends with the sound."""
        if frame >= self.frames:
            return len(self.samples)
        return round(frame * HOP_S * self.rate)

    def analysed(self, number: int) -> Frames:
        """The frames of window ``number`` with its context."""
        if number not in self._kept:
            window = self.windows[number]
            f0 = self.f0[window.start : window.end]
            self._kept[number] = analyse(self.heard(window), self.rate, f0)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]

    def spread(self, most: int = KEPT) -> list[int]:
        """At most so many windows, evenly spread, to learn statistics from."""
        return sorted({round(i) for i in np.linspace(0, len(self.windows) - 1, most)})

    def rendered(
        self,
        change: Callable[[int, Frames], Frames],
        positions: np.ndarray | None = None,
        progress: Progress | None = None,
        f0: np.ndarray | None = None,
    ) -> np.ndarray:
        """Samples of the frames that ``change`` makes of each window's, float32 ``(T,)``.

        ``positions`` ``(N,)``, not falling, are the source frame of each frame to come, for another
        timing; without it the length is the source's. ``f0`` ``(N,)`` is sung in place of that of the
        frames, where they are voiced.
        """
        timed = np.arange(self.frames, dtype=float) if positions is None else positions
        joiner = _Joiner(self.rate)
        for number, window in enumerate(self.windows):
            frames = change(number, self.analysed(number))
            first, last = np.searchsorted(timed, [window.first, window.last])
            start, end = np.searchsorted(timed, [window.start, window.end])
            if number == len(self.windows) - 1:
                last = end = len(timed)
            if last > first:
                made = frames.at(timed[start:end] - window.start)
                made = made if f0 is None else made.sung_at(f0[start:end])
                joiner.add(synthesise(made), first - start, last - start)
            if progress is not None:
                progress(number + 1, len(self.windows))
        whole = joiner.finish()
        length = len(self.samples)
        if positions is not None and len(positions) != self.frames:
            length = round(len(timed) * HOP_S * self.rate)
        return np.pad(whole, (0, max(0, length - len(whole))))[:length]


class _Joiner:
    """Puts synthesised pieces in a row, each faded over the end of the one before."""

    def __init__(self, rate: int):
        self._rate, self._fade = rate, round(FADE_S * rate)
        self._out: list[np.ndarray] = []
        self._tail = np.zeros(0, np.float32)

    def add(self, piece: np.ndarray, first: int, last: int) -> None:
        """Frames ``first`` to ``last`` of ``piece``; what lies around is context."""
        start, end = (round(frame * HOP_S * self._rate) for frame in (first, last))
        if len(self._tail):
            lag = self._lag(piece, start)
            start, end = start + lag, end + lag
        fade = min(len(self._tail), max(0, len(piece) - start))
        rise = np.linspace(0, 1, fade + 2, dtype=np.float32)[1:-1]
        body = piece[start:end].copy()
        fade = min(fade, len(body))
        body[:fade] = body[:fade] * rise[:fade] + self._tail[:fade] * (1 - rise[:fade])
        self._out.append(body)
        self._tail = piece[end : end + self._fade]

    def _lag(self, piece: np.ndarray, start: int) -> int:
        """How far to move ``piece`` so that its pulses fall on those of the end before."""
        size = len(self._tail)
        reach = min(size, start, max(0, len(piece) - start - size))
        near = piece[start - reach : start + reach + size]
        if reach == 0 or not self._tail.any() or not near.any():
            return 0
        alike = np.correlate(near, self._tail, mode="valid")
        energy = np.convolve(near**2, np.ones(size), mode="valid")
        return int(np.argmax(alike / np.sqrt(energy + 1e-9))) - reach

    def finish(self) -> np.ndarray:
        """All of it."""
        return np.concatenate([*self._out, np.zeros(0, np.float32)])


def _windows(samples: np.ndarray, rate: int, frames: int) -> list[Window]:
    """Windows of about 20 s that meet in quiet places, on the grid."""
    cuts = [0]
    longest = round(WINDOW_S / HOP_S)
    search, context = round(SEARCH_S / HOP_S), round(CONTEXT_S / HOP_S)
    quiet = _loudness(samples, rate)
    while frames - cuts[-1] > longest + search:
        middle = (cuts[-1] + longest) // PER_GRID
        near = quiet[middle - search // PER_GRID : middle + search // PER_GRID]
        cuts.append((middle - search // PER_GRID + int(near.argmin())) * PER_GRID)
    cuts.append(frames)
    return [
        Window(first, last, max(0, first - context), min(frames, last + context))
        for first, last in itertools.pairwise(cuts)
    ]


def _loudness(samples: np.ndarray, rate: int) -> np.ndarray:
    """Mean power around each point of the grid."""
    step = round(GRID_S * rate)
    power = np.pad(samples, (0, -len(samples) % step)).reshape(-1, step).astype(np.float64) ** 2
    each = power.mean(axis=1)
    return each + np.concatenate([each[:1], each[:-1]])  # before and after the point
