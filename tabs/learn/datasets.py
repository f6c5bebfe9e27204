"""The Datasets tab: freeze what was judged so that training can learn from it; import, export."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from engines.base import StudioError
from engines.studio import Studio
from engines.studio.evaluation.plan import card
from storage import NotFound
from tabs.http.uploads import uploaded
from tabs.learn import dataset_form
from tabs.learn import datasets_html as pages
from tabs.learn.dataset_form import ANY, DEFAULTS, Builder, Importer, filter_from
from tabs.learn.steps import LoopPage, strip_html
from tabs.ui import live
from tabs.ui.chosen import ChosenView, redrawer
from tabs.ui.errors import as_gradio_error
from tabs.ui.live import Action
from tabs.ui.page import QUIET
from training.lab.lab import Lab

INTRO = (
    "A dataset is a frozen selection of what you judged: clips you rated well, or pairs of which "
    "you preferred one. An adapter is trained on it."
)


@dataclass
class DatasetsView(ChosenView):
    """Also the builder's filter, what it found when (by ``stamp``), and the rows on screen."""

    filter: dict[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    stamp: str = ""
    found: list[str] = field(default_factory=list)
    split: str = "train"
    page: int = 1


def build(studio: Studio, lab: Lab) -> LoopPage:
    """Lay out the tab in the current block."""
    with gr.Column(elem_classes="loop-page"):
        strip = live.listing("datasets-strip")
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=280):
                listed = live.listing("datasets-list")
            with gr.Column(scale=7, min_width=460):
                builder, importer = dataset_form.builder(), dataset_form.importer()
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
    scores = lab.store.scores.clip_metrics()
    stamp = repr((view.filter, lab.store.judgements.stats(), scores, len(lab.adapters())))
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
    """Tags, engines, adapters and measured scores that there are to choose from."""
    tags = [(f"{tag.name} ({tag.clips})", tag.name) for tag in studio.clips.tags()]
    engines = [("Any", ANY), *((found.name, found.name) for found in studio.clips.engines())]
    adapters = [("Any", ANY), ("None: the base alone", "none")]
    adapters += [(row.label, row.id) for row in lab.adapters()]
    scores = [("None", ANY)]
    scores += [
        (f"{card(found.name).title} ({found.clips})", found.name)
        for found in studio.store.scores.clip_metrics()
    ]
    return [gr.update(choices=found) for found in (tags, tags, engines, adapters, scores)]
