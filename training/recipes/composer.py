"""Writes short multi-track pieces from a brief: the same attributes that a prompt has.

Everything random comes from one generator, so a brief and a seed give the same notes. What a style
is made of (patterns, progressions, instruments) stands in ``configs/composer.json``.

Time is counted in frames of 20 ms, those of the codec, and a beat is a whole number of them: the tempo is
at most 3 % off, and what is played twice sounds the same twice. There are four parts, and each plays one
note or stroke of drums at a time; chords are broken.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from training.recipes.theory import Chord, Key, chord, into, nearest

KNOWLEDGE = Path(__file__).parents[2] / "configs" / "composer.json"
FRAME_RATE = 50  # frames a second
TUNING = 0.31  # half tones above 440 Hz, where the fewest frames hold a whole number of periods
TOLERANCE = 0.1  # half tones
STEPS = 16  # of one bar
BARS = 4  # of one section
PARTS = DRUMS, LOW, HARMONY, LEAD = ("drums", "bass", "harmony", "lead")
RANGES = {LOW: (28, 56), HARMONY: (51, 70), LEAD: (55, 80)}  # MIDI pitches, the last is left out
CENTRE = 60  # of chords
ORDERS = ("135", "153", "1535", "1353", "1315")  # of the notes of a broken chord
LOUD = 84  # the usual velocity
STROKES = {"X": 14, "x": 2, "o": -24}  # velocities above that, by sign of a pattern
FILLS = ("snare", "tom", "kick")
SHORTEST = 3  # frames
HOME = 2.5  # how much likelier a melody goes to a note of the tonic's chord

Stroke = tuple[tuple[int, int], ...]  # pitches and velocities of drums that are hit together


@functools.cache
def knowledge() -> dict[str, Any]:
    """Styles, moods, energies and instruments as the composer knows them."""
    return json.loads(KNOWLEDGE.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Brief:
    """What to write. ``solo`` leaves everything but the first lead instrument out."""

    style: str
    mood: str
    energy: str
    key: str
    tempo: int
    lead: tuple[str, ...]
    support: tuple[str, ...] = ()
    drums: bool = True
    solo: bool = False


@dataclass(frozen=True)
class Note:
    """One note: frames from the start, MIDI pitch and velocity."""

    start: int
    frames: int
    pitch: int
    velocity: int


@dataclass
class Track:
    """The notes of one instrument, a name of the prompt vocabulary, in one of the four parts."""

    instrument: str
    part: str
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True)
class Piece:
    """A finished piece of ``duration_s`` seconds."""

    brief: Brief
    duration_s: float
    tracks: tuple[Track, ...]


def draw_brief(rng: np.random.Generator) -> Brief:
    """A brief drawn at random: every style equally often, the rest as suits it."""
    known = knowledge()
    style = _one(rng, sorted(known["styles"]))
    facts = known["styles"][style]
    mood = _one(rng, sorted(known["moods"]))
    bias = known["moods"][mood]
    energy = _one(rng, ("low", "medium", "high"), _energy_odds(bias["velocity"]))
    low, high = facts["tempo"]
    share = np.clip(rng.normal(0.5 + bias["velocity"] / 80, 0.28), 0, 1)
    minor = rng.random() < bias["minor"]
    names = _key_names(minor)
    solo = rng.random() < (0.3 if not facts["drums"] else 0.12)
    lead = [_one(rng, facts["lead"] if rng.random() < 0.75 else players(LEAD))]
    if not solo and rng.random() < 0.25:
        lead.append(_one(rng, facts["lead"]))
    harmony = facts["harmony"] if rng.random() < 0.8 else known["colours"]
    support = [_one(rng, harmony), _one(rng, facts["low"])]
    return Brief(
        style=style,
        mood=mood,
        energy=energy,
        key=_one(rng, names),
        tempo=int(np.clip(round(low + share * (high - low)), 60, 180)),
        lead=tuple(dict.fromkeys(lead)),
        support=() if solo else tuple(n for n in dict.fromkeys(support) if n not in lead),
        drums=bool(facts["drums"]) and not solo and rng.random() < (0.65, 0.9, 1.0)[_level(energy)],
        solo=solo,
    )


def _energy_odds(velocity: float) -> list[float]:
    high = 1 / (1 + np.exp(-velocity / 8))
    return [(1 - high) * 0.7, 0.3, high * 0.7]


def _level(energy: str) -> int:
    return int(knowledge()["energies"][energy]["layers"])


def key_names() -> tuple[str, ...]:
    """All keys that a brief may have."""
    return (*_key_names(False), *_key_names(True))


@functools.cache
def _key_names(minor: bool) -> tuple[str, ...]:
    flat = ("C", "D", "E flat", "E", "F", "F sharp", "G", "A", "B flat", "B")
    extra = ("C sharp", "G sharp") if minor else ("C sharp", "A flat")
    return tuple(f"{name} {'minor' if minor else 'major'}" for name in (*flat, *extra))


def _one(
    rng: np.random.Generator, options: Sequence[str], odds: Sequence[float] | None = None
) -> str:
    weights = None if odds is None else np.asarray(odds) / np.sum(odds)
    return options[int(rng.choice(len(options), p=weights))]


@functools.cache
def players(part: str) -> tuple[str, ...]:
    """The instruments that a part may have."""
    known = knowledge()
    named = {name for style in known["styles"].values() for name in style[_LISTS[part]]}
    return tuple(sorted(named | set(known["colours"] if part == HARMONY else ())))


def strokes() -> tuple[tuple[str, Stroke], ...]:
    """Every kit with every stroke, pitches and velocities, that it may have."""
    found: set[tuple[str, Stroke]] = set()
    for style in knowledge()["styles"].values():
        kit, keys = style["kit"], drum_keys(style["kit"])
        for drum in FILLS if style["drums"] else ():
            found.add((kit, ((keys.get(drum, keys["kick"]), LOUD + STROKES["x"]),)))
        for groove in style["drums"]:
            for opens in (False, True):
                at: dict[int, list[tuple[int, int]]] = {}
                for drum, pattern in _groove(groove, opens).items():
                    for step, _, sign in _hits(pattern):
                        if drum in keys:
                            at.setdefault(step, []).append((keys[drum], LOUD + STROKES[sign]))
                found |= {(kit, tuple(sorted(hits))) for hits in at.values()}
    return tuple(sorted(found))


_LISTS = {LOW: "low", HARMONY: "harmony", LEAD: "lead"}


def reach(name: str, part: str) -> tuple[int, int]:
    """The lowest and the highest pitch of an instrument in a part."""
    facts, (low, end) = knowledge()["programs"][name], RANGES[part]
    return max(facts["low"], low), min(facts["high"], end - 1)


@functools.cache
def loop(pitch: int) -> tuple[int, float]:
    """The frequency of a MIDI pitch in Hz, moved by at most ``TOLERANCE`` so that few frames hold a whole
    number of periods, and how many frames: a held tone is the same again after that."""
    wanted = 440 * 2 ** ((pitch - 69 + TUNING) / 12)
    for frames in count(1):
        step = FRAME_RATE / frames
        hertz = max(round(wanted / step), 1) * step
        if abs(12 * np.log2(hertz / wanted)) <= TOLERANCE:
            return frames, hertz
    raise AssertionError


def decays(name: str) -> bool:
    """Whether a tone of this instrument fades while it is held."""
    return bool(knowledge()["programs"][name].get("decays"))


def drum_keys(kit: str) -> dict[str, int]:
    """The pitches of the drums that a kit has."""
    found: dict[str, int] = knowledge()["programs"][kit].get("keys") or knowledge()["drum_keys"]
    return found


def _groove(groove: dict[str, str], opens: bool) -> dict[str, str]:
    return (
        groove | {"crash": "X" + groove.get("crash", "").ljust(STEPS, ".")[1:]} if opens else groove
    )


def compose(brief: Brief, duration_s: float, rng: np.random.Generator) -> Piece:
    """Write a piece of at least ``duration_s`` seconds; notes past the end are left out."""
    return _Composer(brief, duration_s, rng).write()


class _Composer:
    """One piece while it is written."""

    def __init__(self, brief: Brief, duration_s: float, rng: np.random.Generator):
        known = knowledge()
        self.brief, self.duration_s, self.rng = brief, duration_s, rng
        self.style = known["styles"][brief.style]
        self.mood, self.energy = known["moods"][brief.mood], known["energies"][brief.energy]
        self.programs = known["programs"]
        self.key = Key.parse(brief.key)
        self.beat = round(60 * FRAME_RATE / brief.tempo)
        self.frames = round(duration_s * FRAME_RATE)
        self.bars = -(-self.frames // (self.beat * STEPS // 4))
        self.density = self.mood["density"] * self.energy["density"]
        self.chords = self._harmony()
        self.tracks: list[Track] = []

    # the whole

    def write(self) -> Piece:
        """All parts that the brief and its energy ask for."""
        brief = self.brief
        for index, name in enumerate(brief.lead):
            self._lead(name, index)
        if brief.solo:
            if brief.lead[0] in players(HARMONY):
                self._accompany(brief.lead[0])
        else:
            self._support()
        if brief.drums:
            self._drums()
        tracks = tuple(track for track in self.tracks if track.notes)
        return Piece(brief, self.duration_s, tracks)

    def _support(self) -> None:
        """One instrument for the harmony and one for the bass, the first of each that is asked for."""
        low = [name for name in self.brief.support if name in players(LOW)]
        high = [name for name in players(HARMONY) if name in self.brief.support and name not in low]
        for name in low[:1]:
            self._bass(name)
        for name in high[:1]:
            role = self.programs[name].get("role", "")
            if role == "pad":
                self._strike(name, "x---------------")
            else:
                self._accompany(name)

    # harmony

    def _harmony(self) -> list[Chord]:
        progressions = self.style["minor" if self.key.minor else "major"]
        numerals = _one(self.rng, progressions).split()
        sevenths = self.rng.random() < self.style["sevenths"]
        bluesy = self.brief.style == "blues"
        return [
            chord(numerals[bar % len(numerals)], self.key, sevenths, bluesy)
            for bar in range(self.bars + 1)
        ]

    # parts

    def _bass(self, name: str) -> None:
        pattern = _one(self.rng, self.style["bass"])
        other = _one(self.rng, self.style["bass"])
        low, high = reach(name, LOW)
        track = self._track(name, LOW)
        for bar in range(self.bars):
            notes, following = self.chords[bar], self.chords[bar + 1]
            root = into(nearest(notes.root, 38), low, high)
            chosen = other if bar % BARS == BARS - 1 else pattern
            for step, length, sign in _hits(chosen):
                pitch = root + notes.step(sign) if sign != "a" else _approach(root, following.root)
                self._note(track, bar, step, length * 0.9, into(pitch, low, high), 2)

    def _accompany(self, name: str) -> None:
        """Chords or broken chords, as the style has them."""
        arps = self.style["arp"]
        if arps and (self.brief.solo or not self.style["comp"] or self.rng.random() < 0.45):
            self._arpeggio(name, _one(self.rng, arps))
        else:
            self._strike(name, _one(self.rng, self.style["comp"]))

    def _strike(self, name: str, pattern: str) -> None:
        """Broken chords in the rhythm that would strike them."""
        track, order = self._track(name, HARMONY), _one(self.rng, ORDERS)
        for bar in range(self.bars):
            for number, (step, length, sign) in enumerate(_hits(pattern)):
                tone = order[number % len(order)] if sign == "x" else "35"[number % 2]
                pitch = self._tone(name, bar, tone)
                self._note(track, bar, step, length * self.mood["legato"], pitch, -10)

    def _tone(self, name: str, bar: int, tone: str) -> int:
        notes, (low, high) = self.chords[bar], reach(name, HARMONY)
        return into(nearest(notes.root, CENTRE - 5) + notes.step(tone), low, high)

    def _arpeggio(self, name: str, pattern: str) -> None:
        track = self._track(name, HARMONY)
        for bar in range(self.bars):
            for step, _, sign in _hits(pattern):
                self._note(track, bar, step, 2.5, self._tone(name, bar, sign), -10)

    def _drums(self) -> None:
        kit = self.style["kit"]
        keys = drum_keys(kit)
        groove = self.style["drums"][int(self.rng.integers(len(self.style["drums"])))]
        track = self._track(kit, DRUMS)
        for bar in range(self.bars):
            fill = bar % BARS == BARS - 1 and self.rng.random() < 0.35 * self.density
            for drum, pattern in _groove(groove, self._opens(bar)).items():
                for step, _, sign in _hits(pattern):
                    if drum in keys and not (fill and step >= STEPS - 4):
                        self._note(track, bar, step, 1, keys[drum], STROKES[sign])
            if fill:
                drum = _one(self.rng, FILLS)
                for step in range(STEPS - 4, STEPS):
                    if self.rng.random() < 0.8:
                        self._note(track, bar, step, 1, keys.get(drum, keys["kick"]), STROKES["x"])

    def _opens(self, bar: int) -> bool:
        """Whether a crash opens the bar."""
        return bar % (2 * BARS) == 0 and self.energy["layers"] == 2

    # melody

    def _lead(self, name: str, index: int) -> None:
        """A melody of phrases: a motif, its variation, an answer, the motif again.

        A second lead instrument answers in the bars where the first one rests.
        """
        track, (low, high) = self._track(name, LEAD), reach(name, LEAD)
        centre = float(np.clip((low + high) / 2 + self.mood["register"], low, high))
        motifs = [self._rhythm(2), self._rhythm(2)]
        scale = self.key.pentatonic if self.rng.random() < 0.4 else self.key.scale
        pitch = nearest(self.chords[0].root, centre)
        shared = len(self.brief.lead) > 1
        for phrase, bar in enumerate(range(0, self.bars, 2)):
            if shared and phrase % 2 != index:
                continue
            rhythm = motifs[(0, 0, 1, 0)[phrase % 4]]
            for offset, length in rhythm:
                at = bar + offset // STEPS
                if at >= self.bars:
                    break
                step = offset % STEPS
                pitch = self._next(pitch, self.chords[at], scale, step, centre)
                pitch = into(pitch, low, high)
                self._note(track, at, step, length * self.mood["legato"], pitch, 12)

    def _rhythm(self, bars: int) -> list[tuple[int, int]]:
        """Offsets and lengths in sixteenths; the last beat of the phrase often rests."""
        lengths, odds = zip(*self.style["rhythm"], strict=True)
        scaled = np.asarray(odds, float) * np.asarray(lengths, float) ** (1 - self.density)
        found, at, end = [], int(self.rng.choice([0, 0, 0, 2, 4])), bars * STEPS
        while at < end:
            length = int(self.rng.choice(lengths, p=scaled / scaled.sum()))
            length = min(length, end - at)
            if self.rng.random() > self.style["rest"] / max(self.density, 0.5):
                found.append((at, length))
            at += length
        return found or [(0, 8)]

    def _next(
        self, pitch: int, notes: Chord, scale: tuple[int, ...], step: int, centre: float
    ) -> int:
        """The next pitch: a small move, on a chord note where the beat is strong; the tonic triad draws."""
        allowed = notes.classes if step % 8 == 0 or self.rng.random() < 0.25 else scale
        options = [p for p in range(pitch - 9, pitch + 10) if p % 12 in allowed]
        distance = np.abs(np.asarray(options) - pitch)
        pull = np.abs(np.asarray(options) - centre)
        home = np.where(np.isin(np.asarray(options) % 12, self.key.triad), HOME, 1.0)
        weights = np.exp(-distance / 2.6 - pull / 9) * np.where(distance == 0, 0.45, 1.0) * home
        return int(self.rng.choice(options, p=weights / weights.sum()))

    # notes

    def _track(self, name: str, part: str) -> Track:
        track = Track(name, part)
        self.tracks.append(track)
        return track

    def _note(
        self, track: Track, bar: int, step: int, length: float, pitch: int, level: float
    ) -> None:
        """Add a note of ``length`` sixteenths at a sixteenth of a bar, with the style's swing."""
        swing = self.style["swing"]
        late = swing * 2 if step % 4 == 2 else swing * 0.7 if step % 2 else 0.0
        start = bar * (self.beat * STEPS // 4) + round((step + late) * self.beat / 4)
        if start < self.frames:
            frames = max(round(length * self.beat / 4), SHORTEST)
            track.notes.append(Note(start, frames, int(pitch), int(LOUD + level)))


def _hits(pattern: str) -> list[tuple[int, int, str]]:
    """Step, length in steps and sign of each hit of a pattern; ``-`` holds the one before."""
    found: list[tuple[int, int, str]] = []
    for step, sign in enumerate(pattern):
        if sign == "-" and found:
            at, length, before = found[-1]
            if at + length == step:
                found[-1] = (at, length + 1, before)
        elif sign != ".":
            found.append((step, 1, sign))
    return found


def _approach(root: int, following: int) -> int:
    """A half tone below or above the next root, whichever is closer to this one."""
    target = nearest(following, root)
    return target - 1 if target >= root else target + 1
