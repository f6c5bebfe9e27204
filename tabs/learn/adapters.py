"""The Adapters tab: what training made. Use it, look where it comes from, test it against its base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from engines.base import StudioError
from engines.studio import Studio
from storage import ClipRow, NotFound
from storage.learning.adapters import AdapterRow
from tabs.http.uploads import uploaded
from tabs.learn import adapter_form
from tabs.learn import adapters_html as pages
from tabs.learn.adapter_form import MAX_SEEDS, Shown
from tabs.learn.steps import LoopPage, bases, example_prompts, strip_html
from tabs.ui import live
from tabs.ui.chosen import ChosenView, redrawer
from tabs.ui.errors import as_gradio_error
from tabs.ui.live import Action
from tabs.ui.page import QUIET
from training.lab.lab import Lab

INTRO = (
    "An adapter is what a base model learned from a dataset. Activate it to hear it in Music; let "
    "listeners compare it with its base, without knowing which is which, before you trust it."
)
IMPORT = ""
EXAMPLE_PROMPTS = 5


@dataclass
class AdaptersView(ChosenView):
    """Also whether the archived ones are listed."""

    archived: bool = False


def build(studio: Studio, lab: Lab) -> LoopPage:
    """Lay out the tab in the current block."""
    with gr.Column(elem_classes="loop-page"):
        strip = live.listing("adapters-strip")
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=280):
                listed = live.listing("adapters-list")
            with gr.Column(scale=7, min_width=460):
                with gr.Column() as importer:
                    controls = adapter_form.importer(lab)
                shown = adapter_form.shown()
    view = gr.State(AdaptersView())
    lists = [strip, listed, shown.head, shown.use, shown.tests]
    outputs = [strip, listed, importer, controls[1], *shown.outputs]

    def draw(current: AdaptersView) -> list[Any]:
        return [strip_html(studio, lab, "adapters", INTRO), *chosen_html(studio, lab, current)]

    page = live.connect(
        lists, view, draw, lambda current, action: act(lab, current, action), outputs
    )
    redraw = redrawer(draw)
    _connect_import(lab, controls, view, outputs, redraw)
    _connect_use(lab, shown, view, outputs, redraw)
    _connect_test(lab, shown, view, outputs, redraw)
    _connect_keeping(lab, shown, view, outputs, redraw)
    return LoopPage(page.refresh, tab="adapters", view=view, lists=lists)


# the forms


def _connect_import(
    lab: Lab, controls: Sequence[Any], view: gr.State, outputs: Sequence[Any], redraw: Any
) -> None:
    file, base, name, button = controls

    def take(current: AdaptersView, sent: str | None, chosen: str, typed: str) -> list[Any]:
        with as_gradio_error():
            if not sent or not chosen:
                raise StudioError("Choose a zip and the base that it was trained on first.")
            row = lab.import_adapter(uploaded(sent), chosen, typed or "")
        current.show(row.id)
        current.said = "Checked against its base and taken in."
        return [*redraw(current), None, ""]

    button.click(take, [view, file, base, name], [view, *outputs, file, name], **QUIET)


def _connect_use(
    lab: Lab, shown: Shown, view: gr.State, outputs: Sequence[Any], redraw: Any
) -> None:
    def activate(current: AdaptersView, scale: float) -> list[Any]:
        with as_gradio_error():
            lab.activate_adapter(current.chosen, scale)
        return redraw(current)

    def deactivate(current: AdaptersView) -> list[Any]:
        with as_gradio_error():
            lab.activate_adapter(current.chosen, None)
        return redraw(current)

    shown.activate.click(activate, [view, shown.scale], [view, *outputs], queue=False, **QUIET)
    shown.deactivate.click(deactivate, [view], [view, *outputs], queue=False, **QUIET)


def _connect_test(
    lab: Lab, shown: Shown, view: gr.State, outputs: Sequence[Any], redraw: Any
) -> None:
    def compare(
        current: AdaptersView, typed: str, seeds: float, scale: float, duration: float
    ) -> list[Any]:
        with as_gradio_error():
            prompts = [line.strip() for line in (typed or "").splitlines() if line.strip()]
            if not prompts:
                raise StudioError("Write at least one prompt, one a line.", "prompts")
            many = range(1, 1 + min(max(1, int(seeds or 1)), MAX_SEEDS))
            settings = {"duration_s": duration} if duration else {}
            lab.compare_with_base(current.chosen, prompts, list(many), scale, settings)
        current.said = "The clips are being made; the test appears below when all are there."
        return redraw(current)

    shown.compare.click(
        compare,
        [view, shown.prompts, shown.seeds, shown.test_scale, shown.duration],
        [view, *outputs],
        **QUIET,
    )


def _connect_keeping(
    lab: Lab, shown: Shown, view: gr.State, outputs: Sequence[Any], redraw: Any
) -> None:
    """Name and notes are kept when the field is left; merging writes a full model."""

    def rename(current: AdaptersView, typed: str) -> list[Any]:
        with as_gradio_error():
            if current.chosen and lab.adapter(current.chosen).name != typed:
                lab.rename_adapter(current.chosen, typed)
        return redraw(current)

    def note(current: AdaptersView, typed: str) -> None:
        with as_gradio_error():
            if current.chosen:
                lab.set_adapter_notes(current.chosen, typed)

    def merge(current: AdaptersView, typed: str, scale: float) -> list[Any]:
        with as_gradio_error():
            folder = lab.merge_adapter(current.chosen, (typed or "").strip(), scale)
        current.said = f"Merged: choose “{folder.name}” as model in Music."
        return [*redraw(current), ""]

    for event in (shown.name.blur, shown.name.submit):
        event(rename, [view, shown.name], [view, *outputs], queue=False, **QUIET)
    shown.notes.blur(note, [view, shown.notes], None, queue=False, **QUIET)
    shown.merge.click(
        merge, [view, shown.merged, shown.scale], [view, *outputs, shown.merged], **QUIET
    )


# what is shown


def act(lab: Lab, view: AdaptersView, action: Action) -> None:
    """Do what was clicked."""
    match action.name:
        case "open":
            view.show(action.id)
        case "archived":
            view.archived = not view.archived
        case "archive":
            row = lab.archive_adapter(action.id, not lab.adapter(action.id).archived)
            view.said = "Archived: it is no longer offered." if row.archived else "Back again."
        case "retry-test":
            lab.retry_adapter_test(action.id)
        case "delete" if view.confirmed("delete"):
            label = lab.adapter(view.chosen).label
            if lab.delete_adapter(view.chosen) == "archived":
                view.said = f"Something refers to {label}, so it was archived and not deleted."
            else:
                view.show(IMPORT)
                gr.Success(f"Deleted {label}.", duration=5)


def chosen_html(studio: Studio, lab: Lab, view: AdaptersView) -> list[Any]:
    """The list, the two columns, and the parts of the chosen adapter."""
    rows = lab.adapters(archived=view.archived)
    if not view.opened:
        newest = max(rows, key=lambda row: row.created_at, default=None)
        view.show(newest.id if newest else IMPORT)
    row = _row(lab, view)
    offered = gr.update(choices=bases(lab))
    listed = pages.list_html(rows, view, view.archived)
    if row is None:
        nothing = [gr.update(visible=False), *[""] * 2, gr.skip(), gr.skip(), *[""] * 6]
        return [listed, gr.update(visible=view.chosen == IMPORT), offered, *nothing]
    return [listed, gr.update(visible=False), offered, *_parts(studio, lab, row, view)]


def _row(lab: Lab, view: AdaptersView) -> AdapterRow | None:
    if view.chosen == IMPORT:
        return None
    try:
        return lab.adapter(view.chosen)
    except NotFound:
        view.show(IMPORT)
        return None


def _parts(studio: Studio, lab: Lab, row: AdapterRow, view: AdaptersView) -> list[Any]:
    verdict = lab.verdict(row.id)
    return [
        gr.update(visible=True),
        pages.head_html(row, _links(lab, row), view),
        pages.use_html(row),
        gr.update(value=row.scale),
        gr.update(interactive=row.active),
        pages.clips_html(_clips(studio, row)),
        pages.tests_html(lab.adapter_tests(row.id), verdict),
        "\n".join(example_prompts(lab, row.dataset_id)[:EXAMPLE_PROMPTS]),
        row.name,
        row.notes,
        pages.origin_html(row),
    ]


def _links(lab: Lab, row: AdapterRow) -> str:
    run = dataset = ""
    try:
        run = lab.run(row.run_id).name if row.run_id else ""
        dataset = lab.dataset(row.dataset_id).name if row.dataset_id else ""
    except NotFound:
        pass  # deleted since
    return pages.links_html(run, row.run_id, dataset, row.dataset_id)


def _clips(studio: Studio, row: AdapterRow) -> list[ClipRow]:
    found = []
    for clip_id in row.sample_clips:
        try:
            found.append(studio.clip(clip_id))
        except NotFound:
            continue
    return found
