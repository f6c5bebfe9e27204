"""Training runs, grouped in experiments. Their curves, logs and checkpoints stay in their folders."""

from __future__ import annotations

import builtins
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from storage.base.checks import proper_name
from storage.base.db import Database, clean
from storage.base.errors import NotFound, StorageError
from storage.base.ids import new_id, utc_now


class RunState(StrEnum):
    """Where a run stands. The last four are ends, from which all but ``done`` can be resumed."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"


WAITING = (RunState.QUEUED, RunState.RUNNING)
DEFAULT_EXPERIMENT = "Experiment"


@dataclass(frozen=True)
class ExperimentRow:
    """A named group of runs."""

    id: str
    name: str
    description: str
    archived: bool
    created_at: str


@dataclass(frozen=True)
class RunRow:
    """One run: ``method`` is "sft", "dpo" or "rank", ``base`` a weights id or a folder.

    ``progress`` goes from 0 to 1; ``best`` is the lowest validation loss so far; ``config`` is the
    whole configuration; times are ISO 8601 in UTC.
    """

    id: str
    experiment_id: str
    name: str
    method: str
    dataset_id: str
    base: str
    config: dict[str, Any]
    state: RunState
    progress: float
    epoch: int
    step: int
    best: float | None
    metrics: dict[str, Any]
    error: str
    pid: int | None
    adapter_id: str
    created_at: str
    started_at: str | None
    finished_at: str | None


FIELDS = tuple(field.name for field in fields(RunRow))
COLUMNS = ", ".join(FIELDS)
FIXED = {"id", "created_at", "experiment_id"}


class Runs:
    """All runs and experiments. Methods raise ``NotFound`` for ids that are not there."""

    def __init__(self, database: Database):
        self._database = database

    # experiments

    def add_experiment(self, name: str, description: str = "") -> ExperimentRow:
        """The experiment of this name, which is made if there is none."""
        name = proper_name("an experiment", name)
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT OR IGNORE INTO experiments (id, name, description, created_at)"
                " VALUES (?, ?, ?, ?)",
                [new_id(), name, clean(description), utc_now()],
            )
            row = transaction.execute("SELECT * FROM experiments WHERE name = ?", [name]).fetchone()
        return to_experiment(row)

    def experiment(self, id: str) -> ExperimentRow:
        """The experiment with this id."""
        rows = self._database.query("SELECT * FROM experiments WHERE id = ?", [id])
        if not rows:
            raise NotFound(f"There is no experiment {id}.")
        return to_experiment(rows[0])

    def experiments(self, archived: bool = False) -> builtins.list[ExperimentRow]:
        """The experiments that are (or are not) archived, newest first."""
        rows = self._database.query(
            "SELECT * FROM experiments WHERE archived = ? ORDER BY number DESC", [archived]
        )
        return [to_experiment(row) for row in rows]

    def archive_experiment(self, id: str, archived: bool = True) -> ExperimentRow:
        """Put an experiment away or take it back; its runs stay."""
        with self._database.write() as transaction:
            transaction.execute("UPDATE experiments SET archived = ? WHERE id = ?", [archived, id])
        return self.experiment(id)

    # runs

    def add(
        self,
        name: str,
        method: str,
        base: str,
        dataset_id: str = "",
        config: Mapping[str, Any] | None = None,
        *,
        experiment_id: str = "",
        id: str = "",
        state: RunState = RunState.QUEUED,
    ) -> RunRow:
        """Keep a new run under ``id``, which names its folder, or a new one.

        Without an experiment it belongs to the one called "Experiment".
        """
        id, name = id or new_id(), proper_name("a run", name)
        experiment = (
            self.experiment(experiment_id)
            if experiment_id
            else self.add_experiment(DEFAULT_EXPERIMENT)
        )
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO runs (id, experiment_id, name, method, dataset_id, base, config,"
                " state, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [id, experiment.id, name, method, dataset_id, base, json.dumps(dict(config or {})),
                 RunState(state), utc_now()],
            )  # fmt: skip
        return self.get(id)

    def get(self, id: str) -> RunRow:
        """The run with this id."""
        rows = self._database.query(f"SELECT {COLUMNS} FROM runs WHERE id = ?", [id])
        if not rows:
            raise NotFound(f"There is no run {id}; it may have been deleted.")
        return to_row(rows[0])

    def list(
        self, experiment_id: str = "", states: Iterable[RunState] | None = None
    ) -> builtins.list[RunRow]:
        """Runs of an experiment ("": of all) in any of ``states`` (None: all), newest first."""
        wanted = builtins.list(RunState if states is None else states)
        rows = self._database.query(
            f"SELECT {COLUMNS} FROM runs WHERE :experiment IN ('', experiment_id)"
            " AND state IN (SELECT value FROM json_each(:states)) ORDER BY number DESC",
            {"experiment": experiment_id, "states": json.dumps(wanted)},
        )
        return [to_row(row) for row in rows]

    def update(self, id: str, /, **changes: Any) -> RunRow:
        """Change fields of a run.

        A run that starts gets its ``started_at`` (a resumed one keeps its first) and one that ends
        its ``finished_at``, unless given; one that goes on loses it. Raises ``ValueError`` for
        names that are no fields or never change.
        """
        unknown = set(changes) - set(FIELDS) | set(changes) & FIXED
        if unknown or not changes:
            raise ValueError(f"not fields of a run that can change: {sorted(unknown) or 'none'}")
        assignments = [f"{name} = :{name}" for name in changes]
        if "state" in changes:
            changes["state"] = RunState(changes["state"])
            if "finished_at" not in changes:
                changes["finished_at"] = None if changes["state"] in WAITING else utc_now()
                assignments.append("finished_at = :finished_at")
            if changes["state"] is RunState.RUNNING and "started_at" not in changes:
                changes["now"] = utc_now()
                assignments.append("started_at = ifnull(started_at, :now)")
        values = {name: _column(value) for name, value in changes.items()}
        with self._database.write() as transaction:
            sql = f"UPDATE runs SET {', '.join(assignments)} WHERE id = :id"
            if transaction.execute(sql, values | {"id": id}).rowcount == 0:
                raise NotFound(f"There is no run {id}; it may have been deleted.")
        return self.get(id)

    def rename(self, id: str, name: str) -> RunRow:
        """Give a run another name; names need not differ."""
        return self.update(id, name=proper_name("a run", name))

    def delete(self, id: str) -> None:
        """Forget a run; its adapter stays. The caller removes its folder.

        Raises ``StorageError`` while it runs.
        """
        with self._database.write() as transaction:
            if self.get(id).state is RunState.RUNNING:
                raise StorageError("This run is still training; stop it first, then delete it.")
            transaction.execute("DELETE FROM runs WHERE id = ?", [id])


def _column(value: Any) -> Any:
    """A field as its column holds it."""
    if isinstance(value, Mapping):
        return json.dumps(dict(value))
    return clean(value) if isinstance(value, str) else value


def to_row(row: sqlite3.Row) -> RunRow:
    """The dataclass of one row."""
    values: dict[str, Any] = dict(row)
    values["state"] = RunState(values["state"])
    for name in ("config", "metrics"):
        values[name] = json.loads(values[name])
    return RunRow(**values)


def to_experiment(row: sqlite3.Row) -> ExperimentRow:
    """The dataclass of one row."""
    values: dict[str, Any] = dict(row)
    del values["number"]
    return ExperimentRow(**values | {"archived": bool(values["archived"])})
