"""Sends rows to a Ray cluster: workers make sound, this process stores it.

Ray is the extra ``[ray]``. Each worker process holds engines of its own and knows neither the store
nor the queue; a row's random numbers come from its seed alone, so what it makes is what would be made
here. ``RAY_ADDRESS`` names a cluster that runs; without it one is started on this machine.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.base import Adapter, Clip, Engine, Report, StudioError
from engines.parameters import knobs, parse
from engines.studio.hub import Hub
from engines.studio.jobs import JobContext, Live
from engines.studio.runner import Runner
from engines.studio.runtime import Runtime
from engines.studio.settings import Settings
from storage import BatchItem, JobRow, JobState

EXTRA = "pip install 'amphion-studio[ray]'"
LANE = "ray"  # no worker of this process takes jobs of this lane
AHEAD = 2  # rows that a worker has: one in work, one that waits


def available() -> bool:
    """Whether Ray is installed; asked without importing it."""
    return importlib.util.find_spec("ray") is not None


def _ray() -> Any:
    """The library, which reports nothing home; without types, since it need not be installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return importlib.import_module("ray")


@dataclass(frozen=True)
class Recipe:
    """What a worker needs to build an engine as it is here."""

    engine: str  # module:class
    models: str
    adapters: tuple[Adapter, ...]
    settings: dict[str, Any]
    threads: int
    hub_timeout_s: float

    @classmethod
    def of(cls, runner: Runner, engine: Engine) -> Recipe:
        """The recipe of an engine of this process."""
        kind, runtime = type(engine), runner.runtime
        return cls(
            f"{kind.__module__}:{kind.__qualname__}",
            str(runner.hub.root),
            tuple(engine.cache.adapters()),
            {"device": runtime.device, "dtype": runtime.dtype},
            runtime.threads,
            runner.hub.timeout_s,
        )


class Worker:
    """One engine in a process of its own; made by Ray on any machine of the cluster."""

    def __init__(self, recipe: Recipe):
        module, _, name = recipe.engine.partition(":")
        hub = Hub(Path(recipe.models), recipe.hub_timeout_s, lambda: recipe.adapters)
        self._engine: Engine = getattr(importlib.import_module(module), name)(hub)
        wanted = Settings(_cli_parse_args=[], threads=recipe.threads, **recipe.settings)
        self._runtime = Runtime(wanted)

    def run(
        self, job_id: str, settings: dict[str, Any], sounds: dict[str, tuple[str, bytes]]
    ) -> list[Clip] | str:
        """The clips of one row, or the words of what refused it.

        ``sounds`` are files by parameter: their name and content, since no disk may be shared.
        """
        with tempfile.TemporaryDirectory() as folder:
            for name, (file, content) in sounds.items():
                path = Path(folder) / file
                path.write_bytes(content)
                settings = {**settings, name: str(path)}
            params = parse(self._engine.Params, settings)
            seed = int(settings.get("seed", 0) or 0)
            context = JobContext(job_id, seed, Live(), Path(folder) / "work", lambda *_: None)
            try:
                with self._runtime.lease(self._engine, params):
                    made = self._engine.run(params, context)
                    if isinstance(made, Report):
                        return "This engine makes a report, no sound; it runs on this machine only."
                    return _clips(made)
            except StudioError as error:
                return str(error)


def _clips(made: Clip | Iterator[Clip | Report]) -> list[Clip]:
    """The sounds of what a run gave; a report on them stays behind."""
    return [made] if isinstance(made, Clip) else [each for each in made if isinstance(each, Clip)]


class RayExecutor:
    """Rows on the workers of a cluster. Use as a context manager.

    ``workers`` of 0 takes one for each GPU of the cluster, or for each processor core where there is
    none. Raises ``StudioError`` when Ray is missing or no cluster answers.
    """

    def __init__(self, runner: Runner, engine: Engine, workers: int = 0):
        if not available():
            raise StudioError(f"Ray is not installed: {EXTRA}")
        self._runner, self._engine = runner, engine
        self._workers = workers
        self._jobs: dict[Any, tuple[JobRow, int]] = {}  # with the number of the worker
        self._given_up: list[JobRow] = []

    def __enter__(self) -> RayExecutor:
        ray = _ray()
        if not ray.is_initialized():
            address = os.environ.get("RAY_ADDRESS")
            own: dict[str, Any] = {} if address else {"include_dashboard": False}
            try:
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
            except (ConnectionError, OSError, RuntimeError) as error:
                raise StudioError(f"No Ray cluster answers at {address}: {error}") from error
            self._started = True
        else:
            self._started = False
        count, options = self._share(ray.cluster_resources())
        recipe = Recipe.of(self._runner, self._engine)
        remote = ray.remote(Worker)
        self._pool = [remote.options(**options).remote(recipe) for _ in range(count)]
        self._load = [0] * count
        self.width = AHEAD * count
        return self

    def _share(self, resources: Mapping[str, float]) -> tuple[int, dict[str, Any]]:
        """How many workers there are, and what each of them takes of the cluster."""
        gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        if self._runner.runtime.device.startswith("cuda") and gpus:
            if self._workers > gpus:
                raise StudioError(f"The cluster has {gpus} GPUs, too few for {self._workers}.")
            return self._workers or gpus, {"num_gpus": 1}
        count = self._workers or cores
        return count, {"num_cpus": 1 if count <= cores else 0}  # more than fit would wait for ever

    def __exit__(self, *_: object) -> None:
        ray = _ray()
        for worker in self._pool:
            ray.kill(worker)
        for job, _number in self._jobs.values():
            self._runner.end(job.id, JobState.INTERRUPTED, "The batch was stopped.")
        self._jobs.clear()
        if self._started:
            ray.shutdown()

    def begin(self, engine_id: str, item: BatchItem, owner: str) -> JobRow:
        """Hand a row to the worker that has least to do."""
        jobs = self._runner.store.jobs
        task = str(self._engine.card.task)
        job = jobs.add("run", engine_id, task, dict(item.settings), owner=owner, device=LANE)
        jobs.claim(job.id, JobState.RUNNING)
        number = min(range(len(self._pool)), key=self._load.__getitem__)
        self._load[number] += 1
        handle = self._pool[number].run.remote(
            job.id, dict(item.settings), dict(self._sounds(item.settings))
        )
        self._jobs[handle] = (job, number)
        return job

    def _sounds(self, settings: dict[str, Any]) -> Iterator[tuple[str, tuple[str, bytes]]]:
        for knob in knobs(self._engine.Params):
            if knob.media and settings.get(knob.name):
                path = Path(settings[knob.name])
                yield knob.name, (path.name, path.read_bytes())

    def adopt(self, job: JobRow) -> bool:
        """A job of an earlier process in the queue of this machine is left to it."""
        return False

    def ended(self, timeout_s: float) -> JobRow | None:
        """Store what the next worker made that is done."""
        ray = _ray()
        if self._given_up:
            return self._given_up.pop()
        if not self._jobs:
            return None
        ready, _ = ray.wait(list(self._jobs), num_returns=1, timeout=timeout_s)
        if not ready:
            return None
        job, number = self._jobs.pop(ready[0])
        self._load[number] -= 1
        try:
            made = ray.get(ready[0])
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            words = f"The worker failed: {type(cause).__name__}: {cause}"
            return self._runner.end(job.id, JobState.FAILED, words)
        if isinstance(made, str):
            return self._runner.end(job.id, JobState.FAILED, made)
        return self._runner.keep(job, made)

    def cancel(self, job_id: str) -> None:
        """Give up a row; its worker is ended with the batch, see ``__exit__``."""
        for handle, (job, _) in list(self._jobs.items()):
            if job.id == job_id:
                del self._jobs[handle]
                self._given_up.append(self._runner.end(job_id, JobState.CANCELLED))
