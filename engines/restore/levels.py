"""Loudness and true peak: measured as ITU-R BS.1770-5 says, and brought to a target.

The limiter looks ahead: its gain falls before a peak and rises after it, a mean of the gains that the
peaks around ask for, so no sample is clipped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engines.audio import as_channels, measure
from engines.base import StudioError

OVERSAMPLING = 4  # of the true peak; BS.1770 asks for 4 at 48 kHz
BLOCK = 1 << 20  # samples measured at a time
EDGE = 64  # samples of context around a block
REACH_S = 0.01  # how long before and after a peak the gain moves
SILENT_DB = -120.0


@dataclass(frozen=True)
class Normalised:
    """Samples at their new level and what was done: ``gain_db``, and the most that was limited."""

    samples: np.ndarray
    gain_db: float
    limited_db: float = 0.0


def true_peak_db(samples: np.ndarray) -> float:
    """The highest level between the samples in dBTP, -inf for silence."""
    peak = max((float(block.max(initial=0)) for block in _peak_blocks(samples)), default=0.0)
    return 20 * math.log10(peak) if peak > 0 else -math.inf


def normalise_loudness(
    samples: np.ndarray, rate: int, target_lufs: float = -16.0, ceiling_dbtp: float = -1.0
) -> Normalised:
    """``samples`` at ``target_lufs``; peaks that would pass ``ceiling_dbtp`` are limited.

    Raises ``StudioError`` where there is no loudness: silence, or less than 0.4 s.
    """
    loudness = measure(samples, rate).loudness_lufs
    if loudness is None:
        raise StudioError(
            "Loudness cannot be measured: the sound is silent, shorter than 0.4 s or has more than "
            "five channels. Normalise its peak instead."
        )
    gain_db = target_lufs - loudness
    scaled = np.asarray(samples, np.float32) * np.float32(10 ** (gain_db / 20))
    limited, reduction_db = limit(scaled, rate, ceiling_dbtp)
    if reduction_db > 0.1:  # limiting takes loudness away; once more is within 0.1 LU
        again = measure(limited, rate).loudness_lufs
        if again is not None and target_lufs - again > 0.05:
            gain_db += target_lufs - again
            scaled = np.asarray(samples, np.float32) * np.float32(10 ** (gain_db / 20))
            limited, reduction_db = limit(scaled, rate, ceiling_dbtp)
    return Normalised(limited, gain_db, reduction_db)


def normalise_peak(samples: np.ndarray, ceiling_dbtp: float = -1.0) -> Normalised:
    """``samples`` with their true peak at ``ceiling_dbtp``; silence stays as it is."""
    peak_db = true_peak_db(samples)
    if peak_db < SILENT_DB:
        return Normalised(np.asarray(samples, np.float32), 0.0)
    gain_db = ceiling_dbtp - peak_db
    return Normalised(np.asarray(samples, np.float32) * np.float32(10 ** (gain_db / 20)), gain_db)


def limit(samples: np.ndarray, rate: int, ceiling_dbtp: float = -1.0) -> tuple[np.ndarray, float]:
    """``samples`` with no true peak above ``ceiling_dbtp``, and the largest reduction in dB.

    All channels share one gain, so that the stereo image stays.
    """
    from scipy.ndimage import minimum_filter1d
    from scipy.signal import fftconvolve

    ceiling = 10 ** (ceiling_dbtp / 20)
    peaks = np.concatenate([*_peak_blocks(samples), np.zeros(0)])
    if peaks.max(initial=0) <= ceiling:
        return np.asarray(samples, np.float32), 0.0
    wanted = np.minimum(1.0, ceiling / np.maximum(peaks, 1e-12))
    reach = max(1, round(REACH_S * rate))
    held = minimum_filter1d(wanted, 2 * reach + 1)
    shape = np.hanning(2 * reach + 3)[1:-1]
    gain = fftconvolve(np.pad(held, reach, mode="edge"), shape / shape.sum(), mode="valid")
    out = (np.asarray(samples, np.float64) * gain).astype(np.float32)
    over_db = true_peak_db(out) - ceiling_dbtp
    if over_db > 0:  # between samples, where the gain changes
        out *= np.float32(10 ** (-(over_db + 1e-3) / 20))
    return out, float(-20 * math.log10(gain.min()))


def _peak_blocks(samples: np.ndarray) -> Iterator[np.ndarray]:
    """Highest magnitude at and around each sample over all channels, in blocks ``(T,)``."""
    from scipy.signal import resample_poly

    channels = as_channels(samples)
    for start in range(0, channels.shape[1], BLOCK):
        before = min(EDGE, start)
        piece = channels[:, start - before : start + BLOCK + EDGE]
        count = min(BLOCK, channels.shape[1] - start)
        fine = np.abs(resample_poly(piece, OVERSAMPLING, 1, axis=1)).max(axis=0)
        fine = fine[before * OVERSAMPLING : (before + count) * OVERSAMPLING]
        yield fine.reshape(count, OVERSAMPLING).max(axis=1)
