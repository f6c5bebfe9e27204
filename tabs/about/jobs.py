"""The Jobs tab: what is waiting, running and done, for everybody who uses this studio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

import gradio as gr

from engines.base import StudioError
from engines.studio import Studio
from engines.studio.runner import ENDED
from storage import JobRow, JobState, StorageError
from storage.work.batches import OWNER as BATCH_ROWS
from tabs.ui import live
from tabs.ui.jobs import ACTIVE, bar_html, engine_title, state_html, what
from tabs.ui.live import Action, button
from tabs.ui.page import Page
from tabs.ui.player import player, table, when

PAGE_SIZE = 20
FILTERS: dict[str, tuple[str, tuple[JobState, ...]]] = {
    "": ("All", tuple(JobState)),
    "active": ("Waiting and running", ACTIVE),
    "done": ("Done", (JobState.DONE,)),
    "failed": ("Failed", (JobState.FAILED,)),
    "cancelled": ("Cancelled", (JobState.CANCELLED,)),
    "interrupted": ("Interrupted", (JobState.INTERRUPTED,)),
    "rows": ("Rows of batches", tuple(JobState)),  # which all others leave out
}
NOTHING_CHOSEN = "Choose a job to see its settings, its error and what it made."


@dataclass
class JobsView(live.View):
    """The filter, the page (from 1) and the chosen job of one browser."""

    filter: str = ""
    page: int = 1
    chosen: str = ""


def build(studio: Studio) -> Page:
    """Lay out the tab in the current block."""
    with gr.Row(equal_height=False, elem_classes="jobs-page"):
        with gr.Column(scale=7, min_width=520):
            jobs = live.listing("jobs-list")
        with gr.Column(scale=4, min_width=380):
            detail = live.listing("jobs-detail")
            clips = live.listing("jobs-clips")
    return live.connect(
        [jobs, detail, clips],
        gr.State(JobsView()),
        lambda view: draw(studio, view),
        lambda view, action: act(studio, view, action),
        [jobs, detail, clips],
    )


def draw(studio: Studio, view: JobsView) -> list[str]:
    """The table, the chosen job, and the clips of the chosen job, as HTML."""
    listed = table_html(studio, view)
    if not view.chosen:
        return [listed, live.empty(NOTHING_CHOSEN), ""]
    try:
        job = studio.job(view.chosen)
    except (StudioError, StorageError) as error:
        return [listed, live.empty(str(error)), ""]
    return [listed, detail_html(studio, job), clips_html(studio, job)]


def act(studio: Studio, view: JobsView, action: Action) -> None:
    """Do what was clicked."""
    match action.name:
        case "filter":
            view.filter, view.page = action.id if action.id in FILTERS else "", 1
        case "page":
            view.page = int(action.id) if action.id.isdecimal() else 1
        case "open":
            view.chosen = action.id
        case "cancel":
            studio.cancel(action.id)
        case "again":
            view.chosen = studio.retry(action.id).id
        case "favorite":
            clip = studio.clip(action.id)
            studio.clips.set_favorite(clip.id, not clip.favorite)


# the table


@dataclass(frozen=True)
class JobsPage:
    """One page of jobs, newest first, and how many there are; pages count from 1."""

    rows: list[JobRow]
    total: int
    page: int
    pages: int


def page_of(studio: Studio, states: Sequence[JobState], page: int, rows: str = "") -> JobsPage:
    """The jobs in one of ``states``, only those whose owner begins with ``rows``, "" for all but the
    rows of batches; a page past the last gives the last."""
    owners = {"within": rows} if rows else {"without": BATCH_ROWS}
    counts = studio.jobs.counts(**owners)
    total = sum(counts[state] for state in states)
    pages = max(1, -(-total // PAGE_SIZE))
    page = min(max(1, page), pages)
    found = studio.jobs.list(states, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE, **owners)
    return JobsPage(found, total, page, pages)


def table_html(studio: Studio, view: JobsView) -> str:
    """Filters, one line a job, and page buttons."""
    rows = BATCH_ROWS if view.filter == "rows" else ""
    found = page_of(studio, FILTERS[view.filter][1], view.page, rows)
    view.page = found.page
    chips = "".join(_chip(name, view.filter) for name in FILTERS)
    head = f'<div class="chips" role="group" aria-label="Filter by state">{chips}</div>'
    if not found.rows:
        return head + live.empty(_nothing(view.filter))
    owners = any(job.owner for job in found.rows)
    lines = "".join(_row(studio, job, job.id == view.chosen, owners) for job in found.rows)
    owner = '<th class="wide">Owner</th>' if owners else ""
    return f"""{head}
<table class="jobs"><thead><tr><th>State</th><th>Engine</th><th>What</th>
<th class="wide">Created</th><th class="wide">Took</th>{owner}<th></th></tr></thead>
<tbody>{lines}</tbody></table>{_pages(found.page, found.pages, found.total)}"""


def _nothing(chosen: str) -> str:
    if chosen == "rows":
        return (
            "No batch has run yet. Its rows would be listed here, and stay out of the other lists."
        )
    if chosen:
        return f"No job here is {FILTERS[chosen][0].lower()}."
    return "No jobs yet. Press Generate in Speech, or download a voice in Models."


def _chip(name: str, chosen: str) -> str:
    pressed = str(name == chosen).lower()
    return (
        f'<button type="button" class="chip" data-action="filter" data-id="{name}" '
        f'aria-pressed="{pressed}">{FILTERS[name][0]}</button>'
    )


def _pages(page: int, pages: int, total: int) -> str:
    many = "job" if total == 1 else "jobs"
    newer = button("‹ Newer", "page", str(page - 1)) if page > 1 else ""
    older = button("Older ›", "page", str(page + 1)) if page < pages else ""
    place = f"{total:,} {many}" + (f", page {page} of {pages:,}" if pages > 1 else "")
    return f'<div class="pages"><span class="quiet">{place}</span>{newer}{older}</div>'


def _row(studio: Studio, job: JobRow, chosen: bool, owners: bool) -> str:
    job_id = escape(job.id, quote=True)
    again = button("Run again", "again", job.id) if job.state in ENDED else ""
    buttons = button("Cancel", "cancel", job.id, "stop") if job.state in ACTIVE else again
    below = f'<div class="quiet">{escape(live.short(job.error or "", 110))}</div>'
    if job.state in ACTIVE:
        below = f'<div class="job-bar">{bar_html(studio, job)}</div>'
    owner = f'<td class="wide quiet">{escape(job.owner) or "–"}</td>' if owners else ""
    return f"""
<tr class="{"selected" if chosen else ""}" data-action="open" data-id="{job_id}">
<td>{state_html(job)}</td><td>{escape(engine_title(studio, job.engine))}</td>
<td class="what"><button type="button" class="plain" data-action="open" data-id="{job_id}"
aria-label="Show this job">{escape(live.short(what(studio, job)))}</button>{below}</td>
<td class="wide quiet"><time>{when(job.created_at)}</time></td>
<td class="wide quiet">{_took(job)}</td>{owner}
<td class="buttons">{buttons}</td></tr>"""


# the chosen job


def detail_html(studio: Studio, job: JobRow) -> str:
    """Everything about one job except its sounds."""
    running = f'<div class="job-bar">{bar_html(studio, job)}</div>' if job.state in ACTIVE else ""
    error = f'<pre class="problem">{escape(job.error)}</pre>' if job.error else ""
    buttons = button("Run again", "again", job.id) if job.state in ENDED else ""
    if job.state in ACTIVE:
        buttons = button("Cancel", "cancel", job.id, "stop")
    heading = escape(live.short(what(studio, job), 120))
    settings = _section("Settings", table(job.settings.items())) if job.settings else ""
    return f"""
<section class="card"><header><h3>{heading}</h3>{state_html(job)}</header>
{running}{error}<div class="buttons">{buttons}</div>{table(_facts(studio, job))}
{settings}{_report(job)}</section>"""


def _facts(studio: Studio, job: JobRow) -> list[tuple[str, str]]:
    facts = [
        ("Engine", engine_title(studio, job.engine)),
        ("Created", when(job.created_at)),
        ("Started", when(job.started_at) if job.started_at else ""),
        ("Took", _took(job)),
        ("Owner", job.owner),
        ("Id", job.id),
    ]
    return [(name, value) for name, value in facts if value and value != "–"]


def _section(heading: str, html: str) -> str:
    return f"<h4>{heading}</h4>{html}"


def _report(job: JobRow) -> str:
    values = (job.report or {}).get("values", {})
    return _section("Result", table(values.items())) if values else ""


def clips_html(studio: Studio, job: JobRow) -> str:
    """The players of what the job made."""
    players = []
    for clip_id in job.clip_ids:
        try:
            players.append(player(studio.clip(clip_id)))
        except (StudioError, StorageError):
            players.append(live.empty(f"Clip {clip_id} was deleted."))
    if not players and job.state in ENDED and job.kind == "run":
        return live.empty("This job made no clip.") if not job.report else ""
    return "".join(players)


def _took(job: JobRow) -> str:
    if not job.started_at or not job.finished_at:
        return "–"
    started, finished = map(datetime.fromisoformat, (job.started_at, job.finished_at))
    return live.span((finished - started).total_seconds())
