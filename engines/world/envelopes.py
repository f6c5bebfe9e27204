"""Envelopes as a few numbers, shifted formants, and the way between 5 ms and 20 ms."""

from __future__ import annotations

import functools

import numpy as np

ORDER = 30
MEL_POINTS = 80
PER_STEP = 4  # frames of 5 ms in a step of 20 ms


def to_cepstra(log_envelope: np.ndarray, rate: int, order: int = ORDER) -> np.ndarray:
    """Cosine transform of the envelope on the mel axis, ``(F, order + 1)``; column 0 is the level."""
    forward, _back = _matrices(log_envelope.shape[1], rate, order)
    return log_envelope @ forward


def from_cepstra(cepstra: np.ndarray, bins: int, rate: int) -> np.ndarray:
    """The smooth log envelope ``(F, bins)`` that ``cepstra`` describe."""
    _forward, back = _matrices(bins, rate, cepstra.shape[1] - 1)
    return cepstra @ back


@functools.lru_cache(maxsize=8)
def _matrices(bins: int, rate: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.fft import dct

    hz = np.linspace(0, rate / 2, bins)
    mel = 2595 * np.log10(1 + hz / 700)
    points = np.linspace(0, mel[-1], MEL_POINTS)
    to_mel = _interpolation(mel, points).T  # (bins, points)
    cosines = dct(np.eye(MEL_POINTS), norm="ortho", axis=0)[: order + 1]  # (order + 1, points)
    from_mel = _interpolation(points, mel).T  # (points, bins)
    return (to_mel @ cosines.T).astype(np.float32), (cosines @ from_mel).astype(np.float32)


def _interpolation(xs: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Linear interpolation as a matrix ``(len(at), len(xs))``."""
    matrix = np.zeros((len(at), len(xs)))
    high = np.clip(np.searchsorted(xs, at), 1, len(xs) - 1)
    part = np.clip((at - xs[high - 1]) / (xs[high] - xs[high - 1]), 0, 1)
    rows = np.arange(len(at))
    matrix[rows, high - 1] = 1 - part
    matrix[rows, high] += part
    return matrix


def shift_formants(log_envelope: np.ndarray, semitones: float) -> np.ndarray:
    """The envelope with its frequency axis stretched: positive semitones sound smaller, brighter."""
    if semitones == 0:
        return log_envelope
    bins = log_envelope.shape[1]
    places = np.clip(np.arange(bins) / 2 ** (semitones / 12), 0, bins - 1)
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, bins - 1)
    part = (places - low).astype(np.float32)
    return log_envelope[:, low] * (1 - part) + log_envelope[:, high] * part


def to_steps(values: np.ndarray, steps: int) -> np.ndarray:
    """Means over 20 ms, ``(steps, ...)``, of ``values`` each 5 ms; the last one is repeated."""
    wanted = steps * PER_STEP
    index = np.minimum(np.arange(wanted), len(values) - 1)
    return values[index].reshape(steps, PER_STEP, *values.shape[1:]).mean(axis=1)


def to_frames(values: np.ndarray, frames: int) -> np.ndarray:
    """``values`` ``(steps, B)`` each 20 ms, interpolated to ``frames`` each 5 ms."""
    places = np.clip((np.arange(frames) - (PER_STEP - 1) / 2) / PER_STEP, 0, len(values) - 1)
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    part = (places - low).astype(np.float32)[:, None]
    return values[low] * (1 - part) + values[high] * part
