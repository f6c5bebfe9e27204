"""Numbers and names in a free text: keys, tempos, lengths and metres, with where they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from engines.music.composer.theory import TONICS

SPELLED = {
    "a": 1,
    "an": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "forty five": 45,
    "sixty": 60,
    "ninety": 90,
    "half a": 0.5,
    "couple of": 2,
    "a couple of": 2,
}
COUNT = r"(\d+(?:[.,]\d+)?|" + "|".join(sorted(SPELLED, key=len, reverse=True)) + ")"
KEY = re.compile(
    r"(?<![\w'])([a-g])[\s-]?(sharp|flat|#|♯|b|♭)?[\s-]?(major|minor|maj|min|m)\b(?![\w'])"
    r"|\b(?:in|key of|key:)\s+(?:the\s+key\s+of\s+)?([a-g])[\s-]?(sharp|flat|#|♯|b|♭)?"
    r"(?=$|\s*[,.;!?]|\s+(?:at|with|for)\b)"
)
MODE = re.compile(r"\b(major|minor)(?:\s+(?:key|mode|scale|chords?|tonality))?\b")
TEMPO = re.compile(
    r"(\d{2,3})(?:\s*(?:-|to|–)\s*(\d{2,3}))?\s*-?(?:bpm|beats?\s+(?:per|a)\s+minute|b\.p\.m)"
    r"|(?:bpm|tempo)\s*(?:of|is|=|:|at|around|about)?\s*(\d{2,3})\b"
)
BARE_TEMPO = re.compile(
    r"(?<![\d:/.,#'-])\b([6-9]\d|1\d\d)\b(?![:/.]?\d)"
    r"(?!\s*(?:-|s\b|sec|min|bit|bars?\b|%|percent|years?|people|hours?|songs?|tracks?|hz|khz))"
)
LENGTH = re.compile(
    rf"\b(?:(\d{{1,2}}):(\d\d)\s*(?:min|minutes|long)?\b"
    rf"|{COUNT}[\s-]*(?:minutes?|mins?|min)\b(?:\s+and\s+a\s+(half))?(?:\s+(?:and\s+)?{COUNT}\s*(?:seconds?|secs?|s)\b)?"
    rf"|{COUNT}[\s-]*(?:seconds?|secs?|sec)\b|(?<!the )(?<!')(\d{{1,3}})\s?s\b"
    r"(?!\s*(?:style|synth|rock|pop|disco|vibe|music|feel)))"
)
DECADES = (50, 60, 70, 80, 90)
METER = re.compile(r"\b(?:waltz(?:es)?|3/4|6/8|three[\s-]four|in three|triple meter|triple time)\b")
SLOWEST, FASTEST = 30, 260
LONGEST_S = 600


@dataclass(frozen=True)
class Span:
    """A value and where it stands in the text."""

    value: Any
    start: int
    end: int


def key_spans(text: str) -> list[Span]:
    """Keys such as ``"F sharp minor"``, or ``"minor"`` where only the mode is said."""
    spans = []
    for match in KEY.finditer(text):
        letter, accidental, mode, bare, bare_accidental = match.groups()
        name = (letter or bare).upper() + {
            "": "",
            "s": " sharp",
            "#": " sharp",
            "♯": " sharp",
            "f": " flat",
            "b": " flat",
            "♭": " flat",
        }[(accidental or bare_accidental or "")[:1]]
        minor = mode in ("minor", "min", "m")
        if name not in TONICS or (
            letter == "a"
            and mode in ("major", "minor")
            and not accidental
            and _article(text, match)
        ):
            continue
        spans.append(Span(_in_vocabulary(name, minor), match.start(), match.end()))
    if spans:
        return spans
    return [Span(match.group(1), match.start(), match.end()) for match in MODE.finditer(text)]


def _article(text: str, match: re.Match[str]) -> bool:
    """Whether the ``a`` of "in a minor key" is an article."""
    after = text[match.end() :].lstrip()
    return after.startswith(("key", "scale", "mode", "chord", "feel", "mood", "tonality"))


def _in_vocabulary(name: str, minor: bool) -> str:
    """A key as the vocabulary of prompts spells it."""
    tonic = TONICS[name]
    major = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")
    minors = (
        "C",
        "C sharp",
        "D",
        "E flat",
        "E",
        "F",
        "F sharp",
        "G",
        "G sharp",
        "A",
        "B flat",
        "B",
    )
    return f"{(minors if minor else major)[tonic]} {'minor' if minor else 'major'}"


def tempo_spans(text: str) -> list[Span]:
    """Tempos in beats a minute; of a range the middle."""
    spans = []
    for match in TEMPO.finditer(text):
        first, last, named = match.groups()
        values = [float(each) for each in (first or named, last) if each]
        tempo = sum(values) / len(values)
        if SLOWEST <= tempo <= FASTEST:
            spans.append(Span(tempo, match.start(), match.end()))
    return spans


def bare_tempo_spans(text: str) -> list[Span]:
    """A number on its own that can be nothing but a tempo, as in "techno 132"."""
    return [
        Span(float(match.group(1)), match.start(), match.end())
        for match in BARE_TEMPO.finditer(text)
    ]


def length_spans(text: str) -> list[Span]:
    """Lengths in seconds; "the 80s" is a decade."""
    spans = []
    for match in LENGTH.finditer(text):
        minutes, seconds, count, half, rest, plain, short = match.groups()
        if minutes:
            length = 60 * float(minutes) + float(seconds)
        elif count:
            length = 60 * _count(count) + 30 * bool(half) + (_count(rest) if rest else 0)
        elif plain:
            length = _count(plain)
        else:
            length = float(short)
            if (
                short
                and int(short) in DECADES
                and "long" not in text[match.end() : match.end() + 8]
            ):
                continue
        if 1 <= length <= LONGEST_S:
            spans.append(Span(length, match.start(), match.end()))
    return spans


def _count(text: str) -> float:
    return float(SPELLED[text]) if text in SPELLED else float(text.replace(",", "."))


def meter_spans(text: str) -> list[Span]:
    """Three beats a bar, where that is asked for."""
    return [Span(3, match.start(), match.end()) for match in METER.finditer(text)]
