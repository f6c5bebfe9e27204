"""Many sounds at once: folders, a manifest or clips as a job, and the results that can be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from engines.base import StudioError
from engines.studio import Studio
from engines.studio.evaluation.plan import Options, cards, config, named, wishes
from engines.studio.evaluation.sources import Sources
from storage import ClipQuery, EvaluationRow, NotFound
from tabs.evaluate import results
from tabs.evaluate.html import choices
from tabs.evaluate.one import language_box
from tabs.http.sent_sounds import SENDABLE, folders_allowed, guarded, local, submit_sent
from tabs.ui import form, live
from tabs.ui.chosen import ChosenView, redrawer
from tabs.ui.clip_filter import engine_choices, filters
from tabs.ui.errors import as_gradio_error
from tabs.ui.live import Action
from tabs.ui.page import QUIET, Page
from tabs.ui.rater import user_of

SENT, FOLDERS, CLIPS = "sent", "folders", "clips"
KINDS = {
    SENT: "Send files",
    FOLDERS: "Folders of this machine",
    CLIPS: "Clips of the history",
}
APART = [
    ("Engine and adapter", "system"),
    ("Engine", "engine"),
    ("Adapter", "adapter"),
    ("Voice", "voice"),
]
FIRST_PRESET = "speech-pair"
HOW = (
    "Files are paired by name: <code>a/0001.wav</code> with <code>a/0001.flac</code>. A text beside a "
    "sound (<code>0001.txt</code>) is what it says. A CSV with the column <code>generated</code> and any "
    "of <code>reference, text, language, name, system</code> does it all in one table."
)


@dataclass
class RunsView(ChosenView):
    """Also what is shown of the chosen evaluation: the metric of the plot, the two systems that are
    tested, the order and page (from 1) of the table, and the row that is open."""

    metric: str = ""
    pair: str = ""
    sort: str = ""
    descending: bool = False
    page: int = 1
    row: int = -1
    kept: dict[str, tuple[Any, str]] = field(default_factory=dict)  # drawn parts by name

    def show(self, chosen: str) -> None:
        """Open an evaluation, or the form."""
        super().show(chosen)
        self.metric = self.pair = self.sort = ""
        self.descending, self.page, self.row = False, 1, -1


@dataclass
class Form:
    """The controls of a new evaluation, in the order that ``submit`` takes them."""

    column: gr.Column
    kind: Any = None
    parts: dict[str, gr.Column] = field(default_factory=dict)
    sent: list[Any] = field(default_factory=list)
    folders: list[Any] = field(default_factory=list)
    clips: list[Any] = field(default_factory=list)
    engine: Any = None
    preset: Any = None
    metrics: Any = None
    language: Any = None
    name: Any = None
    go: Any = None
    options: Any = None

    @property
    def inputs(self) -> list[Any]:
        """All values."""
        return [
            self.kind, *self.sent, *self.folders, *self.clips, self.metrics, self.language,
            self.name, *self.options.inputs,
        ]  # fmt: skip


def build(studio: Studio) -> Page:
    """Lay out the page in the current block."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=280):
            listed = live.listing("evaluate-list")
        with gr.Column(scale=8, min_width=460):
            made = _form(studio)
            with gr.Column(visible=False) as shown:
                lists = [live.listing(f"evaluate-{name}") for name in results.PARTS]
    view = gr.State(RunsView())
    outputs = [listed, made.column, shown, *lists, made.engine]

    def draw(current: RunsView) -> list[Any]:
        chosen = _chosen(studio, current)
        parts = results.parts_html(studio, chosen, current) if chosen else [""] * len(lists)
        return [
            results.list_html(studio, current),
            gr.update(visible=chosen is None),
            gr.update(visible=chosen is not None),
            *parts,
            engine_choices(studio),
        ]

    page = live.connect(
        [listed, *lists], view, draw, lambda current, action: act(studio, current, action), outputs
    )
    redraw = redrawer(draw)

    def start(current: RunsView, request: gr.Request, *given: Any) -> list[Any]:
        with as_gradio_error():
            row = submit(studio, made, given, user_of(request))
        current.show(row.id)
        return redraw(current)

    made.go.click(start, [view, *made.inputs], [view, *outputs], **QUIET)
    return Page(page.refresh)


def _chosen(studio: Studio, view: RunsView) -> EvaluationRow | None:
    if not view.chosen:
        return None
    try:
        return studio.evaluation.get(view.chosen)
    except NotFound:
        view.show("")
        return None


# the form


def _form(studio: Studio) -> Form:
    kinds = [
        (title, kind)
        for kind, title in KINDS.items()
        if kind != FOLDERS or folders_allowed(studio.settings)
    ]
    with gr.Column() as column:
        made = Form(column)
        made.kind = gr.Radio(kinds, value=SENT, label="Sounds", elem_id="evaluate-kind")
        _sources(made)
        presets = [(of["title"], name) for name, of in config()["presets"].items()]
        with gr.Row():
            made.preset = gr.Dropdown(
                presets, value=FIRST_PRESET, label="Measures for", min_width=200, scale=2,
                elem_id="evaluate-preset",
            )  # fmt: skip
            made.name = gr.Textbox(
                label="Name", placeholder="made of the systems' names", max_lines=1, min_width=200,
                scale=2, elem_id="evaluate-name",
            )  # fmt: skip
        made.metrics = gr.Dropdown(
            choices(cards()), value=list(named([FIRST_PRESET])), multiselect=True, label="Measures",
            info="What each one is stands under Measures, above.", elem_id="evaluate-metrics",
        )  # fmt: skip
        with gr.Accordion("How they are measured", open=False):
            made.language = language_box("evaluate-language")
            made.options = form.controls(Options, "evaluate")
        made.go = gr.Button("Measure all", variant="primary", elem_id="evaluate-go")
    made.preset.select(
        lambda name: list(named([name])), made.preset, made.metrics, queue=False, **QUIET
    )
    made.kind.input(
        lambda kind: [gr.update(visible=kind == name) for name in made.parts],
        made.kind,
        list(made.parts.values()),
        queue=False,
        **QUIET,
    )
    return made


def _sources(made: Form) -> None:
    """The controls of each kind of source, of which one is shown."""
    with gr.Column() as made.parts[SENT]:
        with gr.Row(equal_height=True):
            made.sent = [
                gr.File(
                    file_count="multiple", file_types=list(SENDABLE), label=label, height=150,
                    elem_id=f"evaluate-sent-{name}",
                )
                for name, label in (
                    ("generated", "Generated"),
                    ("reference", "Reference (may be left out)"),
                )
            ]  # fmt: skip
        gr.HTML(
            '<p class="quiet">Send the generated sounds themselves, or a zip for each system; beside them '
            f"the recordings that they should sound like. {HOW}</p>",
            apply_default_css=False,
        )
    with gr.Column(visible=False) as made.parts[FOLDERS]:
        generated = gr.Textbox(
            label="Generated", lines=3, placeholder="/data/system-a\n/data/system-b",
            info="One folder a line, each a system; or one CSV manifest.",
            elem_id="evaluate-folders-generated",
        )  # fmt: skip
        reference = gr.Textbox(
            label="Reference", max_lines=1, placeholder="/data/recordings",
            info="May be left out for measures that need none.",
            elem_id="evaluate-folders-reference",
        )  # fmt: skip
        made.folders = [generated, reference]
        gr.HTML(f'<p class="quiet">{HOW}</p>', apply_default_css=False)
    with gr.Column(visible=False) as made.parts[CLIPS]:
        with gr.Row():
            found = filters("evaluate-clips")
        made.engine = found.engine
        by = gr.Dropdown(
            APART, value="system", label="Systems are told apart by", elem_id="evaluate-clips-by"
        )
        made.clips = [*found.parts, by]
        gr.HTML(
            '<p class="quiet">Every clip that matches is measured; there is no reference, and the text '
            "is what the clip was made from. The scores stay with the clips, so that datasets can be "
            "filtered by them.</p>",
            apply_default_css=False,
        )


def submit(studio: Studio, made: Form, given: Sequence[Any], owner: str = "") -> EvaluationRow:
    """Start what the form asks for; ``given`` are the values of ``made.inputs``."""
    kind, sent_files, references, folders, reference, task, engine, words, by = given[:9]
    metrics, language, name, *options = given[9:]
    wanted = guarded(studio, wishes(metrics or (), made.options.values(options)))
    evaluation = studio.evaluation

    def go(sources: Sources, folder: Path | None = None) -> EvaluationRow:
        return evaluation.submit(sources, wanted, name or "", owner, folder)

    spoken = (language or "").strip() or "en"
    if kind == SENT:
        return submit_sent(evaluation, sent_files or (), references or (), go, spoken)
    if kind == FOLDERS:
        return go(local(studio, (folders or "").splitlines(), reference or "", spoken))
    query = ClipQuery(task=task or "", engine=engine or "", text=words or "", page_size=500)
    return go(evaluation.clip_sources(query, by=by))


def act(studio: Studio, view: RunsView, action: Action) -> None:
    """Do what was clicked."""
    evaluation = studio.evaluation
    match action.name:
        case "open":
            view.show(action.id)
        case "metric":
            view.metric = action.id
        case "pair":
            view.pair = action.id
        case "sort":
            same = view.sort == action.id
            view.descending = not view.descending if same else False
            view.sort, view.page = action.id, 1
        case "page":
            view.page = int(action.id) if action.id.isdecimal() else 1
        case "row":
            place = int(action.id) if action.id.isdecimal() else -1
            view.row = -1 if place == view.row else place
        case "cancel":
            evaluation.cancel(view.chosen)
        case "resume":
            evaluation.resume(view.chosen)
        case "delete":
            if evaluation.running(evaluation.get(view.chosen)):
                raise StudioError("It is being measured; cancel it first.")
            if view.confirmed("delete"):
                evaluation.delete(view.chosen)
                view.show("")
