"""What the engines of restoration share: the source, reading it, telling how far they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from engines.audio import as_channels
from engines.base import AudioFile, Device, Engine, Job, Params
from engines.parts.frame_windows import read_resampled
from engines.parts.references import LONGEST_SOURCE_S, check_length

SHORTEST_S = 0.05


class SourceParams(Params):
    """A sound to restore."""

    source: AudioFile = Field(title="Source", description="The sound to restore.")


class RestoreEngine(Engine):
    """Checks of the source; nothing to load unless a subclass says so."""

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a source that can't be read, is too short or longer than an hour."""
        check_length(params.source, "source", shortest_s=SHORTEST_S, longest_s=LONGEST_SOURCE_S)

    def load(self, device: Device, params: Any = None) -> None:
        """Nothing to load."""

    def unload(self) -> None:
        """Nothing to free."""


def info(path: Path) -> Any:
    """Rate, channels and length of a sound file, as soundfile says them."""
    import soundfile

    return soundfile.info(str(path))


def read(path: Path, rate: int = 0) -> np.ndarray:
    """The sound ``(C, T)`` at ``rate``, or at its own."""
    found = info(path)
    return read_resampled(path, rate or found.samplerate, found.channels)


def shaped(samples: np.ndarray) -> np.ndarray:
    """Mono as ``(T,)``, others as ``(C, T)``."""
    channels = as_channels(samples)
    return channels[0] if len(channels) == 1 else channels


def telling(job: Job, note: str) -> Callable[[float, float], None]:
    """A callback that tells ``job`` its progress and stops when the job was cancelled."""

    def told(done: float, total: float) -> None:
        job.check()
        job.progress(done, total, note)

    return told
