"""Controls made from a parameter model: one a parameter, with its help, bounds and choices.

A form needs no engine: any ``Params`` model will do, such as the settings of a training run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from engines.base import MAX_SEED, Choice, InvalidParams, Params, StudioError
from engines.parameters import Kind, Knob, knobs, parse
from engines.studio.runner import draw_seed
from tabs.ui.page import QUIET

DEFAULT: Any = object()  # instead of a value: what the parameter declares
NUMBERS = (Kind.NUMBER, Kind.INTEGER)
Choices = Callable[[str], Sequence[Choice]]


def no_choices(name: str) -> Sequence[Choice]:
    """The run-time choices of a model that has none."""
    return ()


@dataclass
class Form:
    """The controls of a parameter model by parameter name, and how values go in and out of them.

    ``choices`` answers, for a parameter's name, the values that only this machine knows.
    """

    model: type[Params]
    prefix: str
    choices: Choices = no_choices
    controls: dict[str, Component] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Parameter names in the order of ``inputs``."""
        return list(self.controls)

    @property
    def inputs(self) -> list[Component]:
        """The controls, in order."""
        return list(self.controls.values())

    @property
    def knobs(self) -> dict[str, Knob]:
        """The parameters by name."""
        return {knob.name: knob for knob in knobs(self.model)}

    def values(self, given: Sequence[Any]) -> dict[str, Any]:
        """What the controls hold, by parameter name; empty optional ones are left out.

        A list is never left out: an empty one says "none".
        """
        known = self.knobs
        read = self.read(dict(zip(self.names, given, strict=True)))
        return {
            name: value
            for name, value in read.items()
            if known[name].required or value not in (None, "")
        }

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What controls hold, by parameter name, as the parameters take it."""
        known = self.knobs
        return {name: _read(known[name], value) for name, value in given.items()}

    def updates(self, settings: Mapping[str, Any]) -> list[Any]:
        """One update a control that shows ``settings``; controls not named there stay as they are."""
        known = self.knobs
        return [
            gr.update(value=shown(known[name], settings[name])) if name in settings else gr.skip()
            for name in self.names
        ]

    def defaults(self) -> dict[str, Any]:
        """The default of every optional parameter."""
        return {name: knob.default for name, knob in self.knobs.items() if not knob.required}

    def refreshed(self) -> list[Any]:
        """One update a control: the choices that only this machine knows, asked again."""
        found = [self.choices(name) for name in self.names]
        return [gr.update(choices=_pairs(each)) if each else gr.skip() for each in found]

    def check(
        self, given: Sequence[Any], resolve: Callable[[dict[str, Any]], Any] | None = None
    ) -> list[dict[str, Any]]:
        """One ``gr.validate`` a control, with the message where something is wrong.

        ``resolve`` is given the values and raises ``StudioError``; without it the model is asked.
        """
        problems: dict[str, str] = {}
        try:
            values = self.values(given)
            resolve(values) if resolve else parse(self.model, values)
        except InvalidParams as error:
            problems = error.problems
        except StudioError as error:
            problems = {error.field or self.names[0]: str(error)}
        stray = [f"{name}: {text}" for name, text in problems.items() if name not in self.controls]
        if stray:
            problems.setdefault(self.names[0], " ".join(stray))
        return [gr.validate(name not in problems, problems.get(name, "")) for name in self.names]


def controls(
    model: type[Params],
    prefix: str,
    *,
    choices: Choices = no_choices,
    shared: Mapping[str, Component] | None = None,
    only: Sequence[str] = (),
    more: str = "More settings",
    values: Mapping[str, Any] | None = None,
    key: str = "",
) -> Form:
    """Lay out a control for each parameter of ``model`` in the current block.

    Element ids are ``prefix-name``. Parameters named in ``shared`` use those controls instead of
    new ones; with ``only``, others than these are left out. Advanced ones are folded away under
    ``more``. ``values`` are what controls show instead of the defaults. A form that is
    built again with the same ``key`` keeps what was typed into it.
    """
    form, shared, values = Form(model, prefix, choices), shared or {}, values or {}

    def lay_out(knob: Knob) -> Component:
        value = values.get(knob.name, DEFAULT)
        kept = f"{key}-{knob.name}" if key else None
        return control(knob, prefix, choices(knob.name), value, kept)

    listed = [knob for knob in knobs(model) if not only or knob.name in only]
    for knob in listed:
        if knob.name in shared:
            form.controls[knob.name] = shared[knob.name]
    own = [knob for knob in listed if knob.name not in shared]
    for knob in [knob for knob in own if not knob.advanced]:
        form.controls[knob.name] = lay_out(knob)
    folded = [knob for knob in own if knob.advanced]
    if folded:
        with gr.Accordion(more, open=False):
            for knob in folded:
                form.controls[knob.name] = lay_out(knob)
    return form


def control(
    knob: Knob,
    prefix: str,
    choices: Sequence[Choice] = (),
    value: Any = DEFAULT,
    key: str | None = None,
) -> Component:
    """One control that shows ``value``, else the default: slider for a bounded number, menu for a choice,
    dice for a seed."""
    value = knob.default if value is DEFAULT else value
    # a form that is built later is not known to the page as an input, which Gradio then shows as disabled
    shared: dict[str, Any] = {
        "label": knob.label, "elem_id": f"{prefix}-{knob.name}", "interactive": True, "key": key,
    }  # fmt: skip
    hints = {"info": knob.description or None, "value": shown(knob, value), **shared}
    if knob.kind is Kind.LIST:
        return _list(knob, choices, hints)
    if choices:
        return gr.Dropdown(_pairs(choices), allow_custom_value=True, filterable=True, **hints)
    if knob.suggestions:
        return gr.Dropdown(list(knob.suggestions), allow_custom_value=True, **hints)
    if knob.kind is Kind.CHOICE:
        return gr.Dropdown(_labelled(knob), **hints)
    if knob.kind is Kind.SEED:
        return _seed(hints)
    if knob.kind is Kind.BOOLEAN:
        return gr.Checkbox(**hints)
    if knob.kind is Kind.MEDIA:
        field = gr.Audio if knob.media == "audio" else gr.File
        return field(value=shown(knob, value), type="filepath", **shared)
    if knob.kind in NUMBERS:
        return _number(knob, hints)
    return gr.Textbox(lines=knob.lines, max_lines=max(knob.lines, 1) * 3, **hints)


def _list(knob: Knob, choices: Sequence[Choice], hints: dict[str, Any]) -> Component:
    """Several values: picked from a menu, or written one a line where the knob has ``lines``."""
    if knob.lines > 1:
        return gr.Textbox(lines=knob.lines, max_lines=knob.lines * 3, **hints)
    offered = _pairs(choices) or _labelled(knob) or [(each, each) for each in knob.suggestions]
    return gr.Dropdown(
        offered, multiselect=True, allow_custom_value=not knob.choices, filterable=True, **hints
    )


def _number(knob: Knob, hints: dict[str, Any]) -> Component:
    if _may_be_empty(knob):
        # neither a slider nor Gradio's number field, which then shows 0, can be empty
        return gr.Textbox(max_lines=1, placeholder=knob.bounds.replace("any", ""), **hints)
    precision = 0 if knob.kind is Kind.INTEGER else None
    if knob.minimum is None or knob.maximum is None:
        return gr.Number(precision=precision, **hints)
    step = knob.step or round((knob.maximum - knob.minimum) / 100, 3) or 0.01
    return gr.Slider(knob.minimum, knob.maximum, step=step, precision=precision, **hints)


def _seed(hints: dict[str, Any]) -> Component:
    with gr.Row(equal_height=True, elem_classes="seed-row"):
        number = gr.Number(precision=0, minimum=-1, maximum=MAX_SEED, scale=4, **hints)
        dice = gr.Button("Draw", size="sm", scale=1, min_width=90, elem_classes="dice")
    dice.click(draw_seed, outputs=number, queue=False, **QUIET)
    return number


def _pairs(choices: Sequence[Choice]) -> list[tuple[str, str]]:
    return [(choice.label, choice.value) for choice in choices]


def _labelled(knob: Knob) -> list[tuple[str, str]]:
    return [(knob.labels.get(value, value), value) for value in knob.choices]


def _may_be_empty(knob: Knob) -> bool:
    return knob.kind in NUMBERS and knob.default is None and not knob.required


def shown(knob: Knob, value: Any) -> Any:
    """``value`` as the control of ``knob`` takes it."""
    if knob.kind is Kind.LIST:
        entries = [str(entry) for entry in value or ()]
        return "\n".join(entries) if knob.lines > 1 else entries
    if knob.kind is Kind.MEDIA:
        return str(value) if value and Path(value).is_file() else None
    if _may_be_empty(knob):
        return "" if value is None else f"{value}"
    return value


def _read(knob: Knob, value: Any) -> Any:
    """What the control of ``knob`` holds as the parameter takes it."""
    if _may_be_empty(knob) and isinstance(value, str):
        return _numeral(value.strip(), knob.kind)
    if knob.kind is not Kind.LIST:
        return value
    if isinstance(value, str):
        return [line.strip() for line in value.splitlines() if line.strip()]
    return list(value or ())


def _numeral(text: str, kind: Kind) -> Any:
    """The number that ``text`` says; where it says none, the text, which the model refuses."""
    try:
        return int(text) if kind is Kind.INTEGER else float(text)
    except ValueError:
        return text
