"""What the files of a run folder say, for the store: progress, best values, sounds."""

from __future__ import annotations

import json
import logging
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.audio import measure
from engines.base import StudioError, Task
from engines.studio.settings import VERSION
from storage import resolve_under
from training.bases import ENGINE
from training.record import LOG, RECORD, RunRecord, read_metrics

if TYPE_CHECKING:
    from storage import RunRow, Store

log = logging.getLogger(__name__)

CONFIG, PATHS, BEST = "config.yaml", "paths.json", "best"
SAMPLES = "samples"
LISTED = ("split", "time")  # of a line of metrics, not a result


@dataclass(frozen=True)
class RunSample:
    """A sound that a run made after ``epoch`` from one of its fixed prompts."""

    epoch: int
    prompt: str
    seed: int
    path: Path
    settings: Mapping[str, Any]


def mirror(record: RunRecord) -> dict[str, Any]:
    """The fields of a run's row that its record gives while it goes on."""
    return {
        "progress": min(record.step / record.steps, 1.0) if record.steps else 0.0,
        "epoch": record.epoch,
        "step": record.step,
        "best": record.best,
    }


def read_record(folder: Path) -> RunRecord | None:
    """``run.json``; None before there is one, or when it is damaged."""
    try:
        return RunRecord.read(folder)
    except (OSError, ValueError, TypeError) as problem:
        log.warning("%s of %s cannot be read: %s", RECORD, folder, problem)
        return None


def log_tail(folder: Path, lines: int) -> str:
    """The last lines of a run's log, "" before there are any."""
    path = folder / LOG
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        return "".join(deque(file, lines))


def best_metrics(folder: Path) -> dict[str, Any]:
    """The values at the best epoch: of the validation, or of training where there was none.

    ``best`` and ``best_by`` are the run's own choice (``last`` and ``last_by`` where it kept the last
    epoch); ``train_loss`` is the mean of that epoch.
    """
    record = read_record(folder)
    lines = read_metrics(folder)
    if record is None or not lines:
        return {}
    by_split = {
        split: [line for line in lines if line.get("split") == split]
        for split in ("validation", "epoch")
    }
    chosen = _best_line(by_split["validation"] or by_split["epoch"], record)
    found = {record.kept: record.best, f"{record.kept}_by": record.best_by}
    found |= {name: value for name, value in chosen.items() if name not in LISTED}
    for line in by_split["epoch"]:
        if line.get("epoch") == chosen.get("epoch") and line.get("loss") is not None:
            found["train_loss"] = line["loss"]
    return found


def _best_line(lines: Sequence[dict[str, Any]], record: RunRecord) -> dict[str, Any]:
    """The line of the epoch whose loss was the best, else the last one."""
    trained = [line for line in lines if line.get("epoch")]
    for line in trained:
        if record.best is not None and line.get("loss") == record.best:
            return line
    return trained[-1] if trained else {}


def read_samples(folder: Path) -> list[RunSample]:
    """All sounds of a run, by epoch, as ``samples/epoch-N/samples.json`` lists them."""
    found = []
    for listing in sorted((folder / SAMPLES).glob("epoch-*/samples.json"), key=_epoch):
        try:
            found += [_sample(listing, e) for e in json.loads(listing.read_text(encoding="utf-8"))]
        except (ValueError, KeyError, TypeError) as error:
            raise StudioError(f"{listing} is damaged ({error}); remove it.") from error
    return found


def _sample(listing: Path, entry: Mapping[str, Any]) -> RunSample:
    return RunSample(
        epoch=_epoch(listing),
        prompt=entry["prompt"],
        seed=int(entry["seed"]),
        path=resolve_under(listing.parent, entry["file"]),
        settings=entry["settings"],
    )


def _epoch(listing: Path) -> int:
    number = re.search(r"\d+", listing.parent.name)
    return int(number[0]) if number else 0


@contextmanager
def sample_clips(
    store: Store, folder: Path, run: RunRow, adapter_id: str
) -> Iterator[Sequence[str]]:
    """The sounds of the best epoch as clips: their ids; removed again when the block fails."""
    ids: list[str] = []
    try:
        for sample in _best_samples(folder):
            ids.append(_add_sample(store, sample, run, adapter_id))
        yield ids
    except BaseException:
        if ids:
            store.clips.purge(store.clips.delete(ids))
        raise


def _best_samples(folder: Path) -> list[RunSample]:
    """Those of the epoch that the best adapter is from, else the last."""
    samples = read_samples(folder)
    epoch = best_metrics(folder).get("epoch", 0)
    best = [sample for sample in samples if sample.epoch == epoch]
    return best or [sample for sample in samples if sample.epoch == samples[-1].epoch]


def _add_sample(store: Store, sample: RunSample, run: RunRow, adapter_id: str) -> str:
    sound, sample_rate = store.files.decode(sample.path)
    levels = measure(sound, sample_rate)
    clip = store.clips.add(
        sound,
        sample_rate,
        engine=ENGINE,
        task=Task.MUSIC,
        text=sample.prompt,
        title=f"{run.name}, epoch {sample.epoch}",
        settings={**sample.settings, "model": run.base, "adapters": [f"{adapter_id}@1"]},
        seed=sample.seed,
        adapter=adapter_id,
        adapter_scale=1.0,
        peak_db=levels.peak_db,
        loudness_lufs=levels.loudness_lufs,
        app_version=VERSION,
    )
    return clip.id
