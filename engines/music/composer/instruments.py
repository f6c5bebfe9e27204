"""The instruments of the composer: which sound, which range, which place in the mix."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).parent / "assets"


@functools.cache
def knowledge() -> dict[str, Any]:
    """Sounds of the sampler, instruments and the keys of drums."""
    known: dict[str, Any] = json.loads((ASSETS / "instruments.json").read_text(encoding="utf-8"))
    return known


@dataclass(frozen=True)
class Instrument:
    """One instrument; pitches are MIDI's, ``vibrato`` is in cents, ``strum`` and ``short`` in seconds."""

    name: str
    family: str
    sound: str = ""
    low: int = 0
    high: int = 127
    home: int = 60
    level: float = 0.0
    decays: bool = False
    strum: float = 0.0
    short: float = 0.0
    vibrato: float = 0.0
    kit: bool = False
    taiko: bool = False
    only: tuple[str, ...] = ()
    effect: str = ""
    noise: str = ""
    words: str = ""


@functools.cache
def instrument(name: str, style: str = "") -> Instrument:
    """An instrument with the sound that it has in ``style``; raises ``KeyError`` for an unknown name."""
    facts = dict(knowledge()["instruments"][name])
    sounds = facts.pop("styles", {})
    facts["sound"] = sounds.get(style, facts.get("sound", ""))
    facts["only"] = tuple(facts.get("only", ()))
    return Instrument(name=name, **facts)


def names() -> tuple[str, ...]:
    """All instruments that the composer plays."""
    return tuple(knowledge()["instruments"])
