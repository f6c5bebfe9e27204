"""A piece as notes: what is written once and then played, drawn, saved as MIDI or gone on from.

Time is in beats from the start. ``Score.seconds`` says when a beat sounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from engines.music.composer.theory import Chord, Key

DRUMS, BASS, COMP, ARP, PAD, LEAD, ANSWER, TEXTURE = PARTS = (
    "drums", "bass", "comp", "arp", "pad", "lead", "answer", "texture"
)  # fmt: skip
VERSION = 1


@dataclass(frozen=True)
class Brief:
    """What to write, everything decided.

    ``cast`` names the instruments of each part. ``meter`` is beats a bar. ``form`` lists sections where
    somebody asked for them. A ``loop`` has no ending.
    """

    style: str
    mood: str
    energy: str
    key: str
    tempo: float
    cast: tuple[tuple[str, tuple[str, ...]], ...]
    duration_s: float
    seed: int
    meter: int = 4
    form: tuple[str, ...] = ()
    loop: bool = False
    curve: str = ""

    def players(self, part: str) -> tuple[str, ...]:
        """The instruments of a part; none where the piece has no such part."""
        return dict(self.cast).get(part, ())

    @property
    def drummed(self) -> bool:
        """Whether nothing in it has a pitch: such a piece has no last chord and goes on to its end."""
        return all(part in (DRUMS, TEXTURE) for part, _ in self.cast)

    @property
    def tonality(self) -> Key:
        """The key as pitch classes."""
        return Key.parse(self.key)


@dataclass(frozen=True)
class Section:
    """A stretch of ``bars`` bars from bar ``start`` on; ``energy`` is 0 to 1; ``pass_`` counts the
    sections of the same kind before it."""

    kind: str
    start: int
    bars: int
    energy: float
    pass_: int = 0

    @property
    def end(self) -> int:
        """The bar after its last one."""
        return self.start + self.bars


@dataclass(frozen=True)
class Change:
    """A chord from beat ``start`` for ``length`` beats."""

    start: float
    length: float
    chord: Chord


@dataclass(frozen=True)
class Note:
    """One note, in beats, with its MIDI pitch (a key of the General MIDI drum map in drums)."""

    start: float
    length: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Track:
    """The notes of one instrument in one part."""

    part: str
    instrument: str
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Score:
    """A whole piece. ``seeds`` says which parts have a seed of their own; ``slowing`` is how many beats
    at the end become slower."""

    brief: Brief
    sections: tuple[Section, ...]
    changes: tuple[Change, ...]
    tracks: tuple[Track, ...]
    seeds: Mapping[str, int] = field(default_factory=dict)
    slowing: float = 0.0

    @property
    def bars(self) -> int:
        """Number of bars, the last chord's with them."""
        return self.sections[-1].end

    @property
    def beats(self) -> float:
        """Beats up to the bar in which the last chord rings."""
        return float(self.bars * self.brief.meter)

    def seconds(self, beats: np.ndarray | float) -> np.ndarray:
        """When beats sound. A piece that slows down does so evenly, to two thirds of its tempo."""
        beats = np.asarray(beats, dtype=np.float64)
        plain = beats * 60 / self.brief.tempo
        if not self.slowing:
            return plain
        last = self.beats - self.brief.meter  # the beat of the final chord
        into_it = np.clip(beats - (last - self.slowing), 0, self.slowing)
        return plain + into_it**2 / self.slowing * 0.25 * 60 / self.brief.tempo

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, for ``from_dict``."""
        return {"version": VERSION} | asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Score:
        """The score that ``to_dict`` described; raises ``ValueError`` for another version."""
        if values.get("version") != VERSION:
            raise ValueError(f"This score is of version {values.get('version')}, not {VERSION}.")
        brief = dict(values["brief"])
        brief["cast"] = tuple((part, tuple(names)) for part, names in brief["cast"])
        brief["form"] = tuple(brief["form"])
        return cls(
            brief=Brief(**brief),
            sections=tuple(Section(**each) for each in values["sections"]),
            changes=tuple(
                Change(each["start"], each["length"], _chord(each["chord"]))
                for each in values["changes"]
            ),
            tracks=tuple(
                Track(each["part"], each["instrument"], tuple(Note(**n) for n in each["notes"]))
                for each in values["tracks"]
            ),
            seeds=dict(values["seeds"]),
            slowing=values["slowing"],
        )

    def with_tracks(self, tracks: tuple[Track, ...]) -> Score:
        """The same piece with other notes."""
        return replace(self, tracks=tracks)


def _chord(values: Mapping[str, Any]) -> Chord:
    return Chord(values["root"], tuple(values["steps"]), values["suffix"])
