"""Training runs and what can be done with them; ``training.lab.supervisor`` runs them."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engines.base import StudioError
from engines.parameters import plain
from storage import RunState
from storage.audio.files import write_whole
from storage.base.errors import translated
from storage.learning.runs import WAITING
from training.bases import find_base
from training.config import RunConfig
from training.lab import processes
from training.lab.checks import check_run
from training.lab.run_files import CONFIG, PATHS, RunSample, best_metrics, log_tail, read_samples
from training.lab.supervisor import Supervisor
from training.record import STOP, read_metrics

if TYPE_CHECKING:
    from engines.studio import Studio
    from storage import AdapterRow, RunRow
    from training.lab.snapshots import Snapshots

LOOK_EVERY_S = 0.25
GRACE_S = 5.0
RESUMABLE = (RunState.STOPPED, RunState.INTERRUPTED, RunState.FAILED)


@dataclass(frozen=True)
class Comparison:
    """Runs side by side: ``differences`` maps a configuration field to its values in the order of
    ``runs``, for fields that are not equal in all; ``metrics`` are the best values of each run."""

    runs: tuple[RunRow, ...]
    differences: dict[str, tuple[Any, ...]]
    metrics: tuple[dict[str, Any], ...]


class Runs:
    """The verbs of runs; see ``Supervisor`` for ``register``."""

    def __init__(
        self,
        studio: Studio,
        snapshots: Snapshots,
        register: Callable[[RunRow], AdapterRow | None],
    ):
        self._studio = studio
        self._snapshots = snapshots
        self._rows = studio.store.runs
        self._root = studio.store.folder("runs")
        self._supervisor = Supervisor(studio, register)
        self.start = self._supervisor.start
        self.close = self._supervisor.close
        self.fresh = self._supervisor.fresh

    def train(self, values: RunConfig | Mapping[str, Any]) -> RunRow:
        """Check, write the folder, queue; see ``Lab.train``."""
        config = values if isinstance(values, RunConfig) else RunConfig.of(values)
        base, dataset = check_run(self._studio, config)
        experiment = self._rows.add_experiment(config.experiment or dataset.name)
        with self._supervisor.lock:  # the supervisor must not start it before its folder is there
            row = self._rows.add(
                config.name,
                str(config.method),
                base.id,
                dataset.id,
                plain(config),
                experiment_id=experiment.id,
            )
            try:
                self._write(row, config)
            except BaseException:
                self._rows.delete(row.id)
                shutil.rmtree(self._root / row.id, ignore_errors=True)
                raise
        self._supervisor.wake()
        return row

    def _write(self, row: RunRow, config: RunConfig) -> None:
        folder = self._root / row.id
        base = find_base(self._studio, row.base)
        paths = {
            "base_folder": str(base.folder),
            "dataset_folder": str(self._snapshots.folder(row.dataset_id)),
            "base_id": base.id,
            "base_revision": base.revision,
        }
        write_whole(folder / CONFIG, config.to_yaml().encode())
        write_whole(folder / PATHS, json.dumps(paths, indent=1).encode())

    def wait(self, run_id: str, timeout_s: float | None) -> RunRow:
        """Block until the run is neither queued nor running."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (row := self.fresh(run_id)).state in WAITING:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"Run {run_id} is still {row.state}.")
            time.sleep(LOOK_EVERY_S)
        return row

    def stop(self, run_id: str) -> RunRow:
        """Take a queued run out of the queue; ask a running one to stop after its step."""
        with self._supervisor.lock:
            row = self.fresh(run_id)
            if row.state is RunState.QUEUED:
                self._rows.update(run_id, state=RunState.STOPPED)
            elif row.state is RunState.RUNNING:
                with translated(self._root):
                    (self._root / run_id / STOP).touch()
        return self._rows.get(run_id)

    def resume(self, run_id: str) -> RunRow:
        """Queue a run again; it goes on from its last checkpoint."""
        with self._supervisor.lock:
            row = self.fresh(run_id)
            if row.state not in RESUMABLE:
                raise StudioError(f"The run is {row.state}; only one that ended early can go on.")
            config = RunConfig.from_yaml(self._read_config(run_id))
            check_run(self._studio, config)
            self._write(row, config)
            self._rows.update(run_id, state=RunState.QUEUED, error="")
        self._supervisor.wake()
        return self._rows.get(run_id)

    def _read_config(self, run_id: str) -> str:
        with translated(self._root):
            return (self._root / run_id / CONFIG).read_text(encoding="utf-8")

    def rename(self, run_id: str, name: str) -> RunRow:
        """Change the name shown; the configuration stays as it was run."""
        return self._rows.rename(run_id, name)

    def delete(self, run_id: str) -> None:
        """Stop the process, then remove row and folder."""
        row = self.stop(run_id)
        folder = self._root / run_id
        if row.state is RunState.RUNNING and not processes.end(row.pid, folder, GRACE_S):
            raise StudioError(f"Process {row.pid} of this run does not end; end it by hand first.")
        with self._supervisor.lock:
            self.fresh(run_id)  # what it had finished counts: its adapter stays
            self._rows.delete(run_id)
            shutil.rmtree(folder, ignore_errors=True)

    # reading

    def metrics(self, run_id: str) -> list[dict[str, Any]]:
        """All lines of ``metrics.jsonl``."""
        self._rows.get(run_id)
        return read_metrics(self._root / run_id)

    def log(self, run_id: str, tail: int) -> str:
        """The last lines of the log, "" before there are any."""
        self._rows.get(run_id)
        return log_tail(self._root / run_id, tail)

    def samples(self, run_id: str) -> list[RunSample]:
        """What ``samples/epoch-N/samples.json`` list."""
        self._rows.get(run_id)
        return read_samples(self._root / run_id)

    def compare(self, run_ids: Sequence[str]) -> Comparison:
        """Differences of configuration and best metrics."""
        rows = tuple(map(self.fresh, run_ids))
        names = sorted({name for row in rows for name in row.config})
        values = {name: tuple(row.config.get(name) for row in rows) for name in names}
        differences = {
            name: found
            for name, found in values.items()
            if any(value != found[0] for value in found)
        }
        metrics = tuple(best_metrics(self._root / row.id) for row in rows)
        return Comparison(rows, differences, metrics)
