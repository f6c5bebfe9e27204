"""Makes the open rows of a batch, as one job among those of everybody else.

Each row is an ordinary job of its engine, so that jobs of others come in between. Two are in the
queue at a time: while one is made the next one waits, and the device never does.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Iterator
from typing import Protocol

from engines.base import Engine
from engines.studio import sounds
from engines.studio.jobs import JobContext
from engines.studio.runner import ENDED, Runner
from storage import BatchItem, JobRow, JobState, RowState, StorageError, Store
from storage.work.batches import owner_of

IN_FLIGHT = 2
LOOK_S = 0.2  # how soon a stop is seen
SETTLE_S = 5.0
PAGE = 200


class Executor(Protocol):
    """Where rows are made. Jobs that ended come out of ``ended``, each once."""

    width: int

    def begin(self, engine_id: str, item: BatchItem, owner: str) -> JobRow:
        """Start making a row; returns its job."""

    def adopt(self, job: JobRow) -> bool:
        """Take over a job that an earlier process began; False if it is lost."""

    def ended(self, timeout_s: float) -> JobRow | None:
        """The next job that ended, or None after ``timeout_s`` seconds."""

    def cancel(self, job_id: str) -> None:
        """Stop making a row."""


class LocalExecutor:
    """Rows as jobs of the runner. Use as a context manager."""

    width = IN_FLIGHT

    def __init__(self, runner: Runner):
        self._runner = runner
        self._mine: set[str] = set()
        self._ended: queue.SimpleQueue[JobRow] = queue.SimpleQueue()

    def __enter__(self) -> LocalExecutor:
        # a new list each time: a worker may be going through the old one
        self._runner.listeners = [*self._runner.listeners, self._hear]
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.listeners = [each for each in self._runner.listeners if each != self._hear]

    def _hear(self, job: JobRow) -> None:
        if job.owner.startswith("batch:"):
            self._ended.put(job)

    def begin(self, engine_id: str, item: BatchItem, owner: str) -> JobRow:
        """Queue a run; its settings are complete since the batch was made."""
        job = self._runner.submit("run", engine_id, item.settings, owner)
        self._mine.add(job.id)
        return job

    def adopt(self, job: JobRow) -> bool:
        """Wait for a job that waits or runs."""
        self._mine.add(job.id)
        now = self._runner.store.jobs.get(job.id)
        if now.state in ENDED:  # it ended before ``_hear`` was there, or will be heard twice
            self._ended.put(now)
        return True

    def ended(self, timeout_s: float) -> JobRow | None:
        """The next of our jobs that ended."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                job = self._ended.get(timeout=max(deadline - time.monotonic(), 0.001))
            except queue.Empty:
                return None
            if job.id in self._mine:  # else another batch's, or heard before
                self._mine.discard(job.id)
                return job

    def cancel(self, job_id: str) -> None:
        """Stop a job."""
        self._runner.cancel(job_id)


class Run:
    """One job's work on a batch: makes what is open, and notes what became of each row."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        batch_id: str,
        executor: Executor,
        context: JobContext,
    ):
        self._store = store
        self._engine = engine
        self._batch_id = batch_id
        self._executor = executor
        self._context = context
        self._flying: dict[str, BatchItem] = {}
        self._leaving = False
        batch = store.batches.get(batch_id)
        self._total, self._todo, self._noted = batch.total, batch.open, 0
        self._finished = batch.finished

    def work(self) -> None:
        """Make all open rows. Raises ``Cancelled`` when stopped; what is unfinished stays open."""
        earlier = self._store.batches.jobs(self._batch_id)
        try:
            for item in self._open():
                self._take(item, earlier.get(item.position))
                self._drain(self._executor.width - 1)
            self._drain(0)
        except BaseException:
            self._leave()
            raise

    def _open(self) -> Iterator[BatchItem]:
        after = 0
        while page := self._store.batches.rows(
            self._batch_id, RowState.OPEN, limit=PAGE, after=after
        ):
            yield from page
            after = page[-1].position

    def _take(self, item: BatchItem, earlier: JobRow | None) -> None:
        """Make a row, unless it was made already or is being made."""
        self._context.check()
        if earlier is not None and earlier.id != item.job_id:  # its end was not noted here
            if earlier.state is JobState.DONE and self._all_there(earlier):
                self._note(item, RowState.DONE, earlier)
                return
            if earlier.state not in ENDED and self._executor.adopt(earlier):
                self._flying[earlier.id] = item
                return
        item = self._with_kept_sounds(item)
        if item.state is RowState.FAILED:
            return
        while any(item.settings == other.settings for other in self._flying.values()):
            self._wait_for_one()
        clip_ids = self._store.batches.made(self._engine.card.id, item.settings)
        if clip_ids:
            self._store.batches.finish(
                self._batch_id, item.position, RowState.REUSED, clip_ids=clip_ids
            )
            self._count(item)
            return
        owner = owner_of(self._batch_id, item.position)
        job = self._executor.begin(self._engine.card.id, item, owner)
        self._flying[job.id] = item

    def _all_there(self, job: JobRow) -> bool:
        if job.report:
            return True
        return bool(job.clip_ids) and len(self._store.clips.some(job.clip_ids)) == len(job.clip_ids)

    def _with_kept_sounds(self, item: BatchItem) -> BatchItem:
        """The row with its sounds from outside as clips; their copies for this batch go."""
        store = self._store
        try:
            settings = sounds.kept(store, self._engine, item.settings)
        except (StorageError, OSError) as error:
            store.batches.finish(self._batch_id, item.position, RowState.FAILED, error=str(error))
            self._count(item)
            return store.batches.row(self._batch_id, item.position)
        if settings == item.settings:
            return item
        store.batches.set_settings(self._batch_id, item.position, settings)
        return store.batches.row(self._batch_id, item.position)

    # waiting

    def _drain(self, most: int) -> None:
        """Wait until at most so many rows are being made."""
        while len(self._flying) > most:
            self._wait_for_one()

    def _wait_for_one(self) -> None:
        while True:
            self._context.check()
            job = self._executor.ended(LOOK_S)
            if job is not None and job.id in self._flying:
                self._settle(job)
                return

    def _settle(self, job: JobRow) -> None:
        """Note the end of a row's job. One that was stopped with the batch leaves its row open."""
        item = self._flying.pop(job.id)
        stopped = job.state is JobState.INTERRUPTED
        stopped |= job.state is JobState.CANCELLED and self._leaving
        if job.state is JobState.DONE:
            self._note(item, RowState.DONE, job)
        elif not stopped:
            error = job.error or f"The job of this row was {job.state}."
            self._note(item, RowState.FAILED, job, error)

    def _note(self, item: BatchItem, state: RowState, job: JobRow, error: str = "") -> None:
        self._store.batches.finish(
            self._batch_id,
            item.position,
            state,
            job_id=job.id,
            clip_ids=job.clip_ids if state is RowState.DONE else (),
            error=error,
        )
        self._count(item)

    def _count(self, item: BatchItem) -> None:
        self._noted += 1
        done = f"{self._finished + self._noted:,} of {self._total:,}"
        self._context.progress(self._noted, self._todo, f"{done} · {item.name}")

    def _leave(self) -> None:
        """Stop what is being made, and note what was finished all the same."""
        self._leaving = True
        for job_id in list(self._flying):
            self._executor.cancel(job_id)
        deadline = time.monotonic() + SETTLE_S
        while self._flying and time.monotonic() < deadline:
            job = self._executor.ended(LOOK_S)
            if job is not None and job.id in self._flying:
                with contextlib.suppress(StorageError):  # found again when the batch goes on
                    self._settle(job)
