"""One run from its folder: read what is asked, prepare, train, say how it ended.

Everything a run needs stands in its folder (``config.yaml``, ``paths.json``), so that the same command
starts it and goes on with it. The store is never opened.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.base import Cancelled, StudioError
from engines.parameters import plain
from storage.audio.files import write_whole
from storage.base.ids import utc_now
from training.config import RunConfig
from training.record import STOP, Recorder, RunRecord, State
from training.run import corpus, loggers

if TYPE_CHECKING:
    from engines.music.musicgen.checkpoint import Loaded
    from training.musicgen.tasks import MusicgenTask
    from training.run.corpus import Corpus
    from training.run.devices import Place
    from training.run.loop import Plan

log = logging.getLogger(__name__)

CONFIG, PATHS = "config.yaml", "paths.json"
# what may differ between the parts of one run: none of it changes what is learned
FREE = {
    "name", "experiment", "base", "dataset", "early_stop_patience", "keep",
    "gradient_checkpointing", "save_every_steps", "keep_last", "sample_prompts", "sample_duration_s",
    "logger",
}  # fmt: skip


@dataclass(frozen=True)
class Paths:
    """``paths.json``: where base and dataset are, what the base is called, where codes are kept."""

    base_folder: Path
    dataset_folder: Path
    base_id: str
    base_revision: str
    cache_folder: Path

    @classmethod
    def read(cls, folder: Path) -> Paths:
        """Of a run folder. Runs in ``data/runs`` share ``data/cache/training``."""
        values = json.loads(_text(folder / PATHS))
        cache = values.get("cache_folder") or folder.parent.parent / "cache" / "training"
        return cls(
            Path(values["base_folder"]),
            Path(values["dataset_folder"]),
            values.get("base_id", ""),
            values.get("base_revision", ""),
            Path(cache),
        )

    def write(self, folder: Path) -> None:
        """Into a run folder."""
        values = {name: str(getattr(self, name)) for name in self.__dataclass_fields__}
        write_whole(folder / PATHS, json.dumps(values, indent=1).encode())


def read_config(folder: Path) -> RunConfig:
    """``config.yaml`` of a run folder."""
    return RunConfig.from_yaml(_text(folder / CONFIG))


def _text(path: Path) -> str:
    if not path.is_file():
        raise StudioError(f"{path.parent} is no run: {path.name} is missing.")
    return path.read_text(encoding="utf-8")


@dataclass
class Stop:
    """Whether somebody wants the run to end: the ``stop`` file, SIGTERM or SIGINT."""

    recorder: Recorder
    signalled: bool = field(default=False)

    def asked(self) -> bool:
        """Now."""
        return self.signalled or self.recorder.stop_asked()

    def check(self) -> None:
        """Raise ``Cancelled`` when asked."""
        self.recorder.update()
        if self.asked():
            raise Cancelled

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the first signal as a wish to stop; the second one ends the process as usual."""

        def taken(number: int, frame: Any) -> None:
            self.signalled = True
            signal.signal(number, signal.SIG_DFL)

        before = {
            number: signal.signal(number, taken) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def start(folder: Path, config: RunConfig, paths: Paths) -> None:
    """Write a run folder, or find the same run there. Raises ``StudioError`` for another run's."""
    if (folder / CONFIG).exists():
        if read_config(folder) != config:
            raise StudioError(
                f"{folder} holds a run of another configuration. Choose another folder, or go on "
                f"with that run: train --run {folder}."
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / CONFIG, config.to_yaml().encode())
    paths.write(folder)


def train(folder: Path, place: Place) -> State:
    """Do, or go on with, the run in ``folder``; returns ``DONE`` or ``STOPPED``.

    Raises ``StudioError`` or ``StorageError`` for what a person can mend, having written nothing but
    the record; the caller writes how it ended.
    """
    return attempt(folder, place, lambda recorder, stop: _train(folder, place, recorder, stop))


def attempt(folder: Path, place: Place, work: Callable[[Recorder, Stop], State]) -> State:
    """``work`` with the record of ``folder`` and with an ear for whoever wants it to stop."""
    recorder = open_recorder(folder, place.accelerator.is_main_process)
    stop = Stop(recorder)
    try:
        with stop.listening():
            state = work(recorder, stop)
    except Cancelled:
        state = State.STOPPED
    place.accelerator.wait_for_everyone()
    if place.accelerator.is_main_process:
        (folder / STOP).unlink(missing_ok=True)
    recorder.update(now=True, state=state, phase="", error="", finished_at=utc_now())
    log.info("%s at step %d", state, recorder.record.step)
    return state


def open_recorder(folder: Path, writes: bool) -> Recorder:
    """The record of an earlier part of the run, or a new one, as running here."""
    earlier = RunRecord.read(folder)
    record = earlier or RunRecord(folder.name, started_at=utc_now())
    record.state, record.pid = State.RUNNING, os.getpid()
    record.error, record.finished_at = "", None
    recorder = Recorder(folder, record, writes)
    recorder.update(now=True, phase="loading")
    return recorder


def _train(folder: Path, place: Place, recorder: Recorder, stop: Stop) -> State:
    from training.musicgen.samples import Listener
    from training.run.loop import Trainer

    config, paths = read_config(folder), Paths.read(folder)
    loggers.check(config.logger)
    found = corpus.read(paths.dataset_folder, config.method)
    log.info(
        "%s: %d items to learn from, %d to validate; on %s",
        config.method, len(found.train), len(found.validation), place,
    )  # fmt: skip
    loaded, task = prepare(config, paths, found, place, stop)
    listener = Listener(
        loaded, task, config.sample_prompts, config.sample_duration_s, config.seed, stop.check
    )
    logger = loggers.open_logger(config, folder) if place.accelerator.is_main_process else None

    def after_epoch(epoch: int) -> None:
        recorder.update(now=True, phase="listening")
        listener.listen(folder, epoch)
        recorder.update(phase="training")

    trainer = Trainer(
        task,
        plan_of(config),
        place.accelerator,
        recorder,
        identity=identity(config, paths, found),
        logger=logger,
        autocast=place.autocast,
        after_epoch=after_epoch,
        asked=stop.asked,
    )
    try:
        return trainer.run()
    finally:
        if logger:
            logger.close()


def prepare(
    config: RunConfig, paths: Paths, found: Corpus, place: Place, stop: Stop
) -> tuple[Loaded, MusicgenTask]:
    """Load the base, fill the cache, let go of what is needed no more, add the adapter."""
    from engines.music.musicgen import checkpoint
    from training.musicgen import tasks
    from training.musicgen.codes_cache import CodesCache

    loaded = checkpoint.load(paths.base_folder, "float32", str(place.device))

    def tick(done: int, total: int) -> None:
        stop.recorder.update(phase=f"encoding {done + 1} of {total}")
        if (
            place.accelerator.num_processes == 1
        ):  # else they would have to agree; the first step will
            stop.check()

    cache = CodesCache(paths.cache_folder, paths.base_folder, tick)
    sounds = sorted({path for item in found.items for path in item.files})
    texts = sorted({item.prompt for item in found.items} | set(config.sample_prompts))
    rank, count = place.accelerator.process_index, place.accelerator.num_processes
    cache.fill(loaded, sounds[rank::count], texts[rank::count], config.max_duration_s)
    place.accelerator.wait_for_everyone()
    _let_go(loaded, bool(config.sample_prompts) and place.accelerator.is_main_process)
    task = tasks.make(
        loaded, found, cache, config, base_id=paths.base_id, device=place.device, dtype=place.dtype
    )
    return loaded, task


def _let_go(loaded: Loaded, listens: bool) -> None:
    """Free the text encoder and the codec; to listen, the codec's half that makes sound stays."""
    import gc

    import torch

    loaded.model.text_encoder = None
    if listens:
        loaded.model.audio_encoder.encoder = None
    else:
        loaded.model.audio_encoder = None
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def plan_of(config: RunConfig) -> Plan:
    """What the loop needs to know of the configuration."""
    from training.run.loop import Plan

    return Plan(
        epochs=config.epochs,
        accumulation=config.accumulation,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup_share=config.warmup_share,
        max_grad_norm=config.max_grad_norm,
        patience=config.early_stop_patience,
        keep=config.keep,
        keep_last=config.keep_last,
        save_every_steps=config.save_every_steps,
        seed=config.seed,
    )


def identity(config: RunConfig, paths: Paths, found: Corpus) -> str:
    """Digest of all that decides what a run learns; a checkpoint of another one is refused."""
    values = {name: value for name, value in plain(config).items() if name not in FREE}
    items = [
        [item.prompt, item.rating, item.strength]
        + [[path.name, path.stat().st_size] for path in item.files]
        for item in found.items
    ]
    weights = sorted(
        [path.name, path.stat().st_size] for path in paths.base_folder.glob("*.safetensors")
    )
    text = json.dumps([values, found.content_hash, items, weights, paths.base_revision])
    return hashlib.sha256(text.encode()).hexdigest()
