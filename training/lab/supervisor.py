"""Follows training processes through the files of their folders, one running at a time.

The process never opens the store; it writes ``run.json`` and this module mirrors it into the row.
So a run goes on when the app ends, and the next start finds it again.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.base import StudioError
from engines.parameters import plain
from storage import NotFound, RunState, StorageError
from training.config import RunConfig
from training.lab import processes
from training.lab.run_files import CONFIG, PATHS, best_metrics, log_tail, mirror, read_record
from training.record import STOP, RunRecord

if TYPE_CHECKING:
    from engines.studio import Studio
    from storage import AdapterRow, RunRow

log = logging.getLogger(__name__)

POLL_S = 0.5
ERROR_LINES = 15
ENDED_BY_ITSELF = ("done", "failed", "stopped")
FOUND = "Found"  # the experiment of runs that the command line started
PROBLEMS = (StudioError, StorageError, OSError, ValueError)


class Supervisor:
    """The queue of runs and the one that goes on. ``lock`` guards rows and folders together.

    ``register`` takes in the adapter of a run that is done, and returns None where there is none.
    """

    def __init__(self, studio: Studio, register: Callable[[RunRow], AdapterRow | None]):
        self.lock = threading.RLock()
        self._studio = studio
        self._register = register
        self._rows = studio.store.runs
        self._root = studio.store.folder("runs")
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._problem = ""

    def wake(self) -> None:
        """Look at the queue now."""
        self._wake.set()

    def start(self) -> None:
        """Find runs of earlier times, then follow them and start queued ones."""
        with self.lock:
            for folder in sorted(self._root.iterdir()):
                self._adopt(folder)
            for row in self._rows.list(states=[RunState.RUNNING]):
                self._follow(row)
        self._thread = threading.Thread(target=self._supervise, name="runs", daemon=True)
        self._thread.start()

    def _adopt(self, folder: Path) -> None:
        """Take in a run folder that the store does not know, such as one of the command line."""
        if folder.name.startswith(".") or not (folder / CONFIG).is_file() or self._is_known(folder):
            return
        try:
            config = RunConfig.from_yaml((folder / CONFIG).read_text(encoding="utf-8"))
            paths = json.loads((folder / PATHS).read_text(encoding="utf-8"))
            record = RunRecord.read(folder)
            dataset = Path(paths.get("dataset_folder", "")).name
            experiment = self._rows.add_experiment(config.experiment or FOUND)
            row = self._rows.add(
                config.name,
                str(config.method),
                paths.get("base_id") or config.base,
                dataset,
                plain(config),
                experiment_id=experiment.id,
                id=folder.name,
                state=RunState.RUNNING,  # until the next look at its process
            )
            self._rows.update(row.id, pid=record.pid if record else None)
        except PROBLEMS as problem:
            log.warning("%s is no run that can be taken in: %s", folder, problem)

    def _is_known(self, folder: Path) -> bool:
        try:
            return bool(self._rows.get(folder.name))
        except NotFound:
            return False

    def close(self) -> None:
        """Stop following. A training process goes on."""
        self._closing.set()
        self._wake.set()
        if self._thread:
            self._thread.join()

    def _supervise(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            try:
                with self.lock:
                    self._step()
                self._problem = ""
            except PROBLEMS as problem:
                if str(problem) != self._problem:  # once, not twice a second
                    log.warning("runs cannot be followed for now: %s", problem)
                self._problem = str(problem)
            self._wake.wait(POLL_S)

    def _step(self) -> None:
        running = self._rows.list(states=[RunState.RUNNING])
        for row in running:
            self._follow(row)
        if any(self._rows.get(row.id).state is RunState.RUNNING for row in running):
            return
        queued = self._rows.list(states=[RunState.QUEUED])
        if queued:
            self._launch(min(queued, key=lambda row: row.id))

    def fresh(self, run_id: str) -> RunRow:
        """The row, brought up to date."""
        with self.lock:
            row = self._rows.get(run_id)
            if row.state is RunState.RUNNING:
                self._follow(row)
        return self._rows.get(run_id)

    # one run

    def _launch(self, row: RunRow) -> None:
        folder = self._root / row.id
        for loaded in self._studio.runtime.loaded():
            if loaded.engine.card.id != self._studio.runtime.busy:
                self._studio.unload(loaded.engine.card.id)
        try:
            (folder / STOP).unlink(missing_ok=True)
            pid = processes.start(folder, self._environment())
        except OSError as problem:
            error = f"The training process cannot be started: {problem}."
            self._rows.update(row.id, state=RunState.FAILED, error=error)
            return
        self._rows.update(row.id, state=RunState.RUNNING, pid=pid, error="")
        log.info("run %s started as process %d", row.id, pid)

    def _environment(self) -> dict[str, str]:
        """Nothing is fetched while training; device and threads are the studio's."""
        settings = self._studio.settings
        return {
            "HF_HUB_OFFLINE": "1",
            "PYTHONUNBUFFERED": "1",
            "STUDIO_DEVICE": settings.device,
            "STUDIO_THREADS": str(settings.threads),
        }

    def _follow(self, row: RunRow) -> None:
        """Bring the row of a running run up to date, and end it when its process has ended."""
        folder = self._root / row.id
        alive = processes.is_alive(row.pid, folder)
        record = read_record(folder)
        if record is not None and row.pid and record.pid != row.pid:
            record = None  # of an earlier attempt
        changes = mirror(record) if record else {}
        if not alive:
            changes |= self._ended(row, record)
        changes = {k: value for k, value in changes.items() if getattr(row, k) != value}
        if changes:
            self._rows.update(row.id, **changes)
        if not alive:
            log.info("run %s ended: %s", row.id, self._rows.get(row.id).state)
            self._wake.set()

    def _ended(self, row: RunRow, record: RunRecord | None) -> dict[str, Any]:
        """State, error and adapter of a run whose process is gone."""
        folder = self._root / row.id
        state, error = self._how(row, record)
        if state is RunState.FAILED and not error:
            error = log_tail(folder, ERROR_LINES).strip() or "It ended without saying why."
        changes: dict[str, Any] = {"state": state, "error": error}
        changes["metrics"] = best_metrics(folder)
        if state is RunState.DONE:
            changes["progress"] = 1.0  # also when it stopped early
            changes |= self._registered(row, changes["metrics"])
        return changes

    @staticmethod
    def _how(row: RunRow, record: RunRecord | None) -> tuple[RunState, str]:
        """How a process ended: as it said itself, or killed, or by an error before it could say."""
        if record and str(record.state) in ENDED_BY_ITSELF:
            return RunState(str(record.state)), record.error
        code = processes.exit_code(row.pid)
        if code is not None and code > 0:
            return RunState.FAILED, ""
        how = f" by signal {-code}" if code else ""
        return RunState.INTERRUPTED, f"Its process was ended from outside{how}. Resume it."

    def _registered(self, row: RunRow, metrics: dict[str, Any]) -> dict[str, Any]:
        self._rows.update(row.id, metrics=metrics)
        try:
            adapter = self._register(self._rows.get(row.id))
        except PROBLEMS as problem:
            log.warning("the adapter of run %s is not registered: %s", row.id, problem)
            return {"error": f"Trained, but its adapter was not registered: {problem}"}
        return {"adapter_id": adapter.id} if adapter else {}
