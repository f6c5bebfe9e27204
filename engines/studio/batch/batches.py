"""The facade of batches: check a table, start, follow, stop, resume, retry, take the results."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.base import Engine, Report, StudioError
from engines.parameters import Kind, knobs
from engines.studio.batch import ray_executor, results
from engines.studio.batch.estimating import Estimate, estimate
from engines.studio.batch.planning import Planner, from_sounds, media_parameters
from engines.studio.batch.reading import read
from engines.studio.batch.running import LocalExecutor, Run
from engines.studio.batch.sending import Sent, gather, settled
from engines.studio.batch.templates import TableFormat, template
from engines.studio.jobs import JobContext
from engines.studio.runner import ENDED, Errand
from storage import (
    BatchItem,
    BatchRow,
    Format,
    JobRow,
    JobState,
    NewRow,
    NotFound,
    RowState,
)
from storage.base.checks import MAX_NAME_LENGTH
from storage.base.ids import new_id

if TYPE_CHECKING:
    from engines.studio.facade import Studio

KIND = "batch"
INPUTS = "batches"  # below the cache: sounds that were sent, until their rows are made
DRAFTS_KEPT = timedelta(days=1)


class Place(StrEnum):
    """Where rows are made: on this machine, or on a Ray cluster."""

    LOCAL = "local"
    RAY = "ray"


@dataclass(frozen=True)
class BatchState:
    """A batch with what goes on: the state of its newest job ("draft" before the first, "done" when
    no row is open), and the seconds left where they can be told."""

    batch: BatchRow
    state: str
    job: JobRow | None
    left_s: float | None

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in (JobState.QUEUED, JobState.RUNNING)


class Batches:
    """All batches of one studio."""

    def __init__(self, studio: Studio):
        self._studio = studio
        self._store = studio.store
        self._rows = studio.store.batches
        self._inputs = studio.store.folder("cache") / INPUTS
        self._reusable: dict[str, int] = {}  # of the draft that was looked at last
        studio.runner.adopt(KIND, Errand(KIND, self._work))
        before = (datetime.now(UTC) - DRAFTS_KEPT).isoformat(timespec="milliseconds")
        for batch_id in self._rows.delete_drafts(before):
            shutil.rmtree(self._inputs / batch_id, ignore_errors=True)

    # before

    def template(self, engine_id: str, format: TableFormat | str = TableFormat.CSV) -> bytes:
        """A table to start from as a file: CSV, JSON or JSON Lines."""
        return template(self._studio.engine(engine_id), format)

    def check(
        self,
        engine_id: str,
        files: Sequence[Path],
        name: str = "",
        common: Mapping[str, Any] | None = None,
        parameter: str = "",
    ) -> BatchRow:
        """Check a table, or sounds, as a whole, and keep it as a batch that is not started.

        ``files`` are a table (CSV, JSON, JSON Lines), sounds, zips or folders. ``common`` holds
        values for every row whose own cell is empty; without a table each sound is a row, and goes
        into ``parameter``. Empty seeds are drawn here, once.

        Raises ``BatchProblems`` with the row and column of everything that is wrong, and
        ``StudioError`` for what cannot be read at all.
        """
        engine, batch_id = self._studio.engine(engine_id), new_id()
        folder = self._inputs / batch_id
        try:
            sent = gather(files, folder)
            rows = self._planned(engine, sent, common or {}, parameter)
            rows = list(_settled(engine, rows, folder, self._store.files.root))
            source = sent.table or files[0]
            digest = _digest(engine_id, sent, common or {})
            title = (name.strip() or source.stem)[:MAX_NAME_LENGTH]
            return self._rows.add(title, engine_id, rows, source.name, digest, batch_id)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _planned(
        self, engine: Engine, sent: Sent, common: Mapping[str, Any], parameter: str
    ) -> list[NewRow]:
        table = read(sent.table) if sent.table else from_sounds(engine, sent, parameter)
        engine_id = engine.card.id
        planner = Planner(
            engine, lambda values: self._studio.resolve(engine_id, values), self._clip_file
        )
        return planner.rows(table, sent, common)

    def _clip_file(self, clip_id: str) -> Path | None:
        try:
            return self._store.clips.get(clip_id).path
        except NotFound:
            return None

    def media_parameters(self, engine_id: str) -> list[str]:
        """The parameters of an engine that take a sound, required ones first."""
        return media_parameters(self._studio.engine(engine_id))

    def preview(self, batch_id: str, limit: int = 10) -> list[BatchItem]:
        """The first rows with all their settings."""
        return self._rows.rows(batch_id, limit=limit)

    def reusable(self, batch_id: str) -> int:
        """How many open rows are here already, made before with the same settings."""
        if batch_id not in self._reusable:
            batch = self._rows.get(batch_id)
            rows = self._rows.rows(batch_id, RowState.OPEN, limit=batch.total)
            found = sum(bool(self._rows.made(batch.engine, row.settings)) for row in rows)
            self._reusable = {batch_id: found}
        return self._reusable[batch_id]

    def estimate(self, batch_id: str) -> Estimate:
        """How long the open rows may take, from the newest runs of the engine on this machine."""
        engine = self._studio.engine(self._rows.get(batch_id).engine)
        return estimate(self._store, engine, batch_id)

    # making

    def start(
        self,
        batch_id: str,
        executor: Place | str = "",
        workers: int = 0,
        owner: str = "",
    ) -> JobRow:
        """Queue a batch, or let it go on with the rows that are open.

        Without an ``executor`` they are made where they were last, at first here. ``workers`` are
        processes of a Ray cluster, 0 for one on each of its GPUs or cores. Raises ``StudioError``
        while the batch goes on, when nothing is open, and without Ray for that.
        """
        found = self.state(batch_id)
        if found.active:
            raise StudioError(f"“{found.batch.name}” goes on already; stop it or wait for its end.")
        if not found.batch.open:
            raise StudioError(
                f"All rows of “{found.batch.name}” are made"
                + (", or failed; retry those." if found.batch.failed else ".")
            )
        if not executor:
            before = found.job.settings if found.job else {}
            executor = before.get("executor", Place.LOCAL)
            workers = workers or before.get("workers", 0)
        if Place(executor) is Place.RAY and not ray_executor.available():
            raise StudioError(f"Ray is not installed: {ray_executor.EXTRA}", "executor")
        settings = {"batch": batch_id, "executor": str(executor), "workers": workers}
        job = self._studio.runner.submit(KIND, "", settings, owner)
        self._rows.set_job(batch_id, job.id)
        return job

    def stop(self, batch_id: str) -> BatchState:
        """Stop a batch at the next step of its rows; what is unfinished stays open."""
        batch = self._rows.get(batch_id)
        if batch.job_id:
            self._studio.cancel(batch.job_id)
        return self.state(batch_id)

    def retry_failed(
        self,
        batch_id: str,
        executor: Place | str = "",
        workers: int = 0,
        owner: str = "",
    ) -> JobRow:
        """Open the rows that failed, and start."""
        if self.state(batch_id).active:
            raise StudioError("The batch goes on; its failed rows can be retried when it ended.")
        if not self._rows.reopen(batch_id):
            raise StudioError("No row of this batch failed.")
        return self.start(batch_id, executor, workers, owner)

    def delete(self, batch_id: str) -> None:
        """Forget a batch that does not go on; its clips stay."""
        if self.state(batch_id).active:
            raise StudioError("Stop the batch first.")
        self._rows.delete(batch_id)
        shutil.rmtree(self._inputs / batch_id, ignore_errors=True)

    def _work(self, job: JobRow, context: JobContext) -> Report:
        """The errand: make the open rows."""
        batch = self._rows.get(job.settings["batch"])
        self._rows.set_job(batch.id, job.id)
        engine = self._studio.engine(batch.engine)
        with self._executor(engine, job.settings) as executor:
            Run(self._store, engine, batch.id, executor, context).work()
        ended = self._rows.get(batch.id)
        if not ended.open + ended.failed and _only_sounds(engine):
            shutil.rmtree(self._inputs / batch.id, ignore_errors=True)
        values = {"rows": ended.total, "made": ended.done, "reused": ended.reused}
        return Report({**values, "failed": ended.failed})

    def _executor(
        self, engine: Engine, settings: Mapping[str, Any]
    ) -> LocalExecutor | ray_executor.RayExecutor:
        runner = self._studio.runner
        if settings.get("executor") == Place.RAY:
            return ray_executor.RayExecutor(runner, engine, int(settings.get("workers", 0)))
        return LocalExecutor(runner)

    # following

    def list(self, limit: int = 50) -> list[BatchRow]:
        """The batches that were started, newest first."""
        return self._rows.list(limit)

    def state(self, batch_id: str) -> BatchState:
        """A batch, its newest job and the seconds left."""
        batch = self._rows.get(batch_id)
        if not batch.job_id:
            return BatchState(batch, "draft", None, None)
        try:
            job = self._store.jobs.get(batch.job_id)
        except NotFound:  # removed since
            return BatchState(batch, "interrupted" if batch.open else "done", None, None)
        complete = job.state in ENDED and not batch.open
        return BatchState(
            batch, "done" if complete else str(job.state), job, self._left_s(batch, job)
        )

    def _left_s(self, batch: BatchRow, job: JobRow) -> float | None:
        if job.state is not JobState.RUNNING or not job.started_at:
            return None
        made = self._rows.finished_since(batch.id, job.started_at)
        if not made:
            return None
        elapsed = datetime.now(UTC) - datetime.fromisoformat(job.started_at)
        return elapsed.total_seconds() / made * batch.open

    def rows(
        self, batch_id: str, state: RowState | str | None = None, limit: int = 100, offset: int = 0
    ) -> Sequence[BatchItem]:
        """Rows of a batch in the order of its file, those in ``state`` or all."""
        self._rows.get(batch_id)
        return self._rows.rows(batch_id, RowState(state) if state else None, limit, offset=offset)

    def in_work(self, batch_id: str) -> dict[int, JobRow]:
        """Jobs of rows that wait or run just now, by position."""
        return self._rows.jobs(batch_id, (JobState.QUEUED, JobState.RUNNING))

    def unfinished(self, engine_id: str, files: Sequence[Path], common: Mapping[str, Any]) -> str:
        """Id of the newest batch of just this input that was begun and has open rows, or ""."""
        folder = self._inputs / "compared"
        try:
            digest = _digest(engine_id, gather(files, folder), common)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        found = (b.id for b in self._rows.list() if b.digest == digest and b.open)
        return next(found, "")

    # after

    def zip(self, batch_id: str, format: Format | str = Format.FLAC) -> Iterator[bytes]:
        """The sounds named after their rows and a table of results, as a zip in pieces."""
        batch = self._rows.get(batch_id)
        return results.zipped(self._store, self._engine_of(batch), batch, format)

    def save_zip(self, batch_id: str, to: Path, format: Format | str = Format.FLAC) -> Path:
        """``zip`` as a file."""
        part = to.with_name(f"{to.name}.part")
        try:
            with part.open("wb") as file:
                file.writelines(self.zip(batch_id, format))
            return part.replace(to)
        finally:
            part.unlink(missing_ok=True)

    def table(self, batch_id: str) -> bytes:
        """The table of results alone, as CSV."""
        batch = self._rows.get(batch_id)
        return results.table(self._store, self._engine_of(batch), batch)

    def _engine_of(self, batch: BatchRow) -> Engine | None:
        known = (engine for engine in self._studio.engines() if engine.card.id == batch.engine)
        return next(known, None)


def _settled(engine: Engine, rows: Sequence[NewRow], folder: Path, audio: Path) -> Iterator[NewRow]:
    """Rows whose sounds from outside have copies in ``folder``, one for each sound."""
    copies: dict[str, str] = {}
    media = [knob.name for knob in knobs(engine.Params) if knob.kind is Kind.MEDIA]
    for row in rows:
        settings = dict(row.settings)
        for name in media:
            path = settings.get(name)
            if not path or Path(path).resolve().is_relative_to(audio):
                continue
            if path not in copies:
                copies[path] = str(settled(Path(path), folder))
            settings[name] = copies[path]
        yield NewRow(row.number, row.name, settings)


def _only_sounds(engine: Engine) -> bool:
    """Whether all media of an engine are sounds, which are clips once their row was made."""
    return all(knob.media in ("", "audio") for knob in knobs(engine.Params))


def _digest(engine_id: str, sent: Sent, common: Mapping[str, Any]) -> str:
    """A fingerprint of what a batch is made from."""
    content = sent.table.read_bytes() if sent.table else b""
    sizes = sorted((name, path.stat().st_size) for name, path in sent.files.items())
    head = json.dumps([engine_id, sizes, dict(common)], sort_keys=True, default=str)
    return hashlib.sha256(head.encode() + b"\0" + content).hexdigest()
