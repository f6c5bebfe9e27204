"""A studio whose engines' weights were downloaded from a hub on this machine, and a job that stops itself."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from engines import registry, sharing
from engines.base import Cancelled, Engine
from engines.studio import Studio
from tests.conftest import make_settings
from tests.engines.conftest import FakeJob
from tests.small_hub import small_hub


@contextmanager
def fetched(
    root: Path, folders: Mapping[str, Path], engines: Sequence[type[Engine]]
) -> Iterator[Studio]:
    """A running studio with these ``engines`` alone, all their published weights downloaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry.Registry, "discover", lambda self: None)
        with Studio(make_settings(root)) as studio:
            for engine in engines:
                studio.registry.add(engine)
            with small_hub(folders):
                for engine in engines:
                    for state in studio.weights(engine.card.id):
                        if state.weights.repo:
                            job = studio.download(engine.card.id, state.weights.id)
                            ended = studio.wait(job.id, 60)
                            assert ended.state == "done", ended.error
            yield studio


def samples(studio: Studio, clip) -> np.ndarray:
    """Samples ``(T,)`` of a mono clip's file."""
    (mono,) = studio.store.files.decode(clip.path)[0]
    return mono


def let_go(studio: Studio) -> None:
    """Unload everything; fails where a shared part stays in memory.

    A job that failed holds what it had loaded until its thread is through with the error.
    """
    studio.runtime.unload_all()
    end = time.monotonic() + 5
    while sharing.held() and time.monotonic() < end:
        gc.collect()
        time.sleep(0.02)
    assert sharing.held() == []


class Stopping(FakeJob):
    """A job that is cancelled once it was told of ``after`` steps; ``late`` counts those told later."""

    def __init__(self, after: int):
        super().__init__()
        self.after, self.late = after, 0

    def check(self) -> None:
        if len(self.notes) >= self.after:
            raise Cancelled(self.id)

    def progress(self, done: float, total: float, note: str = "") -> None:
        self.late += len(self.notes) >= self.after
        super().progress(done, total, note)
