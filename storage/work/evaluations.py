"""Evaluations: which sounds were measured by which metrics, and what came out.

An item is one generated sound with what it is judged against. Scores are JSON that this room does not
look into. Paths inside the data folder are kept relative to it.
"""

from __future__ import annotations

import builtins
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.base.checks import proper_name
from storage.base.db import Database, clean
from storage.base.errors import NotFound
from storage.base.ids import new_id, utc_now


@dataclass(frozen=True)
class EvaluationRow:
    """One evaluation. ``settings`` are those it was asked for with, ``systems`` who made the sounds,
    ``missing`` the names of files without a partner by side, ``sets`` the scores of whole sets."""

    id: str
    name: str
    settings: dict[str, Any]
    systems: tuple[str, ...]
    items: int
    measured: int
    missing: dict[str, list[str]]
    sets: list[dict[str, Any]]
    job_id: str
    created_at: str


@dataclass(frozen=True)
class EvaluationItem:
    """A sound to judge. ``scores`` is None until it was measured; ``clip_id`` is "" for a file."""

    name: str
    system: str
    generated: Path
    reference: Path | None = None
    text: str = ""
    language: str = "en"
    clip_id: str = ""
    scores: tuple[dict[str, Any], ...] | None = None


ROWS = """
    SELECT id, name, settings, systems, missing, sets, job_id, created_at,
        (SELECT count(*) FROM evaluation_items WHERE evaluation_number = number) AS items,
        (SELECT count(*) FROM evaluation_items WHERE evaluation_number = number
            AND scores IS NOT NULL) AS measured
    FROM evaluations
"""


class Evaluations:
    """All evaluations. Methods raise ``NotFound`` for ids that are not there."""

    def __init__(self, database: Database, data_dir: Path):
        self._database = database
        self._root = data_dir

    def add(
        self,
        name: str,
        settings: Mapping[str, Any],
        items: Iterable[EvaluationItem],
        missing: Mapping[str, Sequence[str]],
    ) -> EvaluationRow:
        """Store what is to be measured. Raises ``StorageError`` for an empty name."""
        name, listed = proper_name("an evaluation", name), list(items)
        systems = list(dict.fromkeys(item.system for item in listed))
        values = [new_id(), name, json.dumps(dict(settings)), json.dumps(systems)]
        values += [json.dumps({side: list(names) for side, names in missing.items()}), utc_now()]
        with self._database.write() as transaction:
            number = transaction.execute(
                "INSERT INTO evaluations (id, name, settings, systems, missing, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                values,
            ).lastrowid
            transaction.executemany(
                "INSERT INTO evaluation_items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
                [(number, place, *self._columns(item)) for place, item in enumerate(listed)],
            )
        return self.get(values[0])

    def get(self, id: str) -> EvaluationRow:
        """One evaluation."""
        rows = self._database.query(f"{ROWS} WHERE id = ?", [id])
        if not rows:
            raise NotFound(f"There is no evaluation {id}; it may have been deleted.")
        return _row(rows[0])

    def list(self) -> list[EvaluationRow]:
        """All of them, newest first."""
        return [_row(row) for row in self._database.query(f"{ROWS} ORDER BY number DESC")]

    def items(self, id: str) -> builtins.list[EvaluationItem]:
        """The items of an evaluation, in order."""
        rows = self._database.query(
            "SELECT name, system, generated, reference, text, language, clip_id, scores"
            " FROM evaluation_items WHERE evaluation_number = ? ORDER BY position",
            [self._number(id)],
        )
        return [self._item(row) for row in rows]

    def item(self, id: str, position: int) -> EvaluationItem:
        """One item, counted from 0."""
        rows = self._database.query(
            "SELECT name, system, generated, reference, text, language, clip_id, scores"
            " FROM evaluation_items WHERE evaluation_number = ? AND position = ?",
            [self._number(id), position],
        )
        if not rows:
            raise NotFound(f"Evaluation {id} has no item {position}.")
        return self._item(rows[0])

    def set_scores(self, id: str, scores: Mapping[int, Sequence[Mapping[str, Any]]]) -> None:
        """Keep the scores of items by position."""
        number = self._number(id)
        with self._database.write() as transaction:
            transaction.executemany(
                "UPDATE evaluation_items SET scores = ? WHERE evaluation_number = ?"
                " AND position = ?",
                [(json.dumps(list(found)), number, place) for place, found in scores.items()],
            )

    def set_sets(self, id: str, sets: Sequence[Mapping[str, Any]]) -> None:
        """Keep the scores of whole sets."""
        self._set(id, "sets", json.dumps(list(sets)))

    def set_job(self, id: str, job_id: str) -> None:
        """Note the job that measures."""
        self._set(id, "job_id", job_id)

    def rename(self, id: str, name: str) -> EvaluationRow:
        """Change the name."""
        self._set(id, "name", proper_name("an evaluation", name))
        return self.get(id)

    def delete(self, id: str) -> None:
        """Remove an evaluation for good; scores by key stay, so that another one is quick."""
        number = self._number(id)
        with self._database.write() as transaction:
            transaction.execute("DELETE FROM evaluations WHERE number = ?", [number])

    def _set(self, id: str, column: str, value: str) -> None:
        number = self._number(id)
        with self._database.write() as transaction:
            transaction.execute(
                f"UPDATE evaluations SET {column} = ? WHERE number = ?", [value, number]
            )

    def _number(self, id: str) -> int:
        rows = self._database.query("SELECT number FROM evaluations WHERE id = ?", [id])
        if not rows:
            raise NotFound(f"There is no evaluation {id}; it may have been deleted.")
        return int(rows[0]["number"])

    def _columns(self, item: EvaluationItem) -> tuple[str, ...]:
        reference = self._kept(item.reference) if item.reference is not None else ""
        return (
            clean(item.name), clean(item.system), self._kept(item.generated), reference,
            clean(item.text), item.language, item.clip_id,
        )  # fmt: skip

    def _kept(self, path: Path) -> str:
        path = path.absolute()
        inside = path.is_relative_to(self._root)
        return clean((path.relative_to(self._root) if inside else path).as_posix())

    def _item(self, row: sqlite3.Row) -> EvaluationItem:
        values = dict(row)
        values["generated"] = self._root / values["generated"]
        reference = values["reference"]
        values["reference"] = self._root / reference if reference else None
        if values["scores"] is not None:
            values["scores"] = tuple(json.loads(values["scores"]))
        return EvaluationItem(**values)


def _row(row: sqlite3.Row) -> EvaluationRow:
    values = dict(row)
    for name in ("settings", "missing", "sets"):
        values[name] = json.loads(values[name])
    values["systems"] = tuple(json.loads(values["systems"]))
    return EvaluationRow(**values)
