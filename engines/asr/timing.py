"""Word times without the silence around words, which Whisper's attention gives to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engines.asr.models import RATE
from engines.asr.transcripts import Word

HOP = 160  # samples of 10 ms
SILENCE_DB = -40.0  # below the loudest 10 ms of the sound
SHORTEST_S = 0.04


def tightened(words: tuple[Word, ...], heard: np.ndarray) -> tuple[Word, ...]:
    """``words`` with silence cut off both ends of each; ``heard`` is ``(T,)`` at 16 kHz.

    A word that is silent from end to end keeps its times.
    """
    loud = _loud(heard)
    return tuple(_tight(word, loud) for word in words)


def _loud(heard: np.ndarray) -> np.ndarray:
    frames = np.pad(heard, (0, -len(heard) % HOP)).reshape(-1, HOP).astype(np.float64)
    level = 10 * np.log10((frames**2).mean(axis=1) + 1e-12)
    return level > level.max(initial=-120.0) + SILENCE_DB


def _tight(word: Word, loud: np.ndarray) -> Word:
    first, last = int(word.start_s * RATE / HOP), int(np.ceil(word.end_s * RATE / HOP))
    inside = np.flatnonzero(loud[first:last])
    if not len(inside):
        return word
    start_s = max(word.start_s, (first + inside[0]) * HOP / RATE)
    end_s = min(word.end_s, (first + inside[-1] + 1) * HOP / RATE)
    if end_s - start_s < SHORTEST_S:
        return word
    return replace(word, start_s=float(start_s), end_s=float(end_s))
