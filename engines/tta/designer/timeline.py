"""The timeline of a scene, and its text: one event a line, such as ``rain 4.0-9.0 gain -6 force 0.8``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engines.base import StudioError
from engines.tta.designer.kinds import KINDS, SAMPLES, controls, known

FIELD = "timeline"
LONGEST_S = 600.0
MAX_EVENTS, MAX_COUNT = 200, 1000
COMMON = {"count": (1.0, MAX_COUNT), "gap": (0.0, 600.0), "gain": (-60.0, 24.0), "pan": (-1.0, 1.0)}
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
LINE = re.compile(
    r"(?P<kind>[a-z][a-z _]*?(?: \d)?)\s+(?P<start>\d+\.?\d*)(?:\s*-\s*(?P<end>\d+\.?\d*))?"
    rf"(?P<rest>(?:\s+[a-z]+\s+{NUMBER})*)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Event:
    """One event: ``count`` sounds of ``kind``, the first from ``start_s`` to ``end_s``, each ``gap_s`` after
    the one before. ``gain_db`` is relative to the kind's usual level, ``pan`` -1 is left and 1 right."""

    kind: str
    start_s: float
    end_s: float
    count: int = 1
    gap_s: float = 0.3
    gain_db: float = 0.0
    pan: float = 0.0
    controls: Mapping[str, float] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """Length of one sound."""
        return self.end_s - self.start_s

    @property
    def onsets_s(self) -> list[float]:
        """When each sound begins."""
        step = self.duration_s + self.gap_s
        return [self.start_s + number * step for number in range(self.count)]

    @property
    def last_s(self) -> float:
        """When the last sound ends."""
        return self.onsets_s[-1] + self.duration_s


def usual(kind: str, lengths: Mapping[str, float]) -> tuple[float, float]:
    """Length and gap of one sound of a kind; of a sample, from ``lengths`` in seconds."""
    if kind not in KINDS:
        if kind not in SAMPLES:
            raise StudioError(
                f"There is no {kind}; there are sample 1 to {len(SAMPLES)}.", "prompt"
            )
        if kind not in lengths:
            raise StudioError(
                f"The scene asks for {kind}, and no sound is given there.", _field(kind)
            )
        return lengths[kind], 0.2
    return KINDS[kind].duration_s, KINDS[kind].gap_s


def _field(sample: str) -> str:
    return sample.replace(" ", "_")


def write(events: Sequence[Event]) -> str:
    """``events`` as text, in order of time; what is as usual is left out."""
    return "\n".join(_line(event) for event in sorted(events, key=lambda each: each.start_s))


def _line(event: Event) -> str:
    parts = [f"{event.kind} {_time(event.start_s)}-{_time(event.end_s)}"]
    if event.count > 1:
        parts += [f"count {event.count}", f"gap {_number(event.gap_s)}"]
    parts += [f"gain {_number(event.gain_db)}"] if event.gain_db else []
    parts += [f"pan {_number(event.pan)}"] if event.pan else []
    parts += [f"{name} {_number(value)}" for name, value in event.controls.items()]
    return " ".join(parts)


def _time(seconds: float) -> str:
    text = f"{seconds:.3f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def _number(value: float) -> str:
    return f"{round(value, 3):g}"


def is_timeline(text: str) -> bool:
    """Whether each line of ``text`` reads as an event of a known kind."""
    lines = _lines(text)
    return bool(lines) and all(_is_line(line) for _, line in lines)


def _is_line(line: str) -> bool:
    match = LINE.fullmatch(line)
    try:
        return match is not None and bool(known(match["kind"]))
    except KeyError:
        return False


def _lines(text: str) -> list[tuple[int, str]]:
    numbered = ((n, line.split("#")[0].strip()) for n, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in numbered if line]


def read(text: str, lengths: Mapping[str, float] | None = None, at: str = FIELD) -> list[Event]:
    """The events of a timeline's text.

    A line is a kind, when it starts and ends, and names with values: ``count``, ``gap`` (s), ``gain`` (dB),
    ``pan`` (-1 to 1) and the kind's own controls. Without an end it lasts as long as usual; # begins a
    comment. ``lengths`` are those of the samples. Raises ``StudioError`` with the number of the line.
    """
    lines = _lines(text)
    if not lines:
        raise StudioError("There is no event in the timeline.", at)
    if len(lines) > MAX_EVENTS:
        raise StudioError(f"The timeline has {len(lines)} events; at most {MAX_EVENTS} fit.", at)
    return [_event(number, line, lengths or {}, at) for number, line in lines]


def _event(number: int, line: str, lengths: Mapping[str, float], at: str) -> Event:
    match = LINE.fullmatch(line)
    if match is None:
        raise StudioError(
            f"Line {number}, “{line}”, should look like “rain 4.0-9.0 gain -6”: a kind of event, when it "
            "starts and ends, then names with values.",
            at,
        )
    try:
        kind = known(match["kind"])
    except KeyError as near:
        raise StudioError(
            f"Line {number}: there is no kind of event “{match['kind']}”. There is {near.args[0]}.",
            at,
        ) from None
    duration_s, gap_s = usual(kind, lengths)
    start_s = float(match["start"])
    end_s = float(match["end"]) if match["end"] else start_s + duration_s
    if end_s - start_s < 0.02:
        raise StudioError(f"Line {number}: the event ends at {end_s:g} s, before it is heard.", at)
    words = match["rest"].split()
    given = {words[i].lower(): float(words[i + 1]) for i in range(0, len(words), 2)}
    event = Event(
        kind, start_s, end_s,
        count=int(_checked(number, "count", given.pop("count", 1), *COMMON["count"], at)),
        gap_s=_checked(number, "gap", given.pop("gap", gap_s), *COMMON["gap"], at),
        gain_db=_checked(number, "gain", given.pop("gain", 0.0), *COMMON["gain"], at),
        pan=_checked(number, "pan", given.pop("pan", 0.0), *COMMON["pan"], at),
        controls=_controls(number, kind, given, at),
    )  # fmt: skip
    if event.last_s > LONGEST_S:
        raise StudioError(
            f"Line {number} lasts until {event.last_s:,.0f} s; at most {LONGEST_S:g} s fit.", at
        )
    return event


def _controls(number: int, kind: str, given: Mapping[str, float], at: str) -> dict[str, float]:
    by_name = {control.name: control for control in controls(kind)}
    unknown = next((name for name in given if name not in by_name), None)
    if unknown:
        names = ", ".join([*COMMON, *by_name])
        raise StudioError(f"Line {number}: {kind} has no “{unknown}”; it has {names}.", at)
    return {
        name: _checked(number, name, value, by_name[name].low, by_name[name].high, at)
        for name, value in given.items()
    }


def _checked(number: int, name: str, value: float, low: float, high: float, at: str) -> float:
    if not low <= value <= high:
        raise StudioError(f"Line {number}: {name} must be {low:g} to {high:g}, not {value:g}.", at)
    return value
