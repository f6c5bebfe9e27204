"""The Home tab: what can be done, what is going on, what was made last."""

from __future__ import annotations

from html import escape

import gradio as gr

from engines.base import Availability, Engine
from engines.studio import Studio
from engines.studio.reference import size
from engines.tasks import FAMILIES, Family
from storage import ClipQuery, JobRow, JobState
from tabs.ui import jobs, live
from tabs.ui.live import Action, View, button
from tabs.ui.page import QUIET, Page
from tabs.ui.player import rows

LATEST = 5
SHOWN_JOBS = 5


WELCOME = (
    "New here? Open Speech, keep the text that is there, press Generate. What you make stays in "
    "History with every setting that made it."
)
NO_CLIPS = "Nothing made yet. Press “Make speech” above; your first clip appears here."


def build(studio: Studio, tabs: gr.Tabs) -> Page:
    """Lay out the tab in the current block; ``tabs`` is where its buttons lead."""
    with gr.Column(elem_classes="home-page"):
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=380):
                ways = live.listing("home-ways")
                clips = live.listing("home-clips")
            with gr.Column(scale=2, min_width=340):
                now = live.listing("home-now")
    lists = [now, ways, clips]
    page = live.connect(
        lists,
        gr.State(View()),
        lambda _: [now_html(studio), ways_html(studio), clips_html(studio)],
        lambda _, action: act(studio, action),
        lists,
    )
    for item in lists:
        item.select(open_tab, None, tabs, queue=False, **QUIET)
    return page


def open_tab(event: gr.EventData) -> gr.Tabs:
    """Select the tab that a button names, where the page could not do it by itself."""
    return gr.Tabs(selected=str(event.id)) if event.action == "tab" else gr.skip()


def act(studio: Studio, action: Action) -> None:
    """Do what was clicked, other than opening a tab."""
    if action.name == "cancel":
        studio.cancel(action.id)
    elif action.name == "unload":
        studio.unload(action.id)
    elif action.name == "rebuild":
        studio.rebuilding.start("browser")
    elif action.name == "favorite":
        clip = studio.clip(action.id)
        studio.clips.set_favorite(clip.id, not clip.favorite)


# what can be done


def ways_html(studio: Studio) -> str:
    """A card for each task that has engines here."""
    cards = [_way(family, found) for family in FAMILIES if (found := studio.engines(family.task))]
    if not cards:
        return live.empty("No engine is here. Models says what could not be started, and why.")
    return f'{_notices(studio)}<p class="welcome">{WELCOME}</p><div class="ways">{"".join(cards)}</div>'


def _notices(studio: Studio) -> str:
    """What a person should know of this start, and do."""
    notices = [f"<p>{escape(text)}</p>" for text in studio.store.notices]
    if studio.rebuilding.lost:
        notices.append(
            f"<p>The audio folder holds {studio.rebuilding.lost:,} sounds, but the database knows no "
            "clip: studio.db was lost or replaced. If you have a backup, stop the studio and put it "
            "in its place. Otherwise the clips can be rebuilt from the settings inside their files; "
            "favourites, tags, notes and judgements do not come back.</p>"
            + button("Rebuild the clips", "rebuild", kind="primary")
        )
    return "".join(f'<div class="notice" role="alert">{text}</div>' for text in notices)


def _way(family: Family, engines: list[Engine]) -> str:
    ready = [engine for engine in engines if engine.availability() is Availability.READY]
    names = ", ".join(escape(engine.card.title) for engine in ready)
    state = f"Ready: {names}." if names else "Nothing is ready yet; get an engine in Models."
    more = len(engines) - len(ready)
    if names and more:
        state += f" {more} more in Models."
    first = button(family.verb, "tab", family.tab, "primary")
    if not ready:
        first = button("Open Models", "tab", "models", "primary")
    return f"""
<section class="card way"><header><h3>{family.title}</h3></header><p>{family.text}</p>
<p class="quiet">{state}</p><div class="buttons">{first}</div></section>"""


# what is going on


def now_html(studio: Studio) -> str:
    """Jobs, loaded engines and memory."""
    return (
        _card("Now", _jobs(studio), button("All jobs", "tab", "jobs", "small"))
        + _card("In memory", _loaded(studio), button("Models", "tab", "models", "small"))
        + _card("This machine", _machine(studio))
    )


def _card(heading: str, html: str, more: str = "") -> str:
    return f'<section class="card"><header><h3>{heading}</h3>{more}</header>{html}</section>'


def _jobs(studio: Studio) -> str:
    found = jobs.active(studio)
    if not found:
        return '<p class="quiet">No job is running. The next one starts at once.</p>'
    lines = "".join(_job(studio, job) for job in found[:SHOWN_JOBS])
    rest = len(found) - SHOWN_JOBS
    more = f'<p class="quiet">and {rest} more waiting</p>' if rest > 0 else ""
    return f'<ul class="plain-list">{lines}</ul>{more}'


def _job(studio: Studio, job: JobRow) -> str:
    what = escape(live.short(jobs.what(studio, job)))
    engine = escape(jobs.engine_title(studio, job.engine))
    cancel = button("Cancel", "cancel", job.id, "stop small")
    waiting = job.state is JobState.QUEUED
    return (
        f'<li><div class="line"><span class="name one">{what}</span>'
        f'<span class="quiet">{"waiting" if waiting else engine}</span>{cancel}</div>'
        f"{'' if waiting else jobs.bar_html(studio, job)}</li>"
    )


def _loaded(studio: Studio) -> str:
    loaded = [engine for engine in studio.engines() if studio.runtime.is_loaded(engine.card.id)]
    if not loaded:
        return '<p class="quiet">No model is loaded. The first Generate loads the one it needs.</p>'
    return f'<ul class="plain-list">{"".join(_line(studio, engine) for engine in loaded)}</ul>'


def _line(studio: Studio, engine: Engine) -> str:
    need = size(engine.memory_mb(studio.runtime.dtype) * 2**20)
    busy = studio.runtime.busy == engine.card.id
    unload = "" if busy else button("Unload", "unload", engine.card.id, "small")
    return (
        f'<li><div class="line"><span class="name">{escape(engine.card.title)}</span>{unload}</div>'
        f'<p class="quiet">{need} · {idle_text(studio, engine.card.id)}</p></li>'
    )


def idle_text(studio: Studio, engine_id: str) -> str:
    """Whether a loaded engine works, or how long it has been idle and when it will be unloaded."""
    if studio.runtime.busy == engine_id:
        return "working"
    idle_min = int(studio.runtime.idle_s(engine_id) // 60)
    idle = f"idle for {idle_min} min" if idle_min else "used just now"
    keep = studio.settings.keep_alive_min
    if not keep:
        return f"{idle}, kept until you unload it"
    return f"{idle}, unloads in {max(1, round(keep - idle_min))} min"


def _machine(studio: Studio) -> str:
    device, dtype = studio.runtime.device, studio.runtime.dtype
    memory = studio.memory()
    models = live.meter(
        "Models",
        memory.reserved / memory.budget,
        f"{_gb(memory.reserved)} of {_gb(memory.budget)} GB allowed",
    )
    used = f"{_gb(memory.used)} of {_gb(memory.total)} GB in use"
    whole = live.meter(
        "Device" if device.startswith("cuda") else "Memory",
        memory.used / memory.total,
        f"{used}, {_gb(memory.process)} GB by the studio",
    )
    return (
        f'<p class="quiet">{escape(device)}, {escape(dtype)}, '
        f"{studio.runtime.threads} threads</p>{models}{whole}"
    )


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f}"


# what was made last


def clips_html(studio: Studio) -> str:
    """The latest clips."""
    found = studio.clips.search(ClipQuery(page_size=LATEST)).rows
    more = button("All clips", "tab", "history", "small") if found else ""
    return _card("Latest clips", rows(found, empty=NO_CLIPS), more)
