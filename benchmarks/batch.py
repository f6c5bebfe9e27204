"""What a batch costs beside the engine itself: rows of a batch, single runs, the engine in a loop.

``python -m benchmarks.batch [ROUNDS]`` (two minutes). The three take turns, a few rows each, so that
whatever else the machine does meets all of them; times are medians of the rounds.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import Field

from benchmarks.common import show
from engines.base import Card, Clip, Engine, Params, Seed, Task
from engines.parameters import parse
from engines.studio import Studio
from engines.studio.jobs import JobContext, Live
from engines.studio.settings import Settings

WORDS = "Boat {} came in with the tide."
ROWS = {"piper": 4, "blip": 40}  # in each round
CHECKED = 10_000


class BlipParams(Params):
    """A text to have something in the table."""

    text: str = Field(min_length=1, description="Words.")
    seed: Seed = -1


class Blip(Engine):
    """Half a second of a tone at no cost, so that what is left is the studio's."""

    card = Card(
        id="blip", title="Blip", task=Task.TTS, summary="A blip.", license_code="MIT",
        license_weights="none", sample_rate=16_000,
    )  # fmt: skip
    Params = BlipParams

    def load(self, device, params=None) -> None: ...

    def unload(self) -> None: ...

    def run(self, params, job) -> Clip:
        tone = 0.2 * np.sin(np.arange(8000) * (0.1 + params.seed % 1000 / 2000))
        return Clip(tone.astype(np.float32), 16_000, text=params.text)


class Turns:
    """Three ways to make the same number of rows; no row is ever made twice."""

    def __init__(self, studio: Studio, engine_id: str, folder: Path):
        self._studio, self._engine, self._folder = studio, studio.engine(engine_id), folder
        self._seed = 0

    def _rows(self) -> list[tuple[str, int]]:
        first, self._seed = self._seed, self._seed + ROWS[self._engine.card.id]
        return [(WORDS.format(seed), seed) for seed in range(first, self._seed)]

    def alone(self) -> None:
        """The engine called in a loop; nothing is measured or stored."""
        for text, seed in self._rows():
            params = parse(self._engine.Params, {"text": text, "seed": seed})
            context = JobContext(str(seed), seed, Live(), self._folder / "w", lambda *_: None)
            self._engine.run(params, context)

    def single(self) -> None:
        """Runs of the studio, each waited for."""
        for text, seed in self._rows():
            self._studio.make(self._engine.card.id, text=text, seed=seed)

    def batch(self) -> None:
        """A batch, checking its table included."""
        path = self._folder / "rows.csv"
        lines = "".join(f"{text},{seed}\n" for text, seed in self._rows())
        path.write_text("text,seed\n" + lines, encoding="utf-8")
        batch = self._studio.batches.check(self._engine.card.id, [path])
        job = self._studio.wait(self._studio.batches.start(batch.id).id)
        assert job.state == "done", job.error

    def again(self) -> None:
        """The last batch once more: every row is reused."""
        batch = self._studio.batches.check(self._engine.card.id, [self._folder / "rows.csv"])
        self._studio.wait(self._studio.batches.start(batch.id).id)


def took_s(work: Callable[[], None]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main(rounds: int) -> None:
    """Print milliseconds a row, and the seconds of checking a large table."""
    lines = []
    with tempfile.TemporaryDirectory() as name:
        with Studio(Settings(_cli_parse_args=[], data=Path(name) / "data")) as studio:
            studio.registry.add(Blip)
            for engine_id, count in ROWS.items():
                turns = Turns(studio, engine_id, Path(name))
                turns.single()  # warms up
                ways = (turns.alone, turns.single, turns.batch, turns.again)
                spans = [[took_s(way) for way in ways] for _ in range(rounds)]
                each = [statistics.median(way) / count * 1e3 for way in zip(*spans, strict=True)]
                lines.append((engine_id, *(f"{ms:.1f}" for ms in each)))
            path = Path(name) / "large.csv"
            rows = "".join(f"{WORDS.format(n)},{n}\n" for n in range(CHECKED))
            path.write_text("text,seed\n" + rows, encoding="utf-8")
            checked = [
                (engine_id, f"{took_s(lambda e=engine_id: studio.batches.check(e, [path])):.1f}")
                for engine_id in ROWS
            ]
    show("Milliseconds a row", ("engine", "alone", "single runs", "batch", "reused"), lines)
    show(f"Seconds to check {CHECKED:,} rows and keep them", ("engine", "s"), checked)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
