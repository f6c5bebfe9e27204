"""What a run writes for those who follow it: ``run.json``, ``metrics.jsonl``, ``log.txt``.

A run never opens the store. Whoever wants to know how it goes reads these files, at any time.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from storage.audio.files import write_whole
from storage.base.errors import translated
from storage.base.ids import utc_now

RECORD, METRICS, LOG, STOP = "run.json", "metrics.jsonl", "log.txt", "stop"
HEARTBEAT_S = 2.0


class State(StrEnum):
    """How a run's process is, as it says itself. A process that was killed says ``running``."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass
class RunRecord:
    """``run.json``: where the run is. ``heartbeat``, ``started_at`` and ``finished_at`` are ISO UTC.

    ``step`` of ``steps`` counts optimizer steps, ``epoch`` of ``epochs`` finished epochs. ``phase``
    says in words what is being done. ``best`` is the value of the adapter that was kept, and
    ``best_by`` what that is; ``kept`` says which epoch's it is, ``best`` or ``last``.
    """

    id: str
    state: State = State.RUNNING
    pid: int = 0
    phase: str = ""
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    best: float | None = None
    best_by: str = ""
    kept: str = "best"
    error: str = ""
    heartbeat: str = ""
    started_at: str = ""
    finished_at: str | None = None

    @classmethod
    def read(cls, folder: Path) -> RunRecord | None:
        """The record of a run folder, None before there is one; ``ValueError`` for a damaged one."""
        path = folder / RECORD
        if not path.is_file():
            return None
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or "id" not in values:
            raise ValueError(f"{path} is no record of a run")
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        return cls(**known | {"state": State(values.get("state", State.RUNNING))})


class Recorder:
    """Writes the files of a run. On processes other than the first (``writes=False``) it does
    nothing, so that all of them can run the same code."""

    def __init__(self, folder: Path, record: RunRecord, writes: bool = True):
        self.folder = folder
        self.record = record
        self._writes = writes
        self._written = -math.inf
        self._metrics = folder / METRICS

    def update(self, *, now: bool = False, **changes: Any) -> None:
        """Change the record; written at most every two seconds, or ``now``."""
        for name, value in changes.items():
            setattr(self.record, name, value)
        if not self._writes or not (now or time.monotonic() - self._written >= HEARTBEAT_S):
            return
        self.record.heartbeat = utc_now()
        write_whole(self.folder / RECORD, json.dumps(asdict(self.record), indent=1).encode())
        self._written = time.monotonic()

    def metrics(self, split: str, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Append a line: ``split`` is ``train`` (an optimizer step), ``epoch`` (the means of an
        epoch's training) or ``validation``. Numbers that are not finite are written as null."""
        if not self._writes:
            return
        line: dict[str, Any] = {"split": split, "step": step, "epoch": epoch, "time": time.time()}
        line |= {name: value if math.isfinite(value) else None for name, value in values.items()}
        with translated(self._metrics), self._metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def metrics_size(self) -> int:
        """Bytes of ``metrics.jsonl`` so far; a checkpoint remembers them."""
        return self._metrics.stat().st_size if self._metrics.is_file() else 0

    def rewind(self, size: int) -> None:
        """Cut ``metrics.jsonl`` back to what it was at the checkpoint that the run goes on from."""
        if self._writes and self.metrics_size() > size:
            with translated(self._metrics):
                os.truncate(self._metrics, size)

    def stop_asked(self) -> bool:
        """Whether the ``stop`` file is there."""
        return (self.folder / STOP).exists()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """All whole lines of ``metrics.jsonl``, oldest first; empty before there is one."""
    path = folder / METRICS
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # the last line, while it is written or after a kill
    return [line for line in found if isinstance(line, dict)]


def open_log(folder: Path, writes: bool = True) -> logging.Handler:
    """Send log lines to ``log.txt`` and to standard error, once where both are the same file."""
    root = logging.getLogger()
    root.setLevel(logging.INFO if writes else logging.ERROR)
    handler = _handler(folder / LOG) if writes else logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root.addHandler(handler)
    return handler


def _handler(path: Path) -> logging.Handler:
    """To the file, unless whoever started this process sends standard error there already."""
    try:
        theirs = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return logging.FileHandler(path, encoding="utf-8")
    if path.exists() and os.path.samestat(theirs, path.stat()):
        return logging.StreamHandler(sys.stderr)
    return _Both(path)


class _Both(logging.FileHandler):
    """A file and standard error."""

    def __init__(self, path: Path):
        super().__init__(path, encoding="utf-8")
        self._echo = logging.StreamHandler(sys.stderr)

    def setFormatter(self, fmt: logging.Formatter | None) -> None:
        super().setFormatter(fmt)
        self._echo.setFormatter(fmt)

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        self._echo.emit(record)
