"""Datasets: frozen lists of judged clips, split by prompt into a part to learn from and one to test.

Later judgements change nothing in a dataset, and its clips stay on disk as long as it does.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterable, Sequence
from typing import Any

from storage.audio.files import AudioFiles
from storage.base.checks import choice, proper_name
from storage.base.db import Database, clean
from storage.base.errors import NotFound, StorageError
from storage.base.ids import new_id, utc_now
from storage.clips.rows import clip_numbers
from storage.learning.dataset_filter import DatasetFilter, DatasetKind, made
from storage.learning.dataset_rows import (
    FROZEN,
    ITEMS,
    LISTED,
    ROWS,
    DatasetCount,
    DatasetItem,
    DatasetRow,
    NewItem,
    Removal,
    Split,
    content_hash,
    durations,
    to_row,
    validation_prompts,
)
from storage.learning.dataset_search import Found, find

__all__ = [
    "DatasetCount",
    "DatasetFilter",
    "DatasetItem",
    "DatasetKind",
    "DatasetRow",
    "Datasets",
    "NewItem",
    "Removal",
    "Split",
]


class Datasets:
    """All datasets. Methods raise ``NotFound`` for ids that are not there."""

    def __init__(self, database: Database, files: AudioFiles):
        self._database = database
        self._files = files

    # looking before freezing

    def count(self, filter: DatasetFilter) -> DatasetCount:
        """How much a dataset of this filter would hold now."""
        found = find(self._database, filter)
        seconds = durations(found)
        prompts = {item.prompt for item in found}
        return DatasetCount(len(found), len(seconds), len(prompts), sum(seconds.values()))

    def select(
        self, filter: DatasetFilter, limit: int | None = 50, offset: int = 0
    ) -> builtins.list[DatasetItem]:
        """Items that a dataset of this filter would hold now, oldest clips first.

        ``limit`` None gives all from ``offset`` on.
        """
        found = find(self._database, filter)
        chosen = found[offset:] if limit is None else found[offset : offset + limit]
        rows = self._listed([tuple(item[:5]) for item in chosen])
        return [self._item(row | {"position": row["position"] + offset}) for row in rows]

    def candidates(self, filter: DatasetFilter) -> set[str]:
        """Ids of the clips that a filter looks at, whatever was said of them."""
        condition, values = made(filter)
        rows = self._database.query(f"SELECT id FROM clips WHERE {condition}", values)
        return {row[0] for row in rows}

    # making

    def create(
        self,
        name: str,
        filter: DatasetFilter,
        validation_share: float = 0.1,
        seed: int = 0,
        notes: str = "",
    ) -> DatasetRow:
        """Freeze what the filter finds now. All clips of a prompt get into the same part.

        Which part depends on ``seed`` and the prompt alone, except that with two prompts or more
        neither part is empty (a share of 0 asks for no validation). Raises ``StorageError`` when
        nothing is found.
        """
        with self._database.write():
            found = find(self._database, filter)
            if not found:
                raise StorageError(
                    f"No judged clip fits this {filter.kind} filter, and an empty dataset teaches "
                    "nothing. Judge more clips, or ask for less: a lower rating, fewer raters, "
                    "fewer tags."
                )
            splits = [""] * len(found)
            return self._freeze(
                name, filter.kind, filter, found, splits, validation_share, seed, notes
            )

    def add_items(
        self,
        name: str,
        kind: str,
        items: Iterable[NewItem],
        validation_share: float = 0.1,
        seed: int = 0,
        notes: str = "",
    ) -> DatasetRow:
        """Freeze an import: clips that are stored already, in this order, equal sounds once.

        Raises ``StorageError`` when there are none, a clip has no text (its caption), or the two
        clips of a pair have different texts.
        """
        kind = choice(DatasetKind, kind, "kind of dataset")
        with self._database.write():
            found = self._imported(kind, builtins.list(items))
            if not found:
                raise StorageError("There is no sound with a caption; the dataset would be empty.")
            rows, splits = zip(*found, strict=True)
            return self._freeze(name, kind, None, rows, splits, validation_share, seed, notes)

    def _imported(
        self, kind: DatasetKind, items: Sequence[NewItem]
    ) -> builtins.list[tuple[Found, str]]:
        """The items of an import with the parts they ask for."""
        numbers: builtins.list[Any] = clip_numbers(self._database, [item.clip_id for item in items])
        rejected: builtins.list[Any] = [None] * len(items)
        if kind is DatasetKind.PREFERENCE:
            rejected = clip_numbers(self._database, [item.rejected_id for item in items])
        listed = [
            (number, other, item.rating, item.raters, item.strength)
            for item, number, other in zip(items, numbers, rejected, strict=True)
        ]
        texts = self._texts(rejected)
        once: dict[tuple, tuple[Found, str]] = {}
        for item, row in zip(items, self._listed(listed), strict=True):
            if not row["prompt"].strip():
                raise StorageError(f"The clip {item.clip_id} has no text; add its caption.")
            if texts.get(row["rejected"], row["prompt"]) != row["prompt"]:
                raise StorageError(
                    f"The clips {item.clip_id} and {item.rejected_id} have different prompts; "
                    "a pair answers one prompt."
                )
            found = Found(**{name: row[name] for name in Found._fields})
            split = choice(Split, item.split, "split") if item.split else ""
            once.setdefault((found.hash, found.rejected_hash), (found, split))
        return [*once.values()]

    def _texts(self, numbers: Sequence[int | None]) -> dict[int, str]:
        rows = self._database.query(
            "SELECT number, text FROM clips WHERE number IN (SELECT value FROM json_each(?))",
            [json.dumps(numbers)],
        )
        return {row["number"]: row["text"] for row in rows}

    def _freeze(
        self,
        name: str,
        kind: DatasetKind,
        filter: DatasetFilter | None,
        found: Sequence[Found],
        splits: Sequence[str],
        validation_share: float,
        seed: int,
        notes: str,
    ) -> DatasetRow:
        """Store items with their parts ("": to be chosen) within the caller's transaction."""
        name = proper_name("a dataset", name)
        if not 0 <= validation_share < 1:
            raise StorageError(
                f"The share for validation is at least 0 and below 1, not {validation_share}."
            )
        prompts = {item.prompt for item in found}
        part = dict.fromkeys(prompts, Split.TRAIN)
        part |= dict.fromkeys(validation_prompts(prompts, validation_share, seed), Split.VALIDATION)
        splits = [split or part[item.prompt] for item, split in zip(found, splits, strict=True)]
        seconds = durations(found)
        id = new_id()
        stored = None if filter is None else json.dumps(filter.to_dict())
        with self._database.write() as transaction:
            number = transaction.execute(
                "INSERT INTO datasets (id, name, kind, filter, items, clips, prompts, seconds,"
                " content_hash, validation_share, seed, notes, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [id, name, kind, stored, len(found), len(seconds), len(prompts),
                 sum(seconds.values()), content_hash(found, splits), validation_share, seed,
                 clean(notes), utc_now()],
            ).lastrowid  # fmt: skip
            transaction.executemany(
                "INSERT INTO dataset_items (dataset_number, position, clip_number,"
                " rejected_number, rating, raters, strength, split) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (number, position, *item[:5], split)
                    for position, (item, split) in enumerate(zip(found, splits, strict=True))
                ),
            )
        return self.get(id)

    # reading

    def get(self, id: str) -> DatasetRow:
        """The dataset with this id."""
        rows = self._database.query(f"{ROWS} WHERE id = ?", [id])
        if not rows:
            raise NotFound(f"There is no dataset {id}; it may have been deleted.")
        return to_row(rows[0])

    def list(self, archived: bool = False) -> builtins.list[DatasetRow]:
        """The datasets that are (or are not) archived, newest first."""
        rows = self._database.query(f"{ROWS} WHERE archived = ? ORDER BY number DESC", [archived])
        return [to_row(row) for row in rows]

    def items(self, dataset_id: str, split: str = "") -> builtins.list[DatasetItem]:
        """The items of a dataset, or of one part of it, in order."""
        self.get(dataset_id)
        number = self._database.query("SELECT number FROM datasets WHERE id = ?", [dataset_id])
        part = choice(Split, split, "split") if split else ""
        rows = self._database.query(
            ITEMS.format(items=FROZEN), {"number": number[0][0], "split": part}
        )
        return [self._item(dict(row)) for row in rows]

    # changing

    def rename(self, id: str, name: str) -> DatasetRow:
        """Give a dataset another name; names need not differ."""
        return self._set(id, "name", proper_name("a dataset", name))

    def set_notes(self, id: str, notes: str) -> DatasetRow:
        """Replace the notes."""
        return self._set(id, "notes", clean(notes))

    def archive(self, id: str, archived: bool = True) -> DatasetRow:
        """Put a dataset away or take it back."""
        return self._set(id, "archived", bool(archived))

    def references(self, id: str) -> builtins.list[str]:
        """What refers to a dataset, in words: runs and adapters."""
        self.get(id)
        rows = self._database.query(
            "SELECT 'the run ' || name FROM runs WHERE dataset_id = :id UNION ALL"
            " SELECT 'the adapter ' || name || ' v' || version FROM adapters"
            " WHERE dataset_id = :id",
            {"id": id},
        )
        return [row[0] for row in rows]

    def delete(self, id: str) -> Removal:
        """Remove a dataset, or archive it when a run or an adapter refers to it.

        Its clips stay in the history. The caller removes the folder of what was deleted, after.
        """
        with self._database.write() as transaction:
            if self.references(id):
                self.archive(id)
                return Removal.ARCHIVED
            transaction.execute("DELETE FROM datasets WHERE id = ?", [id])
        return Removal.DELETED

    def _set(self, id: str, column: str, value: str | bool) -> DatasetRow:
        with self._database.write() as transaction:
            transaction.execute(f"UPDATE datasets SET {column} = ? WHERE id = ?", [value, id])
        return self.get(id)

    def _listed(self, listed: Sequence[tuple]) -> builtins.list[dict[str, Any]]:
        """Rows of ``ITEMS`` for (number, rejected, rating, raters, strength) each."""
        rows = self._database.query(ITEMS.format(items=LISTED), {"listed": json.dumps(listed)})
        return [dict(row) for row in rows]

    def _item(self, row: dict[str, Any]) -> DatasetItem:
        rejected = row["rejected_file"]
        return DatasetItem(
            prompt=row["prompt"],
            clip_id=row["clip_id"],
            hash=row["hash"],
            file=self._files.root / row["file"],
            duration_s=row["duration_s"],
            rating=row["rating"],
            raters=row["raters"],
            rejected_id=row["rejected_id"] or "",
            rejected_hash=row["rejected_hash"] or "",
            rejected_file=self._files.root / rejected if rejected else None,
            strength=row["strength"],
            split=Split(row["split"]) if row["split"] else "",
            position=row["position"],
        )
