"""Variations of a sound made together by the studio's AudioLDM 2, beside a plain loop over its pipeline.

``python -m benchmarks.diffusion`` (about a minute on a quiet machine with 2 cores). The checkpoint is small
and random: what is compared is the way of calling it. Both take turns; a ratio is the median over turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import show
from engines.base import Weights
from engines.tta.audioldm import AudioLDM2, AudioLDM2Params
from tests import tiny_diffusion

VARIATIONS, STEPS, SECONDS, TURNS = 8, 10, 0.25, 5
WIDTH = 8  # of the network: as small as in the tests


@dataclass
class Job:
    """A job that is told and says nothing."""

    seed: int = 7
    id: str = "benchmark"
    notes: list = field(default_factory=list)

    def progress(self, *_: object) -> None:
        """Nothing."""

    def check(self) -> None:
        """Nothing."""

    def emit(self, *_: object) -> None:
        """Nothing."""

    def rng(self, *key: int) -> np.random.Generator:
        """As of each job."""
        return np.random.default_rng([self.seed, *key])


@dataclass
class Cache:
    """One folder."""

    folder: Path

    def path(self, weights: Weights) -> Path:
        """The folder."""
        return self.folder

    def revision(self, weights: Weights) -> str:
        """None."""
        return ""

    def own(self) -> dict[str, Path]:
        """None."""
        return {}


@dataclass
class Machine:
    """The processor."""

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 1  # so small a network is no faster with more


def compare() -> tuple[float, float]:
    """Seconds of the loop and of the batch, medians over turns."""
    with tempfile.TemporaryDirectory() as name:
        engine = AudioLDM2(Cache(tiny_diffusion.audioldm2(Path(name), width=WIDTH)))
        engine.load(Machine())
        params = AudioLDM2Params(
            prompt="rain on a roof", duration_s=SECONDS, steps=STEPS, variations=VARIATIONS, seed=7
        )
        pipeline = engine._pipeline
        loop, batch = [], []
        for turn in range(TURNS + 1):
            started = time.perf_counter()
            for seed in range(VARIATIONS):
                pipeline(
                    params.prompt, audio_length_in_s=SECONDS, num_inference_steps=STEPS,
                    guidance_scale=params.guidance, generator=torch.Generator().manual_seed(seed),
                )  # fmt: skip
            between = time.perf_counter()
            assert len(list(engine.run(params, Job()))) == VARIATIONS
            if turn:  # the first warms up
                loop.append(between - started)
                batch.append(time.perf_counter() - between)
    return statistics.median(loop), statistics.median(batch)


if __name__ == "__main__":
    plain, together = compare()
    show(
        f"{VARIATIONS} variations of {SECONDS:g} s in {STEPS} steps, small random AudioLDM 2",
        ("way", "time (s)", "ratio"),
        (
            ("a plain loop over the pipeline", f"{plain:.2f}", "1.0"),
            ("the studio", f"{together:.2f}", f"{plain / together:.1f}"),
        ),
    )
