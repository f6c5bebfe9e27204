"""Curves sent elsewhere: TensorBoard or trackio, imported only where chosen. Both stay on this machine."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from engines.base import StudioError
from engines.parameters import plain
from training.config import Logger, RunConfig

PACKAGES = {Logger.TENSORBOARD: "tensorboard", Logger.TRACKIO: "trackio"}


class Log(Protocol):
    """Takes the same lines as ``metrics.jsonl``."""

    def add(self, split: str, step: int, values: Mapping[str, float]) -> None:
        """One line."""

    def close(self) -> None:
        """Write what is left."""


def check(logger: Logger) -> None:
    """Raise ``StudioError`` with the command that installs what is missing."""
    package = PACKAGES.get(logger)
    if package and importlib.util.find_spec(package) is None:
        raise StudioError(
            f"The logger {logger} is not installed. Run: pip install {package}, or set logger to "
            "none.",
            "logger",
        )


def open_logger(config: RunConfig, folder: Path) -> Log | None:
    """The chosen logger; None for none. Raises ``StudioError`` when it is not installed."""
    check(config.logger)
    if config.logger is Logger.TENSORBOARD:
        return _TensorBoard(folder / "tensorboard")
    if config.logger is Logger.TRACKIO:
        return _Trackio(config, folder.name)
    return None


class _TensorBoard:
    """Event files in the run's folder: ``tensorboard --logdir data/runs``."""

    def __init__(self, folder: Path):
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder))

    def add(self, split: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{split}/{name}", value, step)

    def close(self) -> None:
        self._writer.close()


class _Trackio:
    """trackio's own local database: ``trackio show``. A resumed run goes on under its name."""

    def __init__(self, config: RunConfig, run_id: str):
        import trackio

        self._trackio = trackio
        trackio.init(
            project=config.experiment or "amphion-studio",
            name=f"{config.name} {run_id}",
            config=plain(config),
            resume="allow",
        )

    def add(self, split: str, step: int, values: Mapping[str, float]) -> None:
        self._trackio.log({f"{split}/{name}": value for name, value in values.items()}, step=step)

    def close(self) -> None:
        self._trackio.finish()
