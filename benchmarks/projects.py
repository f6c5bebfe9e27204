"""Export and import of a large project: ``python -m benchmarks.projects [MB]`` (default 2,000).

Fills a store in a temporary folder with clips of noise, exports all of it, and imports the file into
an empty store, each in a process of its own, whose peak of resident memory is printed with the time (at
least that of the process that filled the store, from which Linux starts to count).
Import is timed twice: the check alone (the dry run), and the import with its own check. The last line
times a plain copy of the file, and a plain Python loop by which numbers of slow machines can be read.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from storage import Store
from storage.project.exporting import Selection, export
from storage.project.importing import dry_run, take_in

RATE = 48_000
CLIP_S = 60
CLIP_MB = RATE * CLIP_S * 3 / 1e6  # 24-bit noise does not get smaller
RATED = 5


def nothing(_: int) -> None:
    """No progress to report."""


def fill(data: Path, megabytes: int) -> None:
    """Clips of a minute of noise each, every fifth one rated."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.9, 0.9, RATE * CLIP_S).astype(np.float32)
    with Store.open(data) as store:
        for number in range(round(megabytes / CLIP_MB)):
            clip = store.clips.add(
                np.roll(noise, number), RATE, engine="noise", task="music", text=f"noise {number}",
                title=f"Noise {number}", seed=number, settings={"seed": number}, peak_db=-0.9,
                loudness_lufs=-12.0,
            )  # fmt: skip
            if number % RATED == 0:
                store.judgements.rate(clip.id, "overall", 1 + number % 5, "anna")


def step(what: str, data: Path, file: Path) -> dict[str, float]:
    """One step in this process: seconds, and the peak of resident memory in MB."""
    with Store.open(data) as store:
        start = time.perf_counter()
        if what == "export":
            export(store, Selection(), file, "benchmark", nothing)
        elif what == "check":
            dry_run(store, file)
        else:
            take_in(store, file)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak_mb": peak}


def apart(what: str, data: Path, file: Path) -> dict[str, float]:
    """``step`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.projects", what, str(data), str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main(megabytes: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        file = folder / "project.zip"
        fill(folder / "full", megabytes)
        print("| what | seconds | MB/s | peak resident MB |")
        print("|---|---|---|---|")
        for what, data in (("export", "full"), ("check", "empty"), ("import", "empty")):
            found = apart(what, folder / data, file)
            size = file.stat().st_size / 1e6
            print(
                f"| {what}, {size:,.0f} MB | {found['seconds']:.1f} | {size / found['seconds']:.0f} "
                f"| {found['peak_mb']:.0f} |",
                flush=True,
            )
        start = time.perf_counter()
        shutil.copyfile(file, folder / "copy.zip")
        seconds = time.perf_counter() - start
        print(f"| a plain copy of the file | {seconds:.1f} | {size / seconds:.0f} | – |")
    start = time.perf_counter()
    total = 0
    for number in range(10_000_000):
        total += number
    print(f"\nCalibration {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(step(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
