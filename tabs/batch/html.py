"""The Batch tab in HTML: the list, the template, problems or a preview, one batch with its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from engines.base import Engine
from engines.parameters import Kind, knobs
from engines.studio.batch.batches import BatchState
from engines.studio.batch.estimating import Estimate
from engines.studio.batch.problems import Problem
from engines.studio.batch.templates import TableFormat
from storage import BatchItem, BatchRow, JobRow, JobState, RowState
from tabs.ui import live
from tabs.ui.chosen import ChosenView, counted, said_html, sure_button
from tabs.ui.live import badge, button
from tabs.ui.player import FORMATS, progress_bar, table, when

NO_BATCHES = "No batch yet. Fill in the steps beside this list."
PROBLEMS_SHOWN = 100
CELL_CHARS = 60
FORMAT_NAMES = {
    TableFormat.CSV: "CSV, for spreadsheets",
    TableFormat.JSON: "JSON",
    TableFormat.JSONL: "JSON Lines",
}
LOOKS = {
    "queued": ("", "waiting"),
    "running": ("busy", "running"),
    "failed": ("bad", "failed"),
    "cancelled": ("warn", "stopped"),
    "interrupted": ("warn", "interrupted"),
}
ROW_LOOKS = {
    RowState.OPEN: ("", "to do"),
    RowState.DONE: ("ok", "done"),
    RowState.REUSED: ("ok", "reused"),
    RowState.FAILED: ("bad", "failed"),
}
CHIPS = {"": "All", "open": "To do", "done": "Done", "reused": "Reused", "failed": "Failed"}


def badge_html(state: str, failed: int) -> str:
    """The state of a batch as a badge."""
    if state == "done" and failed:
        return badge(f"done, {failed:,} failed", "warn")
    kind, text = LOOKS.get(state, ("ok", state))
    return badge(text, kind)


# the list on the left


def list_html(batches: Sequence[BatchState], titles: Mapping[str, str], view: ChosenView) -> str:
    """A button for a new batch, and all batches, newest first."""
    new = button("New batch", "open", "").replace(
        "<button ", f'<button aria-pressed="{str(not view.chosen).lower()}" ', 1
    )
    head = f'<div class="side"><div class="buttons">{new}</div>'
    if not batches:
        return f"{head}{live.empty(NO_BATCHES)}</div>"
    picks = "".join(_pick(found, titles, view) for found in batches)
    return f'{head}<ul class="picks">{picks}</ul></div>'


def _pick(found: BatchState, titles: Mapping[str, str], view: ChosenView) -> str:
    batch = found.batch
    batch_id = escape(batch.id, quote=True)
    about = f"{titles.get(batch.engine, batch.engine)} · {counted(batch.total, 'row')} · "
    about += when(batch.created_at)
    bar = bar_html(found) if found.active else ""
    return (
        f'<li data-action="open" data-id="{batch_id}" '
        f'class="{"selected" if batch.id == view.chosen else ""}">'
        f'<button type="button" class="plain" data-action="open" data-id="{batch_id}">'
        f"{escape(batch.name)}</button>{badge_html(found.state, batch.failed)}"
        f'<span class="about">{escape(about)}</span>{bar}</li>'
    )


def bar_html(found: BatchState, note: str = "") -> str:
    """How far a batch is, all its rows counted."""
    batch = found.batch
    if found.state == JobState.QUEUED:
        return progress_bar(batch.finished / batch.total, "Waiting for its turn")
    text = f"{batch.finished:,} of {batch.total:,}"
    if found.left_s is not None and batch.open:
        text += f", about {live.span(max(1, round(found.left_s)))} left"
    return progress_bar(batch.finished / batch.total, text, note)


# the steps of a new one


def guide_html(engine: Engine) -> str:
    """Where the template is, and what its columns mean."""
    links = "".join(
        f'<a class="act" href="batches/template/{engine.card.id}.{form}" download>{text}</a>'
        for form, text in FORMAT_NAMES.items()
    )
    rows = "".join(
        f"<tr><th><code>{escape(name)}</code></th><td>{escape(about)}</td>"
        f"<td>{escape(allowed)}</td><td>{escape(default)}</td></tr>"
        for name, about, allowed, default in _columns(engine)
    )
    title = escape(engine.card.title)
    return f"""
<p class="step"><b>2</b> Download the template, and fill in a row for each sound you want. Two example
rows show how; only required columns have to stay, and an empty cell takes the default.</p>
<div class="buttons">{links}</div>
<details class="fold columns"><summary>The columns of {title}</summary><div class="scroll-x">
<table class="differences"><tr><th>Column</th><th>What it is</th><th>Allowed</th><th>Default</th></tr>
{rows}</table></div></details>"""


def _columns(engine: Engine) -> list[tuple[str, str, str, str]]:
    listed = [
        ("name", "Name of the sound's file in the zip. Each only once.", "any", "0001, 0002, …")
    ]
    here = engine.defaults()
    for knob in knobs(engine.Params):
        about = f"{knob.label}. {knob.description}"
        allowed = knob.bounds
        if knob.kind is Kind.MEDIA:
            allowed = "name of a file you send along, or the id of a clip"
        elif knob.kind is Kind.BOOLEAN:
            allowed = "true, false"
        elif knob.kind is Kind.LIST:
            allowed += ", parted by |"
        default = _shown(here.get(knob.name, knob.default))
        if knob.kind is Kind.SEED:
            default = "drawn once"
        listed.append((knob.name, about, allowed, "required" if knob.required else default))
    return listed


def problems_html(problems: Sequence[Problem]) -> str:
    """Everything that is wrong with a table."""
    lines = "".join(
        f"<tr><td>{escape(each.where) or 'whole file'}</td><td><code>{escape(each.column)}</code></td>"
        f"<td>{escape(each.message)}</td></tr>"
        for each in problems[:PROBLEMS_SHOWN]
    )
    rest = len(problems) - PROBLEMS_SHOWN
    more = f'<p class="quiet">and {rest:,} more.</p>' if rest > 0 else ""
    many = "One thing is" if len(problems) == 1 else f"{len(problems):,} things are"
    return (
        f'<section class="card problems" role="alert"><header><h3>{many} wrong</h3></header>'
        "<p>Nothing was started. Mend the file and send it again; row 1 is the head of a table.</p>"
        '<div class="scroll-x"><table class="differences"><tr><th>Where</th><th>Column</th>'
        f"<th>What is wrong</th></tr>{lines}</table></div>{more}</section>"
    )


def preview_html(
    batch: BatchRow, engine: Engine, rows: Sequence[BatchItem], reusable: int, guess: Estimate
) -> str:
    """What pressing Start will do, and the first rows with all their settings."""
    time = "This engine has not run here yet, so the time is not known."
    if guess.seconds is not None:
        runs = "the last run" if guess.runs == 1 else f"the last {guess.runs} runs"
        time = (
            f"About <b>{live.span(max(1, guess.seconds))}</b>, judging by {runs} on this machine."
        )
    again = ""
    if reusable:
        again = (
            f"<p><b>{reusable:,}</b> of them {'is' if reusable == 1 else 'are'} here already, made "
            "with the same settings, and will be reused.</p>"
        )
    names = [knob.name for knob in knobs(engine.Params)]
    head = "".join(f"<th>{escape(name)}</th>" for name in ("row", "name", *names))
    lines = "".join(_preview_line(item, names) for item in rows)
    rest = batch.total - len(rows)
    more = f'<p class="quiet">and {counted(rest, "more row", "more rows")}.</p>' if rest else ""
    return f"""
<div class="plan"><p><b>{counted(batch.total, "row")}</b> for {escape(engine.card.title)}; all of them are
right.</p>{again}<p>{time}</p></div>
<h4 class="preview-head">The first rows, with everything filled in</h4>
<div class="scroll-x"><table class="differences preview-rows"><tr>{head}</tr>{lines}</table></div>{more}"""


def _preview_line(item: BatchItem, names: Sequence[str]) -> str:
    values = [str(item.number), item.name, *(_shown(item.settings.get(name)) for name in names)]
    return f"<tr>{''.join(f'<td>{escape(live.short(v, CELL_CHARS))}</td>' for v in values)}</tr>"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return " | ".join(str(entry) for entry in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


# one batch


def head_html(found: BatchState, title: str, view: ChosenView) -> str:
    """Name, state, progress, what can be done, and the facts."""
    batch = found.batch
    note = found.job.note.partition(" · ")[2] if found.job else ""
    bar = f'<div class="job-bar">{bar_html(found, note)}</div>' if found.active else ""
    return f"""
<section class="card"><header><h3>{escape(batch.name)}</h3>{badge_html(found.state, batch.failed)}</header>
{said_html(view)}{bar}{_problem(found)}<div class="buttons">{_buttons(found, view)}</div>
{_downloads(batch)}{table(_facts(found, title))}</section>"""


def _problem(found: BatchState) -> str:
    error = found.job.error if found.job else ""
    if found.state == JobState.INTERRUPTED:
        error = "The studio ended while this ran. What was made is kept; resume to go on."
    return f'<pre class="problem">{escape(error)}</pre>' if error and not found.active else ""


def _buttons(found: BatchState, view: ChosenView) -> str:
    batch = found.batch
    if found.active:
        return button("Stop", "stop", "", "stop")
    buttons = []
    if batch.open:
        buttons.append(button(f"Resume, {batch.open:,} to do", "resume", "", "primary"))
    if batch.failed:
        text = f"Retry {counted(batch.failed, 'failed row')}"
        buttons.append(button(text, "retry", "", "" if batch.open else "primary"))
    buttons.append(sure_button(view, "Delete", "delete", "Really forget it? Clips stay."))
    return "".join(buttons)


def _downloads(batch: BatchRow) -> str:
    if not batch.done + batch.reused:
        return ""
    links = "".join(
        f'<a class="act" href="batches/{batch.id}/sounds.{form}.zip" download>{form.upper()}</a>'
        for form in FORMATS
    )
    results = (
        f'<a class="act" href="batches/{batch.id}/results.csv" download>Results table (CSV)</a>'
    )
    return (
        '<div class="buttons batch-downloads"><span class="quiet">Download all sounds and the '
        f"results as a zip</span>{links}{results}</div>"
    )


def _facts(found: BatchState, title: str) -> list[tuple[str, str]]:
    batch, job = found.batch, found.job
    facts = [
        ("Engine", title),
        ("From", batch.source),
        ("Made", f"{batch.done:,} of {batch.total:,}"),
        ("Reused", f"{batch.reused:,}" if batch.reused else ""),
        ("Failed", f"{batch.failed:,}" if batch.failed else ""),
        ("Checked", when(batch.created_at)),
        ("Last run took", _took(job)),
    ]
    return [(name, value) for name, value in facts if value]


def _took(job: JobRow | None) -> str:
    if job is None or not job.started_at or not job.finished_at:
        return ""
    started, finished = map(datetime.fromisoformat, (job.started_at, job.finished_at))
    return live.span((finished - started).total_seconds())


# its rows


def rows_html(
    found: BatchState,
    rows: Sequence[BatchItem],
    in_work: Mapping[int, JobRow],
    chosen: str,
    page: int,
    pages: int,
    position: int,
) -> str:
    """Chips that filter, one line a row, and page buttons; ``position`` is the row that is open."""
    batch = found.batch
    counts = {"": batch.total, **{str(state): getattr(batch, state) for state in RowState}}
    chips = "".join(
        f'<button type="button" class="chip" data-action="filter" data-id="{name}" '
        f'aria-pressed="{str(name == chosen).lower()}">{text} {counts[name]:,}</button>'
        for name, text in CHIPS.items()
        if counts[name] or name in ("", chosen)
    )
    head = f'<div class="chips" role="group" aria-label="Filter by state">{chips}</div>'
    if not rows:
        return head + live.empty("No row is in this state.")
    lines = "".join(_row(item, in_work.get(item.position), position) for item in rows)
    return f"""{head}<table class="jobs batch-rows"><thead><tr><th class="number">Row</th><th>State</th>
<th>Name</th><th>What</th><th></th></tr></thead><tbody>{lines}</tbody></table>
{_pages(page, pages, counts[chosen])}"""


def _row(item: BatchItem, job: JobRow | None, position: int) -> str:
    kind, text = ROW_LOOKS[item.state]
    if item.state is RowState.OPEN and job is not None:
        kind, text = ("busy", "running") if job.state is JobState.RUNNING else ("", "next")
    error = f'<div class="row-error">{escape(item.error)}</div>' if item.error else ""
    play = "".join(
        f'<button class="icon" data-play="clips/{escape(clip_id, quote=True)}/audio" '
        f'aria-label="Play {escape(item.name, quote=True)}">▶</button>'
        for clip_id in item.clip_ids[:1]
    )
    opened = "selected" if item.position == position else ""
    return f"""<tr class="{opened}" data-action="row" data-id="{item.position}">
<td class="number">{item.number}</td><td>{badge(text, kind)}</td>
<td class="name"><button type="button" class="plain" data-action="row" data-id="{item.position}"
aria-label="Show this row">{escape(item.name)}</button></td>
<td class="what">{escape(live.short(what(item), 90))}{error}</td><td class="buttons">{play}</td></tr>"""


def what(item: BatchItem) -> str:
    """What a row says, in a few words: its text, else its sound, else its first setting."""
    words = item.settings.get("text") or item.settings.get("prompt")
    if words:
        return str(words)
    name, value = next(iter(item.settings.items()), ("", ""))
    return f"{name} {Path(str(value)).name}".strip()


def _pages(page: int, pages: int, total: int) -> str:
    earlier = button("‹ Earlier", "page", str(page - 1)) if page > 1 else ""
    later = button("Later ›", "page", str(page + 1)) if page < pages else ""
    place = counted(total, "row") + (f", page {page} of {pages:,}" if pages > 1 else "")
    return f'<div class="pages"><span class="quiet">{place}</span>{earlier}{later}</div>'


def row_html(item: BatchItem, players: str) -> str:
    """One row: its sounds and all its settings."""
    error = f'<pre class="problem">{escape(item.error)}</pre>' if item.error else ""
    values = [(name, _shown(value)) for name, value in item.settings.items()]
    head = (
        f'<header class="row-head"><h4>Row {item.number} · {escape(item.name)}</h4>'
        f"{button('Close', 'close', '', 'small')}</header>"
    )
    return (
        f'{head}{players}<details class="fold"{"" if players else " open"}><summary>All settings of '
        f"{escape(item.name)}</summary><div>{error}{table(values)}</div></details>"
    )
