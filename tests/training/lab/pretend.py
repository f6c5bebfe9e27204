"""Stands in for ``training.cli`` where a test is about the process and not about learning.

It keeps a run folder as the real one does, without loading torch. The name of the run says how it
goes: ``crash`` raises, ``fail`` says why itself, ``broken`` ends before it writes anything.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from training.config import RunConfig
from training.record import Recorder, RunRecord, State

STEPS_PER_EPOCH = 5


def main(folder: Path) -> None:
    """Pretend to train ``epochs`` epochs, a tenth of a second each step."""
    config = RunConfig.from_yaml((folder / "config.yaml").read_text())
    if config.name == "broken":
        raise ImportError("no module named pretended")
    steps = config.epochs * STEPS_PER_EPOCH
    record = RunRecord(folder.name, pid=os.getpid(), epochs=config.epochs, steps=steps)
    recorder = Recorder(folder, record)
    place = folder / "position"
    start = int(place.read_text()) if place.exists() else 0
    recorder.update(now=True)
    print(f"start at {start}", flush=True)
    for step in range(start + 1, steps + 1):
        time.sleep(0.1)
        if config.name == "crash" and step == 3:
            raise ZeroDivisionError("pretended bug")
        if config.name == "fail" and step == 3:
            recorder.update(now=True, state=State.FAILED, error="The loss is not a number.")
            sys.exit(1)
        recorder.metrics("train", step, step // STEPS_PER_EPOCH, {"loss": 5 / step})
        place.write_text(str(step))
        recorder.update(now=True, step=step)
        if step % STEPS_PER_EPOCH == 0:
            epoch = step // STEPS_PER_EPOCH
            recorder.metrics("validation", step, epoch, {"loss": 3 / epoch})
            recorder.update(now=True, epoch=epoch, best=3 / epoch, best_by="validation loss")
        if recorder.stop_asked():
            recorder.update(now=True, state=State.STOPPED)
            return
    recorder.update(now=True, state=State.DONE)


main(Path(sys.argv[-1]))
