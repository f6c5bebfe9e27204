"""Merging the rows of a project file into a database: what is new is added, nothing is changed.

A row that is here already stays as it is. A clip is the same when its id is, or else when its sound
and its text are; other rows are the same when the keys of ``storage.project.tables`` say so.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from storage.base.errors import StorageError
from storage.clips.rows import insert_words
from storage.clips.tags import MAX_TAG_LENGTH, normal_tag
from storage.learning.listening import TestKind, checked_answer
from storage.project.columns import brief
from storage.project.format import wrong_row
from storage.project.tables import BY_NAME, CLIPS, Ref, Table, Values

MAX_LISTED = 100
REFUSED = (ValueError, TypeError, AttributeError, KeyError, OverflowError, StorageError)
NUMBERED = {"tests", "trials", "datasets", "adapters"}  # what others refer to, besides clips
BY_ID = {"experiments"}
NAMES = ("name", "title", "text", "rater", "metric", "id")  # what a person knows a row by


@dataclass
class Tally:
    """How many rows of a table are new, here already, and here with another content."""

    new: int = 0
    here: int = 0
    conflicts: int = 0


@dataclass(frozen=True)
class Conflict:
    """A row that is here already and differs in ``fields``; it stays as it is."""

    table: str
    name: str
    fields: tuple[str, ...]


@dataclass
class Merged:
    """What a merge did, or would do; ``conflicts`` lists the first of them."""

    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    conflicts: list[Conflict] = field(default_factory=list)

    @property
    def new(self) -> int:
        """All new rows."""
        return sum(tally.new for tally in self.tallies.values())


class Merge:
    """One merge inside a transaction. Call ``add`` table by table in their order, then ``finish``."""

    def __init__(self, transaction: sqlite3.Connection, archived_clips: set[str]):
        self.merged = Merged()
        self._transaction = transaction
        self._archived_clips = archived_clips
        self._places: dict[str, dict[str, Any]] = defaultdict(dict)  # what a Ref finds, by table
        self._fresh: dict[str, set[Any]] = defaultdict(set)  # those of them that are new
        self._renamed: dict[str, str] = {}  # clips that are here under another id
        self._matched: set[int] = set()
        self._changed: set[int] = set()  # clips whose words are indexed anew

    def add(self, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
        """Merge the rows of a table as a file has them.

        Raises ``StorageError`` naming the first row that cannot be.
        """
        for line, row in enumerate(rows, 1):
            try:
                self._add(table, checked(table, row))
            except (ValueError, StorageError) as error:
                raise wrong_row(table.name, line, error) from error
            except sqlite3.IntegrityError as error:
                raise wrong_row(table.name, line, f"it contradicts others ({error})") from error

    def finish(self) -> None:
        """Index the words of clips that are new or have new tags."""
        hidden = "SELECT number FROM clips WHERE deleted IS NOT NULL"
        numbers = self._changed - {row[0] for row in self._transaction.execute(hidden)}
        insert_words(self._transaction, sorted(numbers))

    def _add(self, table: Table, row: Values) -> None:
        names = {name: row.pop(name) for name in table.refs}
        values = dict(row)
        for name, ref in table.refs.items():
            values[ref.column] = self._place(ref, names[name])
        if table.parent and not self._is_fresh(table, values):
            return
        if table is CLIPS:
            self._add_clip(values)
            return
        if table.name == "clip_parents":
            values["parent_id"] = self._renamed.get(values["parent_id"], values["parent_id"])
        if table.name == "votes":
            self._check_vote(values)
        here = None if table.parent else self._find(table, values)
        if here is not None:
            self._compare(table, values, here)
            self._remember(table, row, here["id"] if table.name in BY_ID else here[0])
            return
        table.before(self._transaction, values)
        if table.name == "adapters":
            values["folder"] = f"adapters/{values['id']}"
        number = self._insert(table, values)
        table.after(self._transaction, values)
        self.merged.tallies[table.name].new += 1
        place = values["id"] if table.name in BY_ID else number
        self._remember(table, row, place)
        self._fresh[table.name].add(place)
        if table.name == "clip_tags":
            self._changed.add(values["clip_number"])

    def _is_fresh(self, table: Table, values: Values) -> bool:
        ref = table.refs[table.parent]
        return values[ref.column] in self._fresh[ref.table]

    def _remember(self, table: Table, row: Values, place: Any) -> None:
        """Keep what references to a row will hold here."""
        if table.name in NUMBERED or table.name in BY_ID:
            self._places[table.name][row["id"]] = place

    # references

    def _place(self, ref: Ref, name: Any) -> Any:
        """What the column of a reference holds here."""
        if name is None and ref.optional:
            return None
        if not isinstance(name, str):
            raise ValueError(f"{brief(name)} names no row of {ref.table}")
        if ref.table == "tags":
            return self._tag(name)
        if name not in self._places[ref.table]:
            raise ValueError(f"{brief(name)} of {ref.table} is not in the file")
        return self._places[ref.table][name]

    def _tag(self, name: str) -> int:
        found = self._places["tags"].get(name)
        if found is None:
            if not 0 < len(name) <= MAX_TAG_LENGTH or normal_tag(name) != name:
                raise ValueError(f"{brief(name)} is no tag")
            self._transaction.execute("INSERT OR IGNORE INTO tags (name) VALUES (?)", [name])
            row = self._transaction.execute("SELECT id FROM tags WHERE name = ?", [name]).fetchone()
            found = self._places["tags"][name] = row[0]
        return found

    # clips

    def _add_clip(self, values: Values) -> None:
        if values["file"][3:67] != values["hash"] or values["file"][:2] != values["hash"][:2]:
            raise ValueError(f"{values['file']} is not named by the hash")
        here = self._same_clip(values)
        if here is None:
            number = self._insert(CLIPS, values)
            self.merged.tallies["clips"].new += 1
            self._fresh["clips"].add(number)
            self._changed.add(number)
        else:
            number = here["number"]
            if here["id"] == values["id"]:
                self._compare(CLIPS, values, here)
            else:
                self.merged.tallies["clips"].here += 1
                self._renamed[values["id"]] = here["id"]
            if here["deleted"] is not None and values["deleted"] is None:
                sql = "UPDATE clips SET deleted = NULL WHERE number = ?"
                self._transaction.execute(sql, [number])
                self._changed.add(number)
        self._matched.add(number)
        self._places["clips"][values["id"]] = number

    def _same_clip(self, values: Values) -> sqlite3.Row | None:
        """The clip of this id, else one of the same sound and text that the file does not have."""
        here = self._find(CLIPS, values)
        if here is not None:
            return here
        rows = self._transaction.execute(
            "SELECT * FROM clips WHERE hash = :hash AND text = :text AND deleted IS NULL"
            " ORDER BY number",
            values,
        )
        for row in rows.fetchall():
            if row["number"] not in self._matched and row["id"] not in self._archived_clips:
                return row
        return None

    # votes

    def _check_vote(self, values: Values) -> None:
        """Raises ``StorageError`` for an answer that does not fit its trial."""
        number = values["trial_number"]
        kind, stimuli = self._transaction.execute(
            "SELECT kind, (SELECT count(*) FROM stimuli WHERE trial_number = :trial)"
            " FROM trials JOIN tests ON tests.number = test_number WHERE trials.number = :trial",
            {"trial": number},
        ).fetchone()
        checked_answer(TestKind(kind), json.loads(values["answer"]), stimuli)

    # rows

    def _find(self, table: Table, values: Values) -> sqlite3.Row | None:
        for key in table.keys:
            sql = f"SELECT * FROM {table.name} WHERE {key}"
            row = self._transaction.execute(sql, values).fetchone()
            if row is not None:
                return row
        return None

    def _compare(self, table: Table, values: Values, here: sqlite3.Row) -> None:
        """Count a row that is here already, as the same or as a conflict."""
        differing = tuple(
            name for name, value in values.items() if name not in table.free and here[name] != value
        )
        tally = self.merged.tallies[table.name]
        if not differing:
            tally.here += 1
            return
        tally.conflicts += 1
        if len(self.merged.conflicts) < MAX_LISTED:
            known = next(str(values[name]) for name in NAMES if values.get(name))
            self.merged.conflicts.append(Conflict(table.name, known, differing))

    def _insert(self, table: Table, values: Values) -> int:
        values = {**values, **table.constant}
        marks = ", ".join(f":{name}" for name in values)
        sql = f"INSERT INTO {table.name} ({', '.join(values)}) VALUES ({marks})"
        return self._transaction.execute(sql, values).lastrowid or 0


def checked(table: Table, row: Mapping[str, Any]) -> Values:
    """A row's values as the database holds them; references as they are.

    Raises ``ValueError`` for missing and unknown names and for values that cannot be.
    """
    known = [*table.columns, *table.refs]
    if set(row) != set(known):
        odd = sorted(set(row) ^ set(known))[0]
        raise ValueError(f"{odd!r} is missing" if odd in known else f"{odd!r} is not known")
    values: Values = {}
    for name, column in table.columns.items():
        try:
            values[name] = column.read(row[name])
        except REFUSED as error:
            raise ValueError(f"{name}: {error}") from error
    return values | {name: row[name] for name in table.refs}


def all_tables(merged: Merged) -> dict[str, Tally]:
    """The tallies of the tables that reports name, those with rows only."""
    return {
        name: tally
        for name, tally in merged.tallies.items()
        if BY_NAME[name].title and (tally.new or tally.here or tally.conflicts)
    }
