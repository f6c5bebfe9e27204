"""Adapters: what training or an import brought, in versions under a name. Files are the caller's.

The files of an adapter lie in ``adapters/<id>/`` of the data folder or wherever ``folder`` says.
"""

from __future__ import annotations

import builtins
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storage.base.checks import choice, proper_name
from storage.base.db import Database, clean
from storage.base.errors import NotFound, StorageError
from storage.base.ids import new_id, utc_now
from storage.clips.rows import clip_numbers
from storage.learning.datasets import Removal

MAX_SCALE = 2.0


class AdapterSource(StrEnum):
    """Where an adapter came from."""

    TRAINED = "trained"
    IMPORTED = "imported"


@dataclass(frozen=True)
class AdapterRow:
    """One adapter: ``base`` is the id of the weights it was trained on, ``folder`` a PEFT folder.

    ``hash`` is of the weights file; ``config`` and ``metrics`` are of the run. An ``active`` one is
    preselected with ``scale`` (0 to 2). Times are ISO 8601 in UTC.
    """

    id: str
    name: str
    version: int
    base: str
    base_revision: str
    folder: str
    hash: str
    source: AdapterSource
    run_id: str
    dataset_id: str
    config: dict[str, Any]
    metrics: dict[str, Any]
    sample_clips: tuple[str, ...]
    notes: str
    archived: bool
    active: bool
    scale: float
    created_at: str
    updated_at: str

    @property
    def label(self) -> str:
        """Name and version, such as "warm v2"."""
        return f"{self.name} v{self.version}"


ROWS = """
    SELECT adapters.*, (SELECT json_group_array(id) FROM (SELECT clips.id FROM adapter_clips
        JOIN clips ON clips.number = clip_number WHERE adapter_number = adapters.number
        ORDER BY position)) AS sample_clips
    FROM adapters
"""

NEXT_VERSION = "(SELECT ifnull(max(version), 0) + 1 FROM adapters WHERE name = :name)"

# Several adapters of one clip are joined by " + " in its column.
USED_BY_CLIPS = (
    "SELECT count(*) FROM clips WHERE adapter != ''"
    " AND instr(' + ' || adapter || ' + ', ' + ' || ? || ' + ')"
)


class Adapters:
    """All adapters. Methods raise ``NotFound`` for ids that are not there."""

    def __init__(self, database: Database):
        self._database = database

    def add(
        self,
        name: str,
        base: str,
        folder: str,
        *,
        id: str = "",
        base_revision: str = "",
        hash: str = "",
        source: str = "trained",
        run_id: str = "",
        dataset_id: str = "",
        config: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        sample_clips: Sequence[str] = (),
        notes: str = "",
    ) -> AdapterRow:
        """Register an adapter as the next version of its name, under ``id`` or a new one.

        The sample clips stay on disk as long as the adapter is registered.
        """
        id = id or new_id()
        now = utc_now()
        values = {
            "id": id, "name": proper_name("an adapter", name), "base": base,
            "base_revision": base_revision, "folder": str(folder), "hash": hash,
            "source": choice(AdapterSource, source, "source of an adapter"), "run_id": run_id,
            "dataset_id": dataset_id, "config": json.dumps(dict(config or {})),
            "metrics": json.dumps(dict(metrics or {})), "notes": clean(notes),
            "created_at": now, "updated_at": now,
        }  # fmt: skip
        names = ", ".join(values)
        marks = ", ".join(f":{column}" for column in values)
        with self._database.write() as transaction:
            cursor = transaction.execute(
                f"INSERT INTO adapters (version, {names}) VALUES ({NEXT_VERSION}, {marks})", values
            )
            numbers = clip_numbers(self._database, sample_clips)
            transaction.executemany(
                "INSERT INTO adapter_clips (adapter_number, position, clip_number)"
                " VALUES (?, ?, ?)",
                [(cursor.lastrowid, position, number) for position, number in enumerate(numbers)],
            )
        return self.get(id)

    def get(self, id: str) -> AdapterRow:
        """The adapter with this id."""
        rows = self._database.query(f"{ROWS} WHERE id = ?", [id])
        if not rows:
            raise NotFound(f"There is no adapter {id}; it may have been deleted.")
        return to_row(rows[0])

    def list(self, base: str = "", archived: bool = False) -> builtins.list[AdapterRow]:
        """Adapters of a base ("": of all) that are (or are not) archived, by name, newest first."""
        rows = self._database.query(
            f"{ROWS} WHERE :base IN ('', base) AND archived = :archived"
            " ORDER BY name, version DESC",
            {"base": base, "archived": archived},
        )
        return [to_row(row) for row in rows]

    def rename(self, id: str, name: str) -> AdapterRow:
        """Give an adapter another name, of which it becomes the next version."""
        name = proper_name("an adapter", name)
        current = self.get(id)
        if current.name == name:
            return current
        same = current.name.encode().lower() == name.encode().lower()
        version = ":version" if same else NEXT_VERSION
        return self._set(
            id, f"name = :name, version = {version}", name=name, version=current.version
        )

    def set_notes(self, id: str, notes: str) -> AdapterRow:
        """Replace the notes."""
        return self._set(id, "notes = :notes", notes=clean(notes))

    def archive(self, id: str, archived: bool = True) -> AdapterRow:
        """Put an adapter away, which also ends its being active, or take it back."""
        return self._set(
            id, "archived = :archived, active = active AND NOT :archived", archived=bool(archived)
        )

    def activate(self, id: str, scale: float | None) -> AdapterRow:
        """Preselect an adapter with a scale from 0 to 2, or (None) no longer.

        Raises ``StorageError`` for another scale and for an archived adapter.
        """
        if scale is None:
            return self._set(id, "active = FALSE")
        if isinstance(scale, bool) or not 0 <= scale <= MAX_SCALE:
            raise StorageError(f"The scale of an adapter is from 0 to {MAX_SCALE:g}, not {scale}.")
        if self.get(id).archived:
            raise StorageError("This adapter is archived; take it out of the archive to use it.")
        return self._set(id, "active = TRUE, scale = :scale", scale=float(scale))

    def references(self, id: str) -> builtins.list[str]:
        """What refers to an adapter, in words: clips made with it, tests and datasets of it."""
        self.get(id)
        clips = self._database.query(USED_BY_CLIPS, [id])[0][0]
        found = [f"{clips} clip{'s' if clips > 1 else ''}"] if clips else []
        tests = self._database.query("SELECT name FROM tests WHERE adapter_id = ?", [id])
        datasets = self._database.query(
            "SELECT name FROM datasets WHERE json_extract(filter, '$.adapter') = ?", [id]
        )
        found += [f"the test {row['name']!r}" for row in tests]
        found += [f"the dataset {row['name']!r}" for row in datasets]
        return found

    def delete(self, id: str) -> Removal:
        """Remove an adapter, or archive it when something refers to it.

        The caller removes the files of what was deleted, after this.
        """
        with self._database.write() as transaction:
            if self.references(id):
                self.archive(id)
                return Removal.ARCHIVED
            transaction.execute("DELETE FROM adapters WHERE id = ?", [id])
            transaction.execute("UPDATE runs SET adapter_id = '' WHERE adapter_id = ?", [id])
        return Removal.DELETED

    def _set(self, id: str, assignments: str, **values: Any) -> AdapterRow:
        with self._database.write() as transaction:
            transaction.execute(
                f"UPDATE adapters SET {assignments}, updated_at = :now WHERE id = :id",
                values | {"id": id, "now": utc_now()},
            )
        return self.get(id)


def to_row(row: sqlite3.Row) -> AdapterRow:
    """The dataclass of one row of ``ROWS``."""
    values: dict[str, Any] = dict(row)
    del values["number"]
    for name in ("config", "metrics"):
        values[name] = json.loads(values[name])
    for name in ("archived", "active"):
        values[name] = bool(values[name])
    values["sample_clips"] = tuple(json.loads(values["sample_clips"]))
    values["source"] = AdapterSource(values["source"])
    return AdapterRow(**values)
