"""From attributes to a brief: what a text leaves open is chosen as suits the style, by the seed.

An instrument that is named always plays. Parts that nobody named are filled as the style has them, unless
the text wants only what it names or bars them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.music.composer.compose import derived
from engines.music.composer.instruments import instrument, names
from engines.music.composer.score import (
    ANSWER,
    ARP,
    BASS,
    COMP,
    DRUMS,
    LEAD,
    PAD,
    PARTS,
    TEXTURE,
    Brief,
)
from engines.music.composer.styles import ENERGIES, MOODS, draw, style, styles
from engines.music.composer.understand import Attributes

KEYS = ("C", "D", "E flat", "E", "F", "G", "A", "B flat")
MINORS = ("C", "D", "E", "F", "F sharp", "G", "A", "B", "C sharp")
GUITAR_KEYS = ("E", "A", "D", "G", "C")
DURATION_S = 30.0
SLOWEST, FASTEST = 40.0, 200.0
SLOWER = 0.62  # of the usual tempo, where a text wants it very slow
SHORTEST_S, LONGEST_S = 5.0, 600.0
PADS = ("analog-synth-pad", "vocal-pad", "choir", "acoustic-strings-ensemble", "breath-fx")
LAST_RESORT = ("acoustic-piano", "flute", "kalimba", "choir")
CHORDAL = ("keys", "guitar", "mallets", "synth")
BY_MOOD = {
    "calm": "lo-fi",
    "peaceful": "ambient",
    "dreamy": "ambient",
    "dark": "cinematic",
    "dramatic": "cinematic",
    "epic": "cinematic",
    "tense": "cinematic",
    "mysterious": "cinematic",
    "happy": "pop",
    "uplifting": "pop",
    "energetic": "electronic",
    "aggressive": "rock",
    "playful": "pop",
    "romantic": "acoustic",
    "sad": "acoustic",
    "melancholic": "acoustic",
    "hopeful": "pop",
    "nostalgic": "lo-fi",
}
BY_FAMILY = {
    "strings": "classical",
    "winds": "classical",
    "reeds": "jazz",
    "brass": "orchestral",
    "synth": "synthwave",
    "world": "new age",
    "mallets": "ambient",
    "voice": "ambient",
    "keys": "pop",
    "guitar": "acoustic",
}
QUIET = ("calm", "peaceful", "nostalgic", "hopeful", "romantic", "sad", "melancholic")
ENERGY_OF_MOOD = {
    "calm": "low",
    "peaceful": "low",
    "dreamy": "low",
    "sad": "low",
    "melancholic": "low",
    "energetic": "high",
    "aggressive": "high",
    "epic": "high",
    "uplifting": "high",
}


def brief_of(attributes: Attributes, seed: int, duration_s: float | None = None) -> Brief:
    """Everything decided. ``duration_s`` beats the length that the text names."""
    rng = derived(seed, f"brief {attributes!r}")
    name = _style(attributes, rng)
    mood = attributes.mood if attributes.mood in MOODS else ""
    energy = (
        attributes.energy if attributes.energy in ENERGIES else ENERGY_OF_MOOD.get(mood, "medium")
    )
    meter = attributes.meter or style(name).get("meter", 4)
    length = duration_s or attributes.duration_s or DURATION_S
    form = attributes.form
    return Brief(
        style=name,
        mood=mood,
        energy=energy,
        key=_key(attributes, name, rng),
        tempo=_tempo(attributes, name, energy, rng),
        cast=_cast(attributes, name, energy, rng),
        duration_s=float(np.clip(length, SHORTEST_S, LONGEST_S)),
        seed=seed,
        meter=meter,
        form=form if length >= 2.5 * len(form) else (),
        loop=attributes.loop,
        curve=attributes.curve,
    )


def _style(attributes: Attributes, rng: np.random.Generator) -> str:
    if attributes.style in styles():
        return attributes.style
    named = attributes.lead or attributes.support
    families = [instrument(each).family for each in named]
    for each, family in zip(named, families, strict=True):
        if each == "electric-guitar-distorted":
            return "rock"
        if each in ("808-drums",):
            return "trap"
        if family in BY_FAMILY and not attributes.mood:
            return BY_FAMILY[family]
    if attributes.meter == 3:
        return "waltz"
    if attributes.only and set(families) <= {"keys", "strings", "winds", "reeds"}:
        return "classical"
    unplugged = {"keys", "guitar", "strings", "winds", "reeds"}
    if attributes.mood in QUIET and families and set(families) <= unplugged:
        return "acoustic"
    if attributes.mood in BY_MOOD:
        return BY_MOOD[attributes.mood]
    if families and families[0] in BY_FAMILY:
        return BY_FAMILY[families[0]]
    return str(draw(rng, ("pop", "rock", "acoustic", "lo-fi", "electronic", "soul")))


def _key(attributes: Attributes, name: str, rng: np.random.Generator) -> str:
    if attributes.key:
        return attributes.key
    odds = MOODS.get(attributes.mood, MOODS[""]).minor
    prefers = style(name).get("prefers")
    if not attributes.mood and prefers:
        odds = {"minor": 0.8, "major": 0.08}[prefers]
    minor = attributes.mode == "minor" if attributes.mode else rng.random() < odds
    plucked = any(instrument(each).family == "guitar" for each in attributes.lead)
    tonics = GUITAR_KEYS if plucked else MINORS if minor else KEYS
    return f"{draw(rng, tonics)} {'minor' if minor else 'major'}"


def _tempo(attributes: Attributes, name: str, energy: str, rng: np.random.Generator) -> float:
    if attributes.tempo:
        return float(np.clip(attributes.tempo, SLOWEST, FASTEST))
    slow, usual, fast = style(name)["tempo"]
    pace = attributes.pace
    if pace is None:
        pace = (
            MOODS.get(attributes.mood, MOODS[""]).tempo * 0.8
            + {"low": -0.25, "medium": 0.0, "high": 0.2}[energy]
        )
        pace += rng.normal(0, 0.18)
    else:
        pace = pace + rng.uniform(-0.12, 0.12)
    if pace < 0:
        lowest = min(slow, SLOWER * usual) if attributes.pace else slow
        return float(round(max(usual + (usual - lowest) * max(pace, -1.0), 50.0)))
    highest = max(fast, usual * 1.25) if attributes.pace else fast
    return float(round(min(usual + (highest - usual) * min(pace, 1.0), FASTEST)))


# who plays what


def _cast(
    attributes: Attributes, name: str, energy: str, rng: np.random.Generator
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    known = names()
    lead = [each for each in attributes.lead if each in known]
    support = [each for each in attributes.support if each in known]
    for each in lead:
        _seat(parts, each, True)
    for each in support:
        _seat(parts, each, False)
    if attributes.only and lead:
        _only(parts, lead + support)
    else:
        _fill(parts, attributes, name, energy, rng)
    if parts[COMP] and not parts[LEAD] and not _bars(attributes, "melody"):
        parts[LEAD].append(parts[COMP][0])
    if not any(parts.values()):  # somebody has to play
        parts[LEAD] += [each for each in LAST_RESORT if _allowed(attributes, each)][:1] or ["flute"]
    return tuple((part, tuple(dict.fromkeys(parts[part]))) for part in PARTS if parts[part])


def _seat(parts: dict[str, list[str]], name: str, leads: bool) -> None:
    """The part that an instrument is named for."""
    facts = instrument(name)
    if facts.kit:
        parts[DRUMS].append(name)
    elif facts.noise:
        parts[TEXTURE].append(name)
    elif facts.family == "bass":
        parts[BASS].append(name)
    elif name == "arpeggiator-synth":
        parts[ARP].append(name)
    elif name == "timpani":
        parts[BASS].append(name)
    elif name in PADS:
        parts[PAD].append(name)
    elif facts.family in CHORDAL or name in ("harp", "pizzicato-strings", "brass-section"):
        busy = bool(parts[LEAD]) or not leads
        parts[COMP if busy else LEAD].append(name)
    elif leads or not parts[LEAD]:
        parts[LEAD].append(name)
    else:
        parts[ANSWER].append(name)


def _only(parts: dict[str, list[str]], named: Sequence[str]) -> None:
    """A cast of those named alone: a player of chords accompanies itself, a low one plays the bass."""
    chordal = [each for each in named if instrument(each).family in CHORDAL or each == "harp"]
    if chordal and not parts[COMP]:
        parts[COMP].append(chordal[0])
    if not parts[LEAD]:
        parts[LEAD] += (chordal or parts[PAD] or [])[:1]
    low = [each for each in parts[LEAD] if each in ("cello", "bassoon", "trombone", "tuba")]
    if low and len(parts[LEAD]) > 2 and not parts[BASS]:
        parts[LEAD].remove(low[-1])
        parts[BASS].append(low[-1])


def _bars(attributes: Attributes, what: str) -> bool:
    return what in attributes.without


def _allowed(attributes: Attributes, name: str) -> bool:
    facts = instrument(name)
    barred = set(attributes.without)
    return not ({name, facts.family} & barred or (facts.kit and "drums" in barred))


def _fill(
    parts: dict[str, list[str]],
    attributes: Attributes,
    name: str,
    energy: str,
    rng: np.random.Generator,
) -> None:
    """The style's own players where nobody is named."""
    facts = style(name)

    def pick(options: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
        free = [each for each in options if each not in taken and _allowed(attributes, each)]
        return [draw(rng, free)] if free else []

    named = [each for members in parts.values() for each in members]
    if not parts[LEAD] and not _bars(attributes, "melody"):
        parts[LEAD] += pick(facts["lead"], parts[PAD])
    if not parts[COMP]:
        own = [
            each
            for each in parts[LEAD]
            if each in facts["comp_by"]
            or (each in named and instrument(each).family in ("keys", "guitar"))
        ]
        others = [each for each in facts["comp_by"] if each not in parts[PAD]]
        odds = 0.7 if own and own[0] in named and energy == "low" else 0.35
        shares = own and (rng.random() < odds or not others) and energy != "high"
        parts[COMP] += own[:1] if shares else pick(others, parts[LEAD]) or own[:1]
    if not parts[BASS] and not _bars(attributes, "bass"):
        parts[BASS] += pick(facts["bass_by"], parts[LEAD])
    drummed = not facts.get("drumless") or (energy == "high" and name != "ambient" and not named)
    partly = parts[DRUMS] and all(instrument(each).only for each in parts[DRUMS])
    fits = partly or (drummed and not parts[DRUMS] and not _quiet(attributes, energy))
    if fits and not _bars(attributes, "drums") and _allowed(attributes, facts["kit"]):
        parts[DRUMS].append(facts["kit"])
    if not parts[PAD] and rng.random() < facts.get("pad_odds", 0.5):
        parts[PAD] += pick(facts["pad_by"], [*parts[LEAD], *parts[COMP]])
    if not parts[ANSWER] and rng.random() < {"low": 0.25, "medium": 0.45, "high": 0.55}[energy]:
        parts[ANSWER] += pick(facts["answer_by"], [*parts[LEAD], *parts[COMP], *parts[PAD]])
    if not parts[ARP] and rng.random() < facts.get("arp_odds", 0.25):
        parts[ARP] += pick(facts["arp_by"], [*parts[LEAD], *parts[COMP]])
    if not parts[TEXTURE] and not _bars(attributes, "texture"):
        parts[TEXTURE] += pick(facts.get("texture_by", ()))


def _quiet(attributes: Attributes, energy: str) -> bool:
    """Whether a piece of few soft players would be drowned by a kit."""
    soft = {"acoustic", "folk", "country", "soul", "gospel"}
    return energy == "low" and attributes.style in soft and bool(attributes.lead)
