"""What an engine is given in tests: a job that records, a cache of folders, a small device."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from engines.base import Cancelled, Weights


@dataclass
class FakeJob:
    """An ``engines.base.Job`` that keeps what it is told; cancels itself after some pieces."""

    seed: int = 7
    cancel_after: int | None = None
    id: str = "test"
    notes: list[tuple[float, float, str]] = field(default_factory=list)
    pieces: list[np.ndarray] = field(default_factory=list)
    sample_rate: int = 0

    def progress(self, done: float, total: float, note: str = "") -> None:
        self.notes.append((done, total, note))

    def check(self) -> None:
        if self.cancel_after is not None and len(self.pieces) >= self.cancel_after:
            raise Cancelled(self.id)

    def emit(self, samples: np.ndarray, sample_rate: int) -> None:
        self.pieces.append(samples)
        self.sample_rate = sample_rate

    def rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *key])


@dataclass
class FakeCache:
    """A weights cache made of folders by weights id, and of a person's own; empty by default."""

    folders: dict[str, Path] = field(default_factory=dict)
    owned: dict[str, Path] = field(default_factory=dict)

    def path(self, weights: Weights) -> Path | None:
        return self.folders.get(weights.id)

    def revision(self, weights: Weights) -> str:
        return "c0ffee" if weights.id in self.folders else ""

    def own(self) -> dict[str, Path]:
        return self.owned


@dataclass
class FakeDevice:
    """The processor with two threads."""

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 2


@pytest.fixture
def new_job():
    return FakeJob


@pytest.fixture
def cache():
    return FakeCache()


@pytest.fixture(scope="session")
def device():
    return FakeDevice()
