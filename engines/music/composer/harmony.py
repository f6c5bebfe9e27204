"""Chords: progressions with cadences, and voicings that move as little as they can."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from engines.music.composer.score import Brief, Change, Section
from engines.music.composer.styles import draw, style
from engines.music.composer.theory import Chord, chord, ninth

LIKE = {
    "intro": "verse",
    "solo": "verse",
    "outro": "chorus",
    "break": "chorus",
    "build": "bridge",
    "drop": "chorus",
}
FINAL = {"seventh": "triad", "power": "power", "ninth": "seventh"}  # a last chord is plainer
HALF = ("V", "V7", "7sus4")


def harmony(
    brief: Brief, sections: Sequence[Section], rng: np.random.Generator
) -> tuple[Change, ...]:
    """The chords of a whole piece. What comes back has the chords that it had."""
    facts = style(brief.style)
    chosen: dict[str, list[str]] = {}
    numerals: list[str] = []
    for index, section in enumerate(sections):
        kind = LIKE.get(section.kind, section.kind)
        mode = facts["minor" if brief.tonality.minor else "major"]
        kind = kind if kind in mode else "verse"
        if kind not in chosen:
            options = _at_home(mode, kind) if index == 0 or len(sections) < 3 else mode[kind]
            others = [each for each in options if each.split() not in chosen.values()]
            chosen[kind] = draw(rng, others or options).split()
        following = sections[index + 1].kind if index + 1 < len(sections) else ""
        numerals += _stretch(chosen[kind], section, following, brief)
    if not brief.loop:
        numerals[-1] = "i" if brief.tonality.minor else "I"
        if len(numerals) > 2:
            numerals[-2] = _cadence(numerals[-2], numerals[-3], brief)
    return _changes(numerals, brief, facts["color"])


def _at_home(mode: Mapping[str, list[str]], kind: str) -> list[str]:
    """Progressions that begin on the tonic, so that a piece says at once which key it is in."""
    options = [*mode[kind], *(mode["verse"] if kind != "verse" else [])]
    return [each for each in options if re.match(r"[iI](?![iIvV])", each)] or options


def _stretch(progression: list[str], section: Section, following: str, brief: Brief) -> list[str]:
    """A progression over the bars of a section, its end turned to what follows."""
    bars = [progression[bar % len(progression)] for bar in range(section.bars)]
    whole = len(progression) in (section.bars, 12)
    opens = following in ("chorus", "drop", "verse") and section.kind in (
        "verse",
        "bridge",
        "build",
    )
    if (
        opens
        and section.bars >= 4
        and not whole
        and brief.style not in ("techno", "funk", "ambient")
    ):
        bars[-1] = "V7" if brief.style in ("classical", "gospel", "jazz", "waltz") else "V"
    return bars


def _cadence(given: str, before: str, brief: Brief) -> str:
    """The chord before the last one: dominant or subdominant, whatever the style ends with."""
    minor = brief.tonality.minor
    if given.startswith(("V", "IV", "iv", "v", "bVII")) and given not in (
        "VI",
        "vi",
        "VI7",
        "vi7",
        "VIM7",
    ):
        return given
    if brief.style in ("techno", "funk", "ambient", "new age", "house"):
        return given
    plagal = brief.style in (
        "gospel",
        "rock",
        "folk",
        "cinematic",
    ) and not before.upper().startswith("IV")
    return (
        ("iv" if minor else "IV")
        if plagal
        else "V7"
        if style(brief.style)["color"] != "power"
        else "V"
    )


def _changes(numerals: Sequence[str], brief: Brief, color: str) -> tuple[Change, ...]:
    changes, meter, key = [], brief.meter, brief.tonality
    for bar, text in enumerate(numerals):
        names = text.split(",")
        last = bar == len(numerals) - 1 and not brief.loop
        for index, name in enumerate(names):
            made = chord(
                name,
                key,
                FINAL.get(color, color) if last else "seventh" if color == "ninth" else color,
            )
            if (
                color == "ninth"
                and not last
                and made.steps[-1] in (10, 11)
                and _fits_ninth(made, brief)
            ):
                made = ninth(made)
            length = meter / len(names)
            changes.append(Change(bar * meter + index * length, length, made))
    return tuple(changes)


def _fits_ninth(made: Chord, brief: Brief) -> bool:
    return (made.root + 14) % 12 in brief.tonality.scale


def at(changes: Sequence[Change], beat: float) -> Chord:
    """The chord that sounds at a beat."""
    return _find(changes, beat).chord


def _find(changes: Sequence[Change], beat: float) -> Change:
    low, high = 0, len(changes) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if changes[middle].start <= beat + 1e-6:
            low = middle
        else:
            high = middle - 1
    return changes[low]


def voicings(
    changes: Sequence[Change], low: int, high: int, voices: int, around: float
) -> list[tuple[int, ...]]:
    """A voicing for each chord, pitches from below: close to ``around``, each close to the one before."""
    found: list[tuple[int, ...]] = []
    before: tuple[int, ...] = ()
    for change in changes:
        before = min(
            _options(change.chord, low, high, voices, round(around)),
            key=lambda each: (_distance(each, before, around), each),
        )
        found.append(before)
    return found


def _distance(pitches: tuple[int, ...], before: tuple[int, ...], around: float) -> float:
    centre = abs(sum(pitches) / len(pitches) - around)
    if not before:
        return centre
    if len(before) == len(pitches):
        moved = sum(abs(a - b) for a, b in zip(pitches, before, strict=True))
    else:
        moved = 2 * abs(pitches[-1] - before[-1]) + abs(pitches[0] - before[0])
    parallel = len({a - b for a, b in zip(pitches, before, strict=False)}) == 1 and moved > 0
    return (
        moved
        + 0.35 * centre
        + 1.2 * abs(pitches[-1] - before[-1]) * 0.3
        + (2.0 if parallel else 0.0)
    )


@lru_cache(maxsize=4096)
def _options(
    given: Chord, low: int, high: int, voices: int, around: int
) -> tuple[tuple[int, ...], ...]:
    """Close and open positions of a chord in a range; the root goes first where there are too many notes."""
    classes = list(given.classes)
    if len(classes) > voices and len(classes) > 3:
        fifth = (given.root + 7) % 12
        for least in (fifth, given.root):
            if len(classes) > voices and least in classes:
                classes.remove(least)
    classes = classes[:voices] if len(classes) > voices else classes
    doubled = classes + classes[: max(voices - len(classes), 0)]
    options = set()
    for base in range(max(low, around - 14), min(high, around + 8)):
        for order in itertools.permutations(range(len(doubled))):
            pitches = _stacked([doubled[n] for n in order], base)
            if (
                pitches
                and pitches[-1] <= high
                and pitches[-1] - pitches[0] <= 17
                and _is_spread(pitches)
            ):
                options.add(pitches)
    if not options:
        options.add(tuple(sorted({low + (each - low) % 12 for each in classes})))
    return tuple(sorted(options))


def _stacked(classes: list[int], base: int) -> tuple[int, ...]:
    pitches, bottom = [], base
    if classes[0] != base % 12:
        return ()
    for each in classes:
        pitch = bottom + (each - bottom) % 12
        pitches.append(pitch)
        bottom = pitch + 1
    return tuple(pitches)


def _is_spread(pitches: tuple[int, ...]) -> bool:
    """No cluster of half tones at the bottom, at most one in all, no hole of more than a ninth."""
    gaps = [b - a for a, b in itertools.pairwise(pitches)]
    if gaps and gaps[0] < 3 and pitches[0] < 55:
        return False
    return gaps.count(1) <= 1 and all(gap <= 10 for gap in gaps) and (not gaps or gaps[-1] > 1)
