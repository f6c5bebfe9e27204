"""What a batch costs beside the engine itself: rows of Piper as a batch and as a loop of single runs.

``python -m benchmarks.batch [ROWS]`` (200 rows take a minute).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import show
from engines.batch.batches import Place
from engines.jobs import JobContext, Live
from engines.knobs import parse
from engines.settings import Settings
from engines.studio import Studio

WORDS = "Boat {} came in with the tide."


def plain_s(studio: Studio, count: int, folder: Path) -> float:
    """Seconds of the engine alone, called in a loop; nothing is measured or stored."""
    engine = studio.engine("piper")
    started = time.perf_counter()
    for number in range(count):
        params = parse(engine.Params, {"text": WORDS.format(number), "seed": number})
        context = JobContext(str(number), number, Live(), folder / str(number), lambda *_: None)
        engine.run(params, context)
    return time.perf_counter() - started


def batch_s(studio: Studio, path: Path) -> tuple[float, float]:
    """Seconds to check a table and to make it as a batch."""
    started = time.perf_counter()
    batch = studio.batches.check("piper", [path])
    checked = time.perf_counter()
    job = studio.wait(studio.batches.start(batch.id, Place.LOCAL).id)
    assert job.state == "done", job.error
    return checked - started, time.perf_counter() - checked


def main(count: int) -> None:
    """Print a table of seconds a row."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Studio(Settings(_cli_parse_args=[], data=folder / "data")) as studio:
            studio.make("piper", text="Warm up.")
            alone = plain_s(studio, count, folder)
            started = time.perf_counter()
            for number in range(count):
                studio.make("piper", text=WORDS.format(number), seed=10_000 + number)
            single = time.perf_counter() - started
            path = folder / "rows.csv"
            rows = "".join(f"{WORDS.format(n)},{n}\n" for n in range(count))
            path.write_text("text,seed\n" + rows, encoding="utf-8")
            checked, made = batch_s(studio, path)
            _, reused = batch_s(studio, path)
    lines = [
        ("the engine in a loop, nothing stored", alone, "–"),
        ("single runs, one after the other", single, f"{(single - alone) / count * 1e3:.1f}"),
        ("a batch", made, f"{(made - alone) / count * 1e3:.1f}"),
        ("the same batch again, all rows reused", reused, "–"),
        ("checking the table", checked, "–"),
    ]
    show(
        f"{count} short sentences of Piper",
        ("what", "ms a row", "ms a row more than the engine"),
        [(what, f"{seconds / count * 1e3:.1f}", more) for what, seconds, more in lines],
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
