"""F0 and periodicity of a sound on the 5 ms grid, by WORLD Harvest, Praat or SwiftF0.

A contour is what the F0 metrics compare and what a page draws.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from engines.metrics import world
from engines.metrics.base import need
from engines.metrics.sound import Sound

PRAAT_VOICING = 0.45  # Praat's own default
SWIFT_RATE, SWIFT_VOICING = 16_000, 0.5  # its package's own
BLOCK = 2048  # frames looked at together


class Tracker(StrEnum):
    """Who finds F0."""

    HARVEST = "harvest"
    PRAAT = "praat"
    SWIFT = "swift-f0"


@dataclass(frozen=True)
class Contour:
    """F0 in Hz ``(F,)``, 0 where unvoiced, and periodicity ``(F,)`` from 0 to 1, at ``times_s``."""

    f0: np.ndarray
    periodicity: np.ndarray
    tracker: Tracker

    @property
    def voiced(self) -> np.ndarray:
        """Which frames are voiced, bool ``(F,)``."""
        return self.f0 > 0

    @property
    def times_s(self) -> np.ndarray:
        """The moments of the frames in seconds."""
        return world.times(len(self.f0))


def contour(sound: Sound, tracker: Tracker = Tracker.HARVEST) -> Contour:
    """The contour of a sound from 50 to 1100 Hz; raises ``NotReady`` if the tracker is not
    installed."""
    find = {Tracker.HARVEST: _harvest, Tracker.PRAAT: _praat, Tracker.SWIFT: _swift}[tracker]
    return sound.once(("contour", tracker), lambda: find(sound))


def _harvest(sound: Sound) -> Contour:
    f0 = world.harvest(sound)
    return Contour(f0, _periodicity(sound.at(world.RATE), f0), Tracker.HARVEST)


def _periodicity(signal: np.ndarray, f0: np.ndarray) -> np.ndarray:
    """Normalised cross-correlation of 20 ms around each voiced frame with the period after it,
    clipped to 0 to 1; 0 where unvoiced."""
    half = round(0.010 * world.RATE)
    longest = int(np.ceil(world.RATE / world.F0_FLOOR))
    padded = np.pad(signal.astype(np.float64), half + longest)
    centres = np.rint(world.times(len(f0)) * world.RATE).astype(int) + half + longest
    out = np.zeros(len(f0))
    frames = np.flatnonzero(f0 > 0)
    window = np.arange(-half, half)
    for start in range(0, len(frames), BLOCK):
        some = frames[start : start + BLOCK]
        lag = np.rint(world.RATE / f0[some]).astype(int)
        first = np.minimum(centres[some] - lag // 2, len(padded) - half - longest)[:, None]
        a = padded[first + window]
        b = padded[np.minimum(first + window + lag[:, None], len(padded) - 1)]
        energy = np.sqrt((a * a).sum(1) * (b * b).sum(1))
        out[some] = np.clip((a * b).sum(1) / np.maximum(energy, 1e-12), 0, 1)
    return out


def _praat(sound: Sound) -> Contour:
    """Praat's autocorrelation method (P. Boersma 1993); its strength is the periodicity."""
    parselmouth = need("parselmouth", "praat-parselmouth")
    heard = parselmouth.Sound(sound.at(world.RATE).astype(np.float64), world.RATE)
    pitch = heard.to_pitch_ac(
        time_step=world.FRAME_MS / 1000,
        pitch_floor=world.F0_FLOOR,
        pitch_ceiling=world.F0_CEILING,
        voicing_threshold=PRAAT_VOICING,
    )
    chosen, moments = pitch.selected_array, pitch.xs()
    f0, strength = _on_grid(sound, moments, chosen["frequency"], chosen["strength"])
    return Contour(f0, np.where(f0 > 0, np.clip(strength, 0, 1), 0.0), Tracker.PRAAT)


@functools.cache
def _detector() -> Any:
    """SwiftF0's network, which its package brings."""
    return need("swift_f0", "swift-f0").SwiftF0(threads=1, spin=False)


def _swift(sound: Sound) -> Contour:
    """SwiftF0 (L. Nieradzik 2025, https://arxiv.org/abs/2508.18440) at 16 kHz, a frame each 16 ms; its
    confidence is the periodicity, and half of it makes a frame voiced."""
    heard = sound.at(SWIFT_RATE).astype(np.float32)
    found = _detector().detect(heard, SWIFT_RATE, world.F0_FLOOR, world.F0_CEILING)
    f0, sure = _on_grid(sound, found.timestamps, found.pitch_hz, found.confidence)
    return Contour(np.where(sure >= SWIFT_VOICING, f0, 0.0), np.clip(sure, 0, 1), Tracker.SWIFT)


def _on_grid(
    sound: Sound, moments: np.ndarray, f0: np.ndarray, sure: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """F0 and confidence ``(F,)`` at ``moments`` in seconds brought to the 5 ms grid: the nearest of
    them, 0 where none is near."""
    frames = int(len(sound.at(world.RATE)) / world.RATE / (world.FRAME_MS / 1000)) + 1
    grid = world.times(frames)
    if not len(moments):
        return np.zeros(frames), np.zeros(frames)
    apart = float(np.median(np.diff(moments))) if len(moments) > 1 else world.FRAME_MS / 1000
    nearest = np.clip(np.searchsorted(moments, grid - apart / 2), 0, len(moments) - 1)
    near = np.abs(moments[nearest] - grid) <= apart
    return np.where(near, f0[nearest], 0.0), np.where(near, sure[nearest], 0.0)
