"""The panel of one engine: its Generate button, its form, its presets.

The form comes from ``tabs.ui.form.controls``, which makes one of any parameter model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from engines.base import Engine, StudioError
from engines.parameters import Kind
from engines.studio import Studio
from tabs.ui import form as forms
from tabs.ui.errors import as_gradio_error
from tabs.ui.page import QUIET

NO_PRESET = ""


@dataclass
class Panel:
    """One engine's form and its Generate button."""

    engine: Engine
    generate: gr.Button
    form: forms.Form
    above: Any = None  # what its page put above it

    @property
    def inputs(self) -> list[Component]:
        """The controls, in order."""
        return self.form.inputs

    def defaults(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What each control says at first: the engine's word, for what is ``given``, before the form's."""
        return self.form.defaults() | dict(self.engine.defaults(given))

    def check(self, studio: Studio, given: Sequence[Any]) -> list[dict[str, Any]]:
        """One ``gr.validate`` a control, with the message where something is wrong."""
        return self.form.check(given, lambda values: studio.resolve(self.engine.card.id, values))


def build(
    studio: Studio,
    engine: Engine,
    shared: Mapping[str, Component],
    settings: Mapping[str, Any] | None = None,
    key: str = "",
) -> Panel:
    """Lay out the Generate button and the controls of ``engine`` in the current block.

    The controls show ``settings``; those not named there the engine's defaults. Built again
    with the same ``key``, they keep what was typed.

    Parameters named in ``shared`` use those controls instead of new ones, so that a text stays when
    another engine is chosen.
    """
    generate = gr.Button(
        "Generate  (Ctrl+Enter)", variant="primary", elem_classes="studio-generate"
    )
    values = {**engine.defaults(settings), **(settings or {})}
    form = forms.controls(
        engine.Params, engine.card.id, choices=engine.choices, shared=shared, values=values, key=key
    )
    panel = Panel(engine, generate, form)
    _presets(studio, panel, list(shared))
    return panel


def _presets(studio: Studio, panel: Panel, shared: list[str]) -> None:
    """Save, load and delete named settings; reset to the defaults. Shared controls stay untouched."""
    engine_id = panel.engine.card.id
    form = panel.form
    known = form.knobs
    own = [
        name
        for name in form.names
        if name not in shared and known[name].kind is not Kind.MEDIA  # a file of one moment
    ]
    controls = [form.controls[name] for name in own]

    def names() -> list[str]:
        return [preset.name for preset in studio.presets.list(engine_id)]

    def shown(settings: Mapping[str, Any]) -> list[Any]:
        updates = dict(zip(form.names, form.updates(settings), strict=True))
        return [updates[each] for each in own]

    def load(name: str) -> list[Any]:
        settings = studio.presets.get(engine_id, name).settings if name in names() else {}
        return shown(settings)

    def save(name: str, *given: Any) -> Any:
        with as_gradio_error():
            if not name or not name.strip():
                raise StudioError("Type a name for the preset first.")
            values = form.read(dict(zip(own, given, strict=True)))
            studio.presets.save(engine_id, name.strip(), values)
        gr.Success(f"Preset “{name.strip()}” saved.", duration=3)
        return gr.update(choices=names(), value=name.strip())

    def delete(name: str) -> Any:
        with as_gradio_error():
            studio.presets.delete(engine_id, name)
        return gr.update(choices=names(), value=NO_PRESET)

    def reset() -> list[Any]:
        return shown(panel.defaults())

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
