"""Checkpoints as folders that are there whole or not at all.

``checkpoints/step-N/`` holds what a run goes on from: the task's weights (for LoRA a PEFT folder),
``optimizer.pt`` (plain tensors, loaded with ``weights_only=True``) and ``progress.json``. ``best/`` holds
the best weights alone. Random numbers need no state: each batch draws its own from (seed, epoch,
batch), see ``training.run.loop``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.base import StudioError
from storage.audio.files import PART_PREFIX, remove
from storage.base.errors import translated

if TYPE_CHECKING:
    from torch.optim import Optimizer

BEST, STEPS = "best", "checkpoints"
OLD, STEP = ".old-", "step-"
OPTIMIZER, PROGRESS = "optimizer.pt", "progress.json"
FORMAT = 1


@dataclass
class Progress:
    """Where a run is. ``step`` counts optimizer steps; ``group`` is the next step of ``epoch`` to do.

    ``sums`` and ``items`` are the training metrics of the epoch so far; ``best`` is the value at
    ``best_epoch`` and ``worse`` the epochs since. ``metrics_size`` is the length of the metrics file
    and ``identity`` names configuration and data.
    """

    identity: str
    step: int = 0
    epoch: int = 0
    group: int = 0
    best: float | None = None
    best_epoch: int = 0
    worse: int = 0
    items: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    metrics_size: int = 0
    format: int = FORMAT


class Checkpoints:
    """The checkpoints of a run folder, of which the last ``keep`` stay."""

    def __init__(self, folder: Path, keep: int):
        self._folder = folder
        self._steps = folder / STEPS
        self._keep = keep

    def recover(self) -> None:
        """Put right what a kill left half-done: nothing unfinished stays, nothing finished is lost."""
        for parent in (self._folder, self._steps):
            for old in parent.glob(f"{OLD}*"):
                target = parent / old.name.removeprefix(OLD)
                if target.exists():
                    shutil.rmtree(old)
                else:
                    old.rename(target)
            for part in parent.glob(f"{PART_PREFIX}*"):
                remove(part)  # a folder of a checkpoint, or a file of ``write_whole``

    def steps(self) -> list[Path]:
        """Whole checkpoints, oldest first."""
        found = [path for path in self._steps.glob(f"{STEP}*") if (path / PROGRESS).is_file()]
        return sorted(found, key=lambda path: int(path.name.removeprefix(STEP)))

    def latest(self) -> Path | None:
        """The checkpoint to go on from."""
        return next(reversed(self.steps()), None)

    def save(self, progress: Progress, optimizer: Optimizer, write: Callable[[Path], None]) -> Path:
        """Write a checkpoint; ``write`` puts the task's weights into a folder.

        Then the oldest beyond ``keep`` are removed. Raises ``DiskFull`` or another ``StorageError``,
        with all earlier checkpoints as they were.
        """
        target = self._steps / f"{STEP}{progress.step}"

        def fill(folder: Path) -> None:
            import torch

            write(folder)
            buffer = io.BytesIO()  # torch's own writer hides the system's error when a disk is full
            torch.save(optimizer.state_dict(), buffer)
            (folder / OPTIMIZER).write_bytes(buffer.getbuffer())
            text = json.dumps(asdict(progress), indent=1)
            (folder / PROGRESS).write_text(text, encoding="utf-8")

        replace_folder(target, fill)
        for old in self.steps()[: -self._keep]:
            shutil.rmtree(old)
        return target

    def save_best(self, write: Callable[[Path], None]) -> None:
        """Replace the best weights."""
        replace_folder(self._folder / BEST, write)


def read_progress(checkpoint: Path, identity: str) -> Progress:
    """Where the run was. Raises ``StudioError`` when configuration or data are no longer the same,
    because going on would be neither the old run nor a new one."""
    values: dict[str, Any] = json.loads((checkpoint / PROGRESS).read_text(encoding="utf-8"))
    if values.get("format") != FORMAT:
        raise StudioError(f"{checkpoint} was written by another version; start a new run.")
    if values["identity"] != identity:
        raise StudioError(
            "Configuration, dataset or base changed since the last checkpoint. Put back what was "
            f"there, start a new run, or remove {checkpoint.parent} to begin again."
        )
    return Progress(**values)


def read_optimizer(checkpoint: Path, optimizer: Optimizer) -> None:
    """Load the optimizer's state."""
    import torch

    state = torch.load(checkpoint / OPTIMIZER, map_location="cpu", weights_only=True)
    optimizer.load_state_dict(state)


def replace_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Make or replace a folder in steps that ``Checkpoints.recover`` can finish or undo.

    ``fill`` writes into a folder beside it, which gets the name when everything is on the disk.
    """
    part, old = target.with_name(PART_PREFIX + target.name), target.with_name(OLD + target.name)
    with translated(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        try:
            fill(part)
            for path in part.iterdir():
                _sync(path, os.O_RDWR)
            _sync(part)
            if target.exists():
                target.rename(old)
            part.rename(target)
            _sync(target.parent)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            if old.exists() and not target.exists():
                old.rename(target)
            raise
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(old)


def _sync(path: Path, flags: int = os.O_RDONLY) -> None:
    """Wait until a file or folder is on the disk; some systems have no such call for folders."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
