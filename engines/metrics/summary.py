"""What many scores say: a mean with its interval for each system, and whether two systems differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from engines.base import StudioError
from engines.metrics.running import Result
from engines.statistics import Estimate, mean_interval

FEWEST_PAIRS = 6  # below, the signed-rank test cannot reach p < 0.05


@dataclass(frozen=True)
class Line:
    """One system's values of one metric. ``reasons`` count the items without a number; ``estimate``
    is None when no item has one."""

    system: str
    metric: str
    estimate: Estimate | None
    median: float | None
    values: tuple[float, ...]
    reasons: dict[str, int]


@dataclass(frozen=True)
class Comparison:
    """System ``b`` against ``a`` over the items that both have a number for.

    ``difference`` is the mean of b - a with its interval (Student's t); ``p`` that of the two-sided
    Wilcoxon signed-rank test, None below six pairs. ``left_out`` items lacked a number.
    """

    metric: str
    a: str
    b: str
    difference: Estimate
    p: float | None
    pairs: int
    left_out: int


def summaries(results: Iterable[Result]) -> list[Line]:
    """One line for each system and metric, in the order they came."""
    values: dict[tuple[str, str], list[float]] = {}
    reasons: dict[tuple[str, str], Counter] = {}
    for result in results:
        for score in result.scores:
            place = (result.item.system, score.metric)
            values.setdefault(place, [])
            reasons.setdefault(place, Counter())
            if score.value is None:
                reasons[place][str(score.reason)] += 1
            else:
                values[place].append(score.value)
    return [
        Line(
            system,
            metric,
            mean_interval(found) if found else None,
            float(np.median(found)) if found else None,
            tuple(found),
            dict(reasons[system, metric]),
        )
        for (system, metric), found in values.items()
    ]


def compare(results: Sequence[Result], metric: str, a: str, b: str) -> Comparison:
    """Paired test of two systems on one metric; items are paired by name.

    F. Wilcoxon, Biometrics Bulletin 1 (1945), ties by midranks, zero differences after Pratt (1959).
    Raises ``StudioError`` without a common item.
    """
    from scipy import stats

    one, other = _by_name(results, metric, a), _by_name(results, metric, b)
    common = [name for name in one if name in other]
    pairs = [
        (x, y)
        for x, y in ((one[name], other[name]) for name in common)
        if x is not None and y is not None
    ]
    if not pairs:
        raise StudioError(f"{a!r} and {b!r} have no item in common that {metric} has a number for.")
    apart = np.array([y - x for x, y in pairs])
    p: float | None = None
    if len(apart) >= FEWEST_PAIRS:
        p = 1.0 if not apart.any() else float(stats.wilcoxon(apart, zero_method="pratt").pvalue)
    return Comparison(
        metric,
        a,
        b,
        mean_interval(apart.tolist()),
        p,
        len(pairs),
        len(one.keys() | other.keys()) - len(pairs),
    )


def _by_name(results: Sequence[Result], metric: str, system: str) -> dict[str, float | None]:
    return {
        result.item.name: score.value
        for result in results
        if result.item.system == system
        for score in result.scores
        if score.metric == metric
    }
