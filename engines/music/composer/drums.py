"""Drums: grooves by energy, fills where sections end, rolls that build up, crashes where they begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engines.music.composer.instruments import instrument, knowledge
from engines.music.composer.score import DRUMS, Brief, Note, Section
from engines.music.composer.styles import MOODS, draw, hits, rhythm_of, style

LEVEL = 88
SIGNS = {"X": 14, "x": 0, "o": -26}
QUIETER = {"hat": -10, "shaker": -16, "ride": -8, "tambourine": -16, "open": -8, "rim": -6, "clave": -14,
           "conga": -8, "pedal": -14, "cowbell": -14, "brush": -10, "crash": -6, "timbale": -12}  # fmt: skip
FILLS = (
    {"snare": "............xxXX"},
    {"high-tom": "........x.x.....", "tom": "............x...", "low-tom": "..............X."},
    {"snare": "........x.xx....", "tom": "............xx..", "low-tom": "..............XX"},
    {"snare": "........xxxx....", "kick": "........X...X...", "low-tom": "............X.X."},
    {"snare": "....x..x..x.X.xX"},
    {"high-tom": "xx......xx......", "tom": "....xx......xx..", "snare": "..xx......xx..XX"},
)
SPARSE = ({"rim": "............x.x."}, {"snare": "..............xx"}, {"kick": "............x.x."})
OWN = {"kick": "X...x...X...x...", "snare": "X.xxX.x.X.xxX.xx", "hat": "x.x.x.x.x.x.x.x.",
       "crash": "X...............", "tom": "x.......x.x.x..."}  # fmt: skip
ROLLS = ("x...x...x...x...", "x.x.x.x.x.x.x.x.", "xxxxxxxxxxxxxxxx")


def drums(
    brief: Brief, sections: Sequence[Section], rng: np.random.Generator
) -> list[tuple[str, list[Note]]]:
    """The strokes of the whole piece, by instrument."""
    names = brief.players(DRUMS)
    kits = {name: instrument(name, brief.style) for name in names}
    drummer = _Drummer(brief, rng)
    strokes = [
        stroke for index in range(len(sections)) for stroke in drummer.section(sections, index)
    ]
    keys = knowledge()["drum_keys"]
    written = []
    for name, kit in kits.items():
        others = {each for other in kits.values() if other is not kit for each in other.only}
        mine = [
            Note(beat, 0.2, keys[drum], velocity)
            for drum, beat, velocity in strokes
            if (drum in kit.only if kit.only else drum not in others)
        ]
        if not mine and kit.only:
            mine = [
                Note(beat, 0.2, keys[drum], velocity)
                for drum, beat, velocity in drummer.alone(kit.only, sections)
            ]
        written.append((name, mine))
    return written


class _Drummer:
    """One player; strokes are drum, beat and velocity."""

    def __init__(self, brief: Brief, rng: np.random.Generator):
        self.brief, self.rng = brief, rng
        self.grooves: list[Mapping[str, str]] = rhythm_of(brief.style, brief.meter)["drums"]
        self.mood = MOODS.get(brief.mood, MOODS[""])
        self.club = style(brief.style)["form"] == "club"
        self.fill = draw(rng, FILLS)
        self.spread = float(rng.normal(0, 0.3))

    def section(self, sections: Sequence[Section], index: int) -> list[tuple[str, float, int]]:
        """One section with what leads out of it."""
        section = sections[index]
        following = sections[index + 1] if index + 1 < len(sections) else None
        alone = len(sections) == 1
        if section.kind == "break" or (
            section.kind == "intro" and section.energy < 0.3 and not alone
        ):
            return self._entrance(section, following)
        strokes = []
        groove = self._groove(section)
        for bar in range(section.start, section.end):
            last = bar == section.end - 1
            fills = self._fills(section, bar, last, following)
            keep = self.brief.meter * 4 if not fills else self._begins(fills)
            strokes += self._bar(groove, bar, section, keep)
            for drum, pattern in fills.items():
                strokes += self._pattern(drum, pattern, bar, section, 4)
        if section.kind == "build":
            strokes = self._roll(section)
        if section.energy > 0.55 and section.start > 0 and section.kind not in ("outro", "build"):
            strokes.append(
                ("crash", section.start * self.brief.meter, self._level("X", "crash", section))
            )
        return strokes

    def alone(
        self, only: Sequence[str], sections: Sequence[Section]
    ) -> list[tuple[str, float, int]]:
        """A pattern for drums that the style itself has none for."""
        drum = next(each for each in only if each in OWN)
        steps = self.brief.meter * 4
        return [
            stroke
            for section in sections
            for bar in range(section.start, section.end)
            for stroke in self._pattern(drum, OWN[drum][:steps], bar, section, 0)
        ]

    def _groove(self, section: Section) -> Mapping[str, str]:
        position = section.energy * len(self.grooves) - 0.35 + self.spread + self.brief.drummed
        level = int(np.clip(position, 0, len(self.grooves) - 1))
        return self.grooves[level]

    def _bar(
        self, groove: Mapping[str, str], bar: int, section: Section, keep: int
    ) -> list[tuple[str, float, int]]:
        steps = self.brief.meter * 4
        strokes = []
        for drum, pattern in groove.items():
            part = pattern[bar % (len(pattern) // steps) * steps :][:steps]
            if drum == "kick" and self.rng.random() < 0.12 * self.mood.density and not self.club:
                part = self._busier(part)
            strokes += self._pattern(drum, part[:keep], bar, section, 0)
        return strokes

    def _busier(self, pattern: str) -> str:
        """One kick more, on an eighth that is free."""
        free = [step for step in range(2, len(pattern), 2) if pattern[step] == "."]
        if not free:
            return pattern
        step = draw(self.rng, free)
        return pattern[:step] + "x" + pattern[step + 1 :]

    def _pattern(
        self, drum: str, pattern: str, bar: int, section: Section, louder: float
    ) -> list[tuple[str, float, int]]:
        return [
            (
                drum,
                bar * self.brief.meter + hit.step / 4,
                self._level(hit.sign, drum, section, louder + hit.step / 8 * (louder > 0)),
            )
            for hit in hits(pattern)
        ]

    def _level(self, sign: str, drum: str, section: Section, louder: float = 0.0) -> int:
        level = LEVEL + SIGNS[sign] + QUIETER.get(drum, 0) + 0.6 * self.mood.velocity
        level += 16 * (section.energy - 0.6) + louder
        return int(np.clip(level + self.rng.normal(0, 2.5), 18, 124))

    # fills

    def _fills(
        self, section: Section, bar: int, last: bool, following: Section | None
    ) -> Mapping[str, str]:
        """What replaces the groove in a bar: at the end of a section, and lightly every fourth bar."""
        if self.brief.meter != 4 or section.kind == "build" or section.bars < 2:
            return {}
        if last and following is not None and section.bars >= 2:
            rises = following.energy >= section.energy
            if self.club or section.energy < 0.4:
                return draw(self.rng, SPARSE) if rises else {}
            return self.fill if rises and self.rng.random() < 0.6 else draw(self.rng, FILLS[:5])
        inside = (bar - section.start) % 4 == 3
        if inside and not last and self.rng.random() < 0.35 * self.mood.density * section.energy:
            return draw(
                self.rng, SPARSE if self.club or section.energy < 0.6 else (*SPARSE, FILLS[0])
            )
        return {}

    @staticmethod
    def _begins(fills: Mapping[str, str]) -> int:
        return min(hits(pattern)[0].step for pattern in fills.values())

    def _roll(self, section: Section) -> list[tuple[str, float, int]]:
        """A snare that strikes faster and louder up to the end of the section."""
        strokes = []
        for bar in range(section.start, section.end):
            share = (bar - section.start + 1) / section.bars
            pattern = ROLLS[min(int(share * len(ROLLS) - 1e-6), 2)][: self.brief.meter * 4]
            for hit in hits(pattern):
                rise = (bar - section.start + hit.step / 16) / section.bars
                velocity = int(np.clip(48 + 58 * rise + self.rng.normal(0, 2), 20, 120))
                strokes.append(("snare", bar * self.brief.meter + hit.step / 4, velocity))
            if share < 1:
                strokes += self._pattern(
                    "kick", "X...X...X...X..."[: self.brief.meter * 4], bar, section, 0
                )
        return strokes

    def _entrance(
        self, section: Section, following: Section | None
    ) -> list[tuple[str, float, int]]:
        """A section without drums ends with what calls the next one in."""
        if following is None or following.energy < 0.45 or self.brief.meter != 4:
            return []
        bar = section.end - 1
        return [
            s
            for drum, p in draw(self.rng, SPARSE).items()
            for s in self._pattern(drum, p, bar, section, 6)
        ]
