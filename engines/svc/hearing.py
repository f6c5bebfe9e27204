"""Notes heard in a sound: Basic Pitch's network through onnxruntime, and its way of reading notes off.

R. M. Bittner et al., "A Lightweight Instrument-Agnostic Model for Polyphonic Note Transcription and
Multipitch Estimation", ICASSP 2022 (Spotify, Apache-2.0). The network lies in ``assets/``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.audio import as_channels, resample
from engines.base import StudioError
from engines.onnx.session import open_session
from engines.svc.melody import MelodyNote

MODEL = Path(__file__).parent / "assets" / "nmp.onnx"
RATE = 22_050
HOP = 256
WINDOW = 2 * RATE - HOP  # samples that the network sees
FRAMES = 172  # that it makes of them
OVERLAP = 30  # frames of two windows, half of which each gives up
LOWEST = 21  # MIDI pitch of the first of 88 keys
KEYS = 88
INPUT = "serving_default_input_2:0"
NOTES, ONSETS = "StatefulPartitionedCall:1", "StatefulPartitionedCall:2"
PATIENCE = 11  # frames that a note may be faint without ending

Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class Activations:
    """How likely each of 88 keys sounds and begins, ``(F, 88)`` each, at ``times_s`` ``(F,)``."""

    notes: np.ndarray
    onsets: np.ndarray
    times_s: np.ndarray


class NoteHearer:
    """Basic Pitch's network in memory."""

    def __init__(self, threads: int = 1):
        self._session: Any = open_session(MODEL, "cpu", threads)

    def activations(
        self, samples: np.ndarray, rate: int, progress: Progress | None = None
    ) -> Activations:
        """What the network makes of ``samples`` ``(T,)`` or ``(C, T)``, window by window."""
        mono = resample(as_channels(samples).mean(axis=0), rate, RATE)
        if not np.isfinite(mono).all():
            raise StudioError("The sound holds values that are no numbers. Export it again.")
        before = OVERLAP // 2 * HOP
        step = WINDOW - OVERLAP * HOP
        padded = np.pad(mono, (before, WINDOW))
        kept = slice(OVERLAP // 2, FRAMES - OVERLAP // 2)
        notes, onsets, times = [], [], []
        for start in range(0, max(1, len(mono)), step):
            piece = padded[start : start + WINDOW].reshape(1, -1, 1)
            made = self._session.run([NOTES, ONSETS], {INPUT: piece})
            notes.append(made[0][0, kept])
            onsets.append(made[1][0, kept])
            times.append((start - before + np.arange(FRAMES)[kept] * HOP) / RATE)
            if progress is not None:
                progress(min(start + step, len(mono)) / RATE, len(mono) / RATE)
        heard = Activations(np.concatenate(notes), np.concatenate(onsets), np.concatenate(times))
        inside = heard.times_s <= len(mono) / RATE
        return Activations(heard.notes[inside], heard.onsets[inside], heard.times_s[inside])

    def notes(
        self,
        samples: np.ndarray,
        rate: int,
        onset_threshold: float = 0.5,
        frame_threshold: float = 0.3,
        shortest_s: float = 0.128,
        progress: Progress | None = None,
    ) -> list[MelodyNote]:
        """The notes of a sound by time. Lower thresholds find more of them, wrong ones too."""
        heard = self.activations(samples, rate, progress)
        shortest = round(shortest_s * RATE / HOP)
        return read_notes(heard, onset_threshold, frame_threshold, shortest)


def read_notes(
    heard: Activations, onset_threshold: float, frame_threshold: float, shortest: int
) -> list[MelodyNote]:
    """Notes from activations: each begins at a peak of the onsets and lasts while its key sounds; what
    still sounds then is a note without an onset. ``shortest`` is in frames."""
    if len(heard.times_s) < 3:
        return []
    onsets = np.maximum(heard.onsets, _sudden(heard))
    left = heard.notes.copy()
    found = []
    inner = onsets[1:-1]
    peaks = (inner > onsets[:-2]) & (inner > onsets[2:]) & (inner >= onset_threshold)
    for before, key in sorted(np.argwhere(peaks).tolist(), reverse=True):
        first = before + 1
        last = _end(left[:, key], first + 1, frame_threshold)
        if last - first > shortest:
            found.append((first, last, key))
            left[first:last, max(0, key - 1) : key + 2] = 0
    found += _without_onset(left, frame_threshold, shortest)
    made = [
        MelodyNote(
            float(heard.times_s[first]),
            float(heard.times_s[min(last, len(heard.times_s) - 1)]),
            float(LOWEST + key),
            int(np.clip(round(127 * float(heard.notes[first:last, key].mean())), 1, 127)),
        )
        for first, last, key in found
    ]
    return sorted(made, key=lambda note: (note.start_s, note.pitch))


def _sudden(heard: Activations) -> np.ndarray:
    """Onsets that show in the activations of notes alone, scaled like the others."""
    padded = np.pad(heard.notes, [(2, 0), (0, 0)])
    rise = np.minimum(padded[2:] - padded[1:-1], padded[2:] - padded[:-2])
    rise[:2] = 0
    rise = np.maximum(rise, 0)
    return rise * (heard.onsets.max() / max(float(rise.max()), 1e-9))


def _end(key: np.ndarray, frame: int, threshold: float) -> int:
    """The frame from which ``key`` stays faint for long."""
    faint = 0
    while frame < len(key) - 1 and faint < PATIENCE:
        faint = faint + 1 if key[frame] < threshold else 0
        frame += 1
    return frame - faint


def _without_onset(left: np.ndarray, threshold: float, shortest: int) -> list[tuple[int, int, int]]:
    """Notes around what is loudest of the rest, until nothing is above the threshold."""
    found = []
    while left.max() > threshold:
        middle, key = divmod(int(left.argmax()), left.shape[1])
        last = _end(left[:, key], middle + 1, threshold)
        first = middle + 1 - (_end(left[middle::-1, key], 1, threshold) if middle else 1)
        neighbours = slice(max(0, key - 1), key + 2)
        left[first:last, neighbours] = 0
        left[middle, key] = 0
        if last - first > shortest:
            found.append((first, last, key))
    return found
