"""The Projects tab: everything, or a selection, into one file; such a file into this studio."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gradio as gr

from engines.base import StudioError
from engines.studio import Studio
from engines.studio.projects import CHECK, IMPORT
from storage import JobRow, StorageError
from tabs.http.uploads import uploaded
from tabs.library import projects_html as pages
from tabs.ui import live
from tabs.ui.errors import as_gradio_error
from tabs.ui.live import Action
from tabs.ui.page import QUIET, Page, refresher
from tabs.ui.rater import user_of

MEASURE_EVERY_S = 15.0
REMEMBER_S = 600.0  # how long an import that has ended is told of
EVERYTHING, SELECTION = "Everything", "A selection"
EXPORT_TEXT = """<section class="card"><h3>Export</h3><p>One zip with clips, their settings and
judgements, datasets and adapters: a backup, or a way to another computer. Job history, downloaded
models and checkpoints stay here.</p></section>"""
IMPORT_TEXT = """<section class="card"><h3>Import</h3><p>Choose a project file. It is checked as a
whole, and you see what it would bring before anything is added. What is here already is never
changed.</p></section>"""
LARGE_TEXT = """<p class="quiet">At most {most:,} MB can be sent through the browser. Copy a larger
file into the folder <code>projects</code> of the data folder: it appears in the list of files, with
<b>Import…</b>.</p>"""


@dataclass
class ProjectsView(live.View):
    """What is chosen to export (None: everything), what waits for a second click, and the jobs whose
    cards were closed. ``size`` says how much is chosen, as ``measured`` (when, of what)."""

    chosen: dict[str, Any] | None = None
    sure: str = ""
    closed: set[str] = field(default_factory=set)
    size: str = ""
    measured: tuple[float, Any] = (0.0, None)


@dataclass
class Parts:
    """The controls that choose, by the name of what they choose."""

    controls: dict[str, Any] = field(default_factory=dict)

    @property
    def menus(self) -> list[Any]:
        """Those whose choices grow."""
        return [self.controls[name] for name in ("tag", "engine", "datasets", "adapters")]


def build(studio: Studio) -> Page:
    """Lay out the tab in the current block."""
    parts = Parts()
    with gr.Row(equal_height=False, elem_classes="projects-page"):
        with gr.Column(min_width=420):
            gr.HTML(EXPORT_TEXT, apply_default_css=False)
            what = gr.Radio(
                [EVERYTHING, SELECTION], value=EVERYTHING, label="What", elem_id="projects-what"
            )
            with gr.Column(visible=False) as narrowed:
                _choices(parts)
            size = live.listing("projects-size")
            with gr.Row(elem_classes="project-name"):
                name = gr.Textbox(
                    label="File name", placeholder="named by date and time", max_lines=1,
                    elem_id="projects-name", scale=3, min_width=200,
                )  # fmt: skip
                make = gr.Button(
                    "Export", variant="primary", elem_id="projects-export", scale=1, min_width=120
                )
            files = live.listing("projects-files")
        with gr.Column(min_width=420):
            gr.HTML(IMPORT_TEXT, apply_default_css=False)
            sent = gr.File(
                label="Project file (.zip)", file_types=[".zip"], height=140,
                elem_id="projects-file",
            )  # fmt: skip
            gr.HTML(LARGE_TEXT.format(most=studio.settings.max_upload_mb), apply_default_css=False)
            report = live.listing("projects-import")
    view = gr.State(ProjectsView())
    drawn = [size, files, report]
    page = live.connect(
        drawn, view, lambda current: draw(studio, current),
        lambda current, action: act(studio, current, action), drawn,
    )  # fmt: skip
    redraw = _redrawer(studio)
    _connect_choice(what, narrowed, parts, view, drawn, redraw)
    _connect_files(studio, (name, make, sent), view, drawn, redraw)

    def opened(current: ProjectsView) -> list[Any]:
        current.size = ""
        return [*redraw(current), *_menus(studio)]

    return Page(refresher(opened, view, [view, *drawn, *parts.menus]), page.forget)


def _choices(parts: Parts) -> None:
    """The controls of a selection."""
    found = parts.controls
    with gr.Row(equal_height=True):
        found["clips"] = gr.Checkbox(True, label="Clips", elem_id="projects-clips", min_width=90)
        found["text"] = gr.Textbox(
            label="with these words", placeholder="all clips", max_lines=1, scale=2,
            min_width=140, elem_id="projects-text",
        )  # fmt: skip
        for menu in ("tag", "engine"):
            found[menu] = gr.Dropdown(
                [("Any", "")], value="", label=menu.capitalize(), min_width=110,
                elem_id=f"projects-{menu}",
            )  # fmt: skip
        found["favorite"] = gr.Checkbox(
            label="Favourites only", elem_id="projects-favorite", min_width=130
        )
    for menu, info in (("datasets", "With their clips."), ("adapters", "With their samples.")):
        found[menu] = gr.Dropdown(
            [], multiselect=True, label=menu.capitalize(), elem_id=f"projects-{menu}", info=info
        )
    with gr.Row():
        found["tests"] = gr.Checkbox(label="Listening tests", elem_id="projects-tests")
        found["prompts"] = gr.Checkbox(
            label="Prompts, templates, presets", elem_id="projects-prompts"
        )
        found["runs"] = gr.Checkbox(label="Records of training", elem_id="projects-runs")


def _menus(studio: Studio) -> list[Any]:
    """The menus with what is here now."""
    store, any_ = studio.store, [("Any", "")]
    tags = [(count.name, count.name) for count in studio.clips.tags()]
    engines = [(count.name, count.name) for count in studio.clips.engines()]
    datasets = [*store.datasets.list(), *store.datasets.list(archived=True)]
    adapters = [*store.adapters.list(), *store.adapters.list(archived=True)]
    return [
        gr.update(choices=any_ + tags),
        gr.update(choices=any_ + engines),
        gr.update(choices=[(row.name, row.id) for row in datasets]),
        gr.update(choices=[(row.label, row.id) for row in adapters]),
    ]


def chosen_from(values: dict[str, Any]) -> dict[str, Any]:
    """The controls' values as a selection in the words of ``engines.studio.projects.selection``."""
    clips = {name: values[name] or "" for name in ("text", "tag", "engine")}
    clips["favorite"] = bool(values["favorite"])
    return {
        "clips": clips if values["clips"] else False,
        "datasets": list(values["datasets"] or []),
        "adapters": list(values["adapters"] or []),
        **{name: bool(values[name]) for name in ("tests", "prompts", "runs")},
    }


def _redrawer(studio: Studio) -> Any:
    def redraw(current: ProjectsView) -> list[Any]:
        drawn = draw(studio, current)
        current.seen = [repr(item) for item in drawn]
        return [current, *drawn]

    return redraw


def _connect_choice(
    what: gr.Radio,
    narrowed: gr.Column,
    parts: Parts,
    view: gr.State,
    drawn: Sequence[Any],
    redraw: Any,
) -> None:
    controls = list(parts.controls.values())

    def choose(current: ProjectsView, wanted: str, *given: Any) -> list[Any]:
        values = dict(zip(parts.controls, given, strict=True))
        current.chosen = chosen_from(values) if wanted == SELECTION else None
        return [gr.update(visible=wanted == SELECTION), *redraw(current)]

    for control in (what, *controls):
        typed = isinstance(control, gr.Textbox)
        event = control.change if typed else control.input
        event(
            choose, [view, what, *controls], [narrowed, view, *drawn], queue=False,
            trigger_mode="always_last", **QUIET,
        )  # fmt: skip


def _connect_files(
    studio: Studio,
    controls: tuple[Any, Any, Any],
    view: gr.State,
    drawn: Sequence[Any],
    redraw: Any,
) -> None:
    name, make, sent = controls

    def export(current: ProjectsView, typed: str, request: gr.Request) -> list[Any]:
        with as_gradio_error():
            studio.projects.export(current.chosen, typed or "", user_of(request))
        return ["", *redraw(current)]

    def check(current: ProjectsView, path: str | None, request: gr.Request) -> list[Any]:
        if path:
            with as_gradio_error():
                file = uploaded(path)
                studio.projects.check(file, Path(path).name, user_of(request))
        return [None, *redraw(current)]

    make.click(export, [view, name], [name, view, *drawn], queue=False, **QUIET)
    sent.upload(check, [view, sent], [sent, view, *drawn], **QUIET)


def draw(studio: Studio, view: ProjectsView) -> list[str]:
    """The size of what is chosen, the files, and the import."""
    return [
        _size(studio, view),
        pages.files_html(studio, view.sure, view.closed),
        pages.import_html(studio, _shown(studio, view)),
    ]


def _size(studio: Studio, view: ProjectsView) -> str:
    """How much is chosen; counting a large store at every tick would cost too much."""
    at, what = view.measured
    if not view.size or what != view.chosen or time.monotonic() - at > MEASURE_EVERY_S:
        try:
            view.size = pages.size_html(studio.projects.measure(view.chosen))
        except (StudioError, StorageError) as error:
            view.size = live.empty(str(error))
        view.measured = (time.monotonic(), view.chosen)
    return view.size


def _shown(studio: Studio, view: ProjectsView) -> JobRow | None:
    """The last check or import, unless its card was closed, its file thrown away or it is long ago."""
    job = studio.projects.latest(CHECK, IMPORT)
    if job is None or job.id in view.closed:
        return None
    if job.kind == CHECK and job.state == "done" and not studio.projects.waits(job):
        return None
    if job.kind == IMPORT and job.finished_at and _age_s(job.finished_at) > REMEMBER_S:
        return None
    return job


def _age_s(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()


def act(studio: Studio, view: ProjectsView, action: Action) -> None:
    """Do what was clicked."""
    sure, view.sure = view.sure, ""
    match action.name:
        case "check":
            file = studio.projects.file(action.id)
            studio.projects.check(file.path, file.name)
        case "delete" if sure == action.id:
            studio.projects.delete(action.id)
        case "delete":
            view.sure = action.id
        case "cancel":
            studio.cancel(action.id)
        case "again":
            view.closed.add(action.id)
            studio.retry(action.id)
        case "confirm":
            studio.projects.confirm(action.id)
        case "discard":
            studio.projects.discard(action.id)
        case "close":
            view.closed.add(action.id)
