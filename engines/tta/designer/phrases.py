"""Phrases of time, number and manner in a description of a scene."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engines.tta.designer.kinds import controls

NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "half a": 0.5,
}  # fmt: skip
COUNTS = {
    r"once": 1, r"twice": 2, r"thrice": 3, r"a couple(?: of)?(?: times)?": 2, r"a few(?: times)?": 3,
    r"several(?: times)?": 4, r"repeatedly|again and again": 5, r"many(?: times)?": 8,
}  # fmt: skip
N = r"(\d+(?:\.\d+)?)"
UNIT = r"\s*(milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|min)\b"
MAYBE = rf"(?:{UNIT})?"


@dataclass
class Said:
    """What a clause says of time: intervals, onsets, a delay after what came before, a length, a period,
    an end, a start without an end; all in seconds."""

    intervals: list[tuple[float, float]] = field(default_factory=list)
    onsets: list[float] = field(default_factory=list)
    delay: float | None = None
    length: float | None = None
    period: float | None = None
    until: float | None = None
    since: float | None = None
    pause: float | None = None
    throughout: bool = False

    def add(self, other: Said) -> None:
        """Take over what another phrase says."""
        self.intervals += other.intervals
        self.onsets += other.onsets
        self.throughout |= other.throughout
        for name in ("delay", "length", "period", "until", "since", "pause"):
            value = getattr(other, name)
            setattr(self, name, getattr(self, name) if value is None else value)


def seconds(value: str, unit: str | None) -> float:
    """A number with its unit in seconds."""
    short = (unit or "s").lower()
    milli = short.startswith(("ms", "milli"))
    return float(value) * (0.001 if milli else 60.0 if short.startswith("mi") else 1.0)


def _pairs(match: re.Match) -> Said:
    unit = next((word for word in re.findall(UNIT, match[0])), None)
    pairs = re.findall(rf"{N}{MAYBE}\s*(?:-|–|to|until|till|and)\s*{N}", match["list"])
    return Said(intervals=[(seconds(a, first or unit), seconds(b, unit)) for a, first, b in pairs])


def _moments(match: re.Match) -> Said:
    unit = next((word for word in re.findall(UNIT, match[0])), None)
    return Said(onsets=[seconds(value, unit) for value in re.findall(N, match[0])])


def _one(name: str) -> Callable[[re.Match], Said]:
    def said(match: re.Match) -> Said:
        one = Said()
        setattr(one, name, seconds(match[1], match[2]))
        return one

    return said


JOIN = r"\s*(?:,\s*and|,|and|&)\s*"
SPAN = rf"{N}{MAYBE}\s*(?:-|–|to|until|till)\s*{N}{MAYBE}"
PHRASES: tuple[tuple[re.Pattern, Callable[[re.Match], Said]], ...] = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (rf"\bbetween (?P<list>{N}{MAYBE} and {N}{MAYBE})", _pairs),
        (rf"(?:\b(?:at|from|during)\s+)(?P<list>{SPAN}(?:{JOIN}(?:at |from )?{SPAN})*)", _pairs),
        (rf"(?P<list>{N}{MAYBE}\s*(?:-|–|to|until|till)\s*{N}{UNIT})", _pairs),
        (
            rf"\b(?:at|from|since) {N}{MAYBE} (?:on|onwards?|until the end|to the end)\b",
            _one("since"),
        ),
        (rf"\bpauses? (?:of |for )?{N}{UNIT}", _one("pause")),
        (rf"\bsilence (?:of |for )?{N}{UNIT}", _one("pause")),
        (rf"{N}{UNIT} (?:of )?(?:silence|pause)\b", _one("pause")),
        (rf"\bevery {N}{UNIT}", _one("period")),
        (rf"{N}{UNIT} apart\b", _one("period")),
        (rf"\bafter {N}{UNIT}", _one("delay")),
        (rf"{N}{UNIT} (?:later|after(?:wards)?)\b", _one("delay")),
        (rf"\b(?:until|till) {N}{UNIT}", _one("until")),
        (rf"\b(?:for|lasting|during) {N}{UNIT}", _one("length")),
        (rf"\b{N}{UNIT}(?: long| of)\b", _one("length")),
        (rf"\bat (?:seconds? )?{N}{MAYBE}(?:{JOIN}(?:at )?{N}{MAYBE})*(?![\d.]| times)", _moments),
        (rf"\bfrom {N}{UNIT}", _one("since")),
        (
            r"\b(?:in the background|throughout|all the time|the whole time|the entire time)\b",
            lambda match: Said(throughout=True),
        ),
    )
)
MARK = "\x01"
MARKED = re.compile(rf"{MARK}(\d+){MARK}")


def mark_times(text: str) -> tuple[str, list[Said]]:
    """``text`` with a mark in place of each phrase of time, and what those say."""
    said: list[Said] = []

    def marked(what: Callable[[re.Match], Said]) -> Callable[[re.Match], str]:
        def replace(match: re.Match) -> str:
            said.append(what(match))
            kept = "background" if "background" in match[0] else ""  # which is a manner too
            return f" {MARK}{len(said) - 1}{MARK} {kept} "

        return replace

    for pattern, what in PHRASES:
        # what is marked already is left alone
        pieces = re.split(rf"({MARK}\d+{MARK})", text)
        text = "".join(
            piece if MARKED.fullmatch(piece) else pattern.sub(marked(what), piece)
            for piece in pieces
        )
    return text, said


def in_figures(text: str) -> str:
    """``text`` in lower case with figures for numbers in words."""
    text = re.sub(r"\s+", " ", text.lower()) if "\n" not in text else text.lower()
    for words, many in COUNTS.items():
        text = re.sub(rf"\b(?:{words})\b", f"{many} times", text)
    for word, value in NUMBERS.items():
        text = re.sub(rf"\b{word}\b", f"{value:g}", text)
    return text


# --- manner ---------------------------------------------------------------------------------

# each takes the first of its settings that the kind has; gap is a factor; gain, pan and gap are for all kinds
MANNERS: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = (
    (r"loud\w*", (("gain", 6.0),)),
    (r"quiet\w*|soft\w*|faint\w*|background", (("gain", -9.0),)),
    (r"distant\w*|far(?: away| off)?|distance|remote", (("distance", 0.8), ("gain", -12.0))),
    (r"near|nearby|close", (("distance", 0.0),)),
    (r"heavy|heavily|strong\w*|hard|violent\w*|fierce\w*", (("force", 0.9), ("gain", 4.0))),
    (r"light|lightly|gentle|gently|slight\w*|calm", (("force", 0.15), ("gain", -4.0))),
    (r"big|large|huge|giant", (("size", 1.5), ("pitch", 0.7))),
    (r"small|little|tiny", (("size", 0.65), ("pitch", 1.4))),
    (r"high(?:-pitched)?|shrill", (("pitch", 1.5),)),
    (r"deep|low(?:-pitched)?", (("pitch", 0.65),)),
    (r"fast|quick\w*|rapid\w*|hurried\w*", (("speed", 1.6), ("rpm", 2.2), ("gap", 0.45))),
    (r"slow\w*", (("speed", 0.6), ("rpm", 0.6), ("gap", 2.0))),
    (r"metal\w*", (("material", 1.0),)),
    (r"wood\w*", (("material", 0.0),)),
    (r"gravel|snow|leaves", (("gravel", 0.85),)),
    (r"left", (("pan", -0.8),)),
    (r"right", (("pan", 0.8),)),
    (r"huge crowd|hall|stadium", (("crowd", 1.0),)),
)
OTHERS = ("pan", "gap")
FILLERS = re.compile(
    "a|an|the|and|of|in|on|to|with|from|at|is|are|it|its|some|more|there|then|again|this|that|very|by|into|"
    "sounds?|noise|scene|hear|heard|comes?|goes?|starts?|begins?|plays?|door|times?|now|finally|first|s|"
    "seconds?|center|centre|side|middle"
)


def manner(kind: str, clause: str) -> Mapping[str, float]:
    """What the words of a clause say of how ``kind`` sounds."""
    own = {control.name for control in controls(kind)}
    found: dict[str, float] = {}
    for words, settings in MANNERS:
        if re.search(rf"\b(?:{words})\b", clause):
            found.update([each for each in settings if each[0] in own or each[0] in OTHERS][:1])
            found["gain"] = found.get("gain", 0.0) + dict(settings).get("gain", 0.0)
    return found


def strange(clause: str) -> list[str]:
    """The words of a clause that are neither of time, number or manner nor fillers."""
    rest = MARKED.sub(" ", clause)
    for words, _ in MANNERS:
        rest = re.sub(rf"\b(?:{words})\b", " ", rest)
    return [word for word in re.findall(r"[a-zà-ÿ]+", rest) if not FILLERS.fullmatch(word)]
