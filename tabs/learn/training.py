"""The Training tab: start a run, watch it learn, stop and resume it, compare runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from engines.studio import Studio
from storage import NotFound
from storage.learning.datasets import DatasetRow
from storage.learning.runs import RunRow
from tabs.learn import runs_html as pages
from tabs.learn import training_form
from tabs.learn.steps import LoopPage, strip_html
from tabs.learn.training_form import MENUS, RunForm, TrainingView, choices, menus_of, preset_values
from tabs.learn.training_plan import command_of, plan_html
from tabs.ui import live
from tabs.ui.chosen import redrawer
from tabs.ui.errors import as_gradio_error
from tabs.ui.live import Action
from tabs.ui.page import QUIET
from training.lab.lab import Lab
from training.record import RunRecord

INTRO = (
    "Training makes an adapter: a small file that changes how a base model sounds, learned from a "
    "dataset. It runs beside the studio, and goes on when this page is closed."
)
NEW, COMPARE = "", "compare"
MOST_COMPARED = 8
LOG_LINES = 60


def build(studio: Studio, lab: Lab) -> LoopPage:
    """Lay out the tab in the current block."""
    with gr.Column(elem_classes="loop-page"):
        strip = live.listing("training-strip")
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=280):
                listed = live.listing("training-list")
            with gr.Column(scale=7, min_width=460):
                new = training_form.build(lab)
                with gr.Column(visible=False) as shown:
                    head, curves = live.listing("training-run"), live.listing("training-curves")
                    samples = live.listing("training-samples")
                    with gr.Accordion("Log", open=False):
                        log = live.listing("training-log")
                    with gr.Accordion("Configuration", open=False):
                        config = live.listing("training-config")
                compared = live.listing("training-compare")
    view = gr.State(TrainingView())
    lists = [strip, listed, head, curves, samples, compared]
    chosen = [head, curves, samples, log, config]
    menus = [new.form.controls[name] for name in MENUS]
    outputs = [strip, listed, new.column, shown, *chosen, compared, new.plan, *menus]

    def draw(current: TrainingView) -> list[Any]:
        page, offered = chosen_html(studio, lab, current), menus_of(lab, current)
        plan = plan_html(studio, lab, current.given) if current.chosen == NEW else gr.skip()
        return [strip_html(studio, lab, "training", INTRO), *page, plan, *offered]

    page = live.connect(
        lists, view, draw, lambda current, action: act(lab, current, action), outputs
    )
    _connect_form(studio, lab, new, head, view, outputs, redrawer(draw))

    def fill(dataset_id: str) -> list[Any]:
        offered = [(choice.label, choice.value) for choice in choices(lab, "dataset")]
        return [gr.update(choices=offered, value=dataset_id)]

    return LoopPage(
        page.refresh,
        tab="training",
        view=view,
        lists=lists,
        filled=[new.form.controls["dataset"]],
        fill=fill,
    )


def _connect_form(
    studio: Studio,
    lab: Lab,
    new: RunForm,
    head: gr.HTML,
    view: gr.State,
    outputs: Sequence[Any],
    redraw: Any,
) -> None:
    form = new.form
    menus = [form.controls[name] for name in MENUS]

    def planned(current: TrainingView, preset: str, *given: Any) -> Any:
        current.given, current.preset = form.values(given), preset
        updates = menus_of(lab, current)
        return [current, plan_html(studio, lab, current.given), *updates]

    controls: list[Any] = form.inputs
    changed = [control.change for control in controls]
    gr.on(
        changed, planned, [view, new.preset, *form.inputs], [view, new.plan, *menus], queue=False,
        trigger_mode="always_last", **QUIET,
    )  # fmt: skip

    def fill(name: str, base: str) -> list[Any]:
        with as_gradio_error():
            return form.updates(preset_values(lab, name, base or ""))

    settings = [new.preset, form.controls["base"]]
    new.preset.input(fill, settings, form.inputs, queue=False, **QUIET)

    def start(current: TrainingView, *given: Any) -> list[Any]:
        with as_gradio_error():
            run = lab.train(form.values(given))
        current.show(run.id)
        return redraw(current)

    def like(current: TrainingView, event: gr.EventData) -> Any:
        if event.action != "again":
            return gr.skip()
        with as_gradio_error():
            current.given = dict(lab.run(str(event.id)).config)
        current.suggested = str(current.given.get("dataset") or "")  # its own prompts stay
        current.fitted = str(current.given.get("base") or "")
        current.show(NEW)
        return [current, *form.updates(current.given)]

    head.select(like, view, [view, *form.inputs], queue=False, **QUIET).then(
        redraw, view, [view, *outputs], queue=False, **QUIET
    )
    new.start.click(
        start,
        [view, *form.inputs],
        [view, *outputs],
        validator=lambda _, *given: [gr.validate(True, ""), *form.check(given)],
        **QUIET,
    )


# what is shown


def act(lab: Lab, view: TrainingView, action: Action) -> None:
    """Do what was clicked."""
    match action.name:
        case "open":
            view.show(action.id)
        case "tick":
            others = [run_id for run_id in view.ticked if run_id != action.id]
            view.ticked = others if len(others) < len(view.ticked) else [*others, action.id]
            view.ticked = view.ticked[-MOST_COMPARED:]
        case "compare":
            view.show(COMPARE)
        case "stop":
            lab.stop_run(view.chosen)
            view.said = "It finishes its step, saves and stops."
        case "resume":
            lab.resume_run(view.chosen)
            view.said = "Queued again; it goes on where it was."
        case "delete" if view.confirmed("delete"):
            name = lab.run(view.chosen).name
            lab.delete_run(view.chosen)
            view.ticked = [run_id for run_id in view.ticked if run_id != view.chosen]
            view.show(NEW)
            gr.Success(f"Deleted the run “{name}”. Its adapter stays.", duration=5)


def chosen_html(studio: Studio, lab: Lab, view: TrainingView) -> list[Any]:
    """The list, the two columns, the chosen run's parts, the comparison."""
    runs = lab.runs()
    view.ticked = [run_id for run_id in view.ticked if any(run.id == run_id for run in runs)]
    if not view.opened:  # a page that was just opened shows what goes on, else the last run
        going = [run for run in runs if str(run.state) in pages.ACTIVE]
        view.show((going or runs)[0].id if runs else NEW)
    if view.chosen == COMPARE and len(view.ticked) < 2:
        view.show(NEW)
    run = _run(lab, view)
    listed = pages.list_html(runs, lab.experiments(), view, set(view.ticked))
    columns = [gr.update(visible=view.chosen == NEW), gr.update(visible=run is not None)]
    compared = ""
    if view.chosen == COMPARE:
        found = lab.compare(view.ticked)
        series = [(row.name, lab.metrics(row.id)) for row in found.runs]
        names = {row.id: row.name for row in lab.datasets()}
        compared = pages.comparison_html(found, _distinct(series, found.runs), names)
    if run is None:
        return [listed, *columns, "", "", "", "", "", compared]
    return [listed, *columns, *_parts(studio, lab, run, view), ""]


def _run(lab: Lab, view: TrainingView) -> RunRow | None:
    if view.chosen in (NEW, COMPARE):
        return None
    try:
        return lab.run(view.chosen)
    except NotFound:
        view.show(NEW)
        return None


def _parts(studio: Studio, lab: Lab, run: RunRow, view: TrainingView) -> list[str]:
    metrics = lab.metrics(run.id)
    bar = ""
    if run.state in pages.ACTIVE:
        bar = pages.bar_html(run, _phase(studio, run), pages.left_s(run, metrics))
    command = command_of(studio, run)
    return [
        pages.head_html(run, _dataset(lab, run), _adapter(lab, run), command, bar, view),
        pages.curves_html(run, metrics),
        pages.samples_html(run, lab.samples(run.id)),
        pages.log_html(lab.log(run.id, LOG_LINES)),
        pages.config_html(run.config),
    ]


def _dataset(lab: Lab, run: RunRow) -> DatasetRow | None:
    try:
        return lab.dataset(run.dataset_id)
    except NotFound:
        return None


def _adapter(lab: Lab, run: RunRow) -> str:
    """The label of the adapter that a run made, "" where there is none."""
    try:
        return lab.adapter(run.adapter_id).label if run.adapter_id else ""
    except NotFound:
        return ""


def _phase(studio: Studio, run: RunRow) -> str:
    """What a run does just now, in its own words."""
    try:
        record = RunRecord.read(studio.store.folder("runs") / run.id)
    except (OSError, ValueError):
        return ""  # being written, or not there yet
    return record.phase if record else ""


def _distinct(series: Sequence[tuple[str, Any]], runs: Sequence[RunRow]) -> list[tuple[str, Any]]:
    """Runs of one name told apart by the end of their id."""
    names = [name for name, _ in series]
    return [
        (f"{name} ({run.id[-4:]})" if names.count(name) > 1 else name, metrics)
        for (name, metrics), run in zip(series, runs, strict=True)
    ]
