"""A melody that somebody brings, as notes with seconds: its key, its beat, chords for it, and a band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engines.base import StudioError
from engines.music.composer.cast import brief_of
from engines.music.composer.compose import accompany
from engines.music.composer.score import ANSWER, LEAD, PARTS, Change, Note, Score, Section, Track
from engines.music.composer.styles import style
from engines.music.composer.theory import Chord, Key, chord
from engines.music.composer.understand import Attributes

# how often each pitch class sounds in a key: Albrecht and Shanahan 2013
PROFILES = {
    False: (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081),
    True: (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052),
}
NAMES = {
    False: ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B"),
    True: ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "G sharp", "A", "B flat", "B"),
}
CHOICES = {
    False: ("I", "IV", "V", "vi", "ii", "iii", "bVII"),
    True: ("i", "iv", "V", "VI", "VII", "III", "ii°"),
}
USUAL = {"I": 0.0, "i": 0.0, "IV": 0.3, "iv": 0.3, "V": 0.3, "vi": 0.5, "VI": 0.5, "ii": 0.7, "VII": 0.7,
         "III": 0.8, "iii": 1.1, "bVII": 1.5, "ii°": 1.5}  # fmt: skip
DRAWN = {
    ("V", "I"),
    ("V", "i"),
    ("IV", "V"),
    ("iv", "V"),
    ("ii", "V"),
    ("ii°", "V"),
    ("vi", "IV"),
    ("vi", "ii"),
    ("I", "IV"),
    ("I", "vi"),
    ("i", "VI"),
    ("i", "iv"),
    ("VI", "VII"),
    ("VII", "i"),
    ("VII", "III"),
    ("IV", "I"),
}
TEMPOS = np.arange(60, 161)
FEWEST = 3
BARS = 8  # of a section


@dataclass(frozen=True)
class HeardNote:
    """A note of a melody: seconds from the start, seconds long, MIDI pitch, velocity."""

    start_s: float
    length_s: float
    pitch: int
    velocity: int = 90


def harmonise(
    melody: Sequence[HeardNote], attributes: Attributes, seed: int, tempo: float | None = None
) -> Score:
    """A piece around a melody, which keeps its notes and its timing. Key and tempo are found in it where
    ``attributes`` and ``tempo`` leave them open.

    Raises ``StudioError`` for a melody of fewer than three notes.
    """
    notes = sorted(melody, key=lambda note: (note.start_s, note.pitch))
    if len(notes) < FEWEST:
        raise StudioError(
            f"This melody has {len(notes)} notes, and at least {FEWEST} are needed. "
            "Sing or play a longer one.",
            "melody",
        )
    key = attributes.key or key_of(notes, attributes.mode)
    bpm, offset = (tempo, notes[0].start_s) if tempo else beat_of(notes)
    meter = attributes.meter or 4
    sung = _in_beats(notes, bpm, offset)
    bars = int(max(note.start + note.length for note in sung) // meter) + 2
    length = bars * meter * 60 / bpm + 1.0
    wanted = replace(
        attributes,
        key=key,
        tempo=None,
        lead=attributes.lead or ("acoustic-piano",),
        form=(),
        loop=False,
    )
    brief = replace(
        brief_of(wanted, seed, length), tempo=float(bpm), key=key, meter=meter, duration_s=length
    )
    numerals = chords_for(sung, Key.parse(key), bars, meter)
    plain = (
        "triad"
        if style(brief.style)["color"] in ("ninth", "seventh")
        else style(brief.style)["color"]
    )
    made = [chord(name, Key.parse(key), plain) for name in numerals]
    changes = tuple(Change(float(bar * meter), float(meter), each) for bar, each in enumerate(made))
    score = Score(
        brief, _sections(bars), changes, (Track(LEAD, brief.players(LEAD)[0], tuple(sung)),)
    )
    return accompany(score, [part for part in PARTS if part not in (LEAD, ANSWER)])


def key_of(notes: Sequence[HeardNote], mode: str = "") -> str:
    """The key whose profile fits the lengths of the pitch classes best."""
    weights = np.zeros(12)
    for note in notes:
        weights[note.pitch % 12] += note.length_s
    weights[notes[-1].pitch % 12] += 0.5 * max(note.length_s for note in notes)
    modes = [mode == "minor"] if mode else [False, True]
    fits = {
        (minor, tonic): float(np.corrcoef(weights, np.roll(PROFILES[minor], tonic))[0, 1])
        for minor in modes
        for tonic in range(12)
    }
    minor, tonic = max(fits, key=lambda each: (fits[each], each))
    return f"{NAMES[minor][tonic]} {'minor' if minor else 'major'}"


def beat_of(notes: Sequence[HeardNote]) -> tuple[float, float]:
    """Tempo in beats a minute and the second of the first beat: where onsets fall on quarters and eighths."""
    onsets = np.array([note.start_s for note in notes])
    weight = np.array([min(note.length_s, 1.0) + 0.1 for note in notes])
    best = (-np.inf, 100.0, float(onsets[0]))
    for bpm in map(float, TEMPOS):
        beat = 60 / bpm
        turns = np.exp(2j * np.pi * onsets / beat)
        quarters = np.abs((weight * turns).sum()) / weight.sum()
        eighths = np.abs((weight * turns**2).sum()) / weight.sum()
        usual = np.exp(-0.5 * (np.log2(bpm / 104) / 0.55) ** 2)
        fit = (quarters + 0.8 * eighths) * (0.6 + 0.4 * usual)
        if fit > best[0]:
            phase = float(np.angle((weight * turns).sum()) / (2 * np.pi)) * beat
            best = (float(fit), float(bpm), phase)
    _, tempo, phase = best
    beat = 60 / tempo
    first = phase + beat * round((float(onsets[0]) - phase) / beat)
    return tempo, first


def _in_beats(notes: Sequence[HeardNote], bpm: float, offset: float) -> list[Note]:
    sung = [
        Note(
            (note.start_s - offset) * bpm / 60,
            max(note.length_s * bpm / 60, 0.1),
            note.pitch,
            note.velocity,
        )
        for note in notes
    ]
    early = min(0.0, *(note.start for note in sung))
    return [
        replace(note, start=round(max(note.start - early, 0.0), 5), length=round(note.length, 5))
        for note in sung
    ]


def chords_for(sung: Sequence[Note], key: Key, bars: int, meter: int) -> list[str]:
    """A Roman numeral for each bar: the cheapest path between notes outside the chord and unusual turns."""
    names = CHOICES[key.minor]
    built: list[Chord] = [chord(name, key) for name in names]
    costs = np.array([[_outside(sung, each, bar, meter) for each in built] for bar in range(bars)])
    costs += 0.35 * np.array([USUAL[name] for name in names])
    for bar, (home, dear) in ((0, (0, 0.6)), (bars - 1, (0, 50.0))):
        costs[bar] += np.where(np.arange(len(names)) == home, 0.0, dear)
    turn = np.array(
        [[0.25 if a == b else 0.0 if (a, b) in DRAWN else 0.45 for b in names] for a in names]
    )
    total, back = costs[0], np.zeros((bars, len(names)), int)
    for bar in range(1, bars):
        ways = total[:, None] + turn
        back[bar] = ways.argmin(0)
        total = ways.min(0) + costs[bar]
    path = [int(total.argmin())]
    for bar in range(bars - 1, 0, -1):
        path.append(int(back[bar][path[-1]]))
    return [names[index] for index in path[::-1]]


def _outside(sung: Sequence[Note], given: Chord, bar: int, meter: int) -> float:
    """Beats of a bar in which the melody is outside a chord; the first beat counts more."""
    cost = 0.0
    for note in sung:
        begin, end = max(note.start, bar * meter), min(note.start + note.length, (bar + 1) * meter)
        if end <= begin:
            continue
        strong = 1.6 if (begin - bar * meter) < 0.3 else 1.0
        grates = (note.pitch - 1) % 12 in given.classes
        cost += (
            (end - begin)
            * strong
            * (0.0 if note.pitch % 12 in given.classes else 1.3 if grates else 0.8)
        )
    return cost


def _sections(bars: int) -> tuple[Section, ...]:
    sections: list[Section] = []
    for start in range(0, bars, BARS):
        kind = ("verse", "chorus")[len(sections) % 2]
        sections.append(
            Section(
                kind,
                start,
                min(BARS, bars - start),
                0.5 if kind == "verse" else 0.75,
                len(sections) // 2,
            )
        )
    if len(sections) > 1 and sections[-1].bars < 3:
        *kept, before, last = sections
        sections = [*kept, replace(before, bars=before.bars + last.bars)]
    return tuple(sections)
