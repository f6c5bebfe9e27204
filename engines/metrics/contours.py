"""F0 and periodicity of a sound on the 5 ms grid, by WORLD Harvest or Praat.

A contour is what the F0 metrics compare and what a page draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from engines.metrics import world
from engines.metrics.base import need
from engines.metrics.sound import Sound

PRAAT_VOICING = 0.45  # Praat's own default
BLOCK = 2048  # frames looked at together


class Tracker(StrEnum):
    """Who finds F0."""

    HARVEST = "harvest"
    PRAAT = "praat"


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
    """The contour of a sound from 50 to 1100 Hz; raises ``NotReady`` if Praat is not installed."""
    find = _praat if tracker is Tracker.PRAAT else _harvest
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
    frames = int(len(sound.at(world.RATE)) / world.RATE / (world.FRAME_MS / 1000)) + 1
    grid = world.times(frames)
    nearest = np.clip(np.searchsorted(moments, grid - world.FRAME_MS / 2000), 0, len(moments) - 1)
    near = np.abs(moments[nearest] - grid) <= world.FRAME_MS / 1000
    f0 = np.where(near, chosen["frequency"][nearest], 0.0)
    strength = np.where(near & (f0 > 0), chosen["strength"][nearest], 0.0)
    return Contour(f0, np.clip(strength, 0, 1), Tracker.PRAAT)
