"""A tab in which one task's engines make clips: choose, fill in, generate, listen while it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component

from engines.base import Availability, Engine, Task
from engines.knobs import knobs
from engines.runner import Update
from engines.studio import Studio
from storage import ClipRow, JobState, NotFound
from tabs import panel as panels
from tabs.errors import as_gradio_error
from tabs.page import QUIET
from tabs.player import player, progress_bar
from tabs.rater import rater_name
from tabs.rows import clips_of
from tabs.stars import stars

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
    """Where the browser keeps the id of its last job of a task.

    It must be made outside the tabs: one that is not shown yet has no value when the page loads.
    """
    return gr.BrowserState("", storage_key=f"studio-{task}-job", secret="amphion-studio")


def build(
    studio: Studio,
    task: Task,
    shared: dict[str, Component],
    left: gr.Column,
    job_id: gr.BrowserState,
    who: gr.BrowserState,
    head: Callable[[Engine], None] = lambda engine: None,
) -> tuple[TaskTab, Results]:
    """Fill the tab: panels in ``left`` under the ``shared`` controls, results on the right.

    ``who`` keeps the name of the browser's rater; ``head`` lays out what stands above an engine's
    panel.
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
    with gr.Column(scale=5, min_width=360):
        most = max(_most_clips(engine) for engine in engines)
        results = _results(studio, task, job_id, who, most)
    tab = TaskTab(task, chooser, columns, built)
    chooser.change(
        lambda chosen: [gr.update(visible=name == chosen) for name in columns],
        chooser,
        list(columns.values()),
        queue=False,
        **QUIET,
    )
    for engine in engines:
        results.connect(studio, built[engine.card.id])
    return tab, results


def _label(engine: Engine) -> str:
    return engine.card.title + STATE_MARK[engine.availability()]


def _most_clips(engine: Engine) -> int:
    """How many clips one run of ``engine`` can make."""
    asked = next((knob for knob in knobs(engine.Params) if knob.name == "variations"), None)
    return int(asked.maximum or 1) if asked else 1


def first_ready(engines: Sequence[Engine]) -> str:
    """Id of the first engine that can run now, or of the first."""
    ready = [e for e in engines if e.availability() is Availability.READY]
    return (ready or list(engines))[0].card.id


def _card_line(engine: Engine) -> str:
    card = engine.card
    nc = '<span class="badge warn">non-commercial weights</span>' if card.non_commercial else ""
    return f'<p class="card-line">{escape(card.summary)} {nc}</p>'


@dataclass
class Results:
    """The right-hand side: progress, cancel, the clips of the last job."""

    task: Task
    job_id: gr.BrowserState
    who: gr.BrowserState
    progress: gr.HTML
    cancel: gr.Button
    clips: list[gr.HTML]

    @property
    def outputs(self) -> list[Any]:
        """What ``follow`` updates. Each clip has a place of its own, so that one that plays goes on
        playing when the next comes."""
        return [self.progress, self.cancel, *self.clips]

    def connect(self, studio: Studio, panel: panels.Panel) -> None:
        """Make the panel's button submit a job and follow it here."""
        engine_id = panel.engine.card.id

        def submit(request: gr.Request, *given: Any) -> str:
            owner = request.username or "browser"
            with as_gradio_error():
                return studio.submit(engine_id, panel.form.values(given), owner).id

        def follow(job_id: str, kept: str | None, request: gr.Request) -> Iterator[list[Any]]:
            yield from self.follow(studio, job_id, rater_name(request, kept))

        panel.generate.click(
            submit,
            panel.inputs,
            self.job_id,
            validator=lambda *given: panel.check(studio, given),
            **QUIET,
        ).success(
            follow,
            [self.job_id, self.who],
            self.outputs,
            concurrency_limit=None,
            **QUIET,
        )

    def follow(self, studio: Studio, job_id: str, rater: str) -> Iterator[list[Any]]:
        """Yield ``outputs`` until the job ended; clips are shown as they come, with the stars that
        ``rater`` gave them."""
        pieces = shown = 0
        for update in studio.follow(job_id):
            pieces += len(update.pieces)
            places = [gr.skip()] * len(self.clips)
            if len(update.job.clip_ids) > shown:
                places = self._players(studio, clips_of(studio, update.job), shown, rater)
                shown = len(update.job.clip_ids)
            if not update.ended:
                yield [_running(update, pieces), gr.update(visible=True), *places]
            else:
                yield [_ended(update, pieces), gr.update(visible=False), *places]

    def _players(
        self, studio: Studio, found: Sequence[ClipRow], shown: int, rater: str
    ) -> list[Any]:
        """Updates of the places for ``found``, of which the first ``shown`` are there already."""
        many = len(self.clips) > 1
        places = []
        for number in range(len(self.clips)):
            if number >= len(found):
                places.append(gr.update(value="", visible=False))
            elif number < shown:
                places.append(gr.skip())
            else:
                clip = found[number]
                heading = f"{number + 1} · {clip.title or 'Untitled'}" if many else ""
                places.append(
                    gr.update(
                        value=player(clip, heading, _stars(studio, clip, rater)), visible=True
                    )
                )
        return places

    def on_load(self, studio: Studio, demo: gr.Blocks) -> None:
        """Follow the browser's last job again after a reload."""

        def reattach(
            job_id: str | None, kept: str | None, request: gr.Request
        ) -> Iterator[list[Any]]:
            yield from self.reattach(studio, job_id, rater_name(request, kept))

        demo.load(
            reattach,
            [self.job_id, self.who],
            self.outputs,
            concurrency_limit=None,
            **QUIET,
        )

    def reattach(self, studio: Studio, job_id: str | None, rater: str) -> Iterator[list[Any]]:
        """After a reload: follow the browser's last job again, if it is still known."""
        try:
            known = bool(job_id and studio.job(job_id))
        except NotFound:
            known = False
        if known and job_id:
            yield from self.follow(studio, job_id, rater)
        else:
            yield [gr.skip()] * len(self.outputs)


def _stars(studio: Studio, clip: ClipRow, rater: str) -> str:
    """The stars of a clip, as ``rater`` set them."""
    given = studio.store.judgements.ratings(clip.id)
    own = (row.value for row in given if (row.rater, row.criterion) == (rater, "overall"))
    return stars(clip.id, next(own, 0))


def _results(
    studio: Studio, task: Task, job_id: gr.BrowserState, who: gr.BrowserState, most: int
) -> Results:
    progress = gr.HTML(
        elem_id=f"{task}-progress", elem_classes="job-progress", apply_default_css=False
    )
    cancel = gr.Button("Cancel", visible=False, variant="stop", size="sm", elem_id=f"{task}-cancel")
    with gr.Column(elem_id=f"{task}-clips", elem_classes="clip-places"):
        first = gr.HTML(
            '<p class="empty">What you make appears here, and stays in History.</p>',
            apply_default_css=False,
        )
        rest = [gr.HTML(visible=False, apply_default_css=False) for _ in range(most - 1)]
    results = Results(task, job_id, who, progress, cancel, [first, *rest])

    def stop(current: str) -> None:
        with as_gradio_error():
            studio.cancel(current)

    cancel.click(stop, job_id, queue=False, **QUIET)
    return results


def _running(update: Update, pieces: int) -> str:
    if update.job.state is JobState.QUEUED:
        label = f"Waiting, {update.ahead} ahead" if update.ahead else "Starting"
        return _live(update, pieces) + progress_bar(0, label)
    left = "" if update.left_s is None else f", about {max(1, round(update.left_s))} s left"
    bar = progress_bar(update.progress, f"{update.progress:.0%}{left}", update.note)
    return _live(update, pieces) + bar


def _ended(update: Update, pieces: int) -> str:
    state, error = update.job.state, escape(update.job.error or "")
    live = _live(update, pieces)
    if state is JobState.DONE:
        return f'{live}<p class="state ok">Done.</p>'
    kept = " What was made is kept below." if update.job.clip_ids else ""
    return f'{live}<p class="state bad"><b>{state.capitalize()}.</b> {error}{kept}</p>'


def _live(update: Update, pieces: int) -> str:
    """The mark by which ``studio.js`` knows which pieces of which job it may play."""
    ended = str(update.ended).lower()
    return (
        f'<div class="live" data-job="{update.job.id}" data-pieces="{pieces}" '
        f'data-ended="{ended}"></div>'
    )
