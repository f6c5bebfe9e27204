"""Melodies: motifs of rhythm and contour that come back over other chords.

A section is made of units of two bars. Each unit has a motif by its letter; where a letter returns, its
rhythm and its intervals do. The pitches of a unit are the cheapest path through the scale (Viterbi): close
to the motif's intervals, on chord notes where the beat is strong or the note is long, in small steps, with
the leaps taken back, and at rest where a phrase ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.music.composer.harmony import at
from engines.music.composer.paths import cheapest
from engines.music.composer.score import Brief, Change, Note, Section
from engines.music.composer.styles import MOODS, cells, draw, hits, rhythm_of, style
from engines.music.composer.theory import BLUE, PENTATONIC, Chord

UNIT = 2  # bars
LETTERS = {
    1: ("c",), 2: ("ac", "bc", "ac"), 3: ("abc", "aac"),
    4: ("abac", "aabc", "abad", "aaac"), 8: ("abacabad", "aabcaabd", "abacbbad"),
}  # fmt: skip
RIFFS = {
    1: ("a",),
    2: ("aa", "aa", "ab"),
    3: ("aab",),
    4: ("aaab", "abab", "aaaa"),
    8: ("aaabaaab", "ababaaab"),
}
LIKE = {
    "drop": "chorus",
    "intro": "chorus",
    "outro": "chorus",
    "break": "chorus",
    "build": "chorus",
}
REGISTER = {"verse": -2.0, "chorus": 2.5, "bridge": 1.0, "solo": 3.0}
STRONG = 16.0  # cost of a strong note outside the chord
CURVE = 0.75  # cost of each semitone away from the contour


@dataclass(frozen=True)
class Beat:
    """A note to be: beats from the start of its unit, and its length."""

    start: float
    length: float


@dataclass
class Motif:
    """What a letter stands for: its rhythm, its contour in semitones from the centre, and once it has
    been sung its intervals."""

    beats: tuple[Beat, ...]
    contour: np.ndarray
    intervals: np.ndarray | None = None


@dataclass
class Voice:
    """Who sings: range, centre, and how its notes are played."""

    low: int
    high: int
    centre: float
    velocity: float
    legato: float
    density: float = 1.0


class Melodist:
    """Writes the melody of one part; motifs are kept by kind of section."""

    def __init__(
        self,
        brief: Brief,
        changes: Sequence[Change],
        voice: Voice,
        rng: np.random.Generator,
        rhythm: str = "",
    ):
        self.brief, self.changes, self.voice, self.rng = brief, changes, voice, rng
        self.facts = style(brief.style)
        name = rhythm or rhythm_of(brief.style, brief.meter)["cells"]
        self.cells: Mapping[str, list[str]] = cells(name)
        self.mood = MOODS.get(brief.mood, MOODS[""])
        self.motifs: dict[str, dict[str, Motif]] = {}
        self.letters: dict[tuple[str, int], str] = {}
        self.last = round(voice.centre)
        minor = brief.tonality.minor
        steps = BLUE[minor] if self.facts.get("blue") else PENTATONIC[minor]
        self.narrow = (
            brief.tonality.classes(steps) if rng.random() < 0.55 or self.facts.get("blue") else ()
        )

    def section(self, section: Section) -> list[Note]:
        """The notes of one section."""
        kind = LIKE.get(section.kind, section.kind)
        units = max(section.bars // UNIT, 1)
        letters = self._letters(kind, units)
        notes: list[Note] = []
        for index in range(-(-section.bars // UNIT)):
            bar = section.start + index * UNIT
            bars = min(UNIT, section.end - bar)
            letter = letters[index % len(letters)]
            closes = index == units - 1 or letters[index % len(letters)] in "cd"
            notes += self._unit(kind, letter, bar, bars, closes, section)
        return notes

    # motifs

    def _letters(self, kind: str, units: int) -> str:
        known = self.letters.get((kind, units))
        if known is None:
            size = max(n for n in LETTERS if n <= units)
            options = RIFFS if self.facts["mode"] == "riff" and kind != "bridge" else LETTERS
            known = draw(self.rng, options[size])
            self.letters[kind, units] = known
        return known

    def _motif(self, kind: str, letter: str, closes: bool) -> Motif:
        known = self.motifs.setdefault(kind, {})
        if letter not in known:
            first = known.get("a")
            known[letter] = self._invented(closes, first if self.rng.random() < 0.7 else None)
        return known[letter]

    def _invented(self, closes: bool, like: Motif | None) -> Motif:
        """A new motif; one that is ``like`` another begins with its first bar."""
        meter = self.brief.meter
        opening = self._cell("open")
        if like is not None:
            beats = [each for each in like.beats if each.start < meter]
        else:
            beats = self._beats(opening, 0)
        beats += self._beats(self._cell("close" if closes else "flow"), 1)
        if len(beats) < 2:
            beats = [Beat(0.0, meter / 2), Beat(float(meter), float(meter))]
        contour = self._contour(np.array([each.start for each in beats]) / (UNIT * meter), closes)
        if like is not None:
            same = sum(each.start < meter for each in beats)
            contour[:same] = like.contour[:same] + draw(self.rng, (0, 0, 2, -2))
        return Motif(tuple(beats), contour)

    def _cell(self, kind: str) -> str:
        """A rhythm; more notes are likelier where the mood is denser."""
        options = self.cells[kind]
        counts = np.array([sum(sign == "x" for sign in each) for each in options], float)
        density = self.mood.density * self.voice.density
        odds = np.exp((density - 1) * 1.6 * (counts - counts.mean()))
        return options[int(self.rng.choice(len(options), p=odds / odds.sum()))]

    def _beats(self, cell: str, bar: int) -> list[Beat]:
        offset = bar * self.brief.meter
        return [Beat(offset + hit.step / 4, hit.length / 4) for hit in hits(cell)]

    def _contour(self, when: np.ndarray, closes: bool) -> np.ndarray:
        """A curve in semitones: an arch, a rise, a fall or a wave, with a little of chance."""
        span = self.rng.uniform(5, 10)
        curves = {
            "arch": np.sin(np.pi * when) * span,
            "fall": (0.5 - when) * span,
            "rise": (when - 0.5) * span,
            "wave": np.sin(2 * np.pi * when + self.rng.uniform(0, 6.28)) * span * 0.6,
            "dip": -np.sin(np.pi * when) * span * 0.7,
        }
        names = ("arch", "fall", "wave") if closes else ("arch", "rise", "wave", "dip", "arch")
        return curves[draw(self.rng, names)] + self.rng.normal(0, 1.0, len(when))

    # pitches

    def _unit(
        self, kind: str, letter: str, bar: int, bars: int, closes: bool, section: Section
    ) -> list[Note]:
        motif, meter = self._motif(kind, letter, closes), self.brief.meter
        beats = [each for each in motif.beats if each.start < bars * meter]
        if section.pass_ and kind not in ("chorus",) and self.rng.random() < 0.5:
            beats = self._varied(beats)
        if not beats:
            return []
        start = bar * meter
        centre = self.voice.centre + REGISTER.get(kind, 0.0) + 2.0 * (section.energy - 0.6)
        final = section.kind == "outro" and bar + bars >= section.end
        pitches = self._sing(motif, beats, start, centre, closes, final)
        if motif.intervals is None and len(pitches) == len(motif.beats):
            motif.intervals = np.diff(pitches)
        self.last = int(pitches[-1])
        notes = [
            self._note(start, each, pitch, section)
            for each, pitch in zip(beats, pitches, strict=True)
        ]
        return self._leading_in(notes, start, section, beats[0]) + notes

    def _varied(self, beats: Sequence[Beat]) -> list[Beat]:
        """The same rhythm told again: a long note is split, or a short one left out."""
        varied: list[Beat] = []
        for each in beats:
            chance = self.rng.random()
            if each.length >= 1 and chance < 0.25:
                half = each.length / 2
                varied += [Beat(each.start, half), Beat(each.start + half, half)]
            elif each.length <= 0.5 and chance < 0.12 and each.start % 1 and varied:
                before = varied.pop()
                varied.append(Beat(before.start, before.length + each.length))
            else:
                varied.append(each)
        return varied

    def _sing(
        self,
        motif: Motif,
        beats: Sequence[Beat],
        start: float,
        centre: float,
        closes: bool,
        final: bool,
    ) -> np.ndarray:
        """The cheapest path of pitches; returns them as integers."""
        voice = self.voice
        low = max(voice.low, round(centre) - 12)
        pitches = np.arange(low, max(min(voice.high, round(centre) + 12), low + 7) + 1)
        same = len(beats) == len(motif.beats)
        contour = (
            motif.contour
            if same
            else np.interp(
                [each.start for each in beats], [each.start for each in motif.beats], motif.contour
            )
        )
        costs = np.array(
            [
                self._beat_cost(
                    pitches, beats, index, start, centre + contour[index], closes, final
                )
                for index in range(len(beats))
            ]
        )
        costs[0] += 0.3 * np.abs(pitches - self.last)
        wanted = motif.intervals if same else None
        return pitches[cheapest(costs, pitches, wanted)]

    def _beat_cost(
        self,
        pitches: np.ndarray,
        beats: Sequence[Beat],
        index: int,
        start: float,
        around: float,
        closes: bool,
        final: bool,
    ) -> np.ndarray:
        """What each pitch costs for one note of a unit."""
        each, ends = beats[index], index == len(beats) - 1 and closes
        cost = self._place(pitches, start + each.start, each.length, ends, final and ends)
        cost = cost + CURVE * np.abs(pitches - around)
        return cost + self.rng.uniform(0, 1.2, len(pitches))

    def _place(
        self, pitches: np.ndarray, beat: float, length: float, ends: bool, final: bool
    ) -> np.ndarray:
        """What each pitch costs at a beat."""
        given, key = at(self.changes, beat), self.brief.tonality
        classes = pitches % 12
        allowed = np.isin(classes, self._allowed(given))
        in_chord = np.isin(classes, given.classes[:4])
        strength = 1.0 if beat % 2 < 1e-6 or length >= 1.5 else 0.55 if beat % 1 < 1e-6 else 0.12
        cost = np.where(allowed, 0.0, 14.0) + np.where(in_chord, 0.0, STRONG * strength * 0.5)
        above = np.isin(
            (classes - 1) % 12, given.classes[:3]
        )  # a half tone above a chord note grates
        cost = cost + np.where(above & ~in_chord, 6.0 * max(strength, 0.3), 0.0)
        if self.narrow:
            cost = cost + np.where(np.isin(classes, self.narrow) | in_chord, 0.0, 2.5)
        cost = cost + np.where(classes == key.tonic, -0.5, 0.0)
        if ends:
            rest = (given.classes[0], *given.classes[1:3])
            cost = cost + np.where(np.isin(classes, rest), 0.0, 8.0)
            cost = cost + np.where(classes == key.tonic, -1.5, 0.0)
        if final:
            cost = cost + np.where(classes == key.tonic, 0.0, 20.0)
        return cost

    def _allowed(self, given: Chord) -> tuple[int, ...]:
        """The scale, with what a chord bends: the leading tone over a dominant in a minor key."""
        scale = set(self.brief.tonality.scale)
        for pitch_class in given.classes[:3]:
            if pitch_class not in scale:
                scale -= {(pitch_class + 1) % 12, (pitch_class - 1) % 12}
                scale.add(pitch_class)
        if self.facts.get("blue"):
            scale |= set(self.narrow)
        return tuple(sorted(scale))

    # playing

    def _note(self, start: float, each: Beat, pitch: int, section: Section) -> Note:
        beat = start + each.start
        accent = 5 if beat % self.brief.meter < 1e-6 else 2 if beat % 1 < 1e-6 else -3
        level = (
            self.voice.velocity
            + accent
            + (pitch - self.voice.centre) * 0.4
            + 12 * (section.energy - 0.6)
        )
        length = each.length * min(self.voice.legato, 1.02 if each.length < 1 else 0.98)
        return Note(beat, max(length, 0.12), int(pitch), int(np.clip(level, 30, 122)))

    def _leading_in(
        self, notes: list[Note], start: float, section: Section, first: Beat
    ) -> list[Note]:
        """A pickup from the scale into the first note of a section, now and then."""
        begins = start == section.start * self.brief.meter and start > 0
        if (
            not begins
            or first.start > 0
            or section.kind in ("outro", "intro")
            or self.rng.random() > 0.55
        ):
            return []
        cell = draw(self.rng, self.cells["pickup"])
        scale, target = self.brief.tonality.scale, notes[0].pitch
        way = int(draw(self.rng, (-1, -1, 1)))
        steps, pitch = [], target
        planned = hits(cell)
        for _ in planned:
            pitch += way
            while pitch % 12 not in scale:
                pitch += way
            steps.append(int(np.clip(pitch, self.voice.low, self.voice.high)))
        before = start - self.brief.meter
        return [
            Note(
                before + hit.step / 4,
                hit.length / 4 * self.voice.legato,
                each,
                notes[0].velocity - 8,
            )
            for hit, each in zip(planned, steps[::-1], strict=True)
        ]


def voice_for(facts: Any, brief: Brief, offset: float = 0.0) -> Voice:
    """The voice of an instrument in a piece."""
    mood = MOODS.get(brief.mood, MOODS[""])
    centre = float(
        np.clip(facts.home + mood.register * 0.6 + offset, facts.low + 7, facts.high - 7)
    )
    return Voice(facts.low, facts.high, centre, 88 + mood.velocity * 0.7, mood.legato)
