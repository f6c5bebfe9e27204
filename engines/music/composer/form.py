"""The form of a piece: which sections follow one another, how long each is and how much happens in it."""

from __future__ import annotations

import math

import numpy as np

from engines.music.composer.score import Brief, Score, Section
from engines.music.composer.styles import ENERGIES, style

# weights: how many units of bars a section has; the last of a family goes around for as long as is needed
FORMS: dict[str, tuple[str, ...]] = {
    "song": (
        "chorus",
        "verse chorus",
        "intro verse chorus outro",
        "intro verse chorus verse chorus outro",
        "intro verse chorus verse chorus bridge chorus outro",
        "intro verse chorus verse chorus bridge chorus chorus outro",
        "intro verse chorus verse chorus solo bridge chorus chorus outro",
        "intro verse verse chorus verse chorus solo verse chorus bridge chorus chorus outro",
    ),
    "groove": (
        "chorus",
        "verse chorus",
        "intro verse chorus outro",
        "intro verse chorus verse chorus outro",
        "intro verse chorus verse bridge chorus outro",
        "intro verse chorus verse solo chorus bridge chorus outro",
    ),
    "club": (
        "drop",
        "build drop",
        "intro build drop outro",
        "intro verse build drop outro",
        "intro verse break build drop outro",
        "intro verse break build drop verse break build drop outro",
        "intro verse verse break build drop drop verse break build drop drop outro",
    ),
    "head": (
        "verse",
        "verse bridge",
        "intro verse verse bridge outro",
        "intro verse verse bridge verse outro",
        "intro verse verse bridge verse solo bridge verse outro",
        "intro verse verse bridge verse solo solo bridge verse outro",
    ),
    "chorus12": (
        "verse",
        "verse verse",
        "intro verse verse outro",
        "intro verse solo verse outro",
        "intro verse verse solo solo verse outro",
    ),
    "theme": (
        "verse",
        "verse chorus",
        "verse bridge verse",
        "verse verse bridge verse outro",
        "intro verse verse bridge chorus verse outro",
        "intro verse chorus bridge verse chorus bridge verse outro",
    ),
    "rise": (
        "chorus",
        "verse chorus",
        "intro verse chorus outro",
        "intro verse verse chorus outro",
        "intro verse verse break build chorus outro",
        "intro verse verse chorus break verse build chorus chorus outro",
    ),
    "drift": (
        "verse",
        "verse chorus",
        "intro verse chorus outro",
        "intro verse chorus verse outro",
        "intro verse chorus bridge verse chorus outro",
    ),
}
HALF = ("intro", "outro", "build")  # half a unit long
ENERGY = {
    "intro": 0.3,
    "verse": 0.5,
    "chorus": 0.85,
    "bridge": 0.6,
    "solo": 0.7,
    "outro": 0.35,
    "break": 0.25,
    "build": 0.55,
    "drop": 0.95,
    "theme": 0.6,
}
LEVELS = {"low": -0.18, "medium": 0.0, "high": 0.14}
RING_S = 1.2  # of the last chord, at least


def form(brief: Brief, rng: np.random.Generator) -> tuple[Section, ...]:
    """Sections for the length of ``brief``; the last bar, of the last section, is the final chord."""
    bars = bars_of(brief)
    kinds = brief.form or _kinds(brief, bars, rng)
    lengths = _lengths(kinds, bars, _unit(brief))
    sections: list[Section] = []
    start = 0
    for index, (kind, length) in enumerate(zip(kinds, lengths, strict=True)):
        if length:
            passed = sum(each.kind == kind for each in sections)
            energy = _energy(brief, kind, index, len(kinds), passed)
            sections.append(Section(kind, start, length, energy, passed))
            start += length
    return tuple(sections)


def bars_of(brief: Brief) -> int:
    """Bars that fit: the last one begins long enough before the end to ring. A single bar has no ending."""
    bar_s = brief.meter * 60 / brief.tempo
    if brief.loop:
        return max(round(brief.duration_s / bar_s), 1)
    if brief.drummed:
        return math.ceil(brief.duration_s / bar_s)
    return max(math.floor((brief.duration_s - min(RING_S, bar_s)) / bar_s) + 1, 1)


def going_on(score: Score, extra: int, rng: np.random.Generator) -> tuple[Section, ...]:
    """What comes after the sections of a piece that goes on for ``extra`` bars."""
    brief, heard = score.brief, [section.kind for section in score.sections]
    club = style(brief.style)["form"] == "club"
    again = ["break", "build", "drop", "outro"] if club else ["bridge", "chorus", "outro"]
    if heard[-1] in ("verse", "intro") and not club:
        again = ["chorus", *again]
    if extra <= 4:
        again = again[-2:-1]
    elif extra <= 10:
        again = again[-2:]
    while extra > 10 * len(again):
        again = [*(("verse", "drop") if club else ("verse", "chorus", "solo")), *again]
    lengths, start = _lengths(tuple(again), extra, _unit(brief)), score.bars
    sections: list[Section] = []
    for index, (kind, length) in enumerate(zip(again, lengths, strict=True)):
        if length:
            passed = heard.count(kind) + sum(each.kind == kind for each in sections)
            sections.append(
                Section(
                    kind,
                    start,
                    length,
                    _energy(brief, kind, index + 1, len(again) + 1, passed),
                    passed,
                )
            )
            start += length
    return tuple(sections)


def _unit(brief: Brief) -> int:
    return 12 if style(brief.style)["form"] == "chorus12" and brief.meter == 4 else 8


def _kinds(brief: Brief, bars: int, rng: np.random.Generator) -> tuple[str, ...]:
    """The sections whose usual lengths come closest, of one unit or half of it."""
    family, unit = FORMS[style(brief.style)["form"]], _unit(brief)
    options: list[tuple[float, int, tuple[str, ...]]] = []
    for text in family:
        kinds = tuple(text.split())
        for size in (unit, unit // 2) if len(kinds) > 1 else (unit, unit // 2, unit // 4):
            usual = sum(size // 2 if kind in HALF else size for kind in kinds)
            options.append(
                (abs(usual - bars) / bars + (0.06 if size < unit else 0), len(options), kinds)
            )
    close = [each for each in sorted(options) if each[0] <= min(options)[0] + 0.05]
    chosen = close[int(rng.integers(len(close)))][2]
    longest = sum(unit // 2 if kind in HALF else unit for kind in family[-1].split())
    if bars > 1.2 * longest:
        return _longer(family[-1].split(), bars, unit, rng)
    return chosen


def _longer(kinds: list[str], bars: int, unit: int, rng: np.random.Generator) -> tuple[str, ...]:
    """The middle of a form played again, with other turns, until the piece is long enough."""
    first, middle, last = kinds[:1], kinds[1:-1], kinds[-1:]

    def usual(parts: list[str]) -> int:
        return sum(unit // 2 if kind in HALF else unit for kind in parts)

    grown, extra = list(middle), [kind for kind in middle if kind != "build"]
    while usual([*first, *grown, *last]) < bars - unit // 2:
        at = int(rng.integers(len(middle) // 2)) if len(grown) < 2 * len(middle) else 0
        grown += middle[at:] if rng.random() < 0.7 else [*extra[:2], *middle[-2:]]
    while usual([*first, *grown, *last]) > bars + unit // 2 and len(grown) > len(middle):
        del grown[len(middle) // 2]
    return (*first, *grown, *last)


def _lengths(kinds: tuple[str, ...], bars: int, unit: int) -> list[int]:
    """Bars for each section, ``bars`` in all: fours or twos as far as possible, an odd one in the last."""
    weights = np.array([0.5 if kind in HALF else 1.0 for kind in kinds])
    ideal = weights * bars / weights.sum()
    whole = weights * unit
    if abs(whole.sum() - bars) <= 1:
        ideal = whole
    lengths = [_rounded(each) for each in ideal]
    missing = bars - sum(lengths)
    while abs(missing) >= 2:
        way = 1 if missing > 0 else -1
        can = [n for n, length in enumerate(lengths) if length + 2 * way >= 1] or [len(lengths) - 1]
        at = max(can, key=lambda n: (way * (ideal[n] - lengths[n]) / weights[n], n))
        lengths[at] += 2 * way
        missing -= 2 * way
    lengths[-1] += missing
    for at in range(
        len(lengths) - 1, 0, -1
    ):  # a piece too short for its sections loses the last ones
        if lengths[at] < 1:
            lengths[at - 1] += lengths[at]
            lengths[at] = 0
    return [max(each, 0) for each in lengths]


def _rounded(bars: float) -> int:
    step = 4 if bars >= 6 else 2 if bars >= 1.5 else 1
    return max(round(bars / step) * step, 1)


def _energy(brief: Brief, kind: str, index: int, count: int, passed: int) -> float:
    """How much happens: by kind, a little more with each return, by the energy that is asked for."""
    level = ENERGY.get(kind, 0.6) + 0.05 * min(passed, 3)
    share = index / max(count - 1, 1)
    if brief.curve == "rising":
        level = 0.2 + 0.75 * share
    elif brief.curve == "falling":
        level = 0.9 - 0.7 * share
    elif brief.curve == "steady":
        level = 0.6
    if count == 1:
        level = 0.65
    if style(brief.style)["form"] == "rise" and not brief.curve:
        level = 0.65 * level + 0.35 * (0.2 + 0.8 * share)
    top = 1.0 if kind in ("chorus", "drop", "solo") or count == 1 else 0.8
    return float(np.clip(level + LEVELS[brief.energy], 0.1, top))


assert set(LEVELS) == set(ENERGIES)
