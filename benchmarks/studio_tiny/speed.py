"""How long a fresh process takes to the first clip, how fast it goes on, and its memory.

The process is this module: a studio on an empty folder with the model in ``models/own``.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.common import ROOT

DURATION_S = 10.0
PROMPT = "happy jazz, a tune, featuring acoustic piano, 120 bpm"


@dataclass(frozen=True)
class Speed:
    """Of one fresh process: seconds from its start to the first stored clip, times real time of that
    clip (start included) and of the next one, and the most memory that it took."""

    first_clip_s: float
    first_times_real: float
    next_times_real: float
    peak_mb: float


def measure(model: Path, threads: int = 0) -> Speed:
    """A process of its own makes two clips of 10 s; ``threads`` of 0 leaves their number open."""
    command = [sys.executable, "-m", "benchmarks.studio_tiny.speed", str(model.resolve())]
    limit = {"STUDIO_THREADS": str(threads)} if threads else {}
    found = subprocess.run(
        [*command, str(time.time())],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **limit},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Speed(**json.loads(found.stdout.splitlines()[-1]))


def main(model: Path, started: float) -> None:
    """Make two clips and print a ``Speed`` as JSON; ``started`` is when the process was, by
    ``time.time``."""
    from engines.studio import Studio
    from engines.studio.hub import OWN
    from engines.studio.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "models" / OWN
        own.mkdir(parents=True)
        (own / model.name).symlink_to(model)
        settings = Settings(_cli_parse_args=[], data=Path(folder))
        with Studio(settings) as studio:
            asked = {"model": model.name, "prompt": PROMPT, "duration_s": DURATION_S}
            studio.make("musicgen", **asked, seed=1)
            first_s = time.time() - started
            begun = time.perf_counter()
            studio.make("musicgen", **asked, seed=2)
            next_s = time.perf_counter() - begun
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps(asdict(Speed(first_s, DURATION_S / first_s, DURATION_S / next_s, peak_mb))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
