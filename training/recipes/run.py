"""One stage's training run in its own folder, by the same loop as adapter training."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from engines.parameters import plain
from training.config import Precision
from training.musicgen.session import Stop, attempt
from training.record import Recorder, State, open_log
from training.run.loop import Plan, Task, Trainer


def train(folder: Path, task: Task, plan: Plan, settings: Any, precision: Precision) -> State:
    """Train from the last checkpoint in ``folder``, or from the start.

    ``settings`` are what the result depends on: a checkpoint of others is refused.
    """
    from training.run import devices

    folder.mkdir(parents=True, exist_ok=True)
    place = devices.prepare(precision)
    handler = open_log(folder, place.accelerator.is_main_process)
    text = json.dumps(plain(settings), sort_keys=True)

    def work(recorder: Recorder, stop: Stop) -> State:
        return Trainer(
            task,
            plan,
            place.accelerator,
            recorder,
            identity=hashlib.sha256(text.encode()).hexdigest(),
            autocast=place.autocast,
            asked=stop.asked,
        ).run()

    try:
        return attempt(folder, place, work)
    finally:
        logging.getLogger().removeHandler(handler)
