"""What the composer knows of styles, moods and energies."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engines.music.composer.instruments import ASSETS

ENERGIES = ("low", "medium", "high")


@dataclass(frozen=True)
class Mood:
    """How a mood bends a piece: odds of a minor key, loudness in velocities, notes for each usual one,
    semitones that melodies lie higher, how long notes are held, and tempo beside the usual one."""

    minor: float
    velocity: float
    density: float
    register: float
    legato: float
    tempo: float


MOODS = {
    "": Mood(0.4, 0, 1.0, 0, 0.95, 0.0),
    "aggressive": Mood(0.9, 16, 1.2, -2, 0.75, 0.5),
    "calm": Mood(0.25, -14, 0.7, 0, 1.05, -0.6),
    "dark": Mood(0.97, -2, 0.85, -5, 1.0, -0.2),
    "dramatic": Mood(0.85, 10, 1.0, -2, 1.0, 0.0),
    "dreamy": Mood(0.3, -10, 0.75, 3, 1.1, -0.5),
    "energetic": Mood(0.4, 12, 1.2, 2, 0.8, 0.6),
    "epic": Mood(0.7, 14, 0.95, 0, 1.0, 0.1),
    "happy": Mood(0.03, 6, 1.1, 4, 0.85, 0.4),
    "hopeful": Mood(0.08, 0, 0.95, 3, 0.98, 0.0),
    "melancholic": Mood(0.95, -9, 0.8, -2, 1.05, -0.6),
    "mysterious": Mood(0.92, -7, 0.75, -3, 1.0, -0.4),
    "nostalgic": Mood(0.35, -5, 0.85, 0, 1.0, -0.2),
    "peaceful": Mood(0.1, -13, 0.7, 2, 1.05, -0.6),
    "playful": Mood(0.06, 3, 1.15, 5, 0.65, 0.4),
    "romantic": Mood(0.3, -5, 0.85, 1, 1.05, -0.4),
    "sad": Mood(0.97, -10, 0.75, -3, 1.05, -0.7),
    "tense": Mood(0.97, 4, 1.0, -4, 0.8, 0.2),
    "uplifting": Mood(0.05, 8, 1.05, 3, 0.9, 0.3),
}


@functools.cache
def _file(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ASSETS / name).read_text(encoding="utf-8"))
    return loaded


def styles() -> tuple[str, ...]:
    """All styles that the composer writes."""
    return tuple(_file("styles.json")["styles"])


@functools.cache
def style(name: str) -> Mapping[str, Any]:
    """The facts of a style with those of its base; raises ``KeyError`` for an unknown one."""
    facts: dict[str, Any] = _file("styles.json")["styles"][name]
    base = style(facts["base"]) if "base" in facts else {}
    merged = {**base, **facts}
    for mode in ("major", "minor"):
        merged[mode] = {**base.get(mode, {}), **facts.get(mode, {})}
    return merged


def rhythm_of(name: str, meter: int) -> Mapping[str, Any]:
    """The style whose patterns are played: in three-four time they are a waltz's."""
    facts = style(name)
    return facts if facts.get("meter", 4) == meter else style("waltz" if meter == 3 else "pop")


def cells(name: str) -> Mapping[str, list[str]]:
    """Rhythms of melodies of one kind."""
    found: Mapping[str, list[str]] = _file("melody.json")[name]
    return found


def draw(rng: np.random.Generator, options: Any) -> Any:
    """One of a sequence."""
    return options[int(rng.integers(len(options)))]


@dataclass(frozen=True)
class Hit:
    """A sign of a pattern: steps from its start, length in steps, and the sign."""

    step: int
    length: int
    sign: str


@functools.cache
def hits(pattern: str) -> tuple[Hit, ...]:
    """What a pattern plays; ``-`` holds the one before, ``.`` is silent."""
    found: list[Hit] = []
    for step, sign in enumerate(pattern):
        if sign == "-" and found and found[-1].step + found[-1].length == step:
            found[-1] = Hit(found[-1].step, found[-1].length + 1, found[-1].sign)
        elif sign not in ".-":
            found.append(Hit(step, 1, sign))
    return tuple(found)
