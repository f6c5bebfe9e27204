"""Rows of judgements: what they look like outside the database, and the SQL that reads them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Criterion(StrEnum):
    """What a rating is about."""

    OVERALL = "overall"
    MELODY = "melody"
    HARMONY = "harmony"
    RHYTHM = "rhythm"
    TIMBRE = "timbre"
    PRODUCTION = "production"
    PROMPT = "prompt"
    NATURALNESS = "naturalness"
    INTELLIGIBILITY = "intelligibility"
    SIMILARITY = "similarity"


@dataclass(frozen=True)
class RatingRow:
    """One rating from 1 (bad) to 5 (excellent); ``prompt``, ``engine``, ``adapter`` are the clip's."""

    clip_id: str
    criterion: Criterion
    value: int
    rater: str
    created_at: str
    prompt: str
    engine: str
    adapter: str


@dataclass(frozen=True)
class PreferenceRow:
    """One comparison of two clips of the same prompt.

    In a ``tie`` neither is better and which of them is "chosen" means nothing. ``strength`` is 1
    (slightly) to 3 (clearly); ``source`` says where it was judged, such as "ab" or "rank".
    """

    id: str
    chosen_id: str
    rejected_id: str
    prompt: str
    tie: bool
    strength: int
    rater: str
    source: str
    created_at: str
    chosen_engine: str
    rejected_engine: str
    chosen_adapter: str
    rejected_adapter: str


@dataclass(frozen=True)
class MarkRow:
    """A tag that a rater gave to a clip, as praise (True), complaint (False) or neither (None)."""

    clip_id: str
    tag: str
    rater: str
    good: bool | None
    created_at: str


@dataclass(frozen=True)
class Feedback:
    """Everything that was said about one clip."""

    ratings: tuple[RatingRow, ...]
    marks: tuple[MarkRow, ...]
    preferences: tuple[PreferenceRow, ...]
    notes: str


@dataclass(frozen=True)
class FeedbackStats:
    """How much was judged. ``by_criterion`` maps a criterion to its number of ratings and their
    mean; ``preferences`` counts ties too."""

    clips_rated: int
    ratings: int
    raters: int
    preferences: int
    ties: int
    marks: int
    by_criterion: dict[str, tuple[int, float]]


RATING_ROWS = """
    SELECT clips.id AS clip_id, criterion, value, rater, ratings.created_at, text AS prompt, engine,
        adapter
    FROM ratings CROSS JOIN clips ON clips.number = clip_number WHERE deleted IS NULL
"""

PREFERENCE_ROWS = """
    SELECT preferences.id, chosen.id AS chosen_id, rejected.id AS rejected_id,
        chosen.text AS prompt, tie, strength, rater, source, preferences.created_at,
        chosen.engine AS chosen_engine, rejected.engine AS rejected_engine,
        chosen.adapter AS chosen_adapter, rejected.adapter AS rejected_adapter
    FROM preferences
    CROSS JOIN clips AS chosen ON chosen.number = chosen_number AND chosen.deleted IS NULL
    CROSS JOIN clips AS rejected ON rejected.number = rejected_number AND rejected.deleted IS NULL
"""


def to_rating(row: sqlite3.Row) -> RatingRow:
    """The dataclass of one row of ``RATING_ROWS``."""
    values: dict[str, Any] = dict(row)
    return RatingRow(**values | {"criterion": Criterion(values["criterion"])})


def to_preference(row: sqlite3.Row) -> PreferenceRow:
    """The dataclass of one row of ``PREFERENCE_ROWS``."""
    values: dict[str, Any] = dict(row)
    return PreferenceRow(**values | {"tie": bool(values["tie"])})
