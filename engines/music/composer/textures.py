"""Sounds without a pitch that lie under a whole piece: vinyl, tape, air."""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from engines.music.composer.sampler import SAMPLE_RATE

CLICKS_PER_S = 9.0


def texture(kind: str, total: int, seed: int) -> np.ndarray:
    """Noise of one kind (vinyl, tape or air), float32 ``(2, total)``."""
    rng = np.random.default_rng([seed & 0xFFFFFFFF, len(kind)])
    noise = rng.standard_normal((2, total), dtype=np.float32)
    if kind == "vinyl":
        return _filtered(noise, 3500) * np.float32(0.06) + _clicks(total, rng)
    if kind == "tape":
        return noise - _filtered(noise, 2000)
    swell = _swell(total, rng)
    return _filtered(noise, 700) * swell


def _filtered(noise: np.ndarray, hertz: float) -> np.ndarray:
    pole = float(np.exp(-2 * np.pi * hertz / SAMPLE_RATE))
    return lfilter([1 - pole], [1, -pole], noise, axis=1).astype(np.float32)


def _clicks(total: int, rng: np.random.Generator) -> np.ndarray:
    sound = np.zeros((2, total), np.float32)
    count = rng.poisson(CLICKS_PER_S * total / SAMPLE_RATE)
    when = rng.integers(0, max(total - 64, 1), count)
    size = rng.exponential(0.25, count).astype(np.float32)
    shape = np.exp(-np.arange(48) / 7.0).astype(np.float32) * np.cos(np.arange(48) * 0.9).astype(
        np.float32
    )
    for start, loud, side in zip(when, size, rng.uniform(0.3, 0.7, count), strict=True):
        end = min(start + 48, total)
        sound[0, start:end] += shape[: end - start] * loud * side
        sound[1, start:end] += shape[: end - start] * loud * (1 - side)
    return sound


def _swell(total: int, rng: np.random.Generator) -> np.ndarray:
    """Wind comes and goes: a slow curve through random levels."""
    points = max(total // (2 * SAMPLE_RATE), 1) + 2
    levels = rng.uniform(0.25, 1.0, points)
    return np.interp(np.arange(total), np.linspace(0, total, points), levels).astype(np.float32)
