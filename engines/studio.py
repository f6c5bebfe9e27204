"""The facade: what tabs, endpoints, the command line and tests talk to."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.base import Availability, Engine, NotReady, StudioError, Task, Weights
from engines.hub import Hub
from engines.knobs import Kind, knobs, parse, plain
from engines.registry import Registry
from engines.runner import Runner, Update, draw_seed
from engines.runtime import Memory, Runtime
from engines.settings import Settings
from storage import ClipRow, JobRow, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WeightsState:
    """One set of weights and whether it can be used now. ``bytes_here`` is its size on this disk."""

    weights: Weights
    state: Availability
    bytes_here: int


@dataclass(frozen=True)
class Restored:
    """The engine and settings found in a file or clip; ``missing`` names what is not here."""

    engine: str
    settings: dict[str, Any]
    missing: str = ""


class Studio:
    """One studio: a data folder, the engines, the queue. Use as a context manager or ``close`` it."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.store = Store.open(settings.data)
        self.hub = Hub(self.store.folder("models"), settings.hub_timeout_s)
        self.registry = Registry(self.hub)
        self.runtime = Runtime(settings)
        self.runner = Runner(self.store, self.registry, self.runtime, self.hub)
        self.clips = self.store.clips
        self.jobs = self.store.jobs
        self.presets = self.store.presets

    def start(self) -> Studio:
        """Discover engines, recover from a crash, start the workers."""
        self.registry.discover()
        self.runner.start()
        return self

    def close(self) -> None:
        """Stop the workers, unload all engines, close the store."""
        self.runner.stop()
        self.runtime.unload_all()
        self.store.close()

    def __enter__(self) -> Studio:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # engines

    def engine(self, engine_id: str) -> Engine:
        """The engine with this id; raises ``StudioError`` naming the known ones."""
        return self.registry.get(engine_id)

    def engines(self, task: Task | None = None) -> list[Engine]:
        """All engines, or those of one task."""
        return list(self.registry) if task is None else self.registry.of(task)

    def weights(self, engine_id: str) -> list[WeightsState]:
        """Every set of weights of an engine with its state."""
        engine = self.engine(engine_id)
        return [
            WeightsState(weights, engine.state_of(weights), self.hub.size(weights))
            for weights in engine.weights()
        ]

    # making

    def resolve(self, engine_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Complete, valid settings for a run: defaults filled in, the seed drawn.

        Raises ``InvalidParams`` with a message for each wrong field, ``NotReady`` when something must
        be downloaded or installed first, ``StudioError`` for what the engine itself refuses.
        """
        engine = self.engine(engine_id)
        params = parse(engine.Params, values)
        self._require(engine, engine.weights_for(params))
        engine.check(params)
        settings = plain(params)
        for knob in knobs(engine.Params):
            if knob.kind is Kind.SEED and settings[knob.name] == -1:
                settings[knob.name] = draw_seed()
        return settings

    def _require(self, engine: Engine, weights: Weights | None) -> None:
        missing = engine.missing()
        if missing:
            raise NotReady(
                f"{engine.card.title} needs {', '.join(missing)}: pip install {engine.card.pip_extra}"
            )
        if weights is None or engine.state_of(weights) is Availability.READY:
            return
        if not weights.repo:
            raise NotReady(f"{weights.title} has no published weights; train it first.")
        size = f" ({weights.size_bytes / 1e6:,.0f} MB)" if weights.size_bytes else ""
        raise NotReady(
            f"{weights.title} is not on this machine yet. Download it in Models{size}, "
            f"or with the endpoint /download (engine {engine.card.id!r}, weights {weights.id!r})."
        )

    def submit(self, engine_id: str, values: Mapping[str, Any], owner: str = "") -> JobRow:
        """Queue a run with ``values`` (any parameter left out has its default)."""
        return self.runner.submit("run", engine_id, self.resolve(engine_id, values), owner)

    def load(self, engine_id: str) -> JobRow:
        """Queue the loading of an engine."""
        engine = self.engine(engine_id)
        self._require(engine, next(iter(engine.weights()), None))
        return self.runner.submit("load", engine_id, {})

    def unload(self, engine_id: str) -> bool:
        """Free an engine's memory; returns whether it was loaded."""
        return self.runtime.unload(self.engine(engine_id).card.id)

    def download(self, engine_id: str, weights_id: str) -> JobRow:
        """Queue the download of one set of weights."""
        engine = self.engine(engine_id)
        if not any(weights.id == weights_id for weights in engine.weights()):
            raise StudioError(f"{engine.card.title} has no weights {weights_id!r}.", "weights")
        return self.runner.submit("download", engine_id, {"weights": weights_id})

    def remove_weights(self, engine_id: str, weights_id: str) -> int:
        """Delete downloaded weights; returns the bytes freed."""
        engine = self.engine(engine_id)
        weights = next((w for w in engine.weights() if w.id == weights_id), None)
        if weights is None:
            raise StudioError(f"{engine.card.title} has no weights {weights_id!r}.", "weights")
        if weights.embedded:
            raise StudioError(f"{weights.title} is part of an installed package; it stays.")
        self.runtime.unload(engine_id)
        return self.hub.remove(weights)

    # following

    def job(self, job_id: str) -> JobRow:
        """A job's row; raises ``StorageError`` for an unknown id."""
        return self.jobs.get(job_id)

    def follow(self, job_id: str, every_s: float = 0.5) -> Iterator[Update]:
        """Updates of a job until it ended; see ``Runner.follow``."""
        return self.runner.follow(job_id, every_s)

    def wait(self, job_id: str, timeout_s: float | None = None) -> JobRow:
        """Block until a job ended; see ``Runner.wait``."""
        return self.runner.wait(job_id, timeout_s)

    def cancel(self, job_id: str) -> JobRow:
        """Ask a job to stop."""
        return self.runner.cancel(job_id)

    def retry(self, job_id: str) -> JobRow:
        """Queue an ended job again."""
        return self.runner.retry(job_id)

    def make(self, engine_id: str, timeout_s: float | None = None, **values: Any) -> list[ClipRow]:
        """Submit, wait, and return the clips; raises ``StudioError`` with the job's error."""
        job = self.wait(self.submit(engine_id, values).id, timeout_s)
        if job.state != "done":
            raise StudioError(job.error or f"The job was {job.state}.")
        return [self.clip(clip_id) for clip_id in job.clip_ids]

    # clips

    def clip(self, clip_id: str) -> ClipRow:
        """A clip's row; raises ``StorageError`` for an unknown id."""
        return self.clips.get(clip_id)

    def restore(self, path: Path) -> Restored:
        """The engine and settings that a sound file made here carries.

        Raises ``StorageError`` when the file has none or is not audio.
        """
        embedded = self.clips.restore(path)
        return self._restored(embedded.engine, embedded.settings)

    def settings_of(self, clip_id: str) -> Restored:
        """The engine and settings that made a clip."""
        clip = self.clip(clip_id)
        return self._restored(clip.engine, clip.settings)

    def _restored(self, engine_id: str, settings: Mapping[str, Any]) -> Restored:
        try:
            engine = self.engine(engine_id)
        except StudioError as error:
            return Restored(engine_id, dict(settings), str(error))
        known = {knob.name for knob in knobs(engine.Params)}
        dropped = sorted(set(settings) - known)
        values = {name: value for name, value in settings.items() if name in known}
        missing = f"This version has no {', '.join(dropped)}." if dropped else ""
        return Restored(engine_id, values, missing)

    # the whole

    def memory(self) -> Memory:
        """Memory of the device and of this process."""
        return self.runtime.memory()
