"""From a timeline to stereo sound: each event is made, put at its time and place, and a room may answer."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import signal

from engines.audio import resample
from engines.tta.designer.kind import Kind
from engines.tta.designer.kind import Make as Model
from engines.tta.designer.kinds import KINDS, SAMPLES
from engines.tta.designer.timeline import Event
from engines.tta.designer.toolkit import RATE, count

CEILING = 0.97
CREST = 8.0  # of a steady sound: a single crack must not press down the scene
AUDIBLE_DB = -34.0  # of the loudest 5 ms; what comes before is cut so that a sound begins on time
BLOCK_S, OVERLAP_S = 30.0, 1.0  # of a steady sound, which is made in blocks
FADE_IN_S, FADE_OUT_S = 0.0015, 0.03
Make = Callable[..., np.random.Generator]


@dataclass(frozen=True)
class Room:
    """A room that answers: the share of its sound, 0 to 1, and how long it takes to fall by 60 dB."""

    amount: float = 0.0
    decay_s: float = 0.8


def mix(
    events: Sequence[Event],
    rng: Make,
    *,
    samples: Mapping[str, np.ndarray] | None = None,
    room: Room | None = None,
    duration_s: float = 0.0,
    told: Callable[[int, int, str], None] = lambda done, total, note: None,
) -> np.ndarray:
    """The scene, float32 ``(2, T)`` at ``RATE``; as long as asked, or as its events and the room.

    ``rng(*key)`` gives the random numbers. They depend on an event's kind and on how many of that kind
    come before it, so that one event can be changed without changing the others. ``samples`` are ``(2, T)``
    at ``RATE``. ``told`` hears of each sound before it is made and may raise to stop.
    """
    room = room or Room()
    tail_s = room.decay_s if room.amount else 0.0
    length_s = duration_s or max(event.last_s for event in events) + tail_s
    out = np.zeros((2, count(length_s)))
    total, done = sum(event.count for event in events), 0
    seen: Counter[str] = Counter()
    for event in events:
        stem = _number(event.kind), seen[event.kind]
        seen[event.kind] += 1
        for number, onset_s in enumerate(event.onsets_s):
            told(done, total, event.kind)
            done += 1
            start = round(onset_s * RATE)
            if start >= out.shape[1]:
                continue
            sound = _one(event, lambda *key: rng(*stem, number, *key), samples or {})  # noqa: B023
            piece = placed(sound, event)[:, : out.shape[1] - start]
            out[:, start : start + piece.shape[1]] += piece
    if room.amount:
        out = _answered(out, room, rng(_number("room")))
    peak = np.abs(out).max(initial=0.0)
    return (out * min(1.0, CEILING / peak) if peak else out).astype(np.float32)


def _number(name: str) -> int:
    return zlib.crc32(name.encode())


def _one(event: Event, rng: Make, samples: Mapping[str, np.ndarray]) -> np.ndarray:
    """One sound of an event, ``(C, T)``, exactly as long as the event says and at the kind's level."""
    n = count(event.duration_s)
    if event.kind in SAMPLES:
        return _faded(_sampled(samples[event.kind], event.controls.get("pitch", 1.0))[:, :n])
    kind = KINDS[event.kind]
    values = {each.name: event.controls.get(each.name, each.default) for each in kind.controls}
    if kind.steady:
        sound = _blocks(kind.make, event.duration_s, rng, values)
    elif event.duration_s > kind.most_s:
        sound = _repeated(kind, event.duration_s, rng, values)
    else:
        sound = prompt_start(np.atleast_2d(kind.make(event.duration_s, rng(), **values)))
    sound = np.pad(sound, ((0, 0), (0, max(0, n - sound.shape[1]))))[:, :n]
    if kind.steady:
        sound = sound / (np.sqrt((sound**2).mean()) + 1e-12)
        return _faded(CREST * np.tanh(sound / CREST) * 10 ** (kind.level_db / 20))
    return _faded(sound * 10 ** (kind.level_db / 20) / (loudest(sound) + 1e-12))


def _repeated(kind: Kind, duration_s: float, rng: Make, values: Mapping[str, float]) -> np.ndarray:
    """A sound that cannot last so long, as often as fits."""
    out, step = np.zeros((2, count(duration_s))), kind.duration_s + kind.gap_s
    many = max(1, int((duration_s + kind.gap_s) / step))
    for number in range(many):
        piece = prompt_start(np.atleast_2d(kind.make(kind.duration_s, rng(number), **values)))
        start = count(number * duration_s / many) - 1
        piece = _faded(piece)[:, : out.shape[1] - start]
        out[:, start : start + piece.shape[1]] += piece
    return out


def _blocks(make: Model, duration_s: float, rng: Make, values: Mapping[str, float]) -> np.ndarray:
    """A steady sound, in blocks that fade into each other, so that memory does not grow with length."""
    if duration_s <= BLOCK_S:
        return prompt_start(np.atleast_2d(make(duration_s, rng(), **values)))
    n, fade = count(duration_s), count(OVERLAP_S)
    step = count(BLOCK_S) - fade
    out, rise = np.zeros((2, n)), np.sqrt(np.linspace(0, 1, fade))
    for number, start in enumerate(range(0, n, step)):
        piece = prompt_start(np.atleast_2d(make(BLOCK_S, rng(number), **values)))
        if number:
            piece[:, :fade] *= rise[: piece.shape[1]]
        piece[:, step : step + fade] *= rise[::-1][: max(0, piece.shape[1] - step)]
        piece = piece[:, : n - start]
        out[:, start : start + piece.shape[1]] += piece
    return out


def prompt_start(sound: np.ndarray) -> np.ndarray:
    """``sound (C, T)`` from where it can be heard."""
    width = count(0.005)
    power = (sound**2).mean(0)
    level = np.convolve(power, np.ones(width) / width, "valid") if len(power) > width else power
    heard = np.flatnonzero(level > level.max() * 10 ** (AUDIBLE_DB / 10))
    return sound[:, heard[0] :] if len(heard) else sound


def loudest(sound: np.ndarray) -> float:
    """RMS of the loudest 50 ms of ``sound (C, T)``."""
    power, width = (sound**2).mean(0), count(0.05)
    if len(power) <= width:
        return float(np.sqrt(power.mean()))
    sums = np.cumsum(np.concatenate([[0.0], power]))
    return float(np.sqrt((sums[width:] - sums[:-width]).max() / width))


def _faded(sound: np.ndarray) -> np.ndarray:
    n = sound.shape[1]
    begin, end = min(n, count(FADE_IN_S)), min(n, count(min(FADE_OUT_S, 0.1 * n / RATE)))
    sound = sound.copy()
    sound[:, :begin] *= np.linspace(0, 1, begin + 1)[1:]
    sound[:, n - end :] *= np.linspace(1, 0, end + 1)[1:]
    return sound


def _sampled(sound: np.ndarray, pitch: float) -> np.ndarray:
    return sound if pitch == 1 else resample(sound, round(RATE * pitch), RATE)


def placed(sound: np.ndarray, event: Event) -> np.ndarray:
    """``sound (C, T)`` with the event's gain, left and right: mono panned with constant power, stereo
    balanced."""
    gain = 10 ** (event.gain_db / 20)
    if len(sound) == 1:
        angle = (event.pan + 1) * np.pi / 4
        sides = np.array([np.cos(angle), np.sin(angle)])
        return gain * sides[:, None] * sound
    sides = np.array([min(1.0, 1 - event.pan), min(1.0, 1 + event.pan)])
    return gain * sides[:, None] * sound


def _answered(dry: np.ndarray, room: Room, rng: np.random.Generator) -> np.ndarray:
    """``dry`` and a room's answer: noise that decays, its treble faster, after a short delay."""
    n = count(room.decay_s)
    at = np.arange(n) / RATE
    answer = rng.standard_normal((2, n)) * np.exp(-6.9 * at / room.decay_s)
    dark = signal.lfilter([0.35], [1, -0.65], answer, axis=1)
    answer = np.where(at < 0.25 * room.decay_s, 0.5 * answer + 0.5 * dark, dark)
    answer[:, : count(0.012)] = 0
    answer /= np.sqrt((answer**2).sum(1, keepdims=True))
    wet = signal.oaconvolve(dry, answer, axes=1)[:, : dry.shape[1]]
    return dry + room.amount * wet
