"""A form made from a parameter model: controls, help, validation at the field, presets, reset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component

from engines.base import MAX_SEED, Engine, InvalidParams, StudioError
from engines.knobs import Kind, Knob, knobs
from engines.runner import draw_seed
from engines.studio import Studio
from tabs.errors import as_gradio_error
from tabs.page import QUIET

NO_PRESET = ""


@dataclass
class Panel:
    """The controls of one engine, by parameter name, and its Generate button."""

    engine: Engine
    generate: gr.Button
    controls: dict[str, Component] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Parameter names in the order of ``inputs``."""
        return list(self.controls)

    @property
    def inputs(self) -> list[Component]:
        """The controls, in order."""
        return list(self.controls.values())

    def values(self, given: Sequence[Any]) -> dict[str, Any]:
        """What the controls hold, by parameter name; empty optional ones are left out."""
        by_name = zip(self.names, given, strict=True)
        required = {knob.name for knob in knobs(self.engine.Params) if knob.required}
        return {
            name: value for name, value in by_name if name in required or value not in (None, "")
        }

    def updates(self, settings: Mapping[str, Any]) -> list[Any]:
        """One update a control that shows ``settings``; controls not named there stay as they are."""
        return [
            gr.update(value=settings[name]) if name in settings else gr.skip()
            for name in self.names
        ]

    def defaults(self) -> dict[str, Any]:
        """The default of every optional parameter."""
        return {knob.name: knob.default for knob in knobs(self.engine.Params) if not knob.required}


def build(studio: Studio, engine: Engine, shared: Mapping[str, Component]) -> Panel:
    """Lay out the Generate button and the controls of ``engine`` in the current block.

    Parameters named in ``shared`` use those controls instead of new ones, so that a text stays when
    another engine is chosen.
    """
    generate = gr.Button(
        "Generate  (Ctrl+Enter)", variant="primary", elem_classes="studio-generate"
    )
    panel = Panel(engine, generate)
    shown = knobs(engine.Params)
    for knob in shown:
        if knob.name in shared:
            panel.controls[knob.name] = shared[knob.name]
    own = [knob for knob in shown if knob.name not in shared]
    for knob in [knob for knob in own if not knob.advanced]:
        panel.controls[knob.name] = control(engine, knob)
    folded = [knob for knob in own if knob.advanced]
    if folded:
        with gr.Accordion("More settings", open=False):
            for knob in folded:
                panel.controls[knob.name] = control(engine, knob)
    _presets(studio, panel, list(shared))
    return panel


def control(engine: Engine, knob: Knob) -> Component:
    """One control: slider for a bounded number, menu for a choice, dice for a seed."""
    hints = {"label": knob.label, "info": knob.description, "value": knob.default}
    choices = [(choice.label, choice.value) for choice in engine.choices(knob.name)]
    if choices:
        return gr.Dropdown(
            choices, allow_custom_value=True, elem_id=_id(engine, knob), filterable=True, **hints
        )
    if knob.kind is Kind.CHOICE:
        return gr.Dropdown(list(knob.choices), elem_id=_id(engine, knob), **hints)
    if knob.kind is Kind.SEED:
        return _seed(engine, knob)
    if knob.kind is Kind.BOOLEAN:
        return gr.Checkbox(elem_id=_id(engine, knob), **hints)
    if knob.kind is Kind.MEDIA:
        return gr.Audio(type="filepath", label=knob.label, elem_id=_id(engine, knob))
    if knob.kind in (Kind.NUMBER, Kind.INTEGER):
        return _number(engine, knob, hints)
    return gr.Textbox(
        lines=knob.lines, max_lines=max(knob.lines, 1) * 3, elem_id=_id(engine, knob), **hints
    )


def _id(engine: Engine, knob: Knob) -> str:
    return f"{engine.card.id}-{knob.name}"


def _number(engine: Engine, knob: Knob, hints: dict[str, Any]) -> Component:
    precision = 0 if knob.kind is Kind.INTEGER else None
    if knob.minimum is None or knob.maximum is None:
        return gr.Number(precision=precision, elem_id=_id(engine, knob), **hints)
    step = knob.step or round((knob.maximum - knob.minimum) / 100, 3) or 0.01
    return gr.Slider(
        knob.minimum,
        knob.maximum,
        step=step,
        precision=precision,
        elem_id=_id(engine, knob),
        **hints,
    )


def _seed(engine: Engine, knob: Knob) -> Component:
    with gr.Row(equal_height=True, elem_classes="seed-row"):
        number = gr.Number(
            label=knob.label,
            info=knob.description,
            value=knob.default,
            precision=0,
            minimum=-1,
            maximum=MAX_SEED,
            elem_id=_id(engine, knob),
            scale=4,
        )
        dice = gr.Button("Draw", size="sm", scale=1, min_width=90, elem_classes="dice")
    dice.click(draw_seed, outputs=number, queue=False, **QUIET)
    return number


def check(studio: Studio, panel: Panel, given: Sequence[Any]) -> list[dict[str, Any]]:
    """One ``gr.validate`` a control, with the message where something is wrong."""
    problems: dict[str, str] = {}
    try:
        studio.resolve(panel.engine.card.id, panel.values(given))
    except InvalidParams as error:
        problems = error.problems
    except StudioError as error:
        problems = {error.field or panel.names[0]: str(error)}
    stray = [f"{name}: {text}" for name, text in problems.items() if name not in panel.controls]
    if stray:
        problems.setdefault(panel.names[0], " ".join(stray))
    return [gr.validate(name not in problems, problems.get(name, "")) for name in panel.names]


def _presets(studio: Studio, panel: Panel, shared: list[str]) -> None:
    """Save, load and delete named settings; reset to the defaults. Shared controls stay untouched."""
    engine_id = panel.engine.card.id
    own = [name for name in panel.names if name not in shared]
    controls = [panel.controls[name] for name in own]

    def names() -> list[str]:
        return [preset.name for preset in studio.presets.list(engine_id)]

    def load(name: str) -> list[Any]:
        settings = studio.presets.get(engine_id, name).settings if name in names() else {}
        return [gr.update(value=settings[n]) if n in settings else gr.skip() for n in own]

    def save(name: str, *given: Any) -> Any:
        with as_gradio_error():
            if not name or not name.strip():
                raise StudioError("Type a name for the preset first.")
            studio.presets.save(engine_id, name.strip(), dict(zip(own, given, strict=True)))
        gr.Success(f"Preset “{name.strip()}” saved.", duration=3)
        return gr.update(choices=names(), value=name.strip())

    def delete(name: str) -> Any:
        with as_gradio_error():
            studio.presets.delete(engine_id, name)
        return gr.update(choices=names(), value=NO_PRESET)

    def reset() -> list[Any]:
        defaults = panel.defaults()
        return [gr.update(value=defaults.get(name)) for name in own]

    with gr.Accordion("Presets", open=False):
        chosen = gr.Dropdown(
            names(),
            value=NO_PRESET,
            label="Preset",
            info="Choose one to load it, or type a new name and save.",
            allow_custom_value=True,
            elem_id=f"{engine_id}-preset",
        )
        with gr.Row():
            save_button = gr.Button("Save", size="sm", elem_id=f"{engine_id}-preset-save")
            delete_button = gr.Button("Delete", size="sm", elem_id=f"{engine_id}-preset-delete")
            reset_button = gr.Button("Reset to defaults", size="sm", elem_id=f"{engine_id}-reset")
    chosen.focus(lambda: gr.update(choices=names()), outputs=chosen, **QUIET)
    chosen.select(load, chosen, controls, **QUIET)
    save_button.click(save, [chosen, *controls], chosen, **QUIET)
    delete_button.click(delete, chosen, chosen, **QUIET)
    reset_button.click(reset, outputs=controls, **QUIET)
