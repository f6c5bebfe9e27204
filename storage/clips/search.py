"""Finding clips: what a person types becomes a safe full-text query, filters become SQL.

Scripts written without spaces (Chinese, Japanese, Thai ...) and emoji are indexed one character at
a time; a run of them in a query is a phrase, so any substring is found, however short. Both the
index and the query are cut by the same function, ``words``. Engine, task, tags and marks of a clip
are indexed too, as words that nobody can type (``facet``).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from storage.base.db import clean

# Thai to Myanmar, Khmer, kana and Han, Hangul, half-width kana, Han supplements.
SPACELESS = (
    "\u0e00-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035"
    "\u303b\u3041-\u3096\u309d-\u30fa\u30fc-\u31ff\u3400-\u9fff\ua960-\ua97f"
    "\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U00016fe0-\U0001b2ff\U00020000-\U0003ffff"
)
SYMBOLS = "\u2190-\u27bf\u2900-\u2bff\U0001f000-\U0001faff"
_ALONE = re.compile(f"[{SPACELESS}{SYMBOLS}]")
_TERM = re.compile(r'"([^"]*)"?|([^\s"]+)')
FACET_MARK = "\ue000"  # a private character
# Variation selectors and joiners are invisible parts of emoji; NUL would end a query.
_INVISIBLE = re.compile(f"[\0\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff{FACET_MARK}]")


def words(text: str) -> str:
    """``text`` as the index sees it: compatibility forms folded, lone characters set apart."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", clean(text)))
    return _ALONE.sub(r" \g<0> ", text).strip()


class Facet(StrEnum):
    """Properties that are indexed like words, so that filters are as fast as words."""

    ENGINE = "e"
    TASK = "t"
    TAG = "g"
    FAVORITE = "f"
    PARTIAL = "p"


def facet(kind: Facet, value: str | bool) -> str:
    """The word that stands for a property; no text holds it, since ``words`` drops its mark.

    Upper and lower case of ASCII are the same, as in the table of tags.
    """
    value = str(int(value)) if isinstance(value, bool) else value
    return FACET_MARK + kind + value.encode("utf-8", "replace").lower().hex()


def match_expression(typed: str) -> str:
    """The FTS5 expression for what a person typed; "" when it holds nothing to search for.

    All words must occur, each as the beginning of a word; quotes ask for an exact phrase. Operators
    of FTS5 (``AND``, ``*``, ``-``, ``:``, ``(``) are plain text.
    """
    terms = []
    for phrase, word in _TERM.findall(typed):
        cut = words(phrase or word)
        if not any(_indexed(character) for character in cut):
            continue
        prefix = "" if phrase or _ALONE.match(cut[-1]) else "*"
        terms.append('"' + cut.replace('"', '""') + '"' + prefix)
    return " AND ".join(terms)


def _indexed(character: str) -> bool:
    """Whether the index's tokenizer keeps the character; see the schema of ``clip_search``."""
    category = unicodedata.category(character)
    return category[0] in "LN" or category in ("Co", "So")


FEW = 2000  # so many rows are sorted sooner than an index of 100,000 is walked


class Sort(StrEnum):
    """What a page of clips is ordered by."""

    CREATED = "created"
    DURATION = "duration"
    TITLE = "title"
    ENGINE = "engine"
    LOUDNESS = "loudness"


SORT_COLUMNS = {
    Sort.DURATION: "duration_s",
    Sort.TITLE: "title COLLATE NOCASE",
    Sort.ENGINE: "engine",
    Sort.LOUDNESS: "loudness_lufs",
}


@dataclass(frozen=True)
class ClipQuery:
    """What to look for. Empty text and None mean any.

    ``created_from`` and ``created_to`` are included; a ``date`` means the whole day in UTC.
    Durations are in seconds, included. ``page`` counts from 1. ``Sort.CREATED`` is the order in
    which clips were added here.
    """

    text: str = ""
    engine: str = ""
    task: str = ""
    tag: str = ""
    favorite: bool | None = None
    partial: bool | None = None
    created_from: date | None = None
    created_to: date | None = None
    duration_min_s: float | None = None
    duration_max_s: float | None = None
    sort: Sort = Sort.CREATED
    descending: bool = True
    page: int = 1
    page_size: int = 50


@dataclass(frozen=True)
class Statement:
    """A piece of SQL and its parameters."""

    sql: str
    parameters: tuple[Any, ...] = ()


def matching(query: ClipQuery) -> Statement:
    """A SELECT of the numbers, as ``found``, of all clips that match, in no given order.

    The plans are forced, because SQLite cannot know how common a word is: words and facets are
    looked up first, then dates and durations in the narrow index ``clips_filter``.
    """
    terms = [match_expression(query.text), *(f'"{word}"' for word in _facets(query))]
    expression = " AND ".join(term for term in terms if term)
    conditions, parameters = _ranges(query)
    narrow = "clips INDEXED BY clips_filter"
    if not expression:
        where = " AND ".join(["deleted IS NULL", *conditions])
        return Statement(
            f"SELECT clips.number AS found FROM {narrow} WHERE {where}", tuple(parameters)
        )
    sql = "SELECT clip_search.rowid AS found FROM clip_search"
    if conditions:
        sql += f" CROSS JOIN {narrow} ON clips.number = clip_search.rowid AND deleted IS NULL"
    where = " AND ".join(["clip_search MATCH ?", *conditions])
    return Statement(f"{sql} WHERE {where}", (expression, *parameters))


def is_narrow(query: ClipQuery) -> bool:
    """Whether the query asks for less than everything."""
    return bool(match_expression(query.text) or _facets(query) or _ranges(query)[0])


def count(query: ClipQuery) -> Statement:
    """A SELECT of how many clips match, exactly."""
    if not is_narrow(query):  # counting all rows of a table is the one quick count
        deleted = "SELECT count(*) FROM clips WHERE deleted IS NOT NULL"
        return Statement(f"SELECT (SELECT count(*) FROM clips) - ({deleted})")
    found = matching(query)
    return Statement(f"SELECT count(*) FROM ({found.sql})", found.parameters)


def page(query: ClipQuery, total: int, offset: int) -> Statement:
    """A SELECT of ``number`` of ``query.page_size`` of the ``total`` matches from ``offset`` on."""
    found = matching(query)
    direction = "DESC" if query.descending else "ASC"
    limits = (query.page_size, offset)
    if query.sort == Sort.CREATED:
        sql = f"{found.sql} ORDER BY 1 {direction} LIMIT ? OFFSET ?"
        return Statement(sql, found.parameters + limits)
    parameters = found.parameters
    if not is_narrow(query):
        source, parameters = "FROM clips WHERE deleted IS NULL", ()
    elif total <= FEW:  # visit the matches and sort them
        source = f"FROM ({found.sql}) CROSS JOIN clips ON clips.number = found"
    else:  # walk the index of the sort column until a page of matches is found
        source = f"FROM clips WHERE deleted IS NULL AND +number IN ({found.sql})"
    order = f"{SORT_COLUMNS[query.sort]} {direction} NULLS LAST, number {direction}"
    sql = f"SELECT clips.number {source} ORDER BY {order} LIMIT ? OFFSET ?"
    return Statement(sql, parameters + limits)


def _facets(query: ClipQuery) -> list[str]:
    """The index words of the chosen properties."""
    values = {
        Facet.ENGINE: query.engine or None,
        Facet.TASK: query.task or None,
        Facet.TAG: " ".join(query.tag.split()) or None,
        Facet.FAVORITE: query.favorite,
        Facet.PARTIAL: query.partial,
    }
    return [facet(kind, value) for kind, value in values.items() if value is not None]


def _ranges(query: ClipQuery) -> tuple[list[str], list[Any]]:
    """Conditions on dates and durations, and their parameters."""
    candidates = (
        ("created_at >= ?", moment(query.created_from)),
        ("created_at < ?", moment(query.created_to, after=True)),
        ("duration_s >= ?", query.duration_min_s),
        ("duration_s <= ?", query.duration_max_s),
    )
    chosen = [(condition, value) for condition, value in candidates if value is not None]
    return [condition for condition, _ in chosen], [value for _, value in chosen]


def moment(when: date | None, after: bool = False) -> str | None:
    """The first moment of ``when`` as stored in ``created_at``; ``after``: the one just past it."""
    if when is None:
        return None
    if isinstance(when, datetime):
        step, start = timedelta(milliseconds=1), when.astimezone(UTC)
    else:
        step, start = timedelta(days=1), datetime(when.year, when.month, when.day, tzinfo=UTC)
    return (start + step if after else start).isoformat(timespec="milliseconds")
