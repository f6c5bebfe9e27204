"""What carries a melody: chords in rhythm, broken chords, held chords, and lines of single players."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.music.composer.harmony import at, voicings
from engines.music.composer.instruments import Instrument, instrument
from engines.music.composer.score import BASS, LEAD, Brief, Change, Note, Section
from engines.music.composer.styles import MOODS, Hit, draw, hits, rhythm_of, style
from engines.music.composer.theory import into, nearest

LEVEL = 78
CENTRE, LOWEST = 60, 48  # of chords
SOFT = ("analog-synth-pad", "vocal-pad", "choir", "acoustic-strings-ensemble", "breath-fx")


class Accompanist:
    """One player of chords for a whole piece."""

    def __init__(
        self, brief: Brief, changes: Sequence[Change], name: str, rng: np.random.Generator
    ):
        self.brief, self.changes, self.rng = brief, changes, rng
        self.facts: Instrument = instrument(name, brief.style)
        self.rhythm = rhythm_of(brief.style, brief.meter)
        self.mood = MOODS.get(brief.mood, MOODS[""])
        self.low = max(self.facts.low, LOWEST)
        self.high = min(self.facts.high, max(76, self.low + 19))
        power = style(brief.style)["color"] == "power" or self.facts.sound in (
            "distortion",
            "overdrive",
        )
        self.voices = (
            2 if power else 4 if style(brief.style)["color"] in ("seventh", "ninth") else 3
        )
        around = np.clip(
            CENTRE + 0.3 * self.mood.register + rng.integers(-2, 3), self.low + 6, self.high - 6
        )
        self.voicings = (
            self._power()
            if power
            else voicings(changes, self.low, self.high, self.voices, float(around))
        )
        self.starts = [change.start for change in changes]
        self.chosen: dict[str, str] = {}
        self.alone = not brief.players(BASS) and self.facts.low <= 45

    def _power(self) -> list[tuple[int, ...]]:
        """Roots with fifths, low: thirds growl when they are distorted."""
        found: list[tuple[int, ...]] = []
        for change in self.changes:
            root = into(nearest(change.chord.root, 45), max(self.facts.low, 40), 52)
            fifth = root + (6 if change.chord.step("5") == 6 else 7)
            found.append((root, fifth, root + 12))
        return found

    # chords in rhythm

    def chords(self, sections: Sequence[Section]) -> list[Note]:
        """Chords struck in the style's rhythm, more of them where there is more energy."""
        notes: list[Note] = []
        for section in sections:
            pattern = self._pattern(section)
            for bar in range(section.start, section.end):
                steps = self.brief.meter * 4
                part = pattern[bar % max(len(pattern) // steps, 1) * steps :][:steps]
                for hit in self._split(hits(part), bar):
                    notes += self._strike(hit, bar, section)
        return notes

    def _pattern(self, section: Section) -> str:
        kind = section.kind
        if kind not in self.chosen:
            options = self.rhythm["comp"]
            at_level = section.energy * len(options) - 0.4 + self.rng.normal(0, 0.4)
            if kind in ("break", "intro") and section.energy < 0.5:
                at_level = min(at_level, 1)
            self.chosen[kind] = options[int(np.clip(at_level, 0, len(options) - 1))]
        return self.chosen[kind]

    def _split(self, planned: Sequence[Hit], bar: int) -> list[Hit]:
        """Strokes cut where a chord changes under them."""
        first = bar * self.brief.meter
        cuts = [
            round((start - first) * 4)
            for start in self.starts
            if first < start < first + self.brief.meter
        ]
        split: list[Hit] = []
        for hit in planned:
            inside = [cut for cut in cuts if hit.step < cut < hit.step + hit.length]
            for cut in inside:
                split.append(Hit(hit.step, cut - hit.step, hit.sign))
                hit = Hit(cut, hit.step + hit.length - cut, "x" if hit.sign == "X" else hit.sign)
            split.append(hit)
        return split

    def _strike(self, hit: Hit, bar: int, section: Section) -> list[Note]:
        beat = bar * self.brief.meter + hit.step / 4
        pitches = self.voicing(beat)
        given = at(self.changes, beat)
        root = into(nearest(given.root, 43), max(self.facts.low, 33), 54)
        if hit.sign == "l":
            pitches = (root,)
        elif hit.sign == "u":
            pitches = pitches[len(pitches) // 2 :]
        elif self.alone and hit.step == 0 and self.facts.family in ("keys", "guitar"):
            pitches = (root, *pitches) if root < pitches[0] else pitches
        accent = {"X": 9, "x": 0, "u": -9, "l": 3}[hit.sign]
        held = 0.9 if hit.length > 2 else 0.7
        length = hit.length / 4 * min(self.mood.legato, 1.0) * held
        if self.facts.decays and hit.length >= 4:
            length = hit.length / 4 * 0.98
        spread = self.facts.strum * self.brief.tempo / 60
        order = pitches[::-1] if hit.sign == "u" else pitches
        level = self._level(section, accent)
        return [
            Note(
                beat + index * spread,
                length,
                pitch,
                int(level - 2 * index * (hit.sign == "u") - (2 if index else 0)),
            )
            for index, pitch in enumerate(order)
        ]

    def voicing(self, beat: float) -> tuple[int, ...]:
        """The voicing that sounds at a beat."""
        index = int(np.searchsorted(self.starts, beat + 1e-6) - 1)
        return self.voicings[max(index, 0)]

    def _level(self, section: Section, accent: float) -> int:
        level = LEVEL + 0.6 * self.mood.velocity + accent + 18 * (section.energy - 0.6)
        return int(np.clip(level, 30, 118))

    # broken and held chords

    def broken(self, sections: Sequence[Section]) -> list[Note]:
        """Notes of the chords one by one, in a pattern that runs on over bar lines."""
        options = self.rhythm["arp"] or ["1.3.5.3."]
        notes: list[Note] = []
        for section in sections:
            if section.kind not in self.chosen:
                self.chosen[section.kind] = draw(self.rng, options)
            pattern = self.chosen[section.kind]
            steps = self.brief.meter * 4
            for step in range(section.start * steps, section.end * steps):
                sign = pattern[(step - section.start * steps) % len(pattern)]
                if sign in ".-":
                    continue
                beat = step / 4
                pitch = self._tone(sign, beat)
                first = step % steps == 0
                if first and self.alone:
                    given = at(self.changes, beat)
                    root = into(nearest(given.root, 41), max(self.facts.low, 31), 52)
                    notes.append(Note(beat, self.brief.meter * 0.95, root, self._level(section, 2)))
                length = (
                    self.facts.short * self.brief.tempo / 60
                    if self.facts.short
                    else 1.0
                    if self.facts.decays
                    else 0.3
                )
                notes.append(
                    Note(
                        beat,
                        length,
                        pitch,
                        self._level(section, 4 if first else -4 if step % 2 else -1),
                    )
                )
        return notes

    def _tone(self, sign: str, beat: float) -> int:
        pitches = self.voicing(beat)
        index = {"1": 0, "3": 1, "5": 2, "7": 3}.get(sign, 3)
        if index < len(pitches):
            return pitches[index]
        raised = pitches[index - len(pitches)] + 12
        return raised if raised <= self.facts.high else pitches[-1]

    def held(self, sections: Sequence[Section]) -> list[Note]:
        """Every chord held to the next one; a note that both have goes on."""
        sounding: dict[int, Note] = {}
        notes: list[Note] = []
        meter = self.brief.meter
        for change, pitches in zip(self.changes, self.voicings, strict=True):
            section = next(
                (s for s in sections if s.start * meter <= change.start < s.end * meter), None
            )
            if section is None:
                notes += sounding.values()
                sounding = {}
                continue
            kept: dict[int, Note] = {}
            for pitch in pitches:
                before = sounding.pop(pitch, None)
                goes_on = (
                    before is not None
                    and abs(before.start + before.length - change.start) < 1e-6
                    and before.length < 4 * meter
                )
                if before is not None and goes_on:
                    kept[pitch] = Note(
                        before.start, before.length + change.length, pitch, before.velocity
                    )
                else:
                    notes += [before] if before is not None else []
                    kept[pitch] = Note(change.start, change.length, pitch, self._level(section, -4))
            notes += sounding.values()
            sounding = kept
        return sorted([*notes, *sounding.values()], key=lambda note: (note.start, note.pitch))


def line(
    brief: Brief, sections: Sequence[Section], changes: Sequence[Change], name: str, index: int
) -> list[Note]:
    """A single player's inner voice: the chord note next to the one before, held or repeated."""
    facts = instrument(name, brief.style)
    around = float(np.clip(facts.home - 4, facts.low + 5, facts.high - 5))
    level = LEVEL + 6 + 0.6 * MOODS.get(brief.mood, MOODS[""]).velocity
    notes: list[Note] = []
    last = around
    for change in changes:
        section = next(
            (s for s in sections if s.start * brief.meter <= change.start < s.end * brief.meter),
            None,
        )
        if section is None:
            continue
        classes = change.chord.classes[1:] or change.chord.classes
        options = [nearest(each, last) for each in classes]
        inside = [p for p in options if facts.low <= p <= facts.high] or [
            into(options[0], facts.low, facts.high)
        ]
        pitch = sorted(inside, key=lambda p: (abs(p - last) + 0.4 * abs(p - around), p))[
            min(index, len(inside) - 1) // 2
        ]
        last = float(pitch)
        pieces = 2 if section.energy > 0.7 and change.length >= 4 else 1
        each_length = change.length / pieces
        for piece in range(pieces):
            velocity = int(np.clip(level + 16 * (section.energy - 0.6) - 4 * piece, 30, 112))
            notes.append(
                Note(change.start + piece * each_length, each_length * 0.96, pitch, velocity)
            )
    return notes


def plays(part: str, section: Section, count: int, brief: Brief) -> bool:
    """Whether a part sounds in a section: the less energy, the fewer do."""
    if count == 1:
        return True
    kind, energy = section.kind, section.energy
    if part == "pad":
        return kind not in ("verse",) or energy > 0.42 or section.pass_ > 0
    if part == "arp":
        return kind not in ("verse", "outro") or section.pass_ > 0 or energy > 0.62
    if part == "answer":
        return kind in ("chorus", "drop", "solo", "bridge") or (
            kind == "verse" and section.pass_ > 0
        )
    if part == "comp":
        only = {name for name, _ in brief.cast} & {"pad", "arp"}
        return kind != "break" or not only
    if part == LEAD:
        return kind not in ("intro", "build") and not (kind == "outro" and section.bars < 3)
    return True
