"""The facade: what tabs, endpoints, the command line and tests talk to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.base import (
    Adapter,
    Availability,
    Engine,
    NotReady,
    Params,
    StudioError,
    Task,
    Weights,
)
from engines.parameters import Kind, knobs, parse, plain
from engines.prompts import PromptParams, attributes_of, render_prompt, vocabulary
from engines.registry import Registry
from engines.studio import sounds
from engines.studio.batch.batches import Batches
from engines.studio.evaluation.evaluation import Evaluation
from engines.studio.hub import Hub
from engines.studio.judging.judging import Judging
from engines.studio.projects import Projects
from engines.studio.rebuilding import Rebuilding
from engines.studio.runner import Runner, Update, draw_seed
from engines.studio.runtime import Memory, Runtime
from engines.studio.settings import Settings
from storage import ClipRow, JobRow, PromptRow, Store

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
        self.hub = Hub(self.store.folder("models"), settings.hub_timeout_s, self.adapters)
        self.registry = Registry(self.hub)
        self.runtime = Runtime(settings)
        self.runner = Runner(self.store, self.registry, self.runtime, self.hub)
        self.clips = self.store.clips
        self.jobs = self.store.jobs
        self.presets = self.store.presets
        self.judging = Judging(self.store)
        self.projects = Projects(self.store, self.runner)
        self.rebuilding = Rebuilding(self.store, self.runner, self.registry)
        self.evaluation = Evaluation(self.store, self.runner)
        self.batches = Batches(self)
        self.prompts = self.store.prompts
        self.templates = self.store.templates
        self.templates.seed(vocabulary()["templates"])
        self._at_close: list[Callable[[], None]] = []

    def start(self) -> Studio:
        """Discover engines, recover from a crash, start the workers."""
        self.registry.discover()
        self.runner.start()
        return self

    def at_close(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the studio closes, before its workers and its store do."""
        self._at_close.append(callback)

    def close(self) -> None:
        """Stop the workers, unload all engines, close the store."""
        while self._at_close:
            self._at_close.pop()()
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

    def adapters(self) -> list[Adapter]:
        """The registered adapters that are not archived."""
        return [
            Adapter(
                row.id, row.label, row.base, self.store.data_dir / row.folder, row.active, row.scale
            )
            for row in self.store.adapters.list()
        ]

    # making

    def resolve(self, engine_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Complete, valid settings for a run: defaults filled in (the engine's own for this machine
        first), the seed drawn.

        Where adapters can be used and none are named, those that are active for these weights are;
        an empty list means none.

        Raises ``InvalidParams`` with a message for each wrong field, ``NotReady`` when something must
        be downloaded or installed first, ``StudioError`` for what the engine itself refuses.
        """
        engine = self.engine(engine_id)
        values = {**engine.defaults(values), **values}
        params = parse(engine.Params, values)
        weights = engine.weights_for(params)
        self._require(engine, weights)
        if "adapters" in engine.Params.model_fields and "adapters" not in values:
            active = self._active_adapters(engine, weights)
            params = parse(engine.Params, {**values, "adapters": active})
        engine.check(params)
        settings = plain(params)
        for knob in knobs(engine.Params):
            if knob.kind is Kind.SEED and settings[knob.name] == -1:
                settings[knob.name] = draw_seed()
        return settings

    def _active_adapters(self, engine: Engine, weights: Weights | None) -> list[str]:
        """The active adapters of these weights with their scales, as the parameter takes them."""
        knob = next(knob for knob in knobs(engine.Params) if knob.name == "adapters")
        base = weights.id if weights else ""
        fitting = [adapter for adapter in engine.cache.adapters() if adapter.base == base]
        active = [f"{each.id}@{each.scale:g}" for each in fitting if each.active]
        return active[: knob.max_length]

    def _require(self, engine: Engine, weights: Weights | None) -> None:
        missing = engine.missing()
        if missing:
            raise NotReady(
                f"{engine.card.title} needs {', '.join(missing)}: pip install {engine.card.pip_extra}"
            )
        if weights is None or engine.state_of(weights) is Availability.READY:
            return
        named_by = next(
            (
                knob.name
                for knob in knobs(engine.Params)
                if any(choice.value == weights.id for choice in engine.choices(knob.name))
            ),
            None,
        )
        if engine.state_of(weights) is Availability.TRAIN:
            unpublished = next(
                each for each in weights.whole if not each.repo and not each.embedded
            )
            files = ", ".join(unpublished.files) or "its files"
            raise NotReady(
                f"{unpublished.title} can't be downloaded: train it, or put {files} into "
                f"models/own/{unpublished.id} of the data folder.",
                named_by,
            )
        size = f" ({weights.total_bytes / 1e6:,.0f} MB)" if weights.total_bytes else ""
        raise NotReady(
            f"{weights.title} is not on this machine yet. Download it in Models{size}, "
            f"or with the endpoint /download (engine {engine.card.id!r}, weights {weights.id!r}).",
            named_by,
        )

    def submit(self, engine_id: str, values: Mapping[str, Any], owner: str = "") -> JobRow:
        """Queue a run with ``values`` (any parameter left out has its default).

        Sounds from outside become clips first, so that what they were used for can be made again;
        a prompt goes into the history of prompts.
        """
        engine, settings = self.engine(engine_id), self.resolve(engine_id, values)
        settings = sounds.kept(self.store, engine, settings)
        job = self.runner.submit("run", engine_id, settings, owner)
        self._remember(parse(engine.Params, settings))
        return job

    def _remember(self, params: Params) -> None:
        if isinstance(params, PromptParams):
            self.keep_prompt(params)

    @staticmethod
    def prompt_words() -> dict[str, Any]:
        """Styles, moods, energies and keys to choose from, and instruments by group."""
        return {name: words for name, words in vocabulary().items() if name != "templates"}

    @staticmethod
    def prompt(text: str, attributes: Mapping[str, Any] | None = None) -> PromptParams:
        """A prompt from its text and attributes; raises ``InvalidParams`` for what is wrong."""
        params = parse(PromptParams, {"prompt": text, **(attributes or {})})
        assert isinstance(params, PromptParams)
        return params

    def keep_prompt(self, prompt: PromptParams) -> PromptRow:
        """Put a prompt into the history, or count one more use of it."""
        return self.prompts.add(prompt.prompt, attributes_of(prompt), render_prompt(prompt))

    def load(self, engine_id: str) -> JobRow:
        """Queue the loading of an engine."""
        engine = self.engine(engine_id)
        self._require(engine, next(iter(engine.weights()), None))
        return self.runner.submit("load", engine_id, {})

    def warm(self, task: Task) -> None:
        """Import in the background what the engines of ``task`` that can run need for their first job."""
        for engine in self.engines(task):
            if engine.availability() is Availability.READY:
                self.runtime.warm(engine)

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
        values, gone = sounds.found(self.store, engine, values)
        if gone:
            missing = f"{missing} The sound of {', '.join(gone)} is not here.".strip()
        return Restored(engine_id, values, missing)

    # the whole

    def memory(self) -> Memory:
        """Memory of the device and of this process."""
        return self.runtime.memory()
