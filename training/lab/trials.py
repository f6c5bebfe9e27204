"""The blind test of an adapter against its base: the same prompts and seeds, made by both.

Music is made by ordinary jobs. What is still missing is kept in the settings of the store, so that
a test in the making survives a restart; when the last clip is there, the test is stored.
"""

from __future__ import annotations

import builtins
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from engines.base import StudioError
from storage import JobRow, JobState, NotFound, StorageError
from storage.base.ids import new_id, utc_now
from storage.learning.listening import Stimulus, TestKind
from storage.work.jobs import FINAL
from training.bases import ENGINE, find_base
from training.lab.verdicts import BASE

if TYPE_CHECKING:
    from engines.studio import Studio
    from storage.learning.adapters import AdapterRow

log = logging.getLogger(__name__)

KEY = "adapter_tests"
MAX_CLIPS = 200
MAX_SCALE = 2.0
SIDES = 2


class TestState(StrEnum):
    """How far a test is."""

    __test__ = False

    MAKING = "making"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class AdapterTest:
    """A test of an adapter: ``done`` of ``of`` clips are made. ``test_id`` names the blind test once
    it is ready; ``error`` says why it never will be, until it is tried again."""

    id: str
    adapter_id: str
    name: str
    state: TestState
    done: int
    of: int
    test_id: str
    error: str
    created_at: str


@dataclass(frozen=True)
class _Pair:
    """One prompt and seed, with the jobs of the base and of the adapter."""

    prompt: str
    seed: int
    jobs: tuple[str, str]


@dataclass(frozen=True)
class _Pending:
    """A test in the making, as the settings hold it."""

    id: str
    adapter_id: str
    name: str
    scale: float
    pairs: tuple[_Pair, ...]
    test_id: str
    created_at: str

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> _Pending:
        pairs = tuple(_Pair(p["prompt"], p["seed"], tuple(p["jobs"])) for p in values["pairs"])
        return cls(**{**values, "pairs": pairs})


class Trials:
    """Tests of adapters against their bases."""

    def __init__(self, studio: Studio):
        self._studio = studio
        self._store = studio.store
        self._lock = threading.RLock()

    # life

    def start(self) -> None:
        """Go on with what was in the making: jobs that the last end interrupted are queued again."""
        with self._lock:
            for pending in self._read():
                if pending.test_id:
                    continue
                try:
                    self._again(pending, lambda job: job.state is JobState.INTERRUPTED)
                    self._finish(pending.id)
                except (StudioError, StorageError) as problem:
                    log.warning("the test %r waits: %s", pending.name, problem)
        self._studio.runner.listeners.append(self._ended)

    def close(self) -> None:
        """Stop listening to jobs."""
        if self._ended in self._studio.runner.listeners:
            self._studio.runner.listeners.remove(self._ended)

    # making

    def begin(
        self,
        adapter_id: str,
        prompts: Sequence[str],
        seeds: Sequence[int],
        scale: float,
        settings: Mapping[str, Any],
    ) -> AdapterTest:
        """Queue all jobs and remember what they are for; see ``Lab.compare_with_base``."""
        adapter = self._store.adapters.get(adapter_id)
        prompts = [" ".join(prompt.split()) for prompt in prompts if prompt.strip()]
        self._check(adapter, prompts, seeds, scale)
        common = {**settings, "model": adapter.base, "variations": 1}
        wanted = [
            (prompt, seed, self._sides(common | {"prompt": prompt, "seed": seed}, adapter, scale))
            for prompt in dict.fromkeys(prompts)
            for seed in dict.fromkeys(seeds)
        ]
        with self._lock:  # a job may end before its test is remembered
            # all of one model, then all of the other: changing adapters loads the model anew
            base_jobs = [self._queue(sides[0]) for _, _, sides in wanted]
            adapter_jobs = [self._queue(sides[1]) for _, _, sides in wanted]
            pairs = [
                _Pair(prompt, seed, jobs)
                for (prompt, seed, _), jobs in zip(
                    wanted, zip(base_jobs, adapter_jobs, strict=True), strict=True
                )
            ]
            pending = _Pending(
                id=new_id(),
                adapter_id=adapter.id,
                name=f"{adapter.label} or its base",
                scale=scale,
                pairs=tuple(pairs),
                test_id="",
                created_at=utc_now(),
            )
            self._write([*self._read(), pending])
        return self._state(pending)

    def _check(
        self, adapter: AdapterRow, prompts: Sequence[str], seeds: Sequence[int], scale: float
    ) -> None:
        find_base(self._studio, adapter.base)
        if adapter.archived:
            raise StudioError(
                f"{adapter.label} is archived; take it out of the archive to test it."
            )
        if not prompts:
            raise StudioError("Give at least one prompt.", "prompts")
        if not seeds or min(seeds) < 0:
            raise StudioError("Give at least one seed, 0 or greater.", "seeds")
        if not 0 < scale <= MAX_SCALE:
            raise StudioError(
                f"Test with a scale above 0 and up to {MAX_SCALE:g}, not {scale:g}; at 0 the adapter "
                "does nothing.",
                "scale",
            )
        number = SIDES * len(set(prompts)) * len(set(seeds))
        if number > MAX_CLIPS:
            raise StudioError(
                f"{number} clips would be made; at most {MAX_CLIPS} fit. Take fewer prompts or seeds.",
                "prompts",
            )

    def _sides(
        self, settings: dict[str, Any], adapter: AdapterRow, scale: float
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Complete settings for the base and the adapter, checked before anything is queued."""
        with_adapter = settings | {"adapters": (f"{adapter.id}@{scale:g}",)}
        without = settings | {"adapters": ()}
        return self._studio.resolve(ENGINE, without), self._studio.resolve(ENGINE, with_adapter)

    def _queue(self, settings: Mapping[str, Any]) -> str:
        return self._studio.submit(ENGINE, settings).id

    def _ended(self, job: JobRow) -> None:
        """A listener of the runner: one more clip may be there."""
        if job.engine != ENGINE:
            return
        with self._lock:
            for pending in self._read():
                if not pending.test_id and any(job.id in pair.jobs for pair in pending.pairs):
                    self._finish(pending.id)

    def _finish(self, id: str) -> None:
        """Make the blind test if all its clips are there."""
        pending = self._pending(id)
        clips = [tuple(map(self._clip, pair.jobs)) for pair in pending.pairs]
        if not all(all(pair) for pair in clips):
            return
        adapter = self._store.adapters.get(pending.adapter_id)
        trials = [
            (
                self._store.clips.get(base).text,
                [Stimulus(base, BASE), Stimulus(made, adapter.label)],
            )
            for base, made in clips
        ]
        test = self._store.tests.create(
            self._free_name(pending.name),
            TestKind.AB,
            trials,
            config={"scale": pending.scale, "seeds": [pair.seed for pair in pending.pairs]},
            adapter_id=adapter.id,
        )
        self._replace(replace(pending, test_id=test.id))
        log.info("test %s of adapter %s is ready", test.id, adapter.id)

    def _clip(self, job_id: str) -> str:
        """The clip that a job made, "" while there is none."""
        try:
            job = self._store.jobs.get(job_id)
            if job.state is not JobState.DONE or not job.clip_ids:
                return ""
            return self._store.clips.get(job.clip_ids[0]).id
        except NotFound:
            return ""

    def _free_name(self, name: str) -> str:
        taken = {
            test.name.lower()
            for archived in (False, True)
            for test in self._store.tests.list(archived)
        }
        number, free = 1, name
        while free.lower() in taken:
            number += 1
            free = f"{name} ({number})"
        return free

    def retry(self, id: str) -> AdapterTest:
        """Queue the jobs again whose clip will not come: failed, cancelled, or deleted since."""
        with self._lock:
            self._again(
                self._pending(id), lambda job: job.state in FINAL and not self._clip(job.id)
            )
            self._finish(id)
            return self.get(id)

    def _again(self, pending: _Pending, wanted: Callable[[JobRow], bool]) -> None:
        """Queue the ``wanted`` jobs anew."""
        pairs = []
        for pair in pending.pairs:
            jobs = []
            for job_id in pair.jobs:
                again = wanted(self._store.jobs.get(job_id))
                jobs.append(self._studio.retry(job_id).id if again else job_id)
            pairs.append(replace(pair, jobs=(jobs[0], jobs[1])))
        self._replace(replace(pending, pairs=tuple(pairs)))

    # reading

    def get(self, id: str) -> AdapterTest:
        """The state of one test."""
        return self._state(self._pending(id))

    def list(self, adapter_id: str) -> builtins.list[AdapterTest]:
        """All tests of an adapter ("": of all), newest first, but for those that were deleted."""
        found = [p for p in self._read() if adapter_id in ("", p.adapter_id) and self._is_there(p)]
        return [self._state(pending) for pending in reversed(found)]

    def _is_there(self, pending: _Pending) -> bool:
        try:
            return not pending.test_id or bool(self._store.tests.get(pending.test_id))
        except NotFound:
            return False

    def _state(self, pending: _Pending) -> AdapterTest:
        jobs = [job for pair in pending.pairs for job in pair.jobs]
        error, done = "", len(jobs)
        if not pending.test_id:
            done = sum(bool(self._clip(job)) for job in jobs)
            error = self._error(jobs)
        making = TestState.FAILED if error else TestState.MAKING
        return AdapterTest(
            id=pending.id,
            adapter_id=pending.adapter_id,
            name=pending.name,
            state=TestState.READY if pending.test_id else making,
            done=done,
            of=len(jobs),
            test_id=pending.test_id,
            error=error,
            created_at=pending.created_at,
        )

    def _error(self, jobs: Sequence[str]) -> str:
        """What went wrong with the first job that ended without a clip."""
        for job_id in jobs:
            try:
                job = self._store.jobs.get(job_id)
            except NotFound as error:
                return str(error)
            if job.state in FINAL and not self._clip(job_id):
                gone = "The clip was deleted." if job.state is JobState.DONE else ""
                return job.error or gone or f"Job {job_id} was {job.state}."
        return ""

    # what is remembered

    def _read(self) -> builtins.list[_Pending]:
        return [_Pending.from_dict(values) for values in self._store.settings.get(KEY, [])]

    def _write(self, pending: Sequence[_Pending]) -> None:
        self._store.settings.set(KEY, [asdict(one) for one in pending])

    def _pending(self, id: str) -> _Pending:
        for pending in self._read():
            if pending.id == id:
                return pending
        raise NotFound(f"There is no adapter test {id}; it may have been deleted.")

    def _replace(self, changed: _Pending) -> None:
        self._write([changed if one.id == changed.id else one for one in self._read()])
