"""The Datasets tab: freeze what was judged so that training can learn from it; import, export."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from engines.base import StudioError, Task
from engines.reference import TASK_NAMES
from engines.studio import Studio
from storage import NotFound
from storage.dataset_filter import DatasetFilter
from storage.judgements import Criterion
from tabs import dataset_pages as pages
from tabs import live
from tabs.errors import as_gradio_error
from tabs.learning import LoopPage, LoopView, redrawer, strip_html
from tabs.live import Action
from tabs.page import QUIET
from tabs.uploads import uploaded
from training.lab import Lab

INTRO = (
    "A dataset is a frozen selection of what you judged: clips you rated well, or pairs of which "
    "you preferred one. An adapter is trained on it."
)
KINDS = [
    ("Clips that were rated well", "supervised"),
    ("Pairs of which one was preferred", "preference"),
]
DEFAULTS: dict[str, Any] = {"kind": "supervised", "min_rating": 4.0, "min_raters": 1}
ANY = ""


@dataclass
class DatasetsView(LoopView):
    """Also the builder's filter, what it found when (by ``stamp``), and the rows on screen."""

    filter: dict[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    stamp: str = ""
    found: list[str] = field(default_factory=list)
    split: str = "train"
    page: int = 1


@dataclass
class Builder:
    """The controls of the form that makes a dataset; ``filters`` by name of the filter's field."""

    column: gr.Column
    filters: dict[str, Any] = field(default_factory=dict)
    supervised: Any = None
    preference: Any = None
    name: Any = None
    share: Any = None
    seed: Any = None
    create: Any = None
    found: list[gr.HTML] = field(default_factory=list)

    @property
    def chosen_from(self) -> list[Any]:
        """Menus whose choices grow with what was made and judged."""
        return [self.filters[name] for name in ("tags_in", "tags_out", "engine", "adapter")]


@dataclass
class Importer:
    """The controls of the form that imports one."""

    column: gr.Column
    files: Any
    name: Any
    share: Any
    button: Any


def build(studio: Studio, lab: Lab) -> LoopPage:
    """Lay out the tab in the current block."""
    with gr.Column(elem_classes="loop-page"):
        strip = live.listing("datasets-strip")
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=280):
                listed = live.listing("datasets-list")
            with gr.Column(scale=7, min_width=460):
                builder, importer = _builder(), _importer()
                with gr.Column(visible=False) as shown:
                    head = live.listing("datasets-detail")
                    with gr.Row():
                        name = gr.Textbox(
                            label="Name", max_lines=1, elem_id="datasets-rename", min_width=200
                        )
                    quality, rows = live.listing("datasets-quality"), live.listing("datasets-rows")
    view = gr.State(DatasetsView())
    lists = [strip, listed, head, rows, *builder.found]
    outputs = [
        strip, listed, builder.column, importer.column, shown, head, name, quality, rows,
        *builder.found, *builder.chosen_from,
    ]  # fmt: skip

    def draw(current: DatasetsView) -> list[Any]:
        found = [*found_html(lab, current), *choices(studio, lab)]
        return [strip_html(studio, lab, "datasets", INTRO), *chosen_html(lab, current), *found]

    page = live.connect(
        lists, view, draw, lambda current, action: act(lab, current, action), outputs
    )
    redraw = redrawer(draw)
    _connect_builder(lab, builder, view, outputs, redraw)
    _connect_importer(lab, importer, view, outputs, redraw)

    def rename(current: DatasetsView, typed: str) -> list[Any]:
        with as_gradio_error():
            if current.chosen and lab.dataset(current.chosen).name != typed:
                lab.rename_dataset(current.chosen, typed)
        return redraw(current)

    for event in (name.blur, name.submit):
        event(rename, [view, name], [view, *outputs], queue=False, **QUIET)
    return LoopPage(page.refresh, tab="datasets", view=view, lists=lists)


# the forms


def _builder() -> Builder:
    with gr.Column() as column:
        parts = Builder(column)
        wanted = parts.filters
        wanted["kind"] = gr.Radio(
            KINDS, value=DEFAULTS["kind"], label="Learn from", elem_id="datasets-kind"
        )
        with gr.Row() as parts.supervised:
            wanted["criterion"] = gr.Dropdown(
                [(item.capitalize(), item.value) for item in Criterion],
                value=Criterion.OVERALL.value, label="Rated for", min_width=150,
                elem_id="datasets-criterion",
            )  # fmt: skip
            wanted["min_rating"] = gr.Slider(
                1, 5, DEFAULTS["min_rating"], step=0.5, label="Rated at least", min_width=150,
                info="Mean of everybody's ratings.", elem_id="datasets-min-rating",
            )  # fmt: skip
        with gr.Row(visible=False) as parts.preference:
            wanted["min_strength"] = gr.Slider(
                1, 3, 1, step=1, label="Preferred at least this clearly",
                info="1 slightly to 3 clearly, the mean of those who agree. Ties are never used, and "
                "where people disagree the majority counts.",
                elem_id="datasets-min-strength",
            )  # fmt: skip
        _narrow(wanted)
        parts.found = [live.listing("datasets-found")]
        with gr.Row(equal_height=True):
            parts.name = gr.Textbox(
                label="Name", placeholder="such as Calm piano, July", max_lines=1, min_width=200,
                scale=3, elem_id="datasets-name",
            )  # fmt: skip
            parts.share = gr.Slider(
                0, 0.5, 0.1, step=0.05, label="Kept to check with", min_width=180, scale=2,
                info="Share of prompts never learned from.", elem_id="datasets-share",
            )  # fmt: skip
            parts.seed = gr.Number(
                0, label="Split seed", precision=0, minimum=0, min_width=110, scale=1,
                elem_id="datasets-seed",
            )  # fmt: skip
        parts.create = gr.Button("Create dataset", variant="primary", elem_id="datasets-create")
        parts.found += [live.listing("datasets-found-quality"), live.listing("datasets-preview")]
    return parts


def _narrow(wanted: dict[str, Any]) -> None:
    """The filters that few need, folded away."""
    with gr.Accordion("Narrow it down", open=False, elem_id="datasets-narrow"):
        wanted["text"] = gr.Textbox(
            label="Words in the prompt", max_lines=1, elem_id="datasets-text"
        )
        with gr.Row():
            wanted["tags_in"] = gr.Dropdown(
                [], multiselect=True, label="Only with all these tags", min_width=180,
                elem_id="datasets-tags-in",
            )  # fmt: skip
            wanted["tags_out"] = gr.Dropdown(
                [], multiselect=True, label="With none of these tags", min_width=180,
                elem_id="datasets-tags-out",
            )  # fmt: skip
        with gr.Row():
            wanted["min_raters"] = gr.Number(
                1, label="Judged by (people)", precision=0, minimum=1, min_width=140,
                elem_id="datasets-min-raters",
            )  # fmt: skip
            for name, label in (("engine", "Engine"), ("adapter", "Adapter")):
                wanted[name] = gr.Dropdown(
                    [("Any", ANY)], value=ANY, label=label, min_width=140,
                    elem_id=f"datasets-{name}",
                )  # fmt: skip
            wanted["task"] = gr.Dropdown(
                [("Any", ANY), *((TASK_NAMES[task], task.value) for task in Task)],
                value=ANY, label="Task", min_width=140, elem_id="datasets-task",
            )  # fmt: skip
        with gr.Row():
            for name, label in (("date_from", "Made from"), ("date_to", "Made until")):
                wanted[name] = gr.Textbox(
                    label=label, placeholder="2026-01-31", max_lines=1, min_width=120,
                    elem_id=f"datasets-{name}",
                )  # fmt: skip
            wanted["max_duration_s"] = gr.Number(
                None,
                label="At most (s)",
                placeholder="any",
                min_width=110,
                elem_id="datasets-max-s",
            )
        wanted["favorites"] = gr.Checkbox(label="Favourites only", elem_id="datasets-favorites")


def _importer() -> Importer:
    with gr.Column(visible=False) as column:
        gr.HTML(
            '<section class="card"><h3>Sounds from elsewhere</h3><p>Send a zip, or all files of a '
            "folder together: sounds with their captions in <code>metadata.jsonl</code> or "
            "<code>metadata.csv</code> (columns <code>file_name</code> and <code>prompt</code>, "
            "<code>text</code> or <code>caption</code>), or a <code>name.txt</code> beside every "
            "<code>name.wav</code>. What the studio exports is read back too.</p></section>",
            apply_default_css=False,
        )
        files = gr.File(
            file_count="multiple", label="A zip, or sounds and captions", height=140,
            elem_id="datasets-import-files",
        )  # fmt: skip
        with gr.Row(equal_height=True):
            name = gr.Textbox(
                label="Name", max_lines=1, min_width=200, scale=3, elem_id="datasets-import-name"
            )
            share = gr.Slider(
                0, 0.5, 0.1, step=0.05, label="Kept to check with", min_width=180, scale=2,
                info="Share of prompts never learned from.",
            )  # fmt: skip
        button = gr.Button("Import", variant="primary", elem_id="datasets-import-button")
    return Importer(column, files, name, share, button)


def filter_from(values: dict[str, Any]) -> DatasetFilter:
    """The form's values as a filter; empty fields are left out. Raises for a date that is none."""
    given = {name: value for name, value in values.items() if value not in (None, "", [], False)}
    supervised = given.get("kind") == "supervised"
    for name in ("min_strength",) if supervised else ("min_rating", "criterion"):
        given.pop(name, None)
    return DatasetFilter.from_dict(given)


def _connect_builder(
    lab: Lab, builder: Builder, view: gr.State, outputs: Sequence[Any], redraw: Any
) -> None:
    controls = list(builder.filters.values())

    def narrowed(current: DatasetsView, *given: Any) -> list[Any]:
        current.filter = dict(zip(builder.filters, given, strict=True))
        return redraw(current)

    for control in controls:
        # typed text and numbers; of menus only what a person chose, not new choices of ours
        typed = isinstance(control, gr.Textbox | gr.Number | gr.Slider)
        event = control.change if typed else control.input
        event(
            narrowed, [view, *controls], [view, *outputs], queue=False, trigger_mode="multiple",
            **QUIET,
        )  # fmt: skip
    builder.filters["kind"].input(
        lambda kind: [
            gr.update(visible=kind == name) for name, _ in (("supervised", 0), ("preference", 0))
        ],
        builder.filters["kind"],
        [builder.supervised, builder.preference],
        queue=False,
        **QUIET,
    )

    def create(
        current: DatasetsView, name: str, share: float, seed: float, *given: Any
    ) -> list[Any]:
        with as_gradio_error():
            values = dict(zip(builder.filters, given, strict=True))
            row = lab.create_dataset(name or "", filter_from(values), share, int(seed or 0))
        current.show(row.id)
        current.said = "Frozen. Next: train with it."
        current.split, current.page = "train", 1
        return [*redraw(current), ""]

    builder.create.click(
        create,
        [view, builder.name, builder.share, builder.seed, *controls],
        [view, *outputs, builder.name],
        **QUIET,
    )


def _connect_importer(
    lab: Lab, importer: Importer, view: gr.State, outputs: Sequence[Any], redraw: Any
) -> None:
    def take(current: DatasetsView, files: list[str] | None, name: str, share: float) -> list[Any]:
        with as_gradio_error():
            found = import_files(lab, [Path(file) for file in files or ()], name or "", share)
        current.show(found.dataset.id)
        left_out = "".join(f" Left out: {reason}" for reason in list(found.skipped)[:5])
        current.said = f"Imported.{left_out}"
        current.split, current.page = "train", 1
        return [*redraw(current), None, ""]

    importer.button.click(
        take,
        [view, importer.files, importer.name, importer.share],
        [view, *outputs, importer.files, importer.name],
        **QUIET,
    )


def import_files(lab: Lab, files: Sequence[Path], name: str, share: float) -> Any:
    """One zip, or the files of a folder that were sent together, as a dataset."""
    if not files:
        raise StudioError("Choose a zip, or the sounds and captions of a folder, first.", "files")
    sent = [uploaded(str(file)) for file in files]
    if len(sent) == 1 and sent[0].suffix.lower() == ".zip":
        return lab.import_folder(sent[0], name, share)
    folder = Path(tempfile.mkdtemp(dir=sent[0].parent))
    try:
        for file in sent:
            shutil.copyfile(file, folder / file.name)
        return lab.import_folder(folder, name, share)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# what is shown


def act(lab: Lab, view: DatasetsView, action: Action) -> None:
    """Do what was clicked."""
    match action.name:
        case "open":
            view.show(action.id)
            view.split, view.page = "train", 1
        case "split":
            view.split, view.page = action.id, 1
        case "page":
            view.page = int(action.id)
        case "delete" if view.confirmed("delete"):
            name = lab.dataset(view.chosen).name
            became = lab.delete_dataset(view.chosen)
            if became == "archived":
                view.said = f"A run learned from “{name}”, so it was archived and not deleted."
            else:
                view.show("")
                gr.Success(f"Deleted “{name}”.", duration=5)


def chosen_html(lab: Lab, view: DatasetsView) -> list[Any]:
    """The list, which of the three columns is seen, and the chosen dataset."""
    row = None
    if view.chosen not in (pages.NEW, pages.IMPORT):
        try:
            row = lab.dataset(view.chosen)
        except NotFound:
            view.show(pages.NEW)
    columns = [
        gr.update(visible=view.chosen == pages.NEW),
        gr.update(visible=view.chosen == pages.IMPORT),
        gr.update(visible=row is not None),
    ]
    listed = pages.list_html(lab.datasets(), view)
    if row is None:
        return [listed, *columns, "", "", "", ""]
    items = lab.dataset_items(row.id)
    runs = [run for run in lab.runs() if run.dataset_id == row.id]
    return [
        listed,
        *columns,
        pages.head_html(row, items, runs, view),
        row.name,
        pages.quality_html(lab.quality(row.id)),
        pages.rows_html(row, items, view.split, view.page),
    ]


def found_html(lab: Lab, view: DatasetsView) -> list[str]:
    """Count, quality and first rows of the builder's filter; asked again when anything was judged."""
    stamp = repr((view.filter, lab.store.judgements.stats(), len(lab.adapters())))
    if view.chosen != pages.NEW and view.found:
        return view.found
    if stamp != view.stamp:
        view.stamp, view.found = stamp, _find(lab, view.filter)
    return view.found


def _find(lab: Lab, values: dict[str, Any]) -> list[str]:
    try:
        wanted = filter_from(values)
        count = lab.count(wanted)
        if not count.items:
            return [pages.found_html(wanted, count), "", ""]
        preview = lab.preview(wanted, pages.PREVIEW)
        quality = pages.quality_html(lab.quality(wanted))
        return [pages.found_html(wanted, count), quality, pages.preview_html(preview, count.items)]
    except (StudioError, ValueError) as error:
        return [live.empty(str(error)), "", ""]


def choices(studio: Studio, lab: Lab) -> list[Any]:
    """Tags, engines and adapters that there are to choose from."""
    tags = [(f"{tag.name} ({tag.clips})", tag.name) for tag in studio.clips.tags()]
    engines = [("Any", ANY), *((found.name, found.name) for found in studio.clips.engines())]
    adapters = [("Any", ANY), ("None: the base alone", "none")]
    adapters += [(row.label, row.id) for row in lab.adapters()]
    return [gr.update(choices=found) for found in (tags, tags, engines, adapters)]
