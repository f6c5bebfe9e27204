"""Speech cut into pieces that stand for themselves, for models that give it another pace."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from engines.parts.references import SILENT_PEAK, Sound, level

FRAME_S = 0.02
FILL = 0.75  # of the longest piece, on average
SEARCH = 0.3  # how far from its place a cut may lie, in pieces
SMOOTHING = 5  # frames
LEAST_LEVEL = 1e-4


def pieces(sound: Sound, longest_s: float) -> list[Sound]:
    """About equal pieces of at most ``longest_s``, cut where the sound is quietest. Together they are
    the sound."""
    if sound.duration_s <= longest_s:
        return [sound]
    count = math.ceil(sound.duration_s / (FILL * longest_s))
    power = _power(sound)
    size, length = round(FRAME_S * sound.rate), len(power) / count
    cuts = [0]
    for number in range(1, count):
        low, high = (round((number + side * SEARCH / 2) * length) for side in (-1, 1))
        cuts.append((low + int(np.argmin(power[low:high]))) * size)
    return [
        Sound(sound.samples[first:last], sound.rate)
        for first, last in pairwise([*cuts, len(sound.samples)])
    ]


def beginning(sound: Sound, longest_s: float) -> Sound:
    """The sound, or as much of its beginning as a model hears, up to a quiet place."""
    if sound.duration_s <= longest_s:
        return sound
    power, size = _power(sound), round(FRAME_S * sound.rate)
    high = int(longest_s / FRAME_S)
    low = round(high * (1 - SEARCH))
    return Sound(sound.samples[: (low + int(np.argmin(power[low:high]))) * size], sound.rate)


def silent(sound: Sound) -> bool:
    """Whether there is nothing to convert."""
    return bool(np.abs(sound.samples).max(initial=0) < SILENT_PEAK)


def as_loud(samples: np.ndarray, source: Sound) -> np.ndarray:
    """The samples at the level of ``source``, at most full scale."""
    gain = level(source.samples) / max(level(samples), LEAST_LEVEL)
    loudest = float(np.abs(samples).max(initial=0)) or 1.0
    return samples * np.float32(min(gain, 1 / loudest))


def _power(sound: Sound) -> np.ndarray:
    size = round(FRAME_S * sound.rate)
    whole = len(sound.samples) // size
    power = np.square(sound.samples[: whole * size].reshape(whole, size)).mean(axis=1)
    return np.convolve(power, np.ones(SMOOTHING) / SMOOTHING, mode="same")
