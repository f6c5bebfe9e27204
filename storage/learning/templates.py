"""Templates: prompts to start from, those of the studio and a person's own."""

from __future__ import annotations

import builtins
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from storage.base.checks import proper_name
from storage.base.db import Database, clean
from storage.base.errors import NotFound, StorageError
from storage.base.ids import new_id, utc_now


@dataclass(frozen=True)
class TemplateRow:
    """One template; ``system`` ones come with the studio and cannot be changed."""

    id: str
    name: str
    category: str
    description: str
    text: str
    attributes: dict[str, Any]
    system: bool
    updated_at: str


class Templates:
    """All templates. Methods raise ``NotFound`` for ids that are not there."""

    def __init__(self, database: Database):
        self._database = database

    def seed(self, templates: Iterable[Mapping[str, Any]]) -> None:
        """Make the system's templates equal to these; a second time changes nothing.

        Each has ``name`` and ``text``, and may have ``category``, ``description``, ``attributes``.
        """
        wanted = {entry["name"]: _content(entry) for entry in templates}
        present = {row.name: row for row in self.list() if row.system}
        gone = [row.id for name, row in present.items() if name not in wanted]
        changed = [
            (name, content)
            for name, content in wanted.items()
            if name not in present or _content(vars(present[name])) != content
        ]
        if not gone and not changed:
            return
        with self._database.write() as transaction:
            transaction.executemany("DELETE FROM templates WHERE id = ?", [(id,) for id in gone])
            for name, content in changed:
                _put(transaction, name, content, system=True)

    def list(self, category: str = "") -> builtins.list[TemplateRow]:
        """Templates of one category ("": of all), the person's own first, then by name."""
        rows = self._database.query(
            "SELECT * FROM templates WHERE :category IN ('', category) ORDER BY system, name, id",
            {"category": category},
        )
        return [to_row(row) for row in rows]

    def categories(self) -> builtins.list[str]:
        """All categories in use, in alphabetical order."""
        rows = self._database.query(
            "SELECT DISTINCT category FROM templates WHERE category != '' ORDER BY category"
        )
        return [row[0] for row in rows]

    def get(self, id: str) -> TemplateRow:
        """The template with this id."""
        rows = self._database.query("SELECT * FROM templates WHERE id = ?", [id])
        if not rows:
            raise NotFound(f"There is no template {id}; it may have been deleted.")
        return to_row(rows[0])

    def save(
        self,
        name: str,
        category: str,
        text: str,
        attributes: dict[str, Any],
        description: str = "",
    ) -> TemplateRow:
        """Keep an own template; an own one of the same name is replaced.

        Raises ``StorageError`` for an empty text and for the name of one of the studio's.
        """
        name = proper_name("a template", name)
        if not text.strip():
            raise StorageError("A template needs a text: write what it should ask for.")
        entry = {"category": category, "description": description, "text": text}
        with self._database.write() as transaction:
            taken = transaction.execute(
                "SELECT name FROM templates WHERE name = ? AND system", [name]
            ).fetchone()
            if taken:
                raise StorageError(
                    f"{taken[0]!r} is a template of the studio, which stays as it is; "
                    "choose another name for yours."
                )
            id = _put(transaction, name, _content(entry | {"attributes": attributes}), system=False)
        return self.get(id)

    def delete(self, id: str) -> None:
        """Remove an own template for good. Raises ``StorageError`` for one of the studio's."""
        row = self.get(id)
        if row.system:
            raise StorageError(
                f"{row.name!r} is a template of the studio and cannot be deleted; only own ones can."
            )
        with self._database.write() as transaction:
            transaction.execute("DELETE FROM templates WHERE id = ? AND NOT system", [id])


def _content(entry: Mapping[str, Any]) -> dict[str, str]:
    """What a template says, as its columns hold it."""
    texts = {
        name: clean(entry.get(name, "")).strip() for name in ("category", "description", "text")
    }
    return texts | {"attributes": json.dumps(entry.get("attributes") or {}, sort_keys=True)}


def _put(
    transaction: sqlite3.Connection, name: str, content: dict[str, str], *, system: bool
) -> str:
    """Add the template or replace what it says; returns its id, which stays."""
    values = content | {"id": new_id(), "name": name, "system": system, "now": utc_now()}
    return transaction.execute(
        "INSERT INTO templates VALUES (:id, :name, :category, :description, :text, :attributes,"
        " :system, :now) ON CONFLICT (name, system) DO UPDATE SET name = excluded.name,"
        " category = excluded.category, description = excluded.description, text = excluded.text,"
        " attributes = excluded.attributes, updated_at = excluded.updated_at RETURNING id",
        values,
    ).fetchone()[0]


def to_row(row: sqlite3.Row) -> TemplateRow:
    """The dataclass of one row."""
    values = dict(row)
    values["attributes"] = json.loads(values["attributes"])
    values["system"] = bool(values["system"])
    return TemplateRow(**values)
