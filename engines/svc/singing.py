"""Sings a source another way: key, tempo, vibrato, formants, melody, and another singer's timbre."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from engines.asr.recogniser import Recogniser
from engines.base import StudioError
from engines.svc.contours import replaced, with_vibrato
from engines.svc.melody import MelodyNote, Timing, plan
from engines.vc.conversion import Conversion, Timbre, halved, opened
from engines.vc.voices import Voice
from engines.world.envelopes import shift_formants
from engines.world.frames import HOP_S, Frames
from engines.world.pitch import shift_between, statistics
from engines.world.source import GRID_S, Progress, Source

RATE = 44_100


class Key(StrEnum):
    """How the key is chosen. ``AUTOMATIC`` moves the median to the target's by whole semitones,
    ``OCTAVES`` by whole octaves, which fits an accompaniment that stays."""

    SEMITONES = "semitones"
    AUTOMATIC = "automatic"
    OCTAVES = "octaves"


@dataclass(frozen=True)
class Singing:
    """How to sing.

    ``semitones`` are added in every key mode. ``target_hz`` is the median aimed at where no voice gives
    one. ``tempo`` 2 is twice as fast at the same pitch. ``vibrato_depth`` 0 flattens, 2 doubles.
    ``timbre`` is used where a voice is given; its pitch parameters are not.
    """

    key: Key = Key.SEMITONES
    semitones: float = 0.0
    target_hz: float | None = None
    tempo: float = 1.0
    formant_semitones: float = 0.0
    vibrato_depth: float = 1.0
    timing: Timing = Timing.NOTES
    timbre: Conversion = field(default_factory=Conversion)


@dataclass(frozen=True)
class Sung:
    """``samples`` ``(T,)`` float32, the F0 asked of each 5 ms (0 where unvoiced), the shift in all."""

    samples: np.ndarray
    sample_rate: int
    f0: np.ndarray
    semitones: float


def sing(
    samples: np.ndarray,
    rate: int,
    how: Singing | None = None,
    melody: Sequence[MelodyNote] | None = None,
    contour: np.ndarray | None = None,
    voice: Voice | None = None,
    recogniser: Recogniser | None = None,
    progress: Progress | None = None,
) -> Sung:
    """``samples`` ``(T,)`` or ``(C, T)`` sung as ``how`` says: mono at 44.1 kHz or the voice's rate.

    ``contour`` is F0 in Hz each 5 ms of the source, drawn by hand: it replaces the sung one where it
    is above 0. ``melody`` replaces it everywhere. ``voice`` gives the timbre, for which ``recogniser``
    hears the content. Raises ``StudioError`` where nothing is voiced.
    """
    how = how or Singing()
    if voice is not None and recogniser is None:
        raise ValueError("a voice needs a recogniser")
    source = opened(samples, rate, voice.rate if voice else RATE, halved(progress, 0))
    if not (source.f0 > 0).any():
        raise StudioError("Nothing is sung in the sound: no part of it is voiced.", "source")
    sung = source.f0 if contour is None else replaced(source.f0, contour)
    shift = _shift(sung, melody, how, voice)
    if melody is None:
        f0, positions = with_vibrato(sung, how.vibrato_depth) * 2 ** (shift / 12), None
    else:
        planned = plan(sung, power_db(source), melody, how.timing, shift, how.vibrato_depth)
        f0, positions = planned.f0, planned.positions
    f0, positions = _at_tempo(f0, positions, source.frames, how.tempo)
    timbre = Timbre(source, voice, recogniser, how.timbre) if voice and recogniser else None

    def changed(number: int, frames: Frames) -> Frames:
        made = timbre(number, frames) if timbre else frames
        return replace(made, log_envelope=shift_formants(made.log_envelope, how.formant_semitones))

    made = source.rendered(changed, positions, halved(progress, 1), f0)
    at = np.clip(positions.round().astype(int), 0, source.frames - 1)
    return Sung(made, source.rate, np.where(source.f0[at] > 0, f0, 0.0), shift)


def _shift(
    f0: np.ndarray, melody: Sequence[MelodyNote] | None, how: Singing, voice: Voice | None
) -> float:
    """The shift in semitones of what is sung, or of the melody in its place."""
    if how.key is Key.SEMITONES:
        return how.semitones
    target_hz = how.target_hz or (voice.pitch.median_hz if voice else 0.0)
    if not target_hz:
        raise StudioError(
            "The key can't be chosen by itself: there is neither a voice nor a target pitch. Give one, "
            "or set the key by semitones.",
            "key",
        )
    sung = statistics(f0)
    if melody:
        middle = float(np.median([note.pitch for note in melody]))
        sung = replace(sung, median_hz=440 * 2 ** ((middle - 69) / 12))
    step = 12 if how.key is Key.OCTAVES else 1
    return round(shift_between(sung, target_hz) / step) * step + how.semitones


def _at_tempo(
    f0: np.ndarray, positions: np.ndarray | None, frames: int, tempo: float
) -> tuple[np.ndarray, np.ndarray]:
    """Contour and positions of as many frames as the tempo leaves."""
    if positions is None:
        positions = np.arange(frames, dtype=float)
    if tempo == 1:
        return f0, positions
    at = np.arange(0, len(f0) - 1e-9, tempo)
    nearest = np.minimum(at.round().astype(int), len(f0) - 1)
    between = np.interp(at, np.arange(len(f0)), f0)
    low, high = np.floor(at).astype(int), np.minimum(np.ceil(at).astype(int), len(f0) - 1)
    both = (f0[low] > 0) & (f0[high] > 0)
    contour = np.where(both, between, f0[nearest])
    return contour, np.interp(at, np.arange(len(positions)), positions)


def power_db(source: Source) -> np.ndarray:
    """Level of each frame in dB over 20 ms."""
    size = round(GRID_S * source.rate)
    power = np.convolve(source.samples.astype(np.float64) ** 2, np.ones(size) / size, mode="same")
    at = np.minimum((np.arange(source.frames) * HOP_S * source.rate).astype(int), len(power) - 1)
    return 10 * np.log10(np.maximum(power[at], 1e-12))
