"""A melody of notes in place of the sung one, with the singer's timing or with that of the notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from engines.base import StudioError
from engines.metrics.base import NotApplicable
from engines.metrics.dtw import align_frames
from engines.svc.contours import GLIDE_S, MOST_CENTS, filled, fine, hertz, semitones
from engines.world.frames import HOP_S

STEP = 4  # frames that are aligned as one: 20 ms
ACTIVITY, PITCH, PROGRESS, ONSET = 1.5, 0.25, 8.0, 1.0  # weights of what is aligned
MOST_APART = 8.0  # semitones, beyond which pitches are as far apart as can be
EVEN_S = 0.04  # deviation of the window that evens the alignment
TAIL_S = 0.3  # after the last note


@dataclass(frozen=True)
class MelodyNote:
    """A note: seconds from the start, MIDI pitch (fractions are cents), velocity to 127."""

    start_s: float
    end_s: float
    pitch: float
    velocity: int = 90


class Timing(StrEnum):
    """Whose rhythm is kept when a melody replaces the sung one."""

    SUNG = "sung"
    NOTES = "notes"


@dataclass(frozen=True)
class Plan:
    """``f0`` in Hz asked of each frame to come ``(N,)``, above 0 throughout, and ``positions`` ``(N,)``,
    the frame of the source that it is made of."""

    f0: np.ndarray
    positions: np.ndarray


def plan(
    f0: np.ndarray,
    power_db: np.ndarray,
    notes: Sequence[MelodyNote],
    timing: Timing = Timing.NOTES,
    shift: float = 0.0,
    vibrato_depth: float = 1.0,
) -> Plan:
    """How to sing ``notes``, moved by ``shift`` semitones, with the words of a source.

    ``f0`` and ``power_db`` ``(F,)`` are the source's, each 5 ms. Both sides are aligned by where they
    sound, how high, and how far they are. The singer's fine movement, at most a semitone, stays,
    scaled by ``vibrato_depth``. Raises ``StudioError`` without notes or voiced frames, or where both
    are too long.
    """
    notes = sorted(notes, key=lambda note: note.start_s)
    if not notes:
        raise StudioError("The melody has no notes. Choose a MIDI file with a melody.", "melody")
    if not (f0 > 0).any():
        raise StudioError("Nothing is sung in the source: no frame is voiced.", "source")
    frames = round((max(note.end_s for note in notes) + TAIL_S) / HOP_S)
    asked = _pitch(notes, frames)
    sung_at = _aligned(f0, power_db, notes, asked)  # source frame of each frame of the melody
    movement = np.clip(fine(f0), -MOST_CENTS / 100, MOST_CENTS / 100) * vibrato_depth
    if timing is Timing.NOTES:
        positions = sung_at
        pitch = asked + movement[np.clip(positions.round().astype(int), 0, len(f0) - 1)]
    else:
        positions = np.arange(len(f0), dtype=float)
        melody_at = np.interp(positions, sung_at + np.arange(frames) * 1e-6, np.arange(frames))
        pitch = asked[melody_at.round().astype(int)] + movement
    return Plan(hertz(pitch + shift), positions)


def _pitch(notes: Sequence[MelodyNote], frames: int) -> np.ndarray:
    """The pitch of a melody each 5 ms; pauses have that of the nearest note, steps glide."""
    from scipy.ndimage import gaussian_filter1d

    pitch, known = np.zeros(frames), np.zeros(frames, bool)
    for note in notes:
        some = slice(round(note.start_s / HOP_S), max(1, round(note.end_s / HOP_S)))
        pitch[some], known[some] = note.pitch, True
    places = np.flatnonzero(known)
    after = np.clip(np.searchsorted(places, np.arange(frames)), 0, len(places) - 1)
    before = np.maximum(after - 1, 0)
    here = np.arange(frames)
    nearer = np.abs(places[after] - here) <= np.abs(here - places[before])
    held = pitch[np.where(nearer, places[after], places[before])]
    return gaussian_filter1d(held, GLIDE_S / HOP_S, mode="nearest")


def _aligned(
    f0: np.ndarray, power_db: np.ndarray, notes: Sequence[MelodyNote], asked: np.ndarray
) -> np.ndarray:
    """The source frame of each frame of the melody, never falling."""
    from scipy.ndimage import gaussian_filter1d

    voiced = f0 > 0
    sung = filled(semitones(np.where(voiced, f0, 440.0)), voiced)
    quiet = power_db < power_db.max() - 40
    of_source = _features(sung, voiced & ~quiet)
    sounding, onsets = np.zeros(len(asked), bool), np.zeros(len(asked))
    for note in notes:
        first = round(note.start_s / HOP_S)
        sounding[first : round(note.end_s / HOP_S)] = True
        onsets[first : first + STEP] = 1
    of_melody = _features(asked, sounding, onsets)
    try:
        source, melody = align_frames(of_source, of_melody)
    except NotApplicable as error:
        raise StudioError(
            "Sound and melody are too long to be aligned. Split them: four minutes each at most.",
            "melody",
        ) from error
    counts = np.bincount(melody, minlength=len(of_melody))
    steps = np.bincount(melody, weights=source, minlength=len(of_melody)) / np.maximum(counts, 1)
    places = np.interp(np.arange(len(asked)) / STEP, np.arange(len(steps)), steps) * STEP
    even = gaussian_filter1d(places, EVEN_S / HOP_S, mode="nearest")
    return np.clip(np.maximum.accumulate(even), 0, len(f0) - 1)


def _features(
    pitch: np.ndarray, sounding: np.ndarray, onsets: np.ndarray | None = None
) -> np.ndarray:
    """What is compared of each 20 ms ``(N, 4)``; pitch by itself, apart from key."""
    if onsets is None:
        starts = np.diff(sounding.astype(np.int8), prepend=0) > 0
        onsets = np.convolve(starts, np.ones(STEP))[: len(starts)]
    level = float(np.median(pitch[sounding])) if sounding.any() else 0.0
    progress = np.cumsum(sounding) / max(1, sounding.sum())
    around = np.clip(pitch - level, -MOST_APART, MOST_APART)
    columns = (ACTIVITY * sounding, PITCH * around, PROGRESS * progress, ONSET * onsets)
    return np.stack(columns, axis=1)[::STEP].astype(np.float64)
