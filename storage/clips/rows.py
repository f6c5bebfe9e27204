"""Rows of clips: what they look like outside the database, and the SQL that reads them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.audio.embedded import Embedded
from storage.base.db import Database, clean
from storage.base.errors import NotFound
from storage.clips.search import Facet, facet, words


@dataclass(frozen=True)
class ClipRow:
    """One clip as stored.

    ``hash`` is the SHA-256 of the file at ``path``, ``bytes`` its size; ``created_at`` is ISO 8601
    in UTC; ``parents`` are clip ids, which may have been purged; ``peak_db`` is in dBFS (-inf for
    silence), ``loudness_lufs`` in LUFS or None. ``number`` counts clips in the order of creation.
    """

    id: str
    number: int
    hash: str
    path: Path
    bytes: int
    created_at: str
    title: str
    engine: str
    task: str
    text: str
    settings: dict[str, Any]
    seed: int | None
    revision: str
    adapter: str
    adapter_scale: float | None
    parents: tuple[str, ...]
    duration_s: float
    sample_rate: int
    channels: int
    peak_db: float
    loudness_lufs: float | None
    favorite: bool
    tags: tuple[str, ...]
    notes: str
    job_id: str
    partial: bool
    app_version: str


@dataclass(frozen=True)
class ClipPage:
    """One page of a search: ``total`` clips match, on ``pages`` pages; this is ``page``, from 1."""

    rows: tuple[ClipRow, ...]
    total: int
    page: int
    pages: int


@dataclass(frozen=True)
class Lineage:
    """What a clip was made from and what was made from it, oldest first."""

    ancestors: tuple[ClipRow, ...]
    descendants: tuple[ClipRow, ...]


@dataclass(frozen=True)
class Count:
    """A name and how many clips have it."""

    name: str
    clips: int


ROWS = """
    SELECT clips.*,
        (SELECT json_group_array(name) FROM (SELECT name FROM clip_tags JOIN tags
            ON tags.id = tag_id WHERE clip_number = clips.number ORDER BY name)) AS tags,
        (SELECT json_group_array(parent_id) FROM (SELECT parent_id FROM clip_parents
            WHERE clip_number = clips.number ORDER BY position)) AS parents
    FROM clips WHERE deleted IS NULL AND clips.number IN (SELECT value FROM json_each(?))
"""

ANCESTORS = """
    WITH RECURSIVE found(number) AS (
        SELECT parent.number FROM clips AS child JOIN clip_parents ON clip_number = child.number
            JOIN clips AS parent ON parent.id = parent_id WHERE child.id = :id
        UNION SELECT parent.number FROM found JOIN clip_parents ON clip_number = found.number
            JOIN clips AS parent ON parent.id = parent_id)
    SELECT number FROM found ORDER BY number
"""

DESCENDANTS = """
    WITH RECURSIVE found(number) AS (
        SELECT clip_number FROM clip_parents WHERE parent_id = :id
        UNION SELECT clip_number FROM found JOIN clips ON clips.number = found.number
            JOIN clip_parents ON parent_id = clips.id)
    SELECT number FROM found ORDER BY number
"""

# Whether a row of ``clips`` must outlive its deletion, because something refers to its sound.
HELD = """(EXISTS (SELECT 1 FROM dataset_items WHERE clip_number = clips.number)
    OR EXISTS (SELECT 1 FROM dataset_items WHERE rejected_number = clips.number)
    OR EXISTS (SELECT 1 FROM stimuli WHERE clip_number = clips.number)
    OR EXISTS (SELECT 1 FROM adapter_clips WHERE clip_number = clips.number))"""

HELD_ROWS = ROWS.replace("deleted IS NULL", f"(deleted IS NULL OR {HELD})")

BOOLEANS = ("favorite", "partial")
LISTS = ("tags", "parents")


def to_row(row: sqlite3.Row, audio: Path) -> ClipRow:
    """The dataclass of one row of ``ROWS``; ``audio`` is the absolute audio folder."""
    values = dict(row)
    values.pop("deleted")
    values["path"] = audio / values.pop("file")
    values["settings"] = json.loads(values["settings"])
    for name in BOOLEANS:
        values[name] = bool(values[name])
    for name in LISTS:
        values[name] = tuple(json.loads(values[name]))
    return ClipRow(**values)


def clip_numbers(database: Database, ids: Sequence[str]) -> list[int]:
    """Numbers of clips that are not deleted, in this order. Raises ``NotFound`` for the first other."""
    rows = database.query(
        "SELECT id, number FROM clips WHERE deleted IS NULL"
        " AND id IN (SELECT value FROM json_each(?))",
        [json.dumps(list(ids))],
    )
    numbers = {row["id"]: row["number"] for row in rows}
    for id in ids:
        if id not in numbers:
            raise NotFound(f"There is no clip {id}; it may have been deleted.")
    return [numbers[id] for id in ids]


def columns_of(tags: Embedded) -> dict[str, Any]:
    """The columns of ``clips`` that a file's own tags hold too."""
    return {
        "engine": tags.engine,
        "revision": tags.revision,
        "adapter": tags.adapter,
        "adapter_scale": tags.adapter_scale,
        "settings": json.dumps(tags.settings, sort_keys=True),
        "seed": tags.seed,
        "text": clean(tags.text),
        "title": clean(tags.title),
        "app_version": tags.app_version,
    }


INSERT_WORDS = (
    "INSERT INTO clip_words (number, title, text, tags, notes, facets) VALUES (?, ?, ?, ?, ?, ?)"
)


def words_of(row: Mapping[str, Any], tags: Sequence[str]) -> tuple[Any, ...]:
    """The row of ``clip_words`` for a row of ``clips`` and its tags."""
    facets = [
        facet(Facet.ENGINE, row["engine"]),
        facet(Facet.TASK, row["task"]),
        facet(Facet.FAVORITE, bool(row["favorite"])),
        facet(Facet.PARTIAL, bool(row["partial"])),
        *(facet(Facet.TAG, tag) for tag in tags),
    ]
    texts = (row["title"], row["text"], "\n".join(tags), row["notes"])
    return (row["number"], *map(words, texts), " ".join(facets))


def insert_words(transaction: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Index the words of these clips anew, from their rows and tags."""
    for number in numbers:
        row = transaction.execute("SELECT * FROM clips WHERE number = ?", [number]).fetchone()
        tags = transaction.execute(
            "SELECT name FROM clip_tags JOIN tags ON tags.id = tag_id WHERE clip_number = ?",
            [number],
        )
        transaction.execute("DELETE FROM clip_words WHERE number = ?", [number])
        transaction.execute(INSERT_WORDS, words_of(dict(row), [tag["name"] for tag in tags]))


def lineage_numbers(database: Database, id: str) -> tuple[list[int], list[int]]:
    """Numbers of all ancestors and of all descendants of a clip, in the order of creation."""
    ancestors = database.query(ANCESTORS, {"id": id})
    descendants = database.query(DESCENDANTS, {"id": id})
    return [row[0] for row in ancestors], [row[0] for row in descendants]
