"""All kinds of events that the sound designer makes, and the person's own samples."""

from __future__ import annotations

import re
from difflib import get_close_matches

from engines.tta.designer import animals, impacts, machines, weather
from engines.tta.designer.kind import PITCH, Control

KINDS = {
    kind.name: kind for kind in (*animals.KINDS, *impacts.KINDS, *machines.KINDS, *weather.KINDS)
}
SAMPLES = tuple(f"sample {number}" for number in range(1, 5))
SAMPLE_CONTROLS = (PITCH,)


def controls(name: str) -> tuple[Control, ...]:
    """The controls of a kind or of a sample."""
    return SAMPLE_CONTROLS if name in SAMPLES else KINDS[name].controls


def known(name: str) -> str:
    """The kind or sample of that name, blanks or underscores; raises ``KeyError`` with what is near."""
    plain = re.sub(r"[\s_]+", " ", name.strip().lower())
    if plain in KINDS or plain in SAMPLES:
        return plain
    mentions = mentioned(plain)
    if len(mentions) == 1 and mentions[0][0] == 0 and mentions[0][1] == len(plain):
        return mentions[0][2]
    near = get_close_matches(plain, [*KINDS, *SAMPLES], n=3, cutoff=0.5)
    raise KeyError(", ".join(near or [*KINDS, *SAMPLES]))


_WORDS = {name: re.compile(rf"\b(?:{kind.words})\b") for name, kind in KINDS.items()}
_SAMPLE = re.compile(r"\bsample (\d+)\b")


def mentioned(text: str) -> list[tuple[int, int, str]]:
    """Where kinds and samples are named in lower-case ``text``: start, end, name. Of two names for the same
    words the longer one counts; a kind that is named twice in a row counts once."""
    found = [
        (match.start(), match.end(), name)
        for name, words in _WORDS.items()
        for match in words.finditer(text)
    ]
    found += [(match.start(), match.end(), match[0]) for match in _SAMPLE.finditer(text)]
    found.sort(key=lambda each: (each[0], -each[1]))
    taken: list[tuple[int, int, str]] = []
    for start, end, name in sorted(found, key=lambda each: each[0] - each[1]):
        if all(end <= other[0] or start >= other[1] for other in taken):
            taken.append((start, end, name))
    taken.sort()
    merged: list[tuple[int, int, str]] = []
    for start, end, name in taken:
        if merged and merged[-1][2] == name:
            merged[-1] = (merged[-1][0], end, name)
        else:
            merged.append((start, end, name))
    return merged
