"""A sung contour taken apart into line and fine movement: vibrato, scales, other contours."""

from __future__ import annotations

import numpy as np

from engines.world.frames import HOP_S

LINE_S = 0.09  # deviation of the window that gives the line: vibrato of 4 Hz and more is left out
GLIDE_S = 0.02  # from note to note
MOST_CENTS = 100.0  # of fine movement around a note that is not the sung one


def semitones(f0: np.ndarray) -> np.ndarray:
    """MIDI pitch of F0 in Hz; -inf where unvoiced."""
    with np.errstate(divide="ignore"):
        return 69 + 12 * np.log2(f0 / 440)


def hertz(pitch: np.ndarray) -> np.ndarray:
    """F0 in Hz of MIDI pitches; 0 for -inf."""
    return 440 * 2 ** ((pitch - 69) / 12)


def filled(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """``values`` where ``known``; linear between, and the nearest before and after."""
    places = np.flatnonzero(known)
    if not len(places):
        return np.zeros_like(values)
    return np.interp(np.arange(len(values)), places, values[places])


def line(pitch: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """The slow part of ``pitch`` ``(F,)`` in semitones, stretch by stretch of what is voiced."""
    from scipy.ndimage import gaussian_filter1d

    out = pitch.copy()
    for first, last in stretches(voiced):
        out[first:last] = gaussian_filter1d(pitch[first:last], LINE_S / HOP_S, mode="nearest")
    return out


def stretches(voiced: np.ndarray) -> list[tuple[int, int]]:
    """First frame and the one after the last of each voiced stretch."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], voiced.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def fine(f0: np.ndarray) -> np.ndarray:
    """What moves around the line, in semitones ``(F,)``: vibrato and jitter; 0 where unvoiced."""
    voiced = f0 > 0
    pitch = semitones(np.where(voiced, f0, 440.0))
    return np.where(voiced, pitch - line(pitch, voiced), 0.0)


def with_vibrato(f0: np.ndarray, depth: float) -> np.ndarray:
    """``f0`` with its fine movement scaled: 0 is a straight line, 1 as sung, 2 twice as deep."""
    if depth == 1:
        return f0.copy()
    return f0 * 2 ** ((depth - 1) * fine(f0) / 12)


def snapped(f0: np.ndarray, pitch_classes: frozenset[int], amount: float = 1.0) -> np.ndarray:
    """``f0`` with its line drawn to the nearest notes of a scale, fine movement kept.

    ``pitch_classes`` are those of the scale, 0 is C; ``amount`` 1 draws all the way.
    """
    from scipy.ndimage import gaussian_filter1d

    voiced = f0 > 0
    if not voiced.any() or not pitch_classes:
        return f0.copy()
    slow = line(semitones(np.where(voiced, f0, 440.0)), voiced)
    notes = np.array([p for p in range(128) if p % 12 in pitch_classes], float)
    moved = notes[np.abs(slow[:, None] - notes[None]).argmin(axis=1)] - slow
    for first, last in stretches(voiced):
        moved[first:last] = gaussian_filter1d(moved[first:last], GLIDE_S / HOP_S, mode="nearest")
    return np.where(voiced, f0 * 2 ** (amount * moved / 12), 0.0)


def replaced(f0: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """``f0`` with a drawn contour in its place where that is above 0; stretched to the same length."""
    if not len(drawn):
        return f0.copy()
    places = np.linspace(0, len(drawn) - 1, len(f0)).round().astype(int)
    taken = drawn[places]
    return np.where((f0 > 0) & (taken > 0), taken, f0)
