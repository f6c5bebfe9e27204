"""A page on which one task's engines make clips: choose, fill in, generate, listen while it is made.

An engine's form is built when the engine is chosen for the first time, and then stays with what was
typed into it. So the page that a browser loads first does not grow with the number of engines.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component

from engines.base import Availability, Engine, Task
from engines.parameters import knobs
from engines.studio import Studio
from tabs.ui import form as forms
from tabs.ui import panel as panels
from tabs.ui.page import QUIET

STATE_MARK = {
    Availability.READY: "",
    Availability.DOWNLOAD: " · to download",
    Availability.INSTALL: " · to install",
    Availability.TRAIN: " · to train",
}


@dataclass(frozen=True)
class Wanted:
    """What an engine's form shows when it is built: ``settings``, and the defaults for all others.
    ``key`` differs each time, so that the same settings can be asked for twice; Gradio compares by it."""

    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)
    key: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass
class TaskTab:
    """The parts of a task's page that others write to, such as history's "use these settings"."""

    studio: Studio
    task: Task
    chooser: gr.Radio
    columns: dict[str, gr.Column]
    wanted: dict[str, gr.State]
    shared: Mapping[str, Component]

    @property
    def outputs(self) -> list[Any]:
        """What ``show`` updates."""
        return [
            self.chooser, *self.columns.values(), *self.wanted.values(), *self.shared.values()
        ]  # fmt: skip

    def show(self, engine_id: str, settings: dict[str, Any]) -> list[Any]:
        """Updates that choose ``engine_id`` and fill in ``settings``, for ``outputs``."""
        known = {knob.name: knob for knob in knobs(self.studio.engine(engine_id).Params)}
        return [
            gr.update(value=engine_id),
            *(gr.update(visible=name == engine_id) for name in self.columns),
            *(Wanted(settings) if name == engine_id else gr.skip() for name in self.wanted),
            *(
                gr.update(value=forms.shown(known[name], settings[name]))
                if name in settings and name in known
                else gr.skip()
                for name in self.shared
            ),
        ]


def memory(task: Task) -> gr.BrowserState:
    """Where the browser keeps the ids of its last jobs of a task.

    It must be made outside the tabs: one that is not shown yet has no value when the page loads.
    """
    return gr.BrowserState([], storage_key=f"studio-{task}-job", secret="amphion-studio")


def build(
    studio: Studio,
    task: Task,
    page: gr.Tab,
    shared: Mapping[str, Component],
    left: gr.Column,
    connect: Callable[[panels.Panel, Mapping[str, Any]], None],
    head: Callable[[Engine], Any] = lambda engine: None,
) -> TaskTab:
    """Lay out the chooser and a place for each engine's form in ``left``, under the ``shared`` controls.

    ``head`` lays out what stands above an engine's panel. ``connect`` is called with each panel that is
    built and the settings that it shows.
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
        columns, wanted = {}, {}
        for engine in engines:
            name = engine.card.id
            with gr.Column(visible=name == chooser.value) as columns[name]:
                wanted[name] = gr.State(None)
                _form(studio, engine, wanted[name], shared, connect, head)
    tab = TaskTab(studio, task, chooser, columns, wanted, shared)

    def choose(chosen: str, *built: Wanted | None) -> list[Any]:
        """Show the form of the chosen engine, and build it where it was not yet."""
        return [
            *(gr.update(visible=name == chosen) for name in columns),
            *(
                Wanted() if name == chosen and before is None else gr.skip()
                for name, before in zip(wanted, built, strict=True)
            ),
        ]

    chooser.change(
        choose, [chooser, *wanted.values()], [*columns.values(), *wanted.values()], **QUIET
    )
    # only this one is an output: for each other the browser would tell of a change that is none
    first = wanted[chooser.value]
    page.select(lambda before: Wanted() if before is None else gr.skip(), first, first, **QUIET)
    return tab


def _form(
    studio: Studio,
    engine: Engine,
    wanted: gr.State,
    shared: Mapping[str, Component],
    connect: Callable[[panels.Panel, Mapping[str, Any]], None],
    head: Callable[[Engine], Any],
) -> None:
    """The place of one engine's form, which is filled when ``wanted`` says so."""

    @gr.render(wanted, triggers=[wanted.change], show_progress="hidden", queue=False)
    def form(given: Wanted | None) -> None:
        if given is None:
            return
        gr.HTML(_card_line(engine), apply_default_css=False)
        above = head(engine)
        panel = panels.build(studio, engine, shared, given.settings, given.key)
        panel.above = above
        connect(panel, given.settings)


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
