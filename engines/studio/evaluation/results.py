"""What an evaluation found: a row for each item, a mean for each system, and who is better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations

from engines.base import StudioError
from engines.metrics.base import Better, Card, Score
from engines.metrics.distribution import SET_CARDS
from engines.metrics.running import Result
from engines.metrics.summary import Comparison, Line, compare, summaries
from engines.studio.evaluation.measuring import SetScore
from engines.studio.evaluation.plan import Wishes, card

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Tested:
    """Two systems on one metric; ``adjusted`` is p after Holm's correction for all that were tested
    together, ``better`` the system that is, "" where the difference may be chance."""

    comparison: Comparison
    adjusted: float | None
    better: str


@dataclass(frozen=True)
class Results:
    """The results of the items that were measured so far, in order. ``positions`` are their places
    among all items."""

    name: str
    wishes: Wishes
    rows: tuple[Result, ...]
    sets: tuple[SetScore, ...] = ()
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    positions: tuple[int, ...] = ()

    @property
    def metrics(self) -> list[str]:
        """Metrics of single items, in the order asked for."""
        return [each for each in self.wishes.metrics if each not in SET_CARDS]

    @property
    def cards(self) -> list[Card]:
        """The cards of all metrics, those of sets last."""
        return [card(each) for each in (*self.metrics, *self.wishes.of_sets)]

    @cached_property
    def systems(self) -> list[str]:
        """Who made the sounds, in order."""
        return list(dict.fromkeys(row.item.system for row in self.rows))

    @cached_property
    def lines(self) -> dict[tuple[str, str], Line]:
        """Means with intervals by system and metric."""
        return {(line.system, line.metric): line for line in summaries(self.rows)}

    @cached_property
    def set_scores(self) -> dict[tuple[str, str], Score]:
        """Distances of whole sets by system and metric."""
        return {(each.system, each.score.metric): each.score for each in self.sets}

    def value(self, system: str, metric: str) -> float | None:
        """A system's mean, or its distance as a set; None without a number."""
        line = self.lines.get((system, metric))
        if line is not None:
            return line.estimate.mean if line.estimate else None
        score = self.set_scores.get((system, metric))
        return score.value if score else None

    def best(self, metric: str) -> set[str]:
        """The systems with the best value, where one way is better and there is more than one."""
        way = card(metric).better
        values = {system: self.value(system, metric) for system in self.systems}
        numbers = {system: value for system, value in values.items() if value is not None}
        if way is Better.NEITHER or len(numbers) < 2:
            return set()
        most = max(numbers.values()) if way is Better.HIGHER else min(numbers.values())
        return {system for system, value in numbers.items() if value == most}

    def tested(self, a: str, b: str) -> list[Tested]:
        """System ``b`` against ``a`` on every metric that both have numbers of common items for.

        Raises ``StudioError`` for a system that is not there.
        """
        for system in (a, b):
            if system not in self.systems:
                raise StudioError(
                    f"There is no system {system!r}; there are {', '.join(self.systems)}.", "system"
                )
        found = []
        for metric in self.metrics:
            try:
                found.append(compare(self.rows, metric, a, b))
            except StudioError:  # no common item: nothing to say of this metric
                continue
        adjusted = holm([each.p for each in found])
        return [Tested(each, p, _better(each, p)) for each, p in zip(found, adjusted, strict=True)]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All pairs of systems."""
        return list(combinations(self.systems, 2))

    def ordered(self, column: str, descending: bool = False) -> list[int]:
        """Places of the rows by ``name``, ``system``, a metric, or "" (as they came).

        Items without a number come last either way.
        """
        places = range(len(self.rows))
        if column in ("name", "system"):
            return sorted(
                places, key=lambda place: getattr(self.rows[place].item, column), reverse=descending
            )
        if column not in self.metrics:
            return list(places)
        at = self.metrics.index(column)
        values = {place: self.rows[place].scores[at].value for place in places}
        numbers = [place for place in places if values[place] is not None]
        numbers.sort(key=lambda place: values[place] or 0.0, reverse=descending)
        return numbers + [place for place in places if values[place] is None]


def _better(found: Comparison, p: float | None) -> str:
    way = card(found.metric).better
    if p is None or p >= SIGNIFICANT or way is Better.NEITHER or found.difference.mean == 0:
        return ""
    return found.b if (found.difference.mean > 0) is (way is Better.HIGHER) else found.a


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for having tested several times (S. Holm, 1979); None stays None."""
    places = [place for place, p in enumerate(values) if p is not None]
    places.sort(key=lambda place: values[place] or 0.0)
    adjusted: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, place in enumerate(places):
        largest = max(largest, (len(places) - rank) * (values[place] or 0.0))
        adjusted[place] = min(1.0, largest)
    return adjusted


def slim(score: Score, most: int = 2000) -> Score:
    """``score`` without details that would fill a table of thousands."""
    return replace(score, details={}) if len(repr(score.details)) > most else score


def reasons(lines: Iterable[Line]) -> dict[str, int]:
    """How many numbers there are not, by reason."""
    counted: dict[str, int] = {}
    for line in lines:
        for reason, count in line.reasons.items():
            counted[reason] = counted.get(reason, 0) + count
    return counted
