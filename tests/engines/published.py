"""A studio whose engines fetch tiny checkpoints from a hub on this machine, and sounds to give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engines import registry
from engines.base import Availability, Cancelled, Engine
from engines.studio import Studio
from engines.studio.settings import Settings
from tests.small_hub import small_hub

from .conftest import FakeJob


@contextmanager
def studio_of(
    root: Path, repositories: Mapping[str, Path], *engines: type[Engine], **settings: Any
) -> Iterator[Studio]:
    """A running studio of these engines alone, their weights downloaded from ``repositories``."""
    root.mkdir(parents=True, exist_ok=True)
    empty = root / "engines.json"
    empty.write_text("[]", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch, small_hub(repositories):
        patch.setattr(registry, "BUILT_IN", empty)
        patch.setattr(registry, "entry_points", lambda group: [])
        chosen = Settings(
            _cli_parse_args=[], data=root / "data", port=0, device="cpu", threads=1, **settings
        )
        with Studio(chosen) as studio:
            for engine in engines:
                fetch(studio, studio.registry.add(engine))
            yield studio


def fetch(studio: Studio, engine: Engine) -> None:
    """Download what an engine lacks, as the button does."""
    for weights in engine.weights():
        if engine.state_of(weights) is Availability.DOWNLOAD:
            ended = studio.wait(studio.download(engine.card.id, weights.id).id, 60)
            assert ended.state == "done", ended.error


def sound_file(path: Path, seconds: float, hz: float = 180.0, rate: int = 22050) -> Path:
    """A buzzing tone with pauses, as a WAV file."""
    times = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * hz * k * times) / k for k in range(1, 8))
    loud = 0.1 * (times % 1.0 < 0.8)
    soundfile.write(path, (loud * tone).astype(np.float32), rate)
    return path


class StopAt(FakeJob):
    """A job that is cancelled when it has been asked so many times."""

    def __init__(self, checks: int):
        super().__init__()
        self.left = checks

    def check(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Cancelled(self.id)
