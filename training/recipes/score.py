"""What plays at each moment, as codes: the score of a piece on the codec's own frames.

A codec that learns its codes from sound alone puts the phase of every partial into them, and a small
language model cannot guess phases. Here the codes are what the composer knows: one codebook for each part
(drums, bass, harmony, lead), one code a frame for what that part does. The codec's decoder learns to play
them (``synth_task``), its encoder to hear them (``listen_task``), and the language model has nothing to
learn but music.

A code of drums or bass says what was struck and how long ago. A tone of harmony or lead has codes for its
first frames, codes that go around while it is held, since it is the same again after a few frames
(``composer.loop``), and codes for its last frame. So each code stands for one sound, and nothing but the
codes decides what is heard.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from training.recipes import composer
from training.recipes.composer import DRUMS, HARMONY, LEAD, LOW, PARTS, Note, Piece, Track

RESTS = 32  # frames of a rest that are told apart
RESTING = RESTS - 1  # the code of every part that has rested for long
STRUCK = 36  # frames of a stroke of drums that are told apart
PLUCKED = 24  # of a bass note; both then go around over the last ``AGAIN``
AGAIN = 4
RINGS = 64  # frames of a stroke of drums
STARTS = 3  # frames of a tone that are its own before it goes around
STAGES = (STARTS, 8, 20)  # ages at which a tone that decays is next weaker

STRIKES = ("stroke", "bass", "start")  # kinds of codes that begin a note

Code = tuple[object, ...]
Atom = tuple[str, object]


class Span(NamedTuple):
    """A note or a stroke of drums: frames, and what it is."""

    start: int
    end: int
    what: tuple[object, ...]


class Book:
    """One part's codes. A code is a tuple: its kind, what sounds, and where it is in time."""

    def __init__(self, codes: Iterable[Code]):
        self.codes: tuple[Code, ...] = (*(("rest", age) for age in range(RESTS)), *codes)
        self._number = {code: number for number, code in enumerate(self.codes)}

    def __len__(self) -> int:
        return len(self.codes)

    def write(self, spans: Sequence[Span], frames: int) -> np.ndarray:
        """Codes ``(frames,)`` of spans in order."""
        line = np.empty(frames, np.int16)
        at = 0
        for span in spans:
            begin, end = min(span.start, frames), min(span.end, frames)
            line[at:begin] = self._rest(begin - at)
            line[begin:end] = [self._number[code] for code in codes_of(span)[: end - begin]]
            at = end
        line[at:] = self._rest(frames - at)
        return line

    def _rest(self, frames: int) -> list[int]:
        return [self._number["rest", min(age, RESTS - 1)] for age in range(frames)]


def codes_of(span: Span) -> list[Code]:
    """The codes of a span, one a frame."""
    frames, (kind, *what) = span.end - span.start, span.what
    if kind != "tone":
        last = STRUCK if kind == "stroke" else PLUCKED
        ages = (age if age < last else last - AGAIN + (age - last) % AGAIN for age in range(frames))
        return [(kind, *what, age) for age in ages]
    name, pitch = what
    assert isinstance(name, str)
    assert isinstance(pitch, int)
    around = composer.loop(pitch)[0]
    found: list[Code] = [("start", name, pitch, age) for age in range(min(frames, STARTS))]
    for age in range(STARTS, frames - 1):
        found.append(("hold", name, pitch, stage(name, age), (age - STARTS) % around))
    if frames > STARTS:
        found.append(("end", name, pitch, (frames - 1 - STARTS) % around))
    return found


def stage(name: str, age: int) -> int:
    """How weak a tone is after ``age`` frames, in stages."""
    return sum(age >= first for first in STAGES) - 1 if composer.decays(name) else 0


@functools.cache
def books() -> tuple[Book, ...]:
    """The codebooks in the order of ``PARTS``: everything that the composer may write."""
    strokes = [
        ("stroke", kit, stroke, age) for kit, stroke in composer.strokes() for age in range(STRUCK)
    ]
    plucked = [
        ("bass", name, pitch, age)
        for name in composer.players(LOW)
        for pitch in _range(name, LOW)
        for age in range(PLUCKED)
    ]
    return Book(strokes), Book(plucked), Book(_tones(HARMONY)), Book(_tones(LEAD))


def _tones(part: str) -> Iterable[Code]:
    for name in composer.players(part):
        for pitch in _range(name, part):
            around = range(composer.loop(pitch)[0])
            yield from (("start", name, pitch, age) for age in range(STARTS))
            for weaker in range(len(STAGES) if composer.decays(name) else 1):
                yield from (("hold", name, pitch, weaker, turn) for turn in around)
            yield from (("end", name, pitch, turn) for turn in around)


def _range(name: str, part: str) -> range:
    low, high = composer.reach(name, part)
    return range(low, high + 1)


def vocabulary() -> int:
    """How many codes a language model needs for each codebook, a multiple of 256."""
    return -(-max(map(len, books())) // 256) * 256


@functools.cache
def begins() -> np.ndarray:
    """Which codes begin a note, bool ``(4, vocabulary)``."""
    found = np.zeros((len(PARTS), vocabulary()), bool)
    for line, book in zip(found, books(), strict=True):
        line[: len(book)] = [code[0] in STRIKES and code[-1] == 0 for code in book.codes]
    return found


def require(entries: int, frame_rate: float) -> None:
    """Raise ``ValueError`` unless a codec of this shape can hold a score."""
    size = vocabulary()
    if entries < size:
        raise ValueError(f"A score needs codebooks of {size} entries; the recipe has {entries}.")
    if frame_rate != composer.FRAME_RATE:
        raise ValueError(
            f"A score has {composer.FRAME_RATE} frames a second; the recipe's codec {frame_rate:g}."
        )


def atoms(code: Code) -> list[Atom]:
    """What a code says, one thing at a time: its kind, its time, each pitch, pitch class and name."""
    kind, *values = code
    found: list[Atom] = [("kind", kind), ("time", (kind, *values[2:]) if values[2:] else values[0])]
    for value in values[:2] if len(values) > 1 else ():
        if isinstance(value, tuple):
            found += [("drum", hit) for hit in value]
        elif isinstance(value, int):
            found += [("pitch", value), ("class", value % 12)]
        else:
            found.append(("name", value))
    return found


def write(piece: Piece) -> np.ndarray:
    """The codes of a piece, int16 ``(4, frames)``."""
    frames = round(piece.duration_s * composer.FRAME_RATE)
    return np.stack(
        [
            book.write(_spans(part, piece.tracks), frames)
            for book, part in zip(books(), PARTS, strict=True)
        ]
    )


def _spans(part: str, tracks: Sequence[Track]) -> list[Span]:
    """What a part plays, one thing at a time: each ends before the next one starts."""
    struck: dict[int, Span] = {}
    for track in tracks:
        if track.part == part:
            struck |= {span.start: span for span in _struck(track)}
    ordered = [struck[start] for start in sorted(struck)]
    for number, after in enumerate(ordered[1:]):
        ordered[number] = ordered[number]._replace(end=min(ordered[number].end, after.start))
    return ordered


def _struck(track: Track) -> list[Span]:
    together: dict[int, list[Note]] = {}
    for note in track.notes:
        together.setdefault(note.start, []).append(note)
    found = []
    for start, notes in together.items():
        first = notes[0]
        if track.part == DRUMS:
            stroke = tuple(sorted((note.pitch, note.velocity) for note in notes))
            found.append(Span(start, start + RINGS, ("stroke", track.instrument, stroke)))
        else:
            kind = "bass" if track.part == LOW else "tone"
            found.append(Span(start, start + first.frames, (kind, track.instrument, first.pitch)))
    return found
