"""The timeline of a sound: which of 18 kinds of events is heard from when to when."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

KINDS = (
    "burping_belching",
    "car_horn_honking",
    "cat_meowing",
    "cow_mooing",
    "dog_barking",
    "door_knocking",
    "door_slamming",
    "explosion",
    "gunshot",
    "sheep_goat_bleating",
    "sneeze",
    "spraying",
    "thump_thud",
    "train_horn",
    "tapping_clicking_clanking",
    "woman_laughing",
    "duck_quacking",
    "whistling",
)
ROWS, COLUMNS = 32, 256
COLUMNS_OF_10_S = 250
SECONDS = 10.0

NUMBER = r"\d+(?:\.\d+)?"
INTERVAL = rf"{NUMBER}\s*-\s*{NUMBER}"
CAPTION = re.compile(
    rf"(?P<kind>[a-z][a-z _]*?) at (?P<times>{INTERVAL}(?:\s*,\s*{INTERVAL})*)", re.IGNORECASE
)

COUNTS = {"once": 1, "twice": 2, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
COUNTED = re.compile(
    rf"(?P<kind>[a-z][a-z _]*?) (?P<count>once|twice|({'|'.join(COUNTS)}|\d+)(?= times?\b))(?: times?)?",
    re.IGNORECASE,
)
JOINT = re.compile(r"^\s*(?:,?\s*and\b|,|;)?\s*")


class TimelineError(ValueError):
    """A description of events that can't be read."""


@dataclass(frozen=True)
class Event:
    """One of ``KINDS`` and the intervals (start, end) in seconds in which it is heard."""

    kind: str
    intervals: Sequence[tuple[float, float]]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            known = ", ".join(kind.replace("_", " ") for kind in KINDS)
            raise TimelineError(f"“{self.kind.replace('_', ' ')}” is none of the events: {known}.")

    @property
    def row(self) -> int:
        """The number of its kind."""
        return KINDS.index(self.kind)


def _intervals(text: str) -> list[tuple[float, float]]:
    numbers = [float(number) for number in re.findall(NUMBER, text)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def read_timeline(text: str) -> list[Event]:
    """Events of the form ``cat_meowing__0.5-2.0_3.0-4.5--whistling__5.0-6.5``.

    Raises ``TimelineError`` for other forms and unknown events.
    """
    events = []
    for part in text.split("--"):
        kind, mark, times = part.partition("__")
        if not mark or not re.fullmatch(rf"{INTERVAL}(?:_{INTERVAL})*", times):
            raise TimelineError(f"“{part}” should look like cat_meowing__0.5-2.0_3.0-4.5.")
        events.append(Event(kind, _intervals(times)))
    return events


def read_caption(text: str) -> list[Event]:
    """Events of the form ``cat meowing at 0.5-2.0, 3.0-4.5 and whistling at 5.0-6.5``.

    Raises ``TimelineError`` where something else stands between, and for unknown events.
    """
    events, rest = [], text.strip().rstrip(".")
    while rest:
        found = CAPTION.match(rest)
        if found is None:
            raise TimelineError(
                f"“{rest}” should look like “cat meowing at 0.5-2.0, 3.0-4.5 and whistling at 5.0-6.5”."
            )
        kind = re.sub(r"[ _]+", "_", found["kind"].strip().lower())
        events.append(Event(kind, _intervals(found["times"])))
        rest = JOINT.sub("", rest[found.end() :])
    if not events:
        raise TimelineError("There is no event in the text.")
    return events


def read_counts(text: str) -> list[tuple[str, int]]:
    """Kinds and how often, of the form ``cat meowing two times and whistling once``.

    Raises ``TimelineError`` where something else stands between, and for unknown events.
    """
    counts, rest = [], text.strip().rstrip(".")
    while rest:
        found = COUNTED.match(rest)
        if found is None:
            raise TimelineError(
                f"“{rest}” should look like “cat meowing two times and whistling once”."
            )
        kind = re.sub(r"[ _]+", "_", found["kind"].strip().lower())
        word = found["count"].lower()
        counts.append((Event(kind, ()).kind, int(word) if word.isdecimal() else COUNTS[word]))
        rest = JOINT.sub("", rest[found.end() :])
    if not counts:
        raise TimelineError("There is no event in the text.")
    return counts


def scatter(kind: str, count: int, length_s: float, generator: torch.Generator) -> Event:
    """An event heard ``count`` times for ``length_s`` each, at random times that don't overlap.

    Raises ``TimelineError`` where that takes more than 10 s.
    """
    free = SECONDS - count * length_s
    if free < 0:
        raise TimelineError(f"{count} times {length_s} s is more than {SECONDS:g} s.")
    gaps = torch.rand(count, generator=generator).sort().values * free
    starts = [round(float(gap) + place * length_s, 3) for place, gap in enumerate(gaps)]
    return Event(kind, [(start, round(start + length_s, 3)) for start in starts])


def write_timeline(events: Sequence[Event]) -> str:
    """The form that ``read_timeline`` reads."""
    return "--".join(
        f"{event.kind}__" + "_".join(f"{start}-{end}" for start, end in event.intervals)
        for event in events
    )


def spoken(events: Sequence[Event]) -> str:
    """The kinds joined by "and", as the text encoder was given them."""
    return " and ".join(event.kind for event in events)


def grid(events: Sequence[Event], *, as_published: bool = False) -> Tensor:
    """Ones where an event is heard: (32, 256), a row a kind and 25 columns a second.

    An interval that ends behind the last column is cut there. ``as_published`` drops it and those that
    follow it in the same event, as the original does.
    """
    columns = torch.zeros(ROWS, COLUMNS)
    for event in events:
        for start, end in event.intervals:
            first, behind = (int(time * COLUMNS_OF_10_S / SECONDS) for time in (start, end))
            if behind >= COLUMNS:
                if as_published:
                    break
                behind = COLUMNS - 1
            columns[event.row, first:behind] = 1
    return columns


def as_channels(grids: Tensor) -> Tensor:
    """Grids (B, 32, 256) as the U-Net sees them: (B, 2, 256, 16), row 16 c + f at channel c, place f."""
    return grids.reshape(-1, 2, ROWS // 2, COLUMNS).transpose(2, 3)
