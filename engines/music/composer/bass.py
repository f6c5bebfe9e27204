"""Bass lines: patterns over the chords, walking lines, and ways into the next root."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.music.composer.harmony import at
from engines.music.composer.instruments import instrument
from engines.music.composer.score import BASS, Brief, Change, Note, Section
from engines.music.composer.styles import MOODS, draw, hits, rhythm_of
from engines.music.composer.theory import into, nearest

LEVEL = 92


def bass(
    brief: Brief, sections: Sequence[Section], changes: Sequence[Change], rng: np.random.Generator
) -> list[Note]:
    """The line of the whole piece."""
    name = brief.players(BASS)[0]
    facts = instrument(name, brief.style)
    player = _Bassist(brief, changes, (facts.low, min(facts.high, facts.low + 24)), rng)
    notes: list[Note] = []
    for section in sections:
        notes += player.section(section)
    return notes


class _Bassist:
    """One line while it is written; a kind of section keeps its pattern."""

    def __init__(
        self,
        brief: Brief,
        changes: Sequence[Change],
        ends: tuple[int, int],
        rng: np.random.Generator,
    ):
        self.brief, self.changes, self.ends, self.rng = brief, changes, ends, rng
        self.patterns = rhythm_of(brief.style, brief.meter)["bass"]
        self.mood = MOODS.get(brief.mood, MOODS[""])
        self.chosen: dict[str, str] = {}
        self.low_around = float(np.clip(ends[0] + 8, 33, 40))
        self.last = self.low_around

    def section(self, section: Section) -> list[Note]:
        """One section; an intro begins with the bass only where there is energy for it."""
        if section.kind in ("intro", "break") and section.energy < 0.42:
            return []
        pattern = self._pattern(section)
        notes: list[Note] = []
        for bar in range(section.start, section.end):
            if pattern == "walk":
                notes += self._walk(bar, section)
            else:
                notes += self._played(pattern, bar, section)
        return notes

    def _pattern(self, section: Section) -> str:
        if section.kind not in self.chosen:
            spread = section.energy * len(self.patterns) - 0.3 + self.rng.normal(0, 0.35)
            level = int(np.clip(spread, 0, len(self.patterns) - 1))
            self.chosen[section.kind] = self.patterns[level]
        return self.chosen[section.kind]

    def _played(self, pattern: str, bar: int, section: Section) -> list[Note]:
        steps = self.brief.meter * 4
        repeats = len(pattern) // steps
        part = pattern[bar % repeats * steps :][:steps]
        notes = []
        for hit in hits(part):
            beat = bar * self.brief.meter + hit.step / 4
            length = hit.length / 4 * (0.72 if hit.length == 1 else 0.93)
            pitch = self._pitch(hit.sign, beat, bar)
            accent = 6 if hit.step == 0 else -4 if hit.step % 2 else 0
            notes.append(self._note(beat, length, pitch, accent, section))
        return notes

    def _pitch(self, sign: str, beat: float, bar: int) -> int:
        given = at(self.changes, beat)
        root = into(nearest(given.root, self.low_around), *self.ends)
        if sign == "a":
            following = at(self.changes, (bar + 1) * self.brief.meter)
            return self._approach(root, following.root)
        pitch = root + given.step(sign)
        if sign in "567" and pitch - 12 >= self.ends[0] and pitch > self.low_around + 7:
            pitch -= 12
        return into(pitch, *self.ends)

    def _approach(self, root: int, following: int) -> int:
        """A step below or above the next root, in the key, now and then chromatic."""
        target = into(nearest(following, self.low_around), *self.ends)
        way = -1 if target >= root else 1
        scale = self.brief.tonality.scale
        chromatic = self.rng.random() < 0.3
        pitch = target + way
        if not chromatic and pitch % 12 not in scale and (target + 2 * way) % 12 in scale:
            pitch = target + 2 * way
        return into(pitch, *self.ends)

    def _walk(self, bar: int, section: Section) -> list[Note]:
        """Four notes: the root, two on the way, one beside the next root."""
        meter = self.brief.meter
        notes = []
        target = at(self.changes, (bar + 1) * meter).root
        for beat in range(meter):
            when = bar * meter + beat
            given = at(self.changes, when)
            starts = (
                any(abs(change.start - when) < 1e-6 for change in self.changes[:1]) or beat == 0
            )
            changed = beat > 0 and at(self.changes, when - 1) != given
            if starts or changed:
                pitch = into(nearest(given.root, (self.last + self.low_around + 3) / 2), *self.ends)
            elif beat == meter - 1:
                pitch = into(self._beside(target), *self.ends)
            else:
                pitch = self._between(given.classes, target)
            self.last = pitch
            notes.append(self._note(when, 0.94, pitch, 4 if beat % 2 == 0 else 0, section))
            if beat and self.rng.random() < 0.07 * self.mood.density:
                notes.append(self._note(when + 0.5, 0.25, pitch, -14, section))
        return notes

    def _beside(self, target: int) -> int:
        goal = nearest(target, self.last)
        return goal + int(draw(self.rng, (-1, 1, 2 if goal < self.last else -2, -1)))

    def _between(self, classes: tuple[int, ...], target: int) -> int:
        """A chord or scale note a step or a third on, in the direction of the next root."""
        goal = nearest(target, self.last)
        scale = set(self.brief.tonality.scale) | set(classes)
        options = [
            p
            for p in range(int(self.last) - 5, int(self.last) + 6)
            if p % 12 in scale and p != self.last
        ]
        options = [p for p in options if self.ends[0] <= p <= self.ends[1]] or [int(self.last)]
        away = np.array([0.5 * abs(p - goal) + (0 if p % 12 in classes else 1.0) for p in options])
        away = away + self.rng.uniform(0, 2.5, len(options))
        return options[int(away.argmin())]

    def _note(
        self, beat: float, length: float, pitch: int, accent: float, section: Section
    ) -> Note:
        level = LEVEL + 0.5 * self.mood.velocity + accent + 14 * (section.energy - 0.6)
        return Note(float(beat), float(length), int(pitch), int(np.clip(level, 35, 122)))
