"""Presets: named settings of an engine that a person wants to use again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from storage.base.checks import proper_name
from storage.base.db import Database
from storage.base.errors import NotFound
from storage.base.ids import utc_now


@dataclass(frozen=True)
class Preset:
    """Settings of ``engine`` under a name of the person's choice; time in ISO 8601, UTC."""

    engine: str
    name: str
    settings: dict[str, Any]
    updated_at: str


class Presets:
    """All presets. Methods raise ``NotFound`` for names that are not there."""

    def __init__(self, database: Database):
        self._database = database

    def save(self, engine: str, name: str, settings: dict[str, Any]) -> Preset:
        """Store settings under a name; a preset of the same name is replaced."""
        name = proper_name("a preset", name)
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT OR REPLACE INTO presets (engine, name, settings, updated_at)"
                " VALUES (?, ?, ?, ?)",
                [engine, name, json.dumps(settings), utc_now()],
            )
        return self.get(engine, name)

    def list(self, engine: str) -> list[Preset]:
        """The presets of one engine by name."""
        rows = self._database.query(
            "SELECT * FROM presets WHERE engine = ? ORDER BY name COLLATE NOCASE, name", [engine]
        )
        return [Preset(**dict(row) | {"settings": json.loads(row["settings"])}) for row in rows]

    def get(self, engine: str, name: str) -> Preset:
        """One preset."""
        for preset in self.list(engine):
            if preset.name == name:
                return preset
        raise NotFound(f"There is no preset {name!r} of {engine}; it may have been deleted.")

    def delete(self, engine: str, name: str) -> None:
        """Remove a preset for good."""
        with self._database.write() as transaction:
            removed = transaction.execute(
                "DELETE FROM presets WHERE engine = ? AND name = ?", [engine, name]
            )
            if removed.rowcount == 0:
                raise NotFound(f"There is no preset {name!r} of {engine}.")
