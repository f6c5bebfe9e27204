"""A tab in which one task's engines make clips: choose, fill in, generate, listen while it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component

from engines.base import Availability, Engine, Task
from engines.studio import Studio
from tabs.ui import panel as panels
from tabs.ui.page import QUIET

STATE_MARK = {
    Availability.READY: "",
    Availability.DOWNLOAD: " · to download",
    Availability.INSTALL: " · to install",
    Availability.TRAIN: " · to train",
}


@dataclass
class TaskTab:
    """The parts of a task tab that others write to, such as history's "use these settings"."""

    task: Task
    chooser: gr.Radio
    columns: dict[str, gr.Column]
    panels: dict[str, panels.Panel]
    marks: list[gr.State] = field(default_factory=list)

    @property
    def outputs(self) -> list[Any]:
        """What ``show`` updates: the chooser, the columns, every control once, and ``marks``, which
        become true: what is shown now was asked for."""
        controls: dict[int, Component] = {}
        for panel in self.panels.values():
            controls.update({id(item): item for item in panel.inputs})
        return [self.chooser, *self.columns.values(), *controls.values(), *self.marks]

    def show(self, engine_id: str, settings: dict[str, Any]) -> list[Any]:
        """Updates that choose ``engine_id`` and fill in ``settings``, for ``outputs``."""
        updates: dict[int, Any] = {id(self.chooser): gr.update(value=engine_id)}
        updates |= {id(mark): True for mark in self.marks}
        for name, column in self.columns.items():
            updates[id(column)] = gr.update(visible=name == engine_id)
        panel = self.panels[engine_id]
        for item, update in zip(panel.inputs, panel.form.updates(settings), strict=True):
            updates[id(item)] = update
        return [updates.get(id(item), gr.skip()) for item in self.outputs]


def memory(task: Task) -> gr.BrowserState:
    """Where the browser keeps the ids of its last jobs of a task.

    It must be made outside the tabs: one that is not shown yet has no value when the page loads.
    """
    return gr.BrowserState([], storage_key=f"studio-{task}-job", secret="amphion-studio")


def build(
    studio: Studio,
    task: Task,
    shared: dict[str, Component],
    left: gr.Column,
    head: Callable[[Engine], None] = lambda engine: None,
) -> TaskTab:
    """Lay out the chooser and the engines' panels in ``left``, under the ``shared`` controls.

    ``head`` lays out what stands above an engine's panel.
    """
    engines = studio.engines(task)
    with left:
        chooser = gr.Radio(
            [(_label(engine), engine.card.id) for engine in engines],
            value=first_ready(engines),
            label="Engine",
            elem_id=f"{task}-engine",
            visible=len(engines) > 1,
        )
        columns, built = {}, {}
        for engine in engines:
            visible = engine.card.id == chooser.value
            with gr.Column(visible=visible) as column:
                gr.HTML(_card_line(engine), apply_default_css=False)
                head(engine)
                columns[engine.card.id] = column
                built[engine.card.id] = panels.build(studio, engine, shared)
    tab = TaskTab(task, chooser, columns, built)
    chooser.change(
        lambda chosen: [gr.update(visible=name == chosen) for name in columns],
        chooser,
        list(columns.values()),
        queue=False,
        **QUIET,
    )
    return tab


def _label(engine: Engine) -> str:
    return engine.card.title + STATE_MARK[engine.availability()]


def first_ready(engines: Sequence[Engine]) -> str:
    """Id of the first engine that can run now, or of the first."""
    ready = [e for e in engines if e.availability() is Availability.READY]
    return (ready or list(engines))[0].card.id


def _card_line(engine: Engine) -> str:
    card = engine.card
    nc = '<span class="badge warn">non-commercial weights</span>' if card.non_commercial else ""
    return f'<p class="card-line">{escape(card.summary)} {nc}</p>'
