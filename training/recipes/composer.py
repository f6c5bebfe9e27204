"""Writes short multi-track pieces from a brief: the same attributes that a prompt has.

Everything random comes from one generator, so a brief and a seed give the same notes. What a style
is made of (patterns, progressions, instruments) stands in ``configs/composer.json``.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from training.recipes.theory import Chord, Key, chord, into, nearest, voicing

KNOWLEDGE = Path(__file__).parents[2] / "configs" / "composer.json"
STEPS = 16  # of one bar
BARS = 4  # of one section
CHORDAL = {"acoustic-piano", "electric-piano", "organ", "clavinet", "celesta", "acoustic-guitar",
           "electric-guitar-clean", "electric-guitar-distorted", "harp", "kalimba", "digital-synth",
           "fm-synth", "poly-synth"}  # fmt: skip


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
    """One note: seconds from the start, MIDI pitch and velocity."""

    start_s: float
    duration_s: float
    pitch: int
    velocity: int


@dataclass
class Track:
    """The notes of one instrument; ``instrument`` is a name of the prompt vocabulary."""

    instrument: str
    role: str
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True)
class Piece:
    """A finished piece of ``duration_s`` seconds."""

    brief: Brief
    duration_s: float
    tracks: tuple[Track, ...]
    effects: tuple[str, ...] = ()


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
    melodic = [n for n, p in known["programs"].items() if "program" in p and "role" not in p]
    lead = [_one(rng, facts["lead"]) if rng.random() < 0.75 else _one(rng, melodic)]
    if not solo and rng.random() < 0.25:
        lead.append(_one(rng, facts["lead"]))
    support = [_one(rng, facts["harmony"]), _one(rng, facts["low"])]
    if rng.random() < 0.12:
        support.append(_one(rng, ("vinyl-noise", "tape-saturation", "ambient-noise", "breath-fx")))
    elif rng.random() < 0.25:
        support.append(_one(rng, ("arpeggiator-synth", "choir", "acoustic-strings-ensemble",
                                  "vocal-pad", "taiko-drums", "analog-synth-pad")))  # fmt: skip
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
        self.step_s = 60 / brief.tempo / 4
        self.bars = int(np.ceil(duration_s / (self.step_s * STEPS)))
        self.density = self.mood["density"] * self.energy["density"]
        self.loud = 82 + self.mood["velocity"] * 0.7 + self.energy["velocity"]
        self.chords = self._harmony()
        self.tracks: list[Track] = []

    # the whole

    def write(self) -> Piece:
        """All parts that the brief and its energy ask for."""
        brief = self.brief
        for index, name in enumerate(brief.lead):
            self._lead(name, index)
        if brief.solo:
            if brief.lead[0] in CHORDAL:
                self._accompany(brief.lead[0], "accompaniment", around=52)
        else:
            self._support()
        if brief.drums:
            self._drums()
        effects = tuple(
            self.programs[n]["effect"] for n in brief.support if "effect" in self.programs[n]
        )
        tracks = tuple(track for track in self.tracks if track.notes)
        return Piece(brief, self.duration_s, tracks, effects)

    def _support(self) -> None:
        for name in self.brief.support:
            facts = self.programs[name]
            role = facts.get("role", "")
            if "program" not in facts:
                continue
            if role == "bass" or (name in self.style["low"] and name not in self.style["harmony"]):
                self._bass(name)
            elif role == "pad":
                self._strike(name, "pad", "x---------------", around=62, level=-16)
            elif role == "arp":
                self._arpeggio(name, "1358135813581358", around=67, level=-14)
            elif role == "beat":
                self._beat(name)
            elif role == "texture":
                self._texture(name)
            else:
                self._accompany(name, "harmony", around=60)

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
        low, high = self.programs[name]["low"], self.programs[name]["high"]
        track = self._track(name, "bass")
        for bar in range(self.bars):
            notes, following = self.chords[bar], self.chords[bar + 1]
            root = into(nearest(notes.root, 38), low, high)
            chosen = other if bar % BARS == BARS - 1 else pattern
            for step, length, sign in _hits(chosen):
                pitch = root + notes.step(sign) if sign != "a" else _approach(root, following.root)
                self._note(track, bar, step, length, into(pitch, low, high), 2, legato=0.9)

    def _accompany(self, name: str, role: str, around: int) -> None:
        """Chords or broken chords, as the style has them and the instrument can."""
        arps = self.style["arp"]
        if arps and (self.brief.solo or not self.style["comp"] or self.rng.random() < 0.45):
            self._arpeggio(name, _one(self.rng, arps), around, level=-10, role=role)
        else:
            self._strike(name, role, _one(self.rng, self.style["comp"]), around, level=-10)

    def _strike(self, name: str, role: str, pattern: str, around: int, level: int) -> None:
        track = self._track(name, role)
        before: tuple[int, ...] = ()
        facts = self.programs[name]
        for bar in range(self.bars):
            pitches = voicing(self.chords[bar], before, around)
            before = pitches
            pitches = tuple(into(pitch, facts["low"], facts["high"]) for pitch in pitches)
            for step, length, sign in _hits(pattern):
                struck = pitches[1:] if sign == "u" else pitches
                for pitch in struck:
                    self._note(track, bar, step, length, pitch, level, legato=self.mood["legato"])

    def _arpeggio(
        self, name: str, pattern: str, around: int, level: int, role: str = "arpeggio"
    ) -> None:
        track = self._track(name, role)
        facts = self.programs[name]
        for bar in range(self.bars):
            notes = self.chords[bar]
            root = nearest(notes.root, around - 5)
            for step, _, sign in _hits(pattern):
                pitch = into(root + notes.step(sign), facts["low"], facts["high"])
                self._note(track, bar, step, 2.5, pitch, level, legato=1.0)

    def _beat(self, name: str) -> None:
        track = self._track(name, "beat")
        pattern = _one(self.rng, ("X..x..x.X..x..x.", "X.....X.X.......", "X...x...X...x.xx"))
        for bar in range(self.bars):
            for step, _, sign in _hits(pattern):
                self._note(track, bar, step, 3, 45 if sign == "X" else 50, 6, legato=1)

    def _texture(self, name: str) -> None:
        track = self._track(name, "texture")
        for bar in range(0, self.bars, BARS):
            self._note(track, bar, 0, STEPS * BARS, 60, -20, legato=1)

    def _drums(self) -> None:
        kits = [n for n in self.brief.support if "kit" in self.programs[n]]
        kit = kits[0] if kits else self.style["kit"]
        if "kit" not in self.programs[kit]:
            kit = "acoustic-drum-kit"
        groove = self.style["drums"][int(self.rng.integers(len(self.style["drums"])))]
        keys, only = knowledge()["drum_keys"], self.programs[kit].get("only")
        track = self._track(kit, "drums")
        for bar in range(self.bars):
            if bar % (2 * BARS) == 0 and self.energy["layers"] == 2:
                self._note(track, bar, 0, 4, keys["crash"], 8, legato=1)
            fill = bar % BARS == BARS - 1 and self.rng.random() < 0.35 * self.density
            for drum, pattern in groove.items():
                if only and drum not in only:
                    continue
                for step, _, sign in _hits(pattern):
                    if fill and step >= STEPS - 4:
                        continue
                    level = {"X": 14, "x": 2, "o": -24}[sign]
                    self._note(track, bar, step, 1, keys[drum], level, legato=1)
            if fill:
                drum = _one(self.rng, ("snare", "tom", "kick"))
                for step in range(STEPS - 4, STEPS):
                    if self.rng.random() < 0.8:
                        self._note(track, bar, step, 1, keys[drum], 4, legato=1)

    # melody

    def _lead(self, name: str, index: int) -> None:
        """A melody of phrases: a motif, its variation, an answer, the motif again.

        A second lead instrument answers in the bars where the first one rests.
        """
        track, facts = self._track(name, "lead"), self.programs[name]
        centre = np.clip(
            (facts["low"] + facts["high"]) / 2 + self.mood["register"], facts["low"], facts["high"]
        )
        motifs = [self._rhythm(2), self._rhythm(2)]
        scale = self.key.pentatonic if self.rng.random() < 0.4 else self.key.scale
        pitch = nearest(self.chords[0].root, float(centre))
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
                pitch = self._next(pitch, self.chords[at], scale, step, float(centre))
                pitch = into(pitch, facts["low"], facts["high"])
                self._note(track, at, step, length, pitch, 12, legato=self.mood["legato"])

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
        """The next pitch: a small move, on a chord note where the beat is strong."""
        allowed = notes.classes if step % 8 == 0 or self.rng.random() < 0.25 else scale
        options = [p for p in range(pitch - 9, pitch + 10) if p % 12 in allowed]
        distance = np.abs(np.asarray(options) - pitch)
        pull = np.abs(np.asarray(options) - centre)
        weights = np.exp(-distance / 2.6 - pull / 9) * np.where(distance == 0, 0.45, 1.0)
        return int(self.rng.choice(options, p=weights / weights.sum()))

    # notes

    def _track(self, name: str, role: str) -> Track:
        track = Track(name, role)
        self.tracks.append(track)
        return track

    def _note(
        self,
        track: Track,
        bar: int,
        step: int,
        length: float,
        pitch: int,
        level: float,
        legato: float,
    ) -> None:
        """Add a note at a sixteenth of a bar, with the style's swing and a human's unevenness."""
        swing = self.style["swing"]
        late = swing * 2 if step % 4 == 2 else swing * 0.7 if step % 2 else 0.0
        at = (bar * STEPS + step + late) * self.step_s + self.rng.normal(0, 0.004)
        if at >= self.duration_s - 0.02:
            return
        velocity = self.loud + level + (5 if step == 0 else 0) + self.rng.normal(0, 5)
        held = max(length * self.step_s * legato, 0.05)
        track.notes.append(
            Note(max(float(at), 0.0), float(held), int(pitch), int(np.clip(velocity, 20, 127)))
        )


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
