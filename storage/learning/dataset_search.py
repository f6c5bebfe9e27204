"""Finding the items of a dataset: judgements of each clip or pair in one number, equal sounds once.

SQL reads all judgements of a clip (or pair) side by side, in the order of an index, and hands over
one row for each. Only where clips have the same sound, which is rare, are judgements read one by
one, because a person who judged several of them counts once.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from statistics import fmean
from typing import Any, NamedTuple

from storage.base.db import Database
from storage.learning import dataset_filter
from storage.learning.dataset_filter import DatasetFilter, DatasetKind

DIGITS = 6  # of means
CLOSE = 1e-5  # a mean of thirds may be a hair below the limit that it equals

Pair = tuple[str, str]  # of content hashes


class Found(NamedTuple):
    """One item: the numbers of its clips, what was said of them, the prompt, the sounds."""

    number: int
    rejected: int | None
    rating: float | None
    raters: int
    strength: float | None
    prompt: str
    hash: str
    duration_s: float
    rejected_hash: str | None = None
    rejected_duration_s: float | None = None


RATED = """
    SELECT number, NULL, rating, raters, NULL, text, hash, duration_s, NULL, NULL
    FROM (SELECT clip_number, round(avg(value), 6) AS rating, count(*) AS raters FROM ratings
        WHERE criterion = :criterion GROUP BY clip_number)
    CROSS JOIN clips ON number = clip_number WHERE {made} AND {good}
"""

RATED_COPIES = """
    SELECT hash, rater, ratings.value FROM json_each(?) AS wanted
    CROSS JOIN clips ON number = wanted.value
    CROSS JOIN ratings ON criterion = ? AND clip_number = number
"""

# ``side``: how many more raters prefer the older clip to the newer. ``clips`` is the better one,
# or, where nobody wins, the older.
PREFERRED = """
    SELECT better, worse, NULL, raters, round(strength, 6), clips.text, clips.hash,
        clips.duration_s, other.hash, other.duration_s, side != 0 AND {good}
    FROM (SELECT side, raters, CASE WHEN side < 0 THEN newer ELSE older END AS better,
            CASE WHEN side < 0 THEN older ELSE newer END AS worse,
            CASE WHEN side < 0 THEN newer_strength ELSE older_strength END AS strength
        FROM (SELECT min(chosen_number, rejected_number) AS older,
                max(chosen_number, rejected_number) AS newer,
                sum(CASE WHEN chosen_number < rejected_number THEN 1 ELSE -1 END) AS side,
                count(*) AS raters,
                avg(strength) FILTER (WHERE chosen_number < rejected_number) AS older_strength,
                avg(strength) FILTER (WHERE chosen_number > rejected_number) AS newer_strength
            FROM preferences WHERE NOT tie
            GROUP BY min(chosen_number, rejected_number), max(chosen_number, rejected_number)))
    CROSS JOIN clips ON clips.number = better CROSS JOIN clips AS other ON other.number = worse
    WHERE clips.hash != other.hash AND {made} AND {other_made}
"""

PREFERRED_COPIES = """
    SELECT clips.hash, other.hash, rater, strength, {good}, {other_good}
    FROM json_each(:pairs) AS wanted
    CROSS JOIN preferences ON NOT tie
        AND min(chosen_number, rejected_number) = min(wanted.value ->> 0, wanted.value ->> 1)
        AND max(chosen_number, rejected_number) = max(wanted.value ->> 0, wanted.value ->> 1)
    CROSS JOIN clips ON clips.number = chosen_number
    CROSS JOIN clips AS other ON other.number = rejected_number
"""

RATED_WELL = """(SELECT avg(value) FROM ratings
    WHERE criterion = :criterion AND clip_number = clips.number) >= :min_rating"""


def find(database: Database, filter: DatasetFilter) -> list[Found]:
    """All items that a filter finds, in the order in which their clips were made."""
    if filter.kind is DatasetKind.SUPERVISED:
        return _rated(database, filter)
    return _preferred(database, filter)


def _rated(database: Database, filter: DatasetFilter) -> list[Found]:
    made, values = dataset_filter.made(filter)
    good, more = dataset_filter.good(filter)
    values |= more | {"criterion": filter.criterion}
    found: dict[str, Found] = {}
    copies: dict[str, list[int]] = defaultdict(list)
    rows = database.query(RATED.format(made=made, good=good), values)
    for item in map(Found._make, rows):
        if found.setdefault(item.hash, item) is not item:
            copies[item.hash].append(item.number)
    if copies:
        numbers = [found[hash].number for hash in copies]
        numbers.extend(chain.from_iterable(copies.values()))
        for hash, (mean, people) in _rated_copies(database, filter, numbers).items():
            found[hash] = found[hash]._replace(rating=mean, raters=people)
    least = 0.0 if filter.min_rating is None else filter.min_rating - CLOSE
    return [
        item
        for item in found.values()
        if item.raters >= filter.min_raters and (item.rating or 0.0) >= least
    ]


def _rated_copies(
    database: Database, filter: DatasetFilter, numbers: Sequence[int]
) -> dict[str, tuple[float, int]]:
    """The mean over raters and their number, of each sound that these clips have."""
    given: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for hash, rater, value in database.query(RATED_COPIES, [json.dumps(numbers), filter.criterion]):
        given[hash][rater].append(value)
    return {
        hash: (round(fmean(map(fmean, by_rater.values())), DIGITS), len(by_rater))
        for hash, by_rater in given.items()
    }


def _preferred(database: Database, filter: DatasetFilter) -> list[Found]:
    conditions, values = _pair_conditions(filter)
    found: dict[Pair, tuple[Found, bool]] = {}
    copies: dict[Pair, list[Found]] = defaultdict(list)
    for row in map(tuple, database.query(PREFERRED.format(**conditions), values)):
        entry = (Found._make(row[:-1]), bool(row[-1]))
        pair = _pair(row[6], row[8])
        if found.setdefault(pair, entry) is not entry:
            copies[pair].append(entry[0])
    if copies:
        items = [*(found[pair][0] for pair in copies), *chain.from_iterable(copies.values())]
        numbers = json.dumps([(item.number, item.rejected) for item in items])
        rows = database.query(PREFERRED_COPIES.format(**conditions), values | {"pairs": numbers})
        for pair, votes in _by_pair(rows).items():
            found[pair] = _together(found[pair][0], votes)
    return [
        item
        for item, fits in found.values()
        if fits
        and item.raters >= filter.min_raters
        and (item.strength or 0.0) >= filter.min_strength - CLOSE
    ]


def _pair(one: str, other: str) -> Pair:
    return (one, other) if one < other else (other, one)


def _pair_conditions(filter: DatasetFilter) -> tuple[dict[str, str], dict[str, Any]]:
    """Conditions on the better clip of a pair and on the other, and their values."""
    made, values = dataset_filter.made(filter)
    good, more = dataset_filter.good(filter)
    values |= more
    if filter.min_rating is not None:
        good += f" AND {RATED_WELL}"
        values |= {"criterion": filter.criterion, "min_rating": filter.min_rating - CLOSE}
    conditions = {"made": made, "good": good}
    others = {
        f"other_{name}": text.replace("clips.", "other.") for name, text in conditions.items()
    }
    return conditions | others, values


class _Vote(NamedTuple):
    """One preference, and whether each of its clips is what the filter asks of a better one."""

    chosen: str
    rejected: str
    rater: str
    strength: int
    chosen_fits: bool
    rejected_fits: bool


def _by_pair(rows: Iterable[Iterable[Any]]) -> dict[Pair, list[_Vote]]:
    votes: dict[Pair, list[_Vote]] = defaultdict(list)
    for vote in map(_Vote._make, rows):
        votes[_pair(vote.chosen, vote.rejected)].append(vote)
    return votes


def _together(first: Found, votes: Sequence[_Vote]) -> tuple[Found, bool]:
    """``first`` as decided by all votes on its sounds, and whether it fits. A rater has one voice:
    the side that the person took more often, with the mean strength of these votes."""
    by_rater: dict[str, list[_Vote]] = defaultdict(list)
    for vote in votes:
        by_rater[vote.rater].append(vote)
    strengths: dict[str, list[float]] = {first.hash: [], str(first.rejected_hash): []}
    for own in by_rater.values():
        given = {hash: [vote.strength for vote in own if vote.chosen == hash] for hash in strengths}
        most, least = sorted(given, key=lambda hash: len(given[hash]), reverse=True)
        if len(given[most]) > len(given[least]):
            strengths[most].append(fmean(given[most]))
    for_first, against = strengths.values()
    if len(against) > len(for_first):
        first = _swapped(first)
    agreeing = strengths[first.hash]
    fits = {vote.chosen for vote in votes if vote.chosen_fits}
    fits |= {vote.rejected for vote in votes if vote.rejected_fits}
    strength = round(fmean(agreeing), DIGITS) if agreeing else None
    item = first._replace(raters=len(for_first) + len(against), strength=strength)
    return item, len(for_first) != len(against) and item.hash in fits


def _swapped(item: Found) -> Found:
    """The same pair with the other clip as the better one."""
    assert item.rejected and item.rejected_hash and item.rejected_duration_s is not None
    return item._replace(
        number=item.rejected,
        rejected=item.number,
        hash=item.rejected_hash,
        duration_s=item.rejected_duration_s,
        rejected_hash=item.hash,
        rejected_duration_s=item.duration_s,
    )
