"""Frames of WORLD each 5 ms: analysis, synthesis, and frames taken at other moments."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

HOP_S = 0.005
F0_FLOOR, F0_CEILING = 60.0, 1000.0  # Hz
SHORTEST_S = 0.1  # what Harvest needs
TINY = 1e-16


@dataclass(frozen=True)
class Frames:
    """``f0`` in Hz ``(F,)``, 0 where unvoiced; natural log of the power envelope and aperiodicity from
    0 to 1, float32 ``(F, B)``; B is half the FFT's size and one."""

    f0: np.ndarray
    log_envelope: np.ndarray
    aperiodicity: np.ndarray
    rate: int

    def __len__(self) -> int:
        return len(self.f0)

    @property
    def voiced(self) -> np.ndarray:
        """Which frames are voiced, bool ``(F,)``."""
        return self.f0 > 0

    def at(self, positions: np.ndarray) -> Frames:
        """Frames at ``positions`` ``(N,)``, fractional indices; F0 is not mixed across the edge of a
        voiced stretch."""
        positions = np.clip(positions, 0, len(self) - 1)
        low = np.floor(positions).astype(int)
        high = np.minimum(low + 1, len(self) - 1)
        part = (positions - low).astype(np.float32)
        nearest = np.where(part < 0.5, low, high)
        both = self.voiced[low] & self.voiced[high]
        mixed = self.f0[low] * (1 - part) + self.f0[high] * part
        part = part[:, None]
        return Frames(
            np.where(both, mixed, self.f0[nearest]),
            self.log_envelope[low] * (1 - part) + self.log_envelope[high] * part,
            np.where(both[:, None],
                     self.aperiodicity[low] * (1 - part) + self.aperiodicity[high] * part,
                     self.aperiodicity[nearest]),
            self.rate,
        )  # fmt: skip

    def cut(self, first: int, last: int) -> Frames:
        """Frames ``first`` to ``last``, the latter left out."""
        some = slice(max(0, first), last)
        return Frames(self.f0[some], self.log_envelope[some], self.aperiodicity[some], self.rate)

    def sung_at(self, f0: np.ndarray) -> Frames:
        """The same frames at another F0; frames that were unvoiced stay so."""
        return replace(self, f0=np.where(self.voiced, f0, 0.0))


def hop(rate: int) -> float:
    """Samples from one frame to the next."""
    return rate * HOP_S


def count(samples: int, rate: int) -> int:
    """How many frames WORLD gives a sound of so many samples."""
    return int(1000.0 * samples / rate / (HOP_S * 1000)) + 1


def fft_size(rate: int) -> int:
    """CheapTrick's own choice for an F0 from 71 Hz on."""
    import pyworld

    return pyworld.get_cheaptrick_fft_size(rate)


def harvest(
    samples: np.ndarray, rate: int, floor: float = F0_FLOOR, ceiling: float = F0_CEILING
) -> np.ndarray:
    """F0 of mono ``samples`` in Hz each 5 ms, 0 where unvoiced (M. Morise, Interspeech 2017)."""
    import pyworld

    wanted = count(len(samples), rate)
    padded = np.pad(samples, (0, max(0, round(SHORTEST_S * rate) - len(samples))))
    if not padded.any():
        return np.zeros(wanted)
    f0, _times = pyworld.harvest(padded.astype(np.float64), rate, floor, ceiling, HOP_S * 1000)
    return f0[:wanted]


def analyse(samples: np.ndarray, rate: int, f0: np.ndarray) -> Frames:
    """Envelope (CheapTrick) and aperiodicity (D4C) of mono ``samples`` at the frames of ``f0``."""
    import pyworld

    signal = np.pad(samples, (0, max(0, round(SHORTEST_S * rate) - len(samples)))).astype(
        np.float64
    )
    times, size = np.arange(len(f0)) * HOP_S, fft_size(rate)
    envelope = pyworld.cheaptrick(signal, f0, times, rate, fft_size=size)
    aperiodicity = pyworld.d4c(signal, f0, times, rate, fft_size=size)
    return Frames(
        f0, np.log(envelope + TINY).astype(np.float32), aperiodicity.astype(np.float32), rate
    )


def synthesise(frames: Frames) -> np.ndarray:
    """Samples ``(T,)`` float32 of ``frames``."""
    import pyworld

    if not len(frames):
        return np.zeros(0, np.float32)
    made = pyworld.synthesize(
        np.ascontiguousarray(frames.f0, dtype=np.float64),
        np.exp(frames.log_envelope.astype(np.float64)),
        np.ascontiguousarray(frames.aperiodicity, dtype=np.float64),
        frames.rate,
        HOP_S * 1000,
    )
    return made.astype(np.float32)


def level(log_envelope: np.ndarray) -> np.ndarray:
    """Log of the mean power of each frame, ``(F, 1)``."""
    top = log_envelope.max(axis=1, keepdims=True)
    return top + np.log(np.exp(log_envelope - top).mean(axis=1, keepdims=True))
