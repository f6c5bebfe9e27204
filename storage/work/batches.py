"""Batches: tables of runs that belong together, one row of the table a row here."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from storage.base.checks import proper_name
from storage.base.db import Database, clean
from storage.base.errors import NotFound
from storage.base.ids import new_id, utc_now
from storage.work.jobs import COLUMNS as JOB_COLUMNS
from storage.work.jobs import JobRow, JobState
from storage.work.jobs import to_row as to_job

OWNER = "batch:"


class RowState(StrEnum):
    """Where a row stands. An open row waits or is being made."""

    OPEN = "open"
    DONE = "done"
    REUSED = "reused"
    FAILED = "failed"


@dataclass(frozen=True)
class NewRow:
    """A row to store: its number in the file, its file name, its complete settings."""

    number: int
    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class BatchItem:
    """One row as stored.

    ``position`` counts from 1 in the order of the file; ``number`` is the row of the file;
    ``job_id`` is the last job whose end was noted here; times are ISO 8601 in UTC.
    """

    position: int
    number: int
    name: str
    settings: dict[str, Any]
    state: RowState
    job_id: str
    clip_ids: tuple[str, ...]
    error: str
    finished_at: str | None


@dataclass(frozen=True)
class BatchRow:
    """One batch as stored, with how many of its rows are in each state.

    ``source`` is the name of the file it was read from and ``digest`` the SHA-256 of what was read;
    ``job_id`` is the newest job that worked on it, "" before the first.
    """

    id: str
    name: str
    engine: str
    source: str
    digest: str
    job_id: str
    created_at: str
    open: int
    done: int
    reused: int
    failed: int

    @property
    def total(self) -> int:
        """How many rows there are."""
        return self.open + self.finished

    @property
    def finished(self) -> int:
        """How many rows are not open."""
        return self.done + self.reused + self.failed


ITEM_FIELDS = tuple(field.name for field in fields(BatchItem))
ITEM_COLUMNS = ", ".join(ITEM_FIELDS)
COUNTS = ", ".join(
    f"(SELECT count(*) FROM batch_rows WHERE batch_number = batches.number AND state = '{state}')"
    f" AS {state}"
    for state in RowState
)
BATCHES = f"SELECT id, name, engine, source, digest, job_id, created_at, {COUNTS} FROM batches"


def owner_of(batch_id: str, position: int) -> str:
    """The owner of the jobs of one row; whoever owns a job says so in the job itself, so that no
    crash can part the two."""
    return f"{OWNER}{batch_id}/{position}"


class Batches:
    """All batches. Methods raise ``NotFound`` for ids that are not there."""

    def __init__(self, database: Database):
        self._database = database

    # making

    def add(
        self,
        name: str,
        engine: str,
        rows: Iterable[NewRow],
        source: str = "",
        digest: str = "",
        id: str = "",
    ) -> BatchRow:
        """Store a batch with its rows, in this order, in one transaction; ``id`` is a new one that
        was made before, where something was named after it."""
        id, name = id or new_id(), proper_name("a batch", name)
        with self._database.write() as transaction:
            number = transaction.execute(
                "INSERT INTO batches (id, name, engine, source, digest, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [id, name, engine, clean(source), digest, utc_now()],
            ).lastrowid
            transaction.executemany(
                "INSERT INTO batch_rows (batch_number, position, number, name, settings, state)"
                " VALUES (?, ?, ?, ?, ?, 'open')",
                (
                    (number, position, row.number, clean(row.name), json.dumps(row.settings))
                    for position, row in enumerate(rows, 1)
                ),
            )
        return self.get(id)

    def delete(self, id: str) -> None:
        """Remove a batch and its rows; clips and jobs stay."""
        with self._database.write() as transaction:
            if transaction.execute("DELETE FROM batches WHERE id = ?", [id]).rowcount == 0:
                raise NotFound(f"There is no batch {id}; it may have been deleted.")

    def delete_drafts(self, before: str = "") -> list[str]:
        """Remove batches that were checked and never started, those made before a moment or all;
        returns their ids."""
        with self._database.write() as transaction:
            rows = transaction.execute(
                "DELETE FROM batches WHERE job_id = '' AND (? = '' OR created_at < ?) RETURNING id",
                [before, before],
            ).fetchall()
        return [row["id"] for row in rows]

    def set_job(self, id: str, job_id: str) -> None:
        """Note the job that works on a batch."""
        with self._database.write() as transaction:
            changed = transaction.execute(
                "UPDATE batches SET job_id = ? WHERE id = ?", [job_id, id]
            )
            if changed.rowcount == 0:
                raise NotFound(f"There is no batch {id}; it may have been deleted.")

    # rows

    def finish(
        self,
        id: str,
        position: int,
        state: RowState,
        *,
        job_id: str = "",
        clip_ids: Sequence[str] = (),
        error: str = "",
    ) -> None:
        """Note what became of a row."""
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE batch_rows SET state = ?, job_id = ?, clip_ids = ?, error = ?,"
                " finished_at = ? WHERE batch_number = (SELECT number FROM batches WHERE id = ?)"
                " AND position = ?",
                [
                    state, job_id, json.dumps(list(clip_ids)), clean(error), utc_now(), id,
                    position,
                ],
            )  # fmt: skip

    def set_settings(self, id: str, position: int, settings: Mapping[str, Any]) -> None:
        """Replace the settings of a row, whose sounds have become clips."""
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE batch_rows SET settings = ? WHERE position = ?"
                " AND batch_number = (SELECT number FROM batches WHERE id = ?)",
                [json.dumps(settings), position, id],
            )

    def reopen(self, id: str, states: Iterable[RowState] = (RowState.FAILED,)) -> int:
        """Make the rows in ``states`` open again; returns how many."""
        with self._database.write() as transaction:
            return transaction.execute(
                "UPDATE batch_rows SET state = 'open', error = '', clip_ids = '[]',"
                " finished_at = NULL"
                " WHERE batch_number = (SELECT number FROM batches WHERE id = ?)"
                " AND state IN (SELECT value FROM json_each(?))",
                [id, json.dumps(list(states))],
            ).rowcount

    def rows(
        self, id: str, state: RowState | None = None, limit: int = 100, after: int = 0,
        offset: int = 0,
    ) -> list[BatchItem]:  # fmt: skip
        """Rows in ``state`` (None: all) behind position ``after``, in the order of the file."""
        rows = self._database.query(
            f"SELECT {ITEM_COLUMNS} FROM batch_rows"
            " WHERE batch_number = (SELECT number FROM batches WHERE id = :id)"
            " AND position > :after AND (:state IS NULL OR state = :state)"
            " ORDER BY position LIMIT :limit OFFSET :offset",
            {"id": id, "state": state, "after": after, "limit": limit, "offset": offset},
        )
        return [_to_item(row) for row in rows]

    def row(self, id: str, position: int) -> BatchItem:
        """One row by its position."""
        found = self.rows(id, after=position - 1, limit=1)
        if not found or found[0].position != position:
            raise NotFound(f"The batch {id} has no row {position}.")
        return found[0]

    def finished_since(self, id: str, moment: str) -> int:
        """How many rows were made or failed since a moment; reused ones cost no time."""
        return self._database.query(
            "SELECT count(*) FROM batch_rows"
            " WHERE batch_number = (SELECT number FROM batches WHERE id = ?)"
            " AND state IN ('done', 'failed') AND finished_at >= ?",
            [id, moment],
        )[0][0]

    def amount(self, id: str, parameter: str = "") -> float:
        """How much the open rows ask for: the sum of a number or of the lengths of a text, each times
        its variations; without ``parameter`` their count."""
        rows = self._database.query(
            "SELECT sum(coalesce(json_extract(settings, '$.variations'), 1) * CASE json_type("
            "settings, :path) WHEN 'text' THEN length(json_extract(settings, :path))"
            " ELSE coalesce(json_extract(settings, :path), 1) END) FROM batch_rows"
            " WHERE batch_number = (SELECT number FROM batches WHERE id = :id) AND state = 'open'",
            {"id": id, "path": f'$."{parameter}"'},
        )
        return float(rows[0][0] or 0)

    # batches

    def get(self, id: str) -> BatchRow:
        """The batch with this id."""
        rows = self._database.query(f"{BATCHES} WHERE id = ?", [id])
        if not rows:
            raise NotFound(f"There is no batch {id}; it may have been deleted.")
        return BatchRow(**dict(rows[0]))

    def list(self, limit: int = 100, drafts: bool = False) -> list[BatchRow]:
        """Batches, newest first; ``drafts`` were checked and never started."""
        rows = self._database.query(
            f"{BATCHES} WHERE (job_id = '') = ? ORDER BY number DESC LIMIT ?", [drafts, limit]
        )
        return [BatchRow(**dict(row)) for row in rows]

    # jobs and clips

    def jobs(self, id: str, states: Sequence[JobState] = tuple(JobState)) -> dict[int, JobRow]:
        """The newest job in one of ``states`` of each row that has one, by the row's position."""
        start = f"{OWNER}{id}/"
        rows = self._database.query(
            f"SELECT {JOB_COLUMNS} FROM jobs WHERE owner >= ? AND owner < ?"
            " AND state IN (SELECT value FROM json_each(?)) ORDER BY number",
            [start, start + "~", json.dumps(list(states))],
        )
        return {int(row["owner"].removeprefix(start)): to_job(row) for row in rows}

    def made(self, engine: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Ids of the clips that a run with exactly these settings made before; empty if none.

        A clip is found by its own settings; several of one run by those of their job, and only
        while all of them are there.
        """
        seed, text = settings.get("seed"), json.dumps(settings, sort_keys=True)
        found = self._database.query(
            "SELECT id FROM clips INDEXED BY clips_made WHERE deleted IS NULL AND partial = 0"
            " AND seed IS ? AND length(settings) = ? AND settings = ? AND engine = ?"
            " ORDER BY number DESC LIMIT 1",
            [seed, len(text), text, engine],
        )
        if found:
            return (found[0]["id"],)
        text = json.dumps(dict(settings))
        jobs = self._database.query(
            "SELECT clip_ids FROM jobs INDEXED BY jobs_made WHERE kind = 'run' AND state = 'done'"
            " AND json_extract(settings, '$.seed') IS ? AND length(settings) = ?"
            " AND settings = ? AND engine = ? ORDER BY number DESC LIMIT 5",
            [seed, len(text), text, engine],
        )
        for row in jobs:
            ids = json.loads(row["clip_ids"])
            if ids and len(self._here(row["clip_ids"])) == len(ids):
                return tuple(ids)
        return ()

    def _here(self, ids: str) -> Sequence[sqlite3.Row]:
        return self._database.query(
            "SELECT id FROM clips WHERE deleted IS NULL AND partial = 0"
            " AND id IN (SELECT value FROM json_each(?))",
            [ids],
        )


def _to_item(row: sqlite3.Row) -> BatchItem:
    values = dict(row)
    values["settings"] = json.loads(values["settings"])
    values["clip_ids"] = tuple(json.loads(values["clip_ids"]))
    values["state"] = RowState(values["state"])
    return BatchItem(**values)
