"""What a training run would do, and the commands that do the same without the studio."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from engines.base import StudioError
from engines.parameters import knobs
from engines.studio import Studio
from storage import StorageError
from storage.learning.runs import RunRow
from tabs.learn import runs_html as pages
from tabs.ui import live
from training.config import RunConfig
from training.lab.lab import Lab


def plan_html(studio: Studio, lab: Lab, given: Mapping[str, Any]) -> str:
    """What Start will do, and the command that does the same."""
    plan = plan_of(lab, given)
    command = "" if "problem" in plan else pages.command_html(command_for(studio, given))
    return pages.plan_html(plan) + command


def plan_of(lab: Lab, given: Mapping[str, Any]) -> dict[str, Any]:
    """Items, passes and optimizer steps of the run that ``given`` describes, or its problem."""
    values = {knob.name: knob.default for knob in knobs(RunConfig)} | dict(given)
    if not values.get("dataset"):
        return {"problem": "Choose a dataset first; Datasets makes one of what you judged."}
    if not values.get("base"):
        return {"problem": "Choose the base it starts from; Models downloads one."}
    try:
        dataset = lab.dataset(str(values["dataset"]))
    except (StudioError, StorageError) as error:
        return {"problem": str(error)}
    items = lab.dataset_items(dataset.id)
    train = sum(item.split == "train" for item in items)
    steps = math.ceil(math.ceil(train / values["batch_size"]) / values["accumulation"])
    steps *= int(values["epochs"])
    return {
        "train": train,
        "validation": len(items) - train,
        "epochs": int(values["epochs"]),
        "steps": steps,
        "base": values["base"],
        "keep": str(values["keep"]),
        "time": _time(lab, values, steps),
    }


def _time(lab: Lab, values: Mapping[str, Any], steps: int) -> str:
    """How long it will take by the pace of an earlier run of the same shape, or that none is known."""
    alike = (
        "base",
        "method",
        "batch_size",
        "accumulation",
        "max_duration_s",
        "precision",
        "lora_r",
    )
    for run in lab.runs():
        same = all(run.config.get(name) == values.get(name) for name in alike)
        if run.state == "done" and same and (pace := pages.step_s(lab.metrics(run.id))):
            return f"about {live.span(max(1, pace * steps))}, at the pace of “{run.name}”."
    return "not known before the first steps are measured."


def command_of(studio: Studio, run: RunRow) -> str:
    """The command that does the same as a run, in a folder of its own."""
    config = studio.store.folder("runs").resolve() / run.id / "config.yaml"
    return _command(studio, f"{run.name} again", ["--config", str(config)])


def command_for(studio: Studio, given: Mapping[str, Any]) -> str:
    """The command that does the same as the form."""
    options: list[str] = []
    for knob in knobs(RunConfig):
        value, flag = given.get(knob.name, knob.default), knob.name.replace("_", "-")
        if value == knob.default and knob.name not in ("base", "dataset"):
            continue
        if isinstance(value, bool):
            options.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            many = value if isinstance(value, list | tuple) else [value]
            options += [f"--{flag}", *map(str, many)]
    return _command(studio, str(given.get("name") or "adapter"), options)


def _command(studio: Studio, name: str, options: Sequence[str]) -> str:
    data = str(studio.settings.data.resolve())
    start = ["python", "-m", "training.cli", "train", "--data", data, "--output", name]
    return shlex.join([*start, *options])
