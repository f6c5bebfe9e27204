"""Which judged clips become a dataset: the filter a person sets, and the SQL that answers it.

What is always left out: clips that are deleted, partial or without a prompt, ties, and pairs on
which as many raters prefer the one as the other. Clips with the same sound (the same content hash)
count as one, with the judgements of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from enum import StrEnum
from typing import Any

from storage.base.checks import a_date, choice
from storage.base.errors import StorageError
from storage.clips.search import match_expression, moment
from storage.clips.tags import normal_tag
from storage.learning.judgements import Criterion

BASE_ONLY = "none"
Limits = tuple[tuple[str, float], ...]  # metrics with a number each


class DatasetKind(StrEnum):
    """What an item is: a clip with its mean rating, or a pair of clips of which one is better."""

    SUPERVISED = "supervised"
    PREFERENCE = "preference"


@dataclass(frozen=True)
class DatasetFilter:
    """What belongs into a dataset. Empty texts and None mean any.

    A supervised item is a clip with at least ``min_raters`` ratings of ``criterion`` whose mean
    over the raters is at least ``min_rating``. A preference item is a pair on which at least
    ``min_raters`` people have said which is better; its strength (1 to 3) is the mean over those
    who agree with the majority, and at least ``min_strength``.

    ``engine``, ``task``, ``adapter`` (an id, or "none" for clips made without one), dates (of
    creation, whole days in UTC, included), ``text`` (words of the prompt), ``max_duration_s`` and
    ``tags_out`` (none of these) hold for both clips of a pair. ``tags_in`` (all of these),
    ``favorites``, ``min_rating``, ``score_min`` and ``score_max`` hold for the better one. The last
    two map metrics to the least or largest score that was measured; a clip without one is left out.
    Dates may be given as ISO 8601 texts. Raises ``StorageError`` for values that cannot be.
    """

    kind: DatasetKind = DatasetKind.SUPERVISED
    criterion: Criterion = Criterion.OVERALL
    min_rating: float | None = None
    min_raters: int = 1
    tags_in: tuple[str, ...] = ()
    tags_out: tuple[str, ...] = ()
    engine: str = ""
    task: str = ""
    adapter: str = ""
    date_from: date | None = None
    date_to: date | None = None
    text: str = ""
    min_strength: float = 1
    favorites: bool = False
    max_duration_s: float | None = None
    score_min: Mapping[str, float] | Limits = ()
    score_max: Mapping[str, float] | Limits = ()

    def __post_init__(self) -> None:
        """Make the values of forms and JSON ours."""
        values = {
            "kind": choice(DatasetKind, self.kind, "kind of dataset"),
            "criterion": choice(Criterion, self.criterion, "criterion"),
            "tags_in": _tags(self.tags_in),
            "tags_out": _tags(self.tags_out),
            "date_from": a_date(self.date_from),
            "date_to": a_date(self.date_to),
            "score_min": _limits(self.score_min),
            "score_max": _limits(self.score_max),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if self.min_raters < 1:
            raise StorageError(f"At least one rater is needed, not {self.min_raters}.")
        both = set(map(str.lower, self.tags_in)) & set(map(str.lower, self.tags_out))
        if both:
            raise StorageError(f"The tag {both.pop()!r} is both asked for and left out.")

    def to_dict(self) -> dict[str, Any]:
        """All values, ready for JSON."""
        values = asdict(self)
        for name in ("date_from", "date_to"):
            values[name] = values[name].isoformat() if values[name] else None
        for name in ("tags_in", "tags_out"):
            values[name] = list(values[name])
        for name in ("score_min", "score_max"):
            values[name] = dict(values[name])
        return values | {"kind": str(self.kind), "criterion": str(self.criterion)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DatasetFilter:
        """The inverse of ``to_dict``; what is missing is the default.

        Raises ``StorageError`` for unknown names.
        """
        known = [field.name for field in fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            raise StorageError(f"{unknown[0]!r} is no filter; there are {', '.join(known)}.")
        return cls(**values)


def _limits(given: Mapping[str, float] | Limits) -> Limits:
    pairs = given.items() if isinstance(given, Mapping) else given
    try:
        return tuple((str(metric), float(value)) for metric, value in pairs)
    except (TypeError, ValueError):
        raise StorageError(
            f'{given!r} is no limit of scores; write metrics with numbers, such as {{"wer": 10}}.'
        ) from None


def _tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(normal_tag, tags))))


TAGGED = "SELECT clip_number FROM clip_tags WHERE tag_id = (SELECT id FROM tags WHERE name = :{})"

SCORED = """SELECT clip_number FROM clip_scores
    WHERE metric = :metric_{place} AND value {side} :limit_{place}"""


def made(filter: DatasetFilter) -> tuple[str, dict[str, Any]]:
    """Conditions on how a row of ``clips`` came about and what it must not have; their values."""
    adapter = {"": "TRUE", BASE_ONLY: "clips.adapter = ''"}.get(
        filter.adapter, "instr(' + ' || clips.adapter || ' + ', ' + ' || :adapter || ' + ')"
    )
    conditions = ["clips.deleted IS NULL", "NOT clips.partial", "trim(clips.text) != ''", adapter]
    expression = match_expression(filter.text)
    candidates = {
        "engine": ("clips.engine = :engine", filter.engine or None),
        "task": ("clips.task = :task", filter.task or None),
        "since": ("clips.created_at >= :since", moment(filter.date_from)),
        "before": ("clips.created_at < :before", moment(filter.date_to, after=True)),
        "max_duration_s": ("clips.duration_s <= :max_duration_s", filter.max_duration_s),
        "words": (
            "clips.number IN (SELECT rowid FROM clip_search WHERE clip_search MATCH :words)",
            f"{{text}} : ({expression})" if expression else None,
        ),
    }
    chosen = {name: pair for name, pair in candidates.items() if pair[1] is not None}
    values = {name: value for name, (_, value) in chosen.items()} | {"adapter": filter.adapter}
    conditions += [condition for condition, _ in chosen.values()]
    for place, tag in enumerate(filter.tags_out):
        conditions.append(f"clips.number NOT IN ({TAGGED.format(f'out_{place}')})")
        values[f"out_{place}"] = tag
    return " AND ".join(conditions), values


def good(filter: DatasetFilter) -> tuple[str, dict[str, Any]]:
    """Conditions on what a row of ``clips`` must have besides ratings; their values."""
    conditions = ["clips.favorite" if filter.favorites else "TRUE"]
    values: dict[str, Any] = {}
    for place, tag in enumerate(filter.tags_in):
        conditions.append(f"clips.number IN ({TAGGED.format(f'in_{place}')})")
        values[f"in_{place}"] = tag
    for side, limits in ((">=", filter.score_min), ("<=", filter.score_max)):
        for metric, limit in _limits(limits):
            place = len(values)
            conditions.append(f"clips.number IN ({SCORED.format(side=side, place=place)})")
            values |= {f"metric_{place}": metric, f"limit_{place}": limit}
    return " AND ".join(conditions), values
