"""From a description, such as “a dog barks twice, then rain from 4 s to 9 s”, to the events of a timeline.

Clauses are read one by one. “then”, a full stop or “before” put what follows after what came before;
“while”, “with” and “as” put it beside that; so do commas and “and” between sounds that go on, such as
rain. Times that are named count before all of these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from engines.base import StudioError
from engines.tta.designer import timeline
from engines.tta.designer.kinds import KINDS, SAMPLES, mentioned
from engines.tta.designer.phrases import MARK, MARKED, Said, in_figures, manner, mark_times, strange
from engines.tta.designer.timeline import Event, usual

PAUSE_S = 0.25
SHORTEST_S = 0.04  # of one sound with its gap, where many are asked for in an interval
TAIL_S = 0.5  # how much longer than the last event a background sounds
FIELD = "prompt"
JOINTS = re.compile(
    r"\s*(?P<then>[.;\n]+(?!\d)|,?\s*\b(?:and then|then|followed by|after that|afterwards|next|before)\b)\s*"
    r"|\s*(?P<beside>,?\s*\b(?:while|whilst|with|as|over|plus|meanwhile)\b)\s*"
    r"|\s*(?P<after>,?\s*\bafter\b)\s*"
    r"|\s*(?P<and>,?\s*\band\b|,|&)\s*"
)


@dataclass
class Clause:
    """A part of the description: how it is joined to the one before, its words, what it says of time."""

    joint: str
    words: str
    said: Said = field(default_factory=Said)

    @property
    def kinds(self) -> list[tuple[int, int, str]]:
        """The events that it names."""
        return mentioned(self.words)


def understand(text: str, lengths: Mapping[str, float] | None = None) -> list[Event]:
    """The events of ``text``: a description, lines of a timeline, or PicoAudio's form
    (``cat_meowing__0.5-2.0_3.0-4.5--whistling__5.0-6.5``).

    Raises ``StudioError`` for a part that names no sound that can be made.
    """
    if timeline.is_timeline(text):
        return timeline.read(text, lengths, FIELD)
    text = _from_picoaudio(text)
    marked, said = mark_times(in_figures(text))
    placed = _Placing(lengths or {})
    clauses = _swapped(_joined(_split(marked, said)))
    for clause, following in zip_longest(clauses, clauses[1:]):
        placed.place(clause, following.joint if following else "then")
    if not placed.events:
        raise StudioError(
            "The description names no sound. Say which, such as “a dog barks twice, then rain from 4 s to "
            "9 s”.",
            FIELD,
        )
    events = placed.finished()
    last_s = max(each.last_s for each in events)
    if last_s > timeline.LONGEST_S:
        raise StudioError(
            f"The scene would last {last_s:,.0f} s; at most {timeline.LONGEST_S:g} s fit.", FIELD
        )
    return events


def _from_picoaudio(text: str) -> str:
    if not re.search(r"[a-z]__\d", text):
        return text
    parts = []
    for part in text.strip().split("--"):
        kind, _, spans = part.partition("__")
        parts.append(f"{kind.replace('_', ' ')} at {', '.join(spans.split('_'))}")
    return " and ".join(parts)


def _split(text: str, said: Sequence[Said]) -> list[Clause]:
    clauses, joint, at = [], "then", 0
    for match in [*JOINTS.finditer(text), None]:
        words = text[at : match.start() if match else len(text)].strip()
        clause = Clause(joint, words)
        for mark in MARKED.findall(words):
            clause.said.add(said[int(mark)])
        if words:
            clauses += _parted(clause)
            joint = "and"
        if match:
            # of two joints in a row the one that says more counts: ", while"
            new = match.lastgroup or "and"
            joint = new if words or joint == "and" else joint
            at = match.end()
    return clauses


def _parted(clause: Clause) -> list[Clause]:
    """A clause that names several kinds without a joint, one for each; they sound together."""
    kinds = clause.kinds
    if len(kinds) < 2:
        return [clause]
    cuts = [0, *(kinds[i][1] for i in range(len(kinds) - 1)), len(clause.words)]
    parts = []
    for number in range(len(kinds)):
        words = clause.words[cuts[number] : cuts[number + 1]]
        parts.append(Clause(clause.joint if number == 0 else "beside", words, clause.said))
    return parts


def _joined(clauses: Sequence[Clause]) -> list[Clause]:
    """Clauses that name no sound belong to a neighbour: times to the one before, manner to the next."""
    out: list[Clause] = []
    waiting: Clause | None = None
    for clause in clauses:
        if clause.kinds or clause.said.pause is not None:
            if waiting is not None:
                clause.joint, clause.words = waiting.joint, f"{waiting.words} {clause.words}"
                clause.said.add(waiting.said)
                waiting = None
            out.append(clause)
            continue
        unknown = strange(clause.words)
        if unknown:
            plain = MARKED.sub("", clause.words).strip()
            raise StudioError(
                f"“{plain}” names no sound that can be made. There is {', '.join(KINDS)}, and sample 1 to "
                f"{len(SAMPLES)} for sounds of your own.",
                FIELD,
            )
        if out and (MARK in clause.words or clause.joint == "and") and not clause.said.delay:
            out[-1].words += f" {clause.words}"
            out[-1].said.add(clause.said)
        else:
            waiting = clause
    return out


def _swapped(clauses: list[Clause]) -> list[Clause]:
    """“A after B” is “B, then A”."""
    for number in range(1, len(clauses)):
        if clauses[number].joint == "after":
            first, second = clauses[number - 1], clauses[number]
            second.joint, first.joint = first.joint, "then"
            clauses[number - 1], clauses[number] = second, first
    return clauses


class _Placing:
    """Puts the events of clauses on the timeline."""

    def __init__(self, lengths: Mapping[str, float]) -> None:
        self.events: list[Event] = []
        self._lengths = lengths
        self._stretched: list[int] = []
        self._start = self._end = 0.0
        self._steady = False
        self._pause_s = PAUSE_S

    def place(self, clause: Clause, following: str) -> None:
        """Add what one clause names, at its times; ``following`` joins the next one to it."""
        said = clause.said
        if said.pause is not None and not clause.kinds:
            self._start = self._end = self._end + said.pause
            self._steady, self._pause_s = False, 0.0
            return
        kind = clause.kinds[0][2]
        steady = _steady(kind)
        start_s = self._start_of(clause, steady)
        events = self._events(kind, clause, start_s)
        together = bool(self.events) and self._together(clause, steady)
        last = max(each.last_s for each in events)
        if together:
            self._start, self._end = min(self._start, events[0].start_s), max(self._end, last)
        else:
            self._start, self._end = events[0].start_s, last
        open_end = not said.intervals and said.until is None and said.length is None
        beside = together or following in ("beside", "and")
        if open_end and ((steady and beside) or said.throughout or said.since is not None):
            self._stretched.append(len(self.events))
        self.events += events
        self._steady, self._pause_s = steady, PAUSE_S

    def _start_of(self, clause: Clause, steady: bool) -> float:
        said, first = clause.said, not self.events and self._end == 0
        if said.since is not None:
            return said.since
        if said.throughout:
            return 0.0
        if said.delay is not None:
            return self._end + said.delay
        if first:
            return 0.0
        return self._start if self._together(clause, steady) else self._end + self._pause_s

    def _together(self, clause: Clause, steady: bool) -> bool:
        """Whether a clause sounds beside the one before."""
        return clause.joint == "beside" or (clause.joint == "and" and (steady or self._steady))

    def _events(self, kind: str, clause: Clause, start_s: float) -> list[Event]:
        said = clause.said
        duration_s, gap_s = usual(kind, self._lengths)
        how = dict(manner(kind, MARKED.sub(" ", clause.words)))
        gap_s *= how.pop("gap", 1.0)
        asked = _count(clause.words)
        gain_db, pan = how.pop("gain", 0.0), how.pop("pan", 0.0)
        base = Event(kind, 0, duration_s, 1, round(gap_s, 3), gain_db, pan, how)
        if said.period is not None:
            base = replace(base, gap_s=max(0.0, said.period - duration_s))
        if said.intervals:
            return [_within(base, a, b, asked, said) for a, b in said.intervals]
        if said.onsets:
            many = asked if len(said.onsets) == 1 else None
            usually = KINDS[kind].times if kind in KINDS and KINDS[kind].times >= 4 else 1
            return [self._run(base, at, many or usually, said) for at in said.onsets]
        if said.until is not None or said.length is not None:
            end_s = said.until if said.until is not None else start_s + (said.length or 0)
            return [_within(base, start_s, end_s, asked, said)]
        usually = KINDS[kind].times if kind in KINDS else 1
        return [
            self._run(base, start_s, asked or (max(3, usually) if said.period else usually), said)
        ]

    @staticmethod
    def _run(base: Event, start_s: float, many: int, said: Said) -> Event:
        length_s = said.length if said.length is not None and many == 1 else base.duration_s
        return replace(base, start_s=start_s, end_s=start_s + length_s, count=many)

    def finished(self) -> list[Event]:
        """The events; those that go on last until all others have ended."""
        fixed = [
            each.last_s + (0.0 if _steady(each.kind) else TAIL_S)
            for index, each in enumerate(self.events)
            if index not in self._stretched
        ]
        for index in self._stretched:
            event = self.events[index]
            least = event.end_s if not fixed else min(event.end_s, event.start_s + 3)
            alone = event.start_s >= max(fixed, default=0)
            end_s = event.end_s if alone else max([*fixed, least])
            if not _steady(event.kind):
                event = _within(replace(event, count=1), event.start_s, end_s, None, Said())
            else:
                event = replace(event, end_s=end_s)
            self.events[index] = event
        return sorted(self.events, key=lambda each: each.start_s)


def _steady(kind: str) -> bool:
    return kind in KINDS and KINDS[kind].steady


def _count(words: str) -> int | None:
    plain = re.sub(r"\bsample \d+", " ", MARKED.sub(" ", words))
    numbers = re.findall(r"\b(\d+) times\b", plain) or re.findall(
        r"(?<![\d.])(\d+)(?![\d.])", plain
    )
    return min(int(numbers[0]), timeline.MAX_COUNT) if numbers and int(numbers[0]) else None


def _within(base: Event, start_s: float, end_s: float, asked: int | None, said: Said) -> Event:
    """The event in an interval: once if it can last so long, else as often as fits, or as asked."""
    length_s = end_s - start_s
    if length_s < 0.05:
        raise StudioError(f"The interval from {start_s:g} s to {end_s:g} s is too short.", FIELD)
    step = base.duration_s + base.gap_s
    fits = 1 if _steady(base.kind) else max(1, int((length_s + base.gap_s + 1e-9) / step))
    many = max(1, min(asked or fits, timeline.MAX_COUNT, int(length_s / SHORTEST_S)))
    if many == 1:
        longest = length_s if base.kind not in SAMPLES else min(length_s, base.duration_s)
        return replace(base, start_s=start_s, end_s=start_s + longest)
    each = min(base.duration_s, 0.9 * length_s / many)
    gap_s = base.gap_s if said.period is not None else (length_s - many * each) / (many - 1)
    return replace(base, start_s=start_s, end_s=start_s + each, count=many, gap_s=round(gap_s, 4))
