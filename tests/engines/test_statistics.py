"""Statistics against answers that are known from the literature or can be worked out by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from engines.statistics import (
    binomial,
    bradley_terry,
    krippendorff_alpha,
    mean_interval,
    missed_references,
    williams,
)

NAN = math.nan

# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C: four observers,
# twelve units, values missing
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]

# American League baseball of 1987, Agresti, "Categorical Data Analysis", table 10.10 (2nd edition)
TEAMS = ["Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore"]
BASEBALL = [
    [0, 7, 9, 7, 7, 9, 11],
    [6, 0, 7, 5, 11, 9, 9],
    [4, 6, 0, 7, 7, 8, 12],
    [6, 8, 6, 0, 6, 7, 10],
    [6, 2, 6, 7, 0, 7, 12],
    [4, 4, 5, 6, 6, 0, 6],
    [2, 4, 1, 3, 1, 7, 0],
]


@pytest.mark.parametrize(
    ("scale", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_of_krippendorffs_own_example(scale, alpha):
    assert krippendorff_alpha(OBSERVERS, scale) == pytest.approx(alpha, abs=5e-4)


def test_alpha_of_two_observers_is_krippendorffs_binary_example():
    # section A of the same paper: two observers, ten units, nominal, alpha 0.095
    first = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    second = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert krippendorff_alpha([first, second], "nominal") == pytest.approx(0.095, abs=5e-4)


def test_alpha_at_the_ends():
    assert krippendorff_alpha([[1, 2, 5, 3], [1, 2, 5, 3]]) == pytest.approx(1.0)
    assert krippendorff_alpha([[1, 5], [5, 1]]) == pytest.approx(-0.5)
    assert krippendorff_alpha([[3, 3], [3, 3]]) is None  # no spread, nothing to agree on
    assert krippendorff_alpha([[1, NAN], [NAN, 2]]) is None  # no clip was heard by two
    assert krippendorff_alpha(np.zeros((0, 0))) is None


def test_mean_with_its_interval():
    found = mean_interval([1, 2, 3, 4, 5])
    # t of 0.975 with 4 degrees of freedom is 2.776, standard error sqrt(2.5 / 5)
    half = 2.7764451 * math.sqrt(0.5)
    assert (found.mean, found.count) == (3.0, 5)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half))
    alone = mean_interval([4])
    assert (alone.mean, alone.low, alone.high, alone.count) == (4.0, None, None, 1)
    with pytest.raises(ValueError, match="nothing"):
        mean_interval([])


def test_exact_binomial_test():
    # 15 of 20: p = 2 * sum(C(20, k), k >= 15) / 2**20 = 0.04139; Clopper-Pearson 0.509 to 0.913
    found = binomial(15, 5)
    exact = 2 * sum(math.comb(20, k) for k in range(15, 21)) / 2**20
    assert found.p == pytest.approx(exact) == pytest.approx(0.0414, abs=1e-4)
    assert (found.share, found.low, found.high) == pytest.approx((0.75, 0.5090, 0.9134), abs=1e-4)
    assert binomial(5, 5).p == 1.0
    assert binomial(0, 3).p == pytest.approx(0.25)
    with pytest.raises(ValueError, match="no decided"):
        binomial(0, 0)


def test_strengths_of_the_baseball_teams():
    found = bradley_terry(TEAMS, BASEBALL)
    assert [row.name for row in found.rows] == TEAMS
    assert (found.connected, found.smoothed) == (True, False)
    last = found.rows[-1].strength
    against_last = [row.strength - last for row in found.rows]
    assert against_last == pytest.approx([1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0.0], abs=5e-3)
    assert sum(row.strength for row in found.rows) == pytest.approx(0)
    assert (found.rows[0].wins, found.rows[0].losses) == (50, 28)


def test_strengths_of_two_are_the_odds_with_walds_interval():
    found = bradley_terry(["a", "b"], [[0, 30], [10, 0]])
    a, b = found.rows
    assert a.strength - b.strength == pytest.approx(math.log(3))
    # the difference has variance 1/30 + 1/10; each of the two centred ones has a quarter of it
    half = 1.959964 * math.sqrt((1 / 30 + 1 / 10) / 4)
    assert (a.high - a.strength, a.strength - a.low) == pytest.approx((half, half))
    assert a.chance == pytest.approx(1 / (1 + math.exp(-math.log(3) / 2)))


def test_one_who_wins_everything_stays_finite():
    found = bradley_terry(["a", "b"], [[0, 4], [0, 0]])
    assert found.smoothed
    assert found.rows[0].strength - found.rows[1].strength == pytest.approx(math.log(4.5 / 0.5))
    assert found.rows[0].low < 0.2 < found.rows[0].high


def test_groups_that_never_met_are_told():
    wins = np.zeros((5, 5))
    wins[0, 1], wins[1, 0], wins[2, 3], wins[3, 2] = 3, 1, 2, 2
    found = bradley_terry(["a", "b", "c", "d", "alone"], wins)
    assert not found.connected
    by_name = {row.name: row.strength for row in found.rows}
    assert by_name["a"] == pytest.approx(math.log(3) / 2)
    assert by_name["c"] == by_name["d"] == by_name["alone"] == pytest.approx(0)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7])
def test_williams_squares_are_balanced(count):
    rows = williams(count)
    assert len(rows) == (count if count % 2 == 0 else 2 * count)
    assert all(sorted(row) == list(range(count)) for row in rows)
    per = len(rows) // count
    for place in range(count):
        assert sorted(row[place] for row in rows) == sorted(list(range(count)) * per)
    followed = [pair for row in rows for pair in pairwise(row)]
    wanted = [(a, b) for a in range(count) for b in range(count) if a != b] * per
    assert sorted(followed) == sorted(wanted)


def test_raters_who_miss_the_hidden_reference():
    scores = {
        "careful": [100] * 17 + [89, 80, 70],  # 15 % are allowed
        "careless": [100] * 16 + [89, 80, 70, 60],
        "absent": [],
    }
    assert missed_references(scores) == {"careless": 0.2}
