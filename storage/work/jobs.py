"""Jobs of the runner, kept so that a reload or a restart finds them again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from storage.base.db import Database, clean
from storage.base.errors import NotFound
from storage.base.ids import new_id, utc_now


class JobState(StrEnum):
    """Where a job stands. The last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


FINAL = (JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.INTERRUPTED)
JSON_FIELDS = ("settings", "clip_ids", "report")


@dataclass(frozen=True)
class JobRow:
    """One job as stored.

    ``kind`` is "run", "load", "download" or an errand's; ``device`` is the lane it waits in;
    ``progress`` goes from 0 to 1; times are ISO 8601 in
    UTC; ``retry_of`` is the id of the job that this one repeats.
    """

    id: str
    kind: str
    engine: str
    task: str
    settings: dict[str, Any]
    state: JobState
    progress: float
    note: str
    error: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    clip_ids: tuple[str, ...]
    owner: str
    device: str
    retry_of: str | None
    report: dict[str, Any] | None


FIELDS = tuple(field.name for field in fields(JobRow))
COLUMNS = ", ".join(FIELDS)
OWNERS = """substr(owner, 1, length(:within)) = :within
    AND (:without = '' OR substr(owner, 1, length(:without)) != :without)"""


class Jobs:
    """The queue and its history. Methods raise ``NotFound`` for ids that are not there."""

    def __init__(self, database: Database):
        self._database = database

    def add(
        self,
        kind: str,
        engine: str = "",
        task: str = "",
        settings: dict[str, Any] | None = None,
        *,
        owner: str = "",
        device: str = "",
        note: str = "",
        retry_of: str | None = None,
    ) -> JobRow:
        """Put a new job at the end of the queue."""
        id = new_id()
        values = (id, kind, engine, task, json.dumps(settings or {}), JobState.QUEUED, utc_now())
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO jobs (id, kind, engine, task, settings, state, created_at,"
                " owner, device, note, retry_of) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [*values, owner, device, clean(note), retry_of],
            )
        return self.get(id)

    def get(self, id: str) -> JobRow:
        """The job with this id."""
        rows = self._database.query(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", [id])
        if not rows:
            raise NotFound(f"There is no job {id}; old ones are removed after a while.")
        return to_row(rows[0])

    def list(
        self,
        states: Iterable[JobState] | None = None,
        limit: int = 100,
        offset: int = 0,
        owner: str | None = None,
        within: str = "",
        without: str = "",
    ) -> list[JobRow]:
        """Jobs in any of ``states`` (None: all) and of ``owner`` (None: anyone), newest first.

        Only those whose owner begins with ``within``, and none whose owner begins with ``without``.
        """
        wanted = list(JobState if states is None else states)
        rows = self._database.query(
            f"SELECT {COLUMNS} FROM jobs WHERE state IN (SELECT value FROM json_each(:states))"
            f" AND (:owner IS NULL OR owner = :owner) AND {OWNERS}"
            " ORDER BY number DESC LIMIT :limit OFFSET :offset",
            {
                "states": json.dumps(wanted), "owner": owner, "limit": limit, "offset": offset,
                "within": within, "without": without,
            },
        )  # fmt: skip
        return [to_row(row) for row in rows]

    def update(self, id: str, /, **changes: Any) -> None:
        """Change fields of a job; one small transaction without a wait for the disk.

        A job that becomes ``running`` gets its ``started_at`` and one that ends its
        ``finished_at``, unless given. Raises ``ValueError`` for names that are no fields.
        """
        unknown = set(changes) - set(FIELDS) | set(changes) & {"id", "created_at"}
        if unknown or not changes:
            raise ValueError(f"not fields of a job that can change: {sorted(unknown) or 'none'}")
        state = changes.get("state")
        if state == JobState.RUNNING:
            changes.setdefault("started_at", utc_now())
        elif state in FINAL:
            changes.setdefault("finished_at", utc_now())
        values = {name: _column(name, value) for name, value in changes.items()}
        pairs = ", ".join(f"{name} = :{name}" for name in values)
        with self._database.write() as transaction:
            sql = f"UPDATE jobs SET {pairs} WHERE id = :id"
            if transaction.execute(sql, values | {"id": id}).rowcount == 0:
                raise NotFound(f"There is no job {id}; old ones are removed after a while.")

    def counts(self, within: str = "", without: str = "") -> dict[JobState, int]:
        """How many jobs are in each state, among those that ``list`` would give."""
        rows = self._database.query(
            f"SELECT state, count(*) FROM jobs WHERE {OWNERS} GROUP BY state",
            {"within": within, "without": without},
        )
        return dict.fromkeys(JobState, 0) | {JobState(state): number for state, number in rows}

    def next_queued(self, device: str | None = None) -> JobRow | None:
        """The job that has waited longest, on ``device`` or (None) on any; None if none waits."""
        rows = self._database.query(
            f"SELECT {COLUMNS} FROM jobs WHERE state = 'queued'"
            " AND (:device IS NULL OR device = :device) ORDER BY number LIMIT 1",
            {"device": device},
        )
        return to_row(rows[0]) if rows else None

    def claim(self, id: str, state: JobState) -> bool:
        """Take a job out of the queue by giving it ``state``; False if it no longer waits.

        The runner claims with ``running``, a cancel with ``cancelled``: whoever is first has it.
        """
        stamp = "started_at" if state is JobState.RUNNING else "finished_at"
        with self._database.write() as transaction:
            claimed = transaction.execute(
                f"UPDATE jobs SET state = ?, {stamp} = ? WHERE id = ? AND state = 'queued'",
                [state, utc_now(), id],
            )
            return claimed.rowcount == 1

    def ahead_of(self, id: str) -> int:
        """How many jobs of the same device are running or queued before this one."""
        rows = self._database.query(
            "SELECT count(*) FROM jobs JOIN jobs AS mine ON mine.id = ?"
            " WHERE jobs.state IN ('queued', 'running') AND jobs.number < mine.number"
            " AND jobs.device = mine.device",
            [id],
        )
        return rows[0][0]

    def mark_interrupted(self) -> Sequence[JobRow]:
        """Call at start: jobs that still count as running died with the last process.

        Returns them, oldest first, as they are now; their clips stay.
        """
        with self._database.write() as transaction:
            rows = transaction.execute(
                "UPDATE jobs SET state = 'interrupted', finished_at = ? WHERE state = 'running'"
                " RETURNING id",
                [utc_now()],
            ).fetchall()
        return sorted((self.get(row["id"]) for row in rows), key=lambda job: job.id)

    def prune(self, keep: int) -> int:
        """Remove all but the ``keep`` newest finished jobs; returns how many went."""
        with self._database.write() as transaction:
            return transaction.execute(
                "DELETE FROM jobs WHERE number IN (SELECT number FROM jobs"
                " WHERE state NOT IN ('queued', 'running')"
                " ORDER BY number DESC LIMIT -1 OFFSET ?)",
                [keep],
            ).rowcount


def _column(name: str, value: Any) -> Any:
    """A field as its column holds it."""
    if name in JSON_FIELDS and value is not None:
        return json.dumps(value)
    return clean(value) if isinstance(value, str) else value


def to_row(row: sqlite3.Row) -> JobRow:
    """The dataclass of one row."""
    values = dict(row)
    values["state"] = JobState(values["state"])
    for name in JSON_FIELDS:
        values[name] = None if values[name] is None else json.loads(values[name])
    values["clip_ids"] = tuple(values["clip_ids"])
    return JobRow(**values)
