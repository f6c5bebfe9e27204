"""The Training tab: start a run, watch it learn, stop and resume it, compare runs."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr

from engines.base import Choice, StudioError
from engines.knobs import Kind, knobs
from engines.studio import Studio
from storage import NotFound, StorageError
from storage.datasets import DatasetRow
from storage.runs import RunRow
from tabs import form as forms
from tabs import live
from tabs import run_pages as pages
from tabs.errors import as_gradio_error
from tabs.learning import LoopPage, LoopView, bases, example_prompts, redrawer, strip_html
from tabs.live import Action
from tabs.page import QUIET
from training.config import RunConfig
from training.lab import Lab
from training.record import RunRecord

INTRO = (
    "Training makes an adapter: a small file that changes how a base model sounds, learned from a "
    "dataset. It runs beside the studio, and goes on when this page is closed."
)
NEW, COMPARE = "", "compare"
PRESETS = {
    "quick": "Quick: to see that it works",
    "balanced": "Balanced: a good start",
    "quality": "Quality: slower, better",
}
FIRST_PRESET = "balanced"
ROWS: tuple[tuple[str, ...], ...] = (
    ("method", "epochs"),
    ("name", "experiment"),
    ("sample_prompts",),
)
SECTIONS = {
    "Steps": (
        "batch_size", "accumulation", "learning_rate", "warmup_share", "weight_decay",
        "max_grad_norm", "early_stop_patience", "max_duration_s", "seed",
    ),
    "The adapter": ("lora_r", "lora_alpha", "lora_dropout", "target_modules"),
    "Learning sounds (sft)": ("conditioning_dropout", "rating_weighting"),
    "Learning preferences (dpo, rank)": (
        "beta", "label_smoothing", "rank_margin", "sft_weight", "use_margin", "length_normalised",
    ),
    "Machine and files": (
        "precision", "gradient_checkpointing", "save_every_steps", "keep_last",
        "sample_duration_s", "logger",
    ),
}  # fmt: skip
BESIDE = 3
INFO = {
    "dataset": "What it learns from; Datasets makes them.",
    "base": "The model it starts from; Models downloads more.",
}
MENUS = ("dataset", "base", "method", "sample_prompts")
LISTEN_TO = 2
METHODS = {"supervised": ("sft",), "preference": ("dpo", "rank")}
MOST_COMPARED = 8
LOG_LINES = 60


@dataclass
class TrainingView(LoopView):
    """Also which runs are ticked to be compared, what the form says now, and for
    which dataset prompts were suggested."""

    ticked: list[str] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)
    suggested: str = ""


@dataclass
class RunForm:
    """The form of a new run: presets, controls, the plan, Start."""

    column: gr.Column
    preset: gr.Radio
    form: forms.Form
    plan: gr.HTML
    start: gr.Button


def build(studio: Studio, lab: Lab) -> LoopPage:
    """Lay out the tab in the current block."""
    with gr.Column(elem_classes="loop-page"):
        strip = live.listing("training-strip")
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=280):
                listed = live.listing("training-list")
            with gr.Column(scale=7, min_width=460):
                new = _form(lab)
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
        plan = plan_html(studio, lab, current) if current.chosen == NEW else gr.skip()
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


# the form


def _form(lab: Lab) -> RunForm:
    form = forms.Form(RunConfig, "train", lambda name: choices(lab, name))
    values = preset_values(lab, FIRST_PRESET)
    with gr.Column() as column:
        _row(form, ("dataset", "base"), values)
        preset = gr.Radio(
            [(text, name) for name, text in PRESETS.items()],
            value=FIRST_PRESET,
            label="Start from",
            info="Fills in all settings below; change any of them after that.",
            elem_id="train-preset",
        )
        for names in ROWS:
            _row(form, names, values)
        with gr.Accordion("All settings", open=False, elem_id="train-all"):
            for title, names in SECTIONS.items():
                _section(form, title, names, values)
        plan = live.listing("training-plan")
        start = gr.Button("Start training", variant="primary", elem_id="train-start")
    missing = set(RunConfig.model_fields) - set(form.controls)
    assert not missing, f"the form has no place for {missing}"
    return RunForm(column, preset, form, plan, start)


def _section(form: forms.Form, title: str, names: Sequence[str], values: dict[str, Any]) -> None:
    """Some settings under a heading, a few beside each other."""
    gr.HTML(f'<p class="group">{title}</p>', apply_default_css=False)
    for start in range(0, len(names), BESIDE):
        _row(form, names[start : start + BESIDE], values)


def _row(form: forms.Form, names: Sequence[str], values: dict[str, Any]) -> None:
    """A few controls beside each other."""
    with gr.Row(equal_height=True):
        for name in names:
            form.controls[name] = _control(form, name, values)


def _control(form: forms.Form, name: str, values: dict[str, Any]) -> Any:
    """One control. Numbers are typed: their bounds are too far apart for sliders."""
    knob = form.knobs[name]
    knob = replace(knob, default=values.get(name, knob.default))
    if name in INFO:
        offered = [(choice.label, choice.value) for choice in form.choices(name)]
        return gr.Dropdown(
            offered,
            value=offered[0][1] if offered else None,
            label=knob.label,
            info=INFO[name],
            allow_custom_value=True,  # what was made after the list was sent
            min_width=200,
            elem_id=f"{form.prefix}-{name}",
        )
    if knob.kind in (Kind.NUMBER, Kind.INTEGER):
        bounds = f" {knob.bounds[:1].upper()}{knob.bounds[1:]}."
        knob = replace(knob, minimum=None, maximum=None, description=knob.description + bounds)
    control: Any = forms.control(knob, form.prefix, form.choices(name))
    control.min_width = 200
    return control


def choices(lab: Lab, name: str) -> list[Choice]:
    """Datasets and bases that are here; nothing for other parameters."""
    if name == "dataset":
        return [Choice(row.id, f"{row.name} ({row.items} items)") for row in lab.datasets()]
    if name == "base":
        return [Choice(base, base) for base in bases(lab)]
    return []


def menus_of(lab: Lab, view: TrainingView) -> list[Any]:
    """Updates of ``MENUS``: what there is, and a fitting choice where none was made."""
    offered = {name: choices(lab, name) for name in ("dataset", "base")}
    changes: dict[str, Any] = {
        name: found[0].value
        for name, found in offered.items()
        if found and view.given.get(name) not in [choice.value for choice in found]
    }
    view.given |= changes
    fitting = fitting_method(lab, view.given)
    if fitting != view.given.get("method"):
        changes["method"] = fitting
    dataset = str(view.given.get("dataset") or "")
    if dataset and dataset != view.suggested:  # another dataset, other prompts to listen to
        view.suggested = dataset
        changes["sample_prompts"] = example_prompts(lab, dataset)[:LISTEN_TO]
    view.given |= changes
    updates = []
    for name in MENUS:
        update: dict[str, Any] = {"value": changes[name]} if name in changes else {}
        if name in offered:
            update["choices"] = [(choice.label, choice.value) for choice in offered[name]]
        elif name == "sample_prompts" and dataset:
            update["choices"] = example_prompts(lab, dataset)
        updates.append(gr.update(**update) if update else gr.skip())
    return updates


def fitting_method(lab: Lab, given: Mapping[str, Any]) -> str:
    """The method of the form, or the first that can learn from the dataset chosen there."""
    method = str(given.get("method") or METHODS["supervised"][0])
    kinds = {row.id: str(row.kind) for row in lab.datasets()}
    fitting = METHODS.get(kinds.get(str(given.get("dataset")), ""), (method,))
    return method if method in fitting else fitting[0]


def preset_values(lab: Lab, name: str) -> dict[str, Any]:
    """What a preset sets, and the defaults of what only other presets set."""
    found = lab.presets()
    defaults = {knob.name: knob.default for knob in knobs(RunConfig)}
    touched = {field for values in found.values() for field in values}
    return {field: defaults[field] for field in touched} | found[name]


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

    def planned(current: TrainingView, *given: Any) -> Any:
        current.given = form.values(given)
        updates = menus_of(lab, current)
        return [current, plan_html(studio, lab, current), *updates]

    controls: list[Any] = form.inputs
    changed = [control.change for control in controls]
    gr.on(
        changed, planned, [view, *form.inputs], [view, new.plan, *menus], queue=False,
        trigger_mode="always_last", **QUIET,
    )  # fmt: skip

    def fill(name: str) -> list[Any]:
        return form.updates(preset_values(lab, name)) if name else [gr.skip()] * len(form.inputs)

    new.preset.input(fill, new.preset, form.inputs, queue=False, **QUIET)

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


# what a run would do


def plan_html(studio: Studio, lab: Lab, view: TrainingView) -> str:
    """What Start will do, and the command that does the same."""
    plan = plan_of(lab, view.given)
    command = "" if "problem" in plan else pages.command_html(command_for(studio, view.given))
    return pages.plan_html(plan) + command


def plan_of(lab: Lab, given: Mapping[str, Any]) -> dict[str, Any]:
    """Items, passes and optimizer steps of the run that ``given`` describes, or its problem."""
    values = {knob.name: knob.default for knob in knobs(RunConfig)} | dict(given)
    if not values.get("dataset"):
        return {"problem": "Choose a dataset first; Datasets makes one of what you judged."}
    if not values.get("base"):
        return {"problem": "Choose the base it starts from; Models downloads one."}
    try:
        dataset = lab.dataset(str(values["dataset"]))
    except (StudioError, StorageError) as error:
        return {"problem": str(error)}
    items = lab.dataset_items(dataset.id)
    train = sum(item.split == "train" for item in items)
    steps = math.ceil(math.ceil(train / values["batch_size"]) / values["accumulation"])
    steps *= int(values["epochs"])
    return {
        "train": train,
        "validation": len(items) - train,
        "epochs": int(values["epochs"]),
        "steps": steps,
        "base": values["base"],
        "time": _time(lab, values, steps),
    }


def _time(lab: Lab, values: Mapping[str, Any], steps: int) -> str:
    """How long it will take by the pace of an earlier run of the same shape, or that none is known."""
    alike = (
        "base",
        "method",
        "batch_size",
        "accumulation",
        "max_duration_s",
        "precision",
        "lora_r",
    )
    for run in lab.runs():
        same = all(run.config.get(name) == values.get(name) for name in alike)
        if run.state == "done" and same and (pace := pages.step_s(lab.metrics(run.id))):
            return f"about {live.span(max(1, pace * steps))}, at the pace of “{run.name}”."
    return "not known before the first steps are measured."


def command_of(studio: Studio, run: RunRow) -> str:
    """The command that does the same as a run, in a folder of its own."""
    config = studio.store.folder("runs").resolve() / run.id / "config.yaml"
    return _command(studio, f"{run.name} again", ["--config", str(config)])


def command_for(studio: Studio, given: Mapping[str, Any]) -> str:
    """The command that does the same as the form."""
    options: list[str] = []
    for knob in knobs(RunConfig):
        value, flag = given.get(knob.name, knob.default), knob.name.replace("_", "-")
        if value == knob.default and knob.name not in ("base", "dataset"):
            continue
        if isinstance(value, bool):
            options.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            many = value if isinstance(value, list | tuple) else [value]
            options += [f"--{flag}", *map(str, many)]
    return _command(studio, str(given.get("name") or "adapter"), options)


def _command(studio: Studio, name: str, options: Sequence[str]) -> str:
    data = str(studio.settings.data.resolve())
    start = ["python", "-m", "training.cli", "train", "--data", data, "--output", name]
    return shlex.join([*start, *options])


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
        compared = pages.comparison_html(found, _distinct(series, found.runs))
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
