"""The form of a new training run: presets, the settings that matter first, all others folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr

from engines.base import Choice
from engines.parameters import Kind, knobs
from tabs.learn.steps import bases, example_prompts
from tabs.ui import form as forms
from tabs.ui import live
from tabs.ui.chosen import ChosenView
from training.config import RunConfig
from training.lab.lab import Lab

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
        "max_grad_norm", "early_stop_patience", "keep", "max_duration_s", "seed",
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
MENUS = ("dataset", "base", "method", "epochs", "sample_prompts")
LISTEN_TO = 2
METHODS = {"supervised": ("sft",), "preference": ("dpo", "rank")}


@dataclass
class TrainingView(ChosenView):
    """Also which runs are ticked to be compared, what the form says now, for which dataset prompts
    were suggested, and for which base a number of epochs."""

    ticked: list[str] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)
    suggested: str = ""
    preset: str = FIRST_PRESET
    fitted: str = ""


@dataclass
class RunForm:
    """The form of a new run: presets, controls, the plan, Start."""

    column: gr.Column
    preset: gr.Radio
    form: forms.Form
    plan: gr.HTML
    start: gr.Button


def build(lab: Lab) -> RunForm:
    form = forms.Form(RunConfig, "train", lambda name: choices(lab, name))
    values = preset_values(lab, FIRST_PRESET, next(iter(bases(lab)), ""))
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
    base = str(view.given.get("base") or "") if offered["base"] else ""
    if base != view.fitted and "epochs" in view.given:  # another base, more epochs or fewer
        before, after = (lab.presets(known)[view.preset]["epochs"] for known in (view.fitted, base))
        view.fitted = base
        if view.given.get("epochs") == before != after:
            changes["epochs"] = after
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


def preset_values(lab: Lab, name: str, base: str) -> dict[str, Any]:
    """What a preset sets for a base, and the defaults of what only other presets set."""
    found = lab.presets(base)
    defaults = {knob.name: knob.default for knob in knobs(RunConfig)}
    touched = {field for values in found.values() for field in values}
    return {field: defaults[field] for field in touched} | found[name]
