"""Runs jobs: one worker a device and one for downloads, with their state in the store.

Gradio's queue does not protect a device (a cancelled function keeps running while its slot is
freed, and a reload ends a generator), so work happens here and tabs only submit and follow.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engines.audio import measure, warm
from engines.base import Cancelled, Clip, Params, Report, StudioError
from engines.parameters import knobs, parse, plain
from engines.prompts import PromptParams, render_prompt
from engines.registry import Registry
from engines.studio.hub import Hub
from engines.studio.jobs import JobContext, Live, Partial
from engines.studio.logs import current_job
from engines.studio.runtime import Runtime, is_out_of_memory
from engines.studio.settings import VERSION
from storage import ClipRow, DiskFull, JobRow, JobState, StorageError, Store
from storage.base.errors import FULL_ERRNOS, from_os_error
from storage.base.ids import new_id
from storage.work.jobs import FINAL

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

LANES = {"run": "device", "load": "device", "download": "download"}  # of jobs for an engine
WARM_AFTER_S = 4.0
KEEP_LIVE = 32
KEEP_PIECES = 2
SWEEP_EVERY_S = 20.0
NO_ROOM_PAUSE_S = 2.0
ENDED = frozenset(FINAL)


@dataclass(frozen=True)
class Errand:
    """A kind of job that is not for an engine, such as an export.

    Jobs in one ``lane`` run one after the other. ``run`` gets the job and its context (progress,
    ``check`` for cancellation) and may return a report; after a crash its job is ``interrupted``, and
    a retry runs it again with the same settings.
    """

    lane: str
    run: Callable[[JobRow, JobContext], Report | None]


@dataclass(frozen=True)
class Update:
    """One step of following a job. ``pieces`` are those that became ready since the last update."""

    job: JobRow
    progress: float
    note: str
    left_s: float | None
    ahead: int
    pieces: list[np.ndarray] = field(default_factory=list)
    sample_rate: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.job.state in ENDED


class Runner:
    """The queue and its workers. ``listeners`` are called with each job that ended."""

    def __init__(self, store: Store, registry: Registry, runtime: Runtime, hub: Hub):
        self.store = store
        self.registry = registry
        self.runtime = runtime
        self.hub = hub
        self.work = store.folder("work")
        self.listeners: list[Callable[[JobRow], None]] = []
        self._errands: dict[str, Errand] = {}
        self._live: OrderedDict[str, Live] = OrderedDict()
        self._contexts: dict[str, JobContext] = {}
        self._wake = threading.Condition()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    # life

    def start(self) -> None:
        """Recover what a crash left, then start the workers."""
        for job in self.store.jobs.mark_interrupted():
            self._keep_partial(job)
        lanes = {*LANES.values(), *(errand.lane for errand in self._errands.values())}
        for lane in sorted(lanes):
            thread = threading.Thread(target=self._work, args=(lane,), name=lane, daemon=True)
            thread.start()
            self._threads.append(thread)

    def adopt(self, kind: str, errand: Errand) -> None:
        """Take over a kind of job; before ``start``."""
        if kind in LANES or kind in self._errands:
            raise ValueError(f"jobs of the kind {kind!r} are done already")
        self._errands[kind] = errand

    def stop(self, timeout_s: float = 10.0) -> None:
        """Stop after the current step; running jobs become ``interrupted`` with what they had."""
        self._stopping.set()
        for context in list(self._contexts.values()):
            context.cancel()
        with self._wake:
            self._wake.notify_all()
        for thread in self._threads:
            thread.join(timeout_s)

    # what callers do

    def submit(
        self,
        kind: str,
        engine_id: str,
        settings: Mapping[str, Any],
        owner: str = "",
        retry_of: str | None = None,
    ) -> JobRow:
        """Queue a job and return its row. ``settings`` must be complete and valid; an errand has no
        ``engine_id``."""
        errand = self._errands.get(kind)
        job = self.store.jobs.add(
            kind,
            engine_id,
            "" if errand else str(self.registry.get(engine_id).card.task),
            dict(settings),
            owner=owner,
            device=errand.lane if errand else LANES[kind],
            retry_of=retry_of,
        )
        log.info("queued %s %s as %s", kind, engine_id, job.id)
        with self._wake:
            self._wake.notify_all()
        return job

    def cancel(self, job_id: str) -> JobRow:
        """Ask a job to stop: at once when queued, at its next step when running."""
        self.store.jobs.get(job_id)
        if self.store.jobs.claim(job_id, JobState.CANCELLED):
            self._finish(job_id, self._live_of(job_id))
        elif context := self._contexts.get(job_id):
            context.cancel()
        return self.store.jobs.get(job_id)

    def retry(self, job_id: str) -> JobRow:
        """Queue an ended job again with the same settings."""
        job = self.store.jobs.get(job_id)
        if job.state not in ENDED:
            raise StudioError(f"Job {job_id} is {job.state}; only an ended job can be run again.")
        return self.submit(job.kind, job.engine, job.settings, job.owner, retry_of=job_id)

    def follow(self, job_id: str, every_s: float = 0.5) -> Iterator[Update]:
        """Yield updates of a job as they happen, at least one each ``every_s`` seconds, to its end.

        Any number of followers may follow the same job; pieces made before are in the first update.
        """
        self.store.jobs.get(job_id)
        live, seen, version = self._live_of(job_id), 0, -1
        while True:
            with live.changed:
                if live.version == version and not live.finished:
                    live.changed.wait(every_s)
                version = live.version
                pieces = live.pieces[seen:]
                seen += len(pieces)
                progress, note, left_s = live.progress, live.note, live.left_s
                sample_rate = live.sample_rate
            job = self.store.jobs.get(job_id)
            ahead = self.store.jobs.ahead_of(job_id) if job.state is JobState.QUEUED else 0
            update = Update(job, progress, note, left_s, ahead, pieces, sample_rate)
            yield update
            if update.ended:
                return

    def wait(self, job_id: str, timeout_s: float | None = None) -> JobRow:
        """Block until the job ended; raises ``TimeoutError`` after ``timeout_s`` seconds."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        for update in self.follow(job_id):
            if update.ended:
                return update.job
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"Job {job_id} is still {update.job.state}.")
        return self.store.jobs.get(job_id)

    def keep(self, job: JobRow, clips: Iterable[Clip]) -> JobRow:
        """Store what a worker elsewhere made for a job of no lane here, and end the job."""
        params = parse(self.registry.get(job.engine).Params, job.settings)
        try:
            self._store_result(job, params, clips)
        except StorageError as problem:
            return self.end(job.id, JobState.FAILED, str(problem))
        return self.end(job.id, JobState.DONE)

    def end(self, job_id: str, state: JobState, error: str = "") -> JobRow:
        """End a job of no lane here, and tell its followers and the listeners."""
        self.store.jobs.update(job_id, state=state, error=error, progress=float(state == "done"))
        self._finish(job_id, self._live_of(job_id))
        return self.store.jobs.get(job_id)

    def live(self, job_id: str) -> Live | None:
        """Progress of a running job, or None."""
        return self._live.get(job_id)

    def _live_of(self, job_id: str) -> Live:
        with self._wake:
            if job_id not in self._live:
                self._live[job_id] = Live(clip_id=new_id())
            live = self._live[job_id]
            while len(self._live) > KEEP_LIVE and next(iter(self._live.values())).finished:
                self._live.popitem(last=False)
            for old in [entry for entry in self._live.values() if entry.finished][:-KEEP_PIECES]:
                old.pieces = []
            if self.store.jobs.get(job_id).state in ENDED:
                live.finished = True
            return live

    # the worker

    def _work(self, lane: str) -> None:
        swept, warmed = time.monotonic(), False
        while not self._stopping.is_set():
            job = self.store.jobs.next_queued(lane)
            if job is not None:
                try:
                    claimed = self.store.jobs.claim(job.id, JobState.RUNNING)
                except DiskFull as problem:
                    log.warning("job %s waits for room: %s", job.id, problem)
                    self._stopping.wait(NO_ROOM_PAUSE_S)
                    continue
                if claimed:
                    self._run(job)
                continue
            if lane == "device" and time.monotonic() - swept > SWEEP_EVERY_S:
                swept = time.monotonic()
                self.runtime.sweep()
            if lane == "device" and not warmed and time.monotonic() - swept > WARM_AFTER_S:
                warmed = True
                warm()
            with self._wake:
                self._wake.wait(0.5)

    def _run(self, job: JobRow) -> None:
        """The job boundary: whatever happens inside becomes a state and a message."""
        token = current_job.set(job.id)
        live = self._live_of(job.id)
        live.started = time.monotonic()
        state, error = JobState.DONE, ""
        try:
            self._attempt(job, live)
        except Cancelled:
            stopped = self._stopping.is_set()
            state = JobState.INTERRUPTED if stopped else JobState.CANCELLED
            error = "The studio was stopped." if stopped else ""
        except (StudioError, StorageError) as problem:
            state, error = JobState.FAILED, str(problem)
            log.warning(
                "failed: %s", error
            )  # the exception would keep the engine's parts in memory
        except OSError as problem:
            state, error = JobState.FAILED, str(from_os_error(problem, self.work))
            log.warning("failed: %s", error, exc_info=problem.errno not in FULL_ERRNOS)
        except Exception as problem:
            state, error = JobState.FAILED, f"{type(problem).__name__}: {problem}"
            log.exception("failed")
        if state is JobState.DONE:
            Partial(self.work / job.id).remove()
        else:
            self._keep_partial(job)
        self._contexts.pop(job.id, None)
        share = 1.0 if state is JobState.DONE else live.progress
        self._record(job.id, state=state, error=error, progress=share)
        log.info("%s after %.2f s", state, time.monotonic() - live.started)
        current_job.reset(token)
        self._finish(job.id, live)

    def _record(self, job_id: str, **values: Any) -> None:
        """Store how a job ended; on a full disk again and again, so that it does not seem to run."""
        while True:
            try:
                self.store.jobs.update(job_id, **values)
                return
            except DiskFull as problem:
                log.warning("the end of job %s waits for room: %s", job_id, problem)
                if self._stopping.wait(NO_ROOM_PAUSE_S):
                    return

    def _finish(self, job_id: str, live: Live) -> None:
        with live.changed:
            live.finished = True
            live.touch()
        ended = self.store.jobs.get(job_id)
        for listener in self.listeners:
            try:
                listener(ended)
            except Exception:
                log.exception("a listener failed on job %s", job_id)

    def _attempt(self, job: JobRow, live: Live) -> None:
        """Run the job; once more with everything else unloaded when memory runs out."""
        try:
            self._dispatch(job, live)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            freed = self.runtime.unload_all()
            log.warning(
                "memory ran out; unloaded %s, trying once more", ", ".join(freed) or "nothing"
            )
            Partial(self.work / job.id).remove()
            with live.changed:
                live.pieces = []
        else:
            return
        try:
            self._dispatch(job, live)
        except Exception as error:
            if is_out_of_memory(error):
                raise StudioError(
                    f"Memory ran out twice, also with nothing else loaded: {error}. Use a shorter "
                    "input, a smaller engine, or close other programs."
                ) from error
            raise

    def _dispatch(self, job: JobRow, live: Live) -> None:
        context = JobContext(
            job.id,
            int(job.settings.get("seed", 0) or 0),
            live,
            self.work / job.id,
            lambda share, note: self.store.jobs.update(job.id, progress=share, note=note),
        )
        self._contexts[job.id] = context
        if self._stopping.is_set():
            context.cancel()
        context.check()
        if errand := self._errands.get(job.kind):
            report = errand.run(job, context)
            if report is not None:
                self._store_report(job, report)
            return
        engine = self.registry.get(job.engine)
        if job.kind == "download":
            weights = next((w for w in engine.weights() if w.id == job.settings["weights"]), None)
            if weights is None:
                raise StudioError(f"{job.engine} has no weights {job.settings['weights']!r}.")
            self.hub.download(weights, context.progress, context.check)
            return
        params = parse(engine.Params, job.settings) if job.kind == "run" else None
        if not self.runtime.is_loaded(job.engine):
            context.progress(0, 1, f"Loading {engine.card.title}")
        with self.runtime.lease(engine, params):
            if params is not None:
                context.check()
                self._store_result(job, params, engine.run(params, context))

    # results

    def _store_result(self, job: JobRow, params: Params, result: Any) -> None:
        if isinstance(result, Report):
            self._store_report(job, result)
            return
        for clip in [result] if isinstance(result, Clip) else result:
            if isinstance(clip, Report):
                self._store_report(job, clip)
                continue
            self._add_clip(job, clip, plain(params) | dict(clip.settings), self._parents(params))
            Partial(self.work / job.id).remove()

    def _store_report(self, job: JobRow, report: Report) -> None:
        kept = {"values": report.values, "rows": list(report.rows)}
        self.store.jobs.update(job.id, report=kept)

    def _add_clip(
        self,
        job: JobRow,
        clip: Clip,
        settings: dict[str, Any],
        parents: list[str],
        partial: bool = False,
    ) -> ClipRow:
        levels = measure(clip.samples, clip.sample_rate)
        made = self.store.jobs.get(job.id).clip_ids
        row = self.store.clips.add(
            clip.samples,
            clip.sample_rate,
            engine=job.engine,
            task=job.task,
            text=clip.text,
            title=clip.title or _title(clip.text),
            settings=settings,
            seed=settings.get("seed"),
            revision=clip.revision,
            parents=parents,
            peak_db=levels.peak_db,
            loudness_lufs=levels.loudness_lufs,
            job_id=job.id,
            partial=partial,
            app_version=VERSION,
            adapter=clip.adapter,
            adapter_scale=clip.adapter_scale,
            codes=clip.codes,
            id="" if made else self._live_of(job.id).clip_id,
        )
        self.store.jobs.update(job.id, clip_ids=(*made, row.id))
        return row

    def _parents(self, params: Params) -> list[str]:
        """Clips whose files are inputs of ``params``."""
        found = []
        for knob in knobs(type(params)):
            value = getattr(params, knob.name)
            if knob.media and value is not None:
                parent = self.store.clips.find_by_hash(value.stem)
                found += [parent.id] if parent else []
        return found

    def _asked(self, job: JobRow) -> str:
        """What a job was asked for, in the words that its clips have as their text."""
        try:
            params = parse(self.registry.get(job.engine).Params, job.settings)
        except StudioError:  # of an engine that is gone or has changed since
            params = None
        if isinstance(params, PromptParams):
            return render_prompt(params)
        return str(job.settings.get("text", job.settings.get("prompt", "")))

    def _keep_partial(self, job: JobRow) -> None:
        """Store what an unfinished job had made as a clip marked partial; never raises."""
        partial = Partial(self.work / job.id)
        try:
            found = partial.read()
            if found is not None:
                text = self._asked(job)
                clip = Clip(*found, text=text, title=_title(text))
                self._add_clip(job, clip, dict(job.settings), [], partial=True)
            partial.remove()
        except (StudioError, StorageError, OSError, ValueError) as problem:
            log.warning("what job %s had made stays in %s: %s", job.id, partial.folder, problem)


def draw_seed() -> int:
    """A fresh seed, small enough to be read out and typed in again."""
    return secrets.randbelow(2**31)


def _title(text: str, length: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rsplit(" ", 1)[0] + "…"
