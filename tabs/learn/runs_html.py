"""The Training tab in HTML: the list of runs, the plan of a new one, one run, runs compared."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from itertools import groupby, pairwise
from typing import Any

from storage.learning.datasets import DatasetRow
from storage.learning.runs import WAITING as ACTIVE
from storage.learning.runs import ExperimentRow, RunRow
from tabs.ui import live
from tabs.ui.chosen import ChosenView, counted, said_html, sure_button
from tabs.ui.curves import charts_html, number
from tabs.ui.live import badge, button
from tabs.ui.player import progress_bar, table, when
from training.config import Keep
from training.lab.run_files import RunSample
from training.lab.runs import RESUMABLE, Comparison

NO_RUNS = "No run yet. Fill in the form on the right and press Start."
HIGHER = ("accuracy", "margin")
PAUSE_FACTOR = 100  # a gap so many times the usual one is a pause, not a step
LOOKS = {
    "queued": ("", "waiting"),
    "running": ("busy", "running"),
    "done": ("ok", "done"),
    "failed": ("bad", "failed"),
    "stopped": ("warn", "stopped"),
    "interrupted": ("warn", "interrupted"),
}
KEPT = {
    "best": "The one that did best on the checks is kept.",
    "last": "The one after the last pass is kept.",
}
METHODS = {"sft": "learns the sounds", "dpo": "learns the preference", "rank": "learns the ranking"}


def state_html(run: RunRow) -> str:
    """The state as a badge."""
    kind, text = LOOKS.get(str(run.state), ("", str(run.state)))
    return badge(text, kind)


def _kept(run: RunRow) -> str:
    """Which epoch's adapter the run keeps, best or last; runs of before there was a choice kept the best."""
    return str(run.config.get("keep", Keep.BEST))


# the list on the left


def list_html(
    runs: Sequence[RunRow], experiments: Sequence[ExperimentRow], view: ChosenView, ticked: set[str]
) -> str:
    """A button for a new run, and all runs by experiment, newest first."""
    new = button("New run", "open", "").replace(
        "<button ", f'<button aria-pressed="{str(not view.chosen).lower()}" ', 1
    )
    compare = ""
    if len(ticked) > 1:
        compare = button(f"Compare {len(ticked)} runs", "compare", "", "primary small")
    head = f'<div class="side"><div class="buttons">{new}{compare}</div>'
    if not runs:
        return f"{head}{live.empty(NO_RUNS)}</div>"
    names = {row.id: row.name for row in experiments}
    order = {key: place for place, key in enumerate(dict.fromkeys(r.experiment_id for r in runs))}
    grouped = groupby(sorted(runs, key=lambda r: order[r.experiment_id]), lambda r: r.experiment_id)
    body = "".join(
        f'<p class="group">{escape(names.get(key, "") or "Without experiment")}</p>'
        f'<ul class="picks">{"".join(_pick(run, view, ticked, len(runs) > 1) for run in found)}</ul>'
        for key, found in grouped
    )
    return f"{head}{body}</div>"


def _pick(run: RunRow, view: ChosenView, ticked: set[str], comparable: bool) -> str:
    run_id = escape(run.id, quote=True)
    pressed = str(run.id in ticked).lower()
    tick = ""
    if comparable:
        tick = button("Compare", "tick", run.id, "small").replace(
            "<button ", f'<button aria-pressed="{pressed}" ', 1
        )
    below = f"{run.method} · {when(run.created_at)}"
    if run.best is not None:
        below += f" · {_kept(run)} {number(run.best)}"
    bar = bar_html(run) if str(run.state) in ACTIVE else ""
    return (
        f'<li data-action="open" data-id="{run_id}" class="{"selected" if run.id == view.chosen else ""}">'
        f'<button type="button" class="plain" data-action="open" data-id="{run_id}">'
        f"{escape(run.name)}</button>{state_html(run)}{tick}"
        f'<span class="about">{escape(below)}</span>{bar}</li>'
    )


def bar_html(run: RunRow, phase: str = "", left_s: float | None = None) -> str:
    """Progress of a run that waits or goes on; ``phase`` says what it does just now."""
    if str(run.state) == "queued":
        return progress_bar(0, "Waiting for its turn")
    text = f"{run.progress:.0%}" if run.progress else "Starting"
    if left_s is not None:
        text += f", about {live.span(max(1, round(left_s)))} left"
    place = f"epoch {run.epoch + 1}, step {run.step}" if run.step else ""
    return progress_bar(run.progress, text, " · ".join(filter(None, (phase, place))))


def step_s(metrics: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean seconds of an optimizer step by the time stamps of the training curve, the pause before
    a resumed run left out; None before two steps were made."""
    times = [row["time"] for row in metrics if row.get("split") == "train" and "time" in row]
    gaps = [later - earlier for earlier, later in pairwise(times) if later > earlier]
    if not gaps:
        return None
    usual = [gap for gap in gaps if gap <= PAUSE_FACTOR * statistics.median(gaps)]
    return sum(usual) / len(usual)


def left_s(run: RunRow, metrics: Sequence[Mapping[str, Any]]) -> float | None:
    """Seconds left at the pace so far; None until there is one."""
    pace = step_s(metrics)
    if pace is None or not run.progress or not run.step:
        return None
    return pace * run.step * (1 - run.progress) / run.progress


# the plan of a new run


def plan_html(plan: Mapping[str, Any]) -> str:
    """What pressing Start will do, in a few lines; ``problem`` where it can't."""
    if plan.get("problem"):
        return f'<div class="plan"><p class="wrong">{escape(str(plan["problem"]))}</p></div>'
    steps = counted(plan["steps"], "optimizer step")
    each = counted(plan["epochs"], "pass", "passes")
    lines = [
        f"<b>{counted(plan['train'], 'item')}</b> to learn from and "
        f"{counted(plan['validation'], 'item')} to check with: {each}, <b>{steps}</b>.",
        f"The base <b>{escape(str(plan['base']))}</b> stays as it is; a new adapter is made. "
        + KEPT.get(plan["keep"], ""),
        f"Time: {escape(str(plan['time']))}",
    ]
    return f'<div class="plan">{"".join(f"<p>{line}</p>" for line in lines)}</div>'


def command_html(command: str, title: str = "The same on a command line") -> str:
    """A command with a button that copies it."""
    safe = escape(command, quote=True)
    return (
        f'<h4>{title}</h4><div class="command"><code>{safe}</code>'
        f'<button type="button" class="act" data-copy="{safe}">Copy</button></div>'
    )


# one run


def head_html(
    run: RunRow,
    dataset: DatasetRow | None,
    adapter: str,
    command: str,
    bar: str,
    view: ChosenView,
) -> str:
    """Name, state, progress, what can be done, what it learned from and what became of it."""
    state = str(run.state)
    bar = f'<div class="job-bar">{bar}</div>' if state in ACTIVE else ""
    error = f'<pre class="problem">{escape(run.error)}</pre>' if run.error else ""
    buttons = []
    if run.adapter_id and adapter:
        buttons.append(button(f"Open adapter {adapter}", "open-adapter", run.adapter_id, "primary"))
    if state in ACTIVE:
        buttons.append(button("Stop and save", "stop", run.id, "stop"))
    if state in RESUMABLE:
        buttons.append(button("Go on where it was", "resume", run.id, "primary"))
    buttons.append(button("New run like this", "again", run.id))
    if state not in ACTIVE:
        buttons.append(sure_button(view, "Delete", "delete", "Really delete its files?"))
    learned = escape(dataset.name) if dataset else "a dataset that is gone"
    if dataset:
        learned = button(dataset.name, "open-dataset", dataset.id, "small")
    facts = [
        ("Method", f"{run.method}, {METHODS.get(run.method, '')}".rstrip(", ")),
        ("Base", run.base),
        (_kept(run).capitalize(), "–" if run.best is None else f"{number(run.best)} on the checks"),
        ("Started", when(run.started_at) if run.started_at else "not yet"),
        ("Took", _took(run)),
    ]
    return f"""
<section class="card"><header><h3>{escape(run.name)}</h3>{state_html(run)}</header>
{said_html(view)}{bar}{error}<div class="buttons">{"".join(buttons)}</div>
{table(facts)}<p>Learns from {learned}</p>{command_html(command)}</section>"""


def _took(run: RunRow) -> str:
    if not run.started_at or not run.finished_at:
        return "–"
    started, finished = map(datetime.fromisoformat, (run.started_at, run.finished_at))
    return live.span((finished - started).total_seconds())


def curves_html(run: RunRow, metrics: Sequence[Mapping[str, Any]]) -> str:
    """The curves of one run."""
    drawn = charts_html([(run.name, metrics)])
    if drawn:
        return drawn
    waits = str(run.state) in ACTIVE
    text = "Curves appear with the first step." if waits else "It ended before its first step."
    return live.empty(text)


def samples_html(run: RunRow, samples: Sequence[RunSample]) -> str:
    """Each fixed prompt with what it sounded like after every epoch."""
    if not samples:
        return ""
    rows = []
    for prompt in dict.fromkeys(sample.prompt for sample in samples):
        sounds = "".join(
            f'<span class="pair"><button class="icon" aria-label="Play epoch {sample.epoch}" '
            f'data-play="{escape(sample_address(run.id, sample), quote=True)}">▶</button>'
            f"{'base' if sample.epoch == 0 else f'epoch {sample.epoch}'}</span>"
            for sample in samples
            if sample.prompt == prompt
        )
        name = escape(prompt, quote=True)
        rows.append(
            f'<li class="wraps"><span class="name" title="{name}">{name}</span>{sounds}</li>'
        )
    return (
        '<section class="card"><header><h3>What it sounds like</h3><span class="quiet">the same '
        f'prompts and seeds after every epoch</span></header><ul class="rows-list">{"".join(rows)}'
        "</ul></section>"
    )


def sample_address(run_id: str, sample: RunSample) -> str:
    """Where the server plays a sample."""
    return f"runs/{run_id}/samples/{sample.epoch}/{sample.path.name}"


def log_html(text: str) -> str:
    """The end of the log."""
    return (
        f'<pre class="log" tabindex="0">{escape(text)}</pre>' if text else live.empty("No log yet.")
    )


def config_html(config: Mapping[str, Any]) -> str:
    """The whole configuration of a run."""
    return table((name, shown(value)) for name, value in config.items())


def shown(value: Any) -> str:
    """A configuration's value in words."""
    if value is None or value == "" or value == [] or value == ():
        return "–"
    if isinstance(value, list | tuple):
        return "; ".join(str(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


# runs compared


def comparison_html(
    found: Comparison,
    series: Sequence[tuple[str, Sequence[Mapping[str, Any]]]],
    datasets: Mapping[str, str],
) -> str:
    """Where configurations differ, the best values, and the curves over each other; ``datasets``
    are names by id."""
    heads = "".join(f"<th>{escape(run.name)} {state_html(run)}</th>" for run in found.runs)
    lines = ""
    for name, values in found.differences.items():
        cells = (escape(datasets.get(str(value), shown(value))) for value in values)
        lines += f"<tr><th>{escape(name)}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    if not lines:
        lines = f'<tr><td colspan="{len(found.runs) + 1}">Configured alike; only chance differs.</td></tr>'
    names = list(dict.fromkeys(name for values in found.metrics for name in values))
    best = "".join(
        _best_row(name, [values.get(name) for values in found.metrics]) for name in names
    )
    return f"""
<section class="card"><header><h3>{len(found.runs)} runs side by side</h3>
{button("Close", "open", "")}</header><div class="scroll-x"><table class="differences">
<thead><tr><th>What differs</th>{heads}</tr></thead><tbody>{lines}</tbody>
<thead><tr><th>Best values</th>{"<th></th>" * len(found.runs)}</tr></thead><tbody>{best}</tbody>
</table></div></section>{charts_html(series)}"""


def _best_row(name: str, values: Sequence[Any]) -> str:
    """One metric of all runs, the best value marked where there is a better and a worse."""
    numbers = [value for value in values if isinstance(value, int | float)]
    best = min if "loss" in name else max if name in HIGHER else None
    top = best(numbers) if best and len(set(numbers)) > 1 else None
    cells = "".join(
        f'<td class="{"best" if value is not None and value == top else ""}">'
        f"{number(value) if isinstance(value, int | float) else escape(shown(value))}</td>"
        for value in values
    )
    return f"<tr><th>{escape(name.replace('_', ' '))}</th>{cells}</tr>"
