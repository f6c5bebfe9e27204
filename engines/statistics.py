"""Statistics of listening: means with intervals, exact tests, agreement, strengths, balanced orders.

Pure functions of numbers; nothing here knows of clips. A value that the data cannot give, such as the
interval of one observation, is None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

LEVEL = 0.95
MUSHRA_REFERENCE_MIN = 90
MUSHRA_MISSED_SHARE = 0.15


@dataclass(frozen=True)
class Estimate:
    """A mean of ``count`` values with its interval; ``low`` and ``high`` are None below two values."""

    mean: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class Share:
    """``wins`` of ``count``: the share, its exact interval, and the two-sided p-value against 1/2."""

    wins: int
    count: int
    share: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Strength:
    """One contestant of ``bradley_terry``.

    ``strength`` is in log-odds around a mean of 0: the odds that a beats b are
    ``exp(a.strength - b.strength)``. ``chance`` is that of beating an average contestant.
    """

    name: str
    strength: float
    low: float
    high: float
    chance: float
    wins: float
    losses: float


@dataclass(frozen=True)
class Strengths:
    """Contestants, the strongest first. ``connected`` is False when some were never compared, even
    through others: then numbers mean something inside each group only. ``smoothed`` says that half a
    win was added to each side of each pair, because someone won or lost everything."""

    rows: tuple[Strength, ...]
    connected: bool
    smoothed: bool


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Mean with Student's t interval, as ITU-R BS.1534 and ITU-T P.800.2 report scores.

    Raises ``ValueError`` without a value.
    """
    from scipy import stats

    data = np.asarray(values, dtype=float)
    if data.size == 0:
        raise ValueError("the mean of nothing is not defined")
    mean = float(data.mean())
    if data.size == 1:
        return Estimate(mean, None, None, 1)
    error = float(data.std(ddof=1)) / math.sqrt(data.size)
    half = float(stats.t.ppf((1 + level) / 2, data.size - 1)) * error
    return Estimate(mean, mean - half, mean + half, int(data.size))


def binomial(wins: int, losses: int, level: float = LEVEL) -> Share:
    """Exact sign test of wins against losses, ties left out (Dixon & Mood 1946), two-sided, with the
    Clopper-Pearson interval (1934). Raises ``ValueError`` without a decided comparison."""
    from scipy import stats

    count = wins + losses
    if count == 0:
        raise ValueError("there is no decided comparison")
    test = stats.binomtest(wins, count, 0.5)
    interval = test.proportion_ci(level, "exact")
    return Share(
        wins, count, wins / count, float(interval.low), float(interval.high), float(test.pvalue)
    )


# agreement


class Scale(StrEnum):
    """Level of measurement: how far apart two values are."""

    NOMINAL = "nominal"
    ORDINAL = "ordinal"
    INTERVAL = "interval"


def krippendorff_alpha(scores: Any, scale: Scale | str = Scale.INTERVAL) -> float | None:
    """Agreement of raters: 1 perfect, 0 what chance gives, below 0 worse than chance.

    ``scores`` has shape (raters, units), with NaN where a rater gave none. None when no unit has two
    values, or all values are equal. K. Krippendorff, "Computing Krippendorff's
    Alpha-Reliability" (2011).
    """
    table = np.atleast_2d(np.asarray(scores, dtype=float))
    table = table[:, (~np.isnan(table)).sum(axis=0) >= 2]  # single values cannot be paired
    if table.size == 0:
        return None
    values, places = np.unique(table[~np.isnan(table)], return_inverse=True)
    if len(values) < 2:
        return None
    units = np.nonzero(~np.isnan(table))[1]
    counts = np.zeros((table.shape[1], len(values)))  # how often each unit got each value
    np.add.at(counts, (units, places), 1)
    per_unit = counts.sum(axis=1)
    weighted = counts / (per_unit - 1)[:, None]
    coincidences = weighted.T @ counts - np.diag(weighted.sum(axis=0))
    totals = coincidences.sum(axis=0)
    distance = _distances(values, totals, Scale(scale))
    observed = (coincidences * distance).sum()
    expected = (np.outer(totals, totals) * distance).sum() / (totals.sum() - 1)
    return float(1 - observed / expected)


def _distances(values: np.ndarray, totals: np.ndarray, scale: Scale) -> np.ndarray:
    """Squared differences (V, V) between the sorted ``values`` that occur ``totals`` times."""
    if scale is Scale.NOMINAL:
        return 1.0 - np.eye(len(values))
    if scale is Scale.INTERVAL:
        return (values[:, None] - values[None, :]) ** 2
    middles = np.cumsum(totals) - totals / 2  # ranks between two values, half of each end
    return (middles[:, None] - middles[None, :]) ** 2


# strengths


def bradley_terry(
    names: Sequence[str], wins: Any, level: float = LEVEL, tolerance: float = 1e-10
) -> Strengths:
    """Strengths from paired comparisons; ``wins[i, j]`` counts how often i was chosen over j, a tie
    being half a win for both.

    Bradley & Terry (1952) by the MM algorithm of D. Hunter, Annals of Statistics 32 (2004);
    intervals from the inverse of the Fisher information. Where the maximum is not finite (Ford 1957:
    the graph of wins is not strongly connected), half a win is added to both sides of each pair.
    """
    from scipy import stats
    from scipy.sparse.csgraph import connected_components

    counts = np.asarray(wins, dtype=float).copy()
    np.fill_diagonal(counts, 0)
    won, lost = counts.sum(axis=1), counts.sum(axis=0)
    met = (counts + counts.T) > 0
    groups, group = connected_components(met, directed=False)
    strong, _ = connected_components(counts > 0, directed=True, connection="strong")
    smoothed = strong > groups
    if smoothed:
        counts += 0.5 * met
    logs = _maximise(counts, group, tolerance)
    games = counts + counts.T
    chances = 1 / (1 + np.exp(logs[None, :] - logs[:, None]))
    information = -games * chances * (1 - chances)
    np.fill_diagonal(information, -information.sum(axis=1))
    errors = np.sqrt(np.maximum(np.diag(np.linalg.pinv(information, hermitian=True)), 0))
    half = float(stats.norm.ppf((1 + level) / 2)) * errors
    rows = [
        Strength(
            name,
            float(s),
            float(s - h),
            float(s + h),
            float(1 / (1 + np.exp(-s))),
            float(w),
            float(d),
        )
        for name, s, h, w, d in zip(names, logs, half, won, lost, strict=True)
    ]
    rows.sort(key=lambda row: (-row.strength, row.name))
    return Strengths(tuple(rows), connected=groups <= 1, smoothed=bool(smoothed))


def _maximise(counts: np.ndarray, group: np.ndarray, tolerance: float) -> np.ndarray:
    """Log-strengths (N,) of largest likelihood, with mean 0 inside each group."""
    games = counts + counts.T
    won = counts.sum(axis=1)
    strengths = np.ones(len(counts))
    alone = games.sum(axis=1) == 0
    for _ in range(100_000):
        shares = (games / (strengths[:, None] + strengths[None, :])).sum(axis=1)
        new = np.where(alone, 1.0, won / np.where(alone, 1.0, shares))
        for number in np.unique(group):
            members = group == number
            new[members] /= np.exp(np.log(new[members]).mean())
        change = np.abs(np.log(new) - np.log(strengths)).max(initial=0)
        strengths = new
        if change < tolerance:
            break
    return np.log(strengths)


# order and screening


def williams(count: int) -> list[list[int]]:
    """Orders of ``count`` things in which each stands at each place, and follows each other one,
    equally often: ``count`` rows, or twice as many when it is odd.

    E. J. Williams, Australian Journal of Scientific Research A 2 (1949).
    """
    if count < 1:
        return []
    first = [0]
    for step in range(1, count):
        first.append((step + 1) // 2 if step % 2 else count - step // 2)
    rows = [[(place + shift) % count for place in first] for shift in range(count)]
    return rows if count % 2 == 0 else rows + [row[::-1] for row in rows]


def missed_references(scores: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The raters to leave out, with the share of trials in which they scored the hidden reference
    below 90: those above 15 % (ITU-R BS.1534-3, 4.1.2). ``scores`` are those of the references."""
    shares = {
        rater: sum(score < MUSHRA_REFERENCE_MIN for score in given) / len(given)
        for rater, given in scores.items()
        if len(given)
    }
    return {rater: share for rater, share in shares.items() if share > MUSHRA_MISSED_SHARE}
