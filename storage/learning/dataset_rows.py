"""Datasets outside the database: rows, the SQL that reads them, parts and hashes."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from storage.learning.dataset_filter import DatasetFilter, DatasetKind
from storage.learning.dataset_search import Found


class Split(StrEnum):
    """The part of a dataset to learn from, and the part to test on."""

    TRAIN = "train"
    VALIDATION = "validation"


class Removal(StrEnum):
    """What ``delete`` did: things that others refer to are archived instead."""

    DELETED = "deleted"
    ARCHIVED = "archived"


@dataclass(frozen=True)
class DatasetCount:
    """How much a filter finds: items, different clips and prompts in them, seconds of sound."""

    items: int
    clips: int
    prompts: int
    seconds: float


@dataclass(frozen=True)
class DatasetItem:
    """One item, a clip or a pair of clips of the same prompt.

    ``rating`` is a mean over ``raters`` people and None in pairs; ``strength`` and the ``rejected``
    fields belong to pairs. ``split`` is "" as long as nothing is frozen.
    """

    prompt: str
    clip_id: str
    hash: str
    file: Path
    duration_s: float
    rating: float | None
    raters: int
    rejected_id: str
    rejected_hash: str
    rejected_file: Path | None
    strength: float | None
    split: Split | str
    position: int


@dataclass(frozen=True)
class NewItem:
    """An item of an import: a clip that is stored already, its text being the prompt.

    ``split`` "" leaves the choice to the dataset.
    """

    clip_id: str
    rejected_id: str = ""
    rating: float | None = None
    raters: int = 0
    strength: float | None = None
    split: Split | str = ""


@dataclass(frozen=True)
class DatasetRow:
    """One dataset; ``filter`` is None for imports. ``content_hash`` is of its rows, in any order."""

    id: str
    name: str
    kind: DatasetKind
    filter: DatasetFilter | None
    items: int
    clips: int
    prompts: int
    seconds: float
    content_hash: str
    validation_share: float
    seed: int
    created_at: str
    archived: bool
    notes: str


ITEMS = """
    SELECT items.*, clips.text AS prompt, clips.id AS clip_id, clips.hash AS hash,
        clips.file AS file, clips.duration_s AS duration_s, other.id AS rejected_id,
        other.hash AS rejected_hash, other.file AS rejected_file,
        other.duration_s AS rejected_duration_s
    FROM ({items}) AS items CROSS JOIN clips ON clips.number = items.number
    LEFT JOIN clips AS other ON other.number = items.rejected ORDER BY position
"""

LISTED = """
    SELECT value ->> 0 AS number, value ->> 1 AS rejected, value ->> 2 AS rating,
        value ->> 3 AS raters, value ->> 4 AS strength, '' AS split, key AS position
    FROM json_each(:listed)
"""

FROZEN = """
    SELECT clip_number AS number, rejected_number AS rejected, rating, raters, strength, split,
        position
    FROM dataset_items WHERE dataset_number = :number AND :split IN ('', split)
"""

ROWS = """
    SELECT id, name, kind, filter, items, clips, prompts, seconds, content_hash, validation_share,
        seed, created_at, archived, notes
    FROM datasets
"""


def validation_prompts(prompts: Iterable[str], share: float, seed: int) -> set[str]:
    """The prompts to test on: those whose hash with ``seed`` falls into the lowest ``share``.

    A prompt so keeps its part when others come and go. With two prompts or more and a share above 0
    neither part is empty: the lowest is tested on, the highest learned from.
    """
    drawn = {
        prompt: hashlib.sha256(f"{seed}\n{prompt}".encode()).digest()[:8] for prompt in prompts
    }
    limit = int(share * 2**64).to_bytes(8, "big")
    chosen = {prompt for prompt, place in drawn.items() if place < limit}
    if share > 0 and len(drawn) > 1:
        chosen.add(min(drawn, key=lambda prompt: (drawn[prompt], prompt)))
        chosen.discard(max(drawn, key=lambda prompt: (drawn[prompt], prompt)))
    return chosen


def durations(found: Iterable[Found]) -> dict[str, float]:
    """Seconds of each different sound."""
    seconds: dict[str, Any] = {}
    for item in found:
        seconds[item.hash] = item.duration_s
        if item.rejected_hash:
            seconds[item.rejected_hash] = item.rejected_duration_s
    return seconds


def content_hash(found: Iterable[Found], splits: Iterable[str]) -> str:
    """SHA-256 of what items say (sounds, judgements, part, prompt), whatever their order and ids."""
    lines = [
        f"{hash} {rejected_hash} {rating} {raters} {strength} {split} {len(prompt)} {prompt}"
        for (_, _, rating, raters, strength, prompt, hash, _, rejected_hash, _), split in zip(
            found, splits, strict=True
        )
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def to_row(row: sqlite3.Row) -> DatasetRow:
    """The dataclass of one row of ``ROWS``."""
    values: dict[str, Any] = dict(row)
    values["kind"] = DatasetKind(values["kind"])
    values["archived"] = bool(values["archived"])
    if values["filter"] is not None:
        values["filter"] = DatasetFilter.from_dict(json.loads(values["filter"]))
    return DatasetRow(**values)
