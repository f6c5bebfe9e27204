"""The results of a task tab: every job that this browser asked for, newest first.

Jobs that wait are shown waiting, and the next is followed when one ends. A job's clips stand together
in an element of their own; new ones are added at the end of the document and shown on top, so that a
clip that plays is never touched by the next that comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr

from engines.base import Task
from engines.studio import Studio
from engines.studio.runner import ENDED, Update
from storage import ClipRow, JobRow, JobState, NotFound, StorageError
from tabs.http.rows import clips_of
from tabs.make import reports
from tabs.ui import live
from tabs.ui import panel as panels
from tabs.ui.errors import as_gradio_error
from tabs.ui.keyed import keyed
from tabs.ui.live import button
from tabs.ui.page import QUIET, Opens
from tabs.ui.player import player, progress_bar
from tabs.ui.rater import rater_name
from tabs.ui.reuse import Reuse, can_go_on
from tabs.ui.stars import stars

KEPT_JOBS = 12
LEAVE = "submit"  # the event of buttons that lead to another form or tab
NOTHING = "What you make appears here, newest on top, and stays in History."


@dataclass
class Asked:
    """What one browser asked for: ``jobs`` by id, oldest first, and clips deleted here, with the token
    that brings each back."""

    jobs: list[str] = field(default_factory=list)
    deleted: dict[str, str] = field(default_factory=dict)
    followed: bool = False


# one page has one follower; two clicks must not both find that there is none
_following = threading.Lock()


@dataclass
class Results:
    """The right-hand side: progress of what is being made, and the clips."""

    studio: Studio
    task: Task
    job_ids: gr.BrowserState
    who: gr.BrowserState
    asked: gr.State
    progress: gr.HTML
    clips: gr.HTML

    @property
    def outputs(self) -> list[Any]:
        """What ``follow`` updates."""
        return [self.progress, self.clips]

    # asking

    def connect(self, panel: panels.Panel) -> None:
        """Make the panel's button submit a job and follow it here."""
        engine_id = panel.engine.card.id

        def submit(asked: Asked, request: gr.Request, *given: Any) -> list[Any]:
            owner = request.username or "browser"
            with as_gradio_error():
                job = self.studio.submit(engine_id, panel.form.values(given), owner)
            asked.jobs = [*asked.jobs, job.id][-KEPT_JOBS:]
            return [asked, asked.jobs, self._progress_html(asked)]

        panel.generate.click(
            submit,
            [self.asked, *panel.inputs],
            [self.asked, self.job_ids, self.progress],
            validator=lambda _, *given: [gr.validate(True, ""), *panel.check(self.studio, given)],
            **QUIET,
        ).success(
            self._followed(lambda asked, ids: None),
            [self.asked, self.job_ids, self.who],
            self.outputs,
            concurrency_limit=None,
            trigger_mode="multiple",
            **QUIET,
        )

    def on_load(self, demo: gr.Blocks) -> None:
        """Show what this browser asked for before a reload, and follow what isn't done."""

        def known(asked: Asked, ids: Any) -> None:
            ids = [ids] if isinstance(ids, str) else ids or []  # one id, before there were several
            asked.jobs = [job_id for job_id in ids if job_id and self._job(job_id)]

        demo.load(
            self._followed(known),
            [self.asked, self.job_ids, self.who],
            self.outputs,
            concurrency_limit=None,
            **QUIET,
        )

    # following

    def _followed(self, first: Callable[[Asked, Any], None]) -> Callable[..., Iterator[list[Any]]]:
        def follow(
            asked: Asked, ids: Any, kept: str | None, request: gr.Request
        ) -> Iterator[list[Any]]:
            first(asked, ids)
            if asked.jobs:
                yield from self.follow(asked, rater_name(request, kept))
            else:
                yield [gr.skip()] * len(self.outputs)

        return follow

    def follow(self, asked: Asked, rater: str) -> Iterator[list[Any]]:
        """Yield ``outputs`` until every job of ``asked`` ended; those added meanwhile too."""
        with _following:
            mine, asked.followed = not asked.followed, True
        if not mine:  # whoever follows already will come to the new job
            yield [self._progress_html(asked), gr.skip()]
            return
        left = True  # until the last job has ended, which ``_next`` sees under its lock
        try:
            yield [self._progress_html(asked), self.clips_html(asked, rater)]
            while job := self._next(asked):
                yield from self._follow_one(asked, job, rater)
            left = False
        finally:
            if left:
                asked.followed = False

    def _next(self, asked: Asked) -> JobRow | None:
        """The job to follow now; when there is none, nobody follows any more."""
        with _following:
            active = [job for job in self._jobs(asked) if job.state not in ENDED]
            running = [job for job in active if job.state is JobState.RUNNING]
            if not active:
                asked.followed = False
            return next(iter(running or active), None)

    def _follow_one(self, asked: Asked, job: JobRow, rater: str) -> Iterator[list[Any]]:
        pieces = shown = 0
        for update in self.studio.follow(job.id):
            pieces += len(update.pieces)
            clips: Any = gr.skip()
            if len(update.job.clip_ids) > shown or update.ended:
                shown = len(update.job.clip_ids)
                clips = self.clips_html(asked, rater)
            yield [self._progress_html(asked, update, pieces), clips]

    def _job(self, job_id: str) -> JobRow | None:
        try:
            return self.studio.job(job_id)
        except NotFound:
            return None

    def _jobs(self, asked: Asked) -> list[JobRow]:
        return [job for job_id in asked.jobs if (job := self._job(job_id))]

    # HTML

    def _progress_html(self, asked: Asked, update: Update | None = None, pieces: int = 0) -> str:
        """The job that is followed, those that wait behind it, or how the last one ended."""
        followed = "" if update is None else update.job.id
        jobs = self._jobs(asked)
        others = [job for job in jobs if job.state not in ENDED and job.id != followed]
        lines = [_line(job, progress_bar(0, "Waiting", _what(job))) for job in others]
        if update is not None and not update.ended:
            lines.insert(0, _line(update.job, _running(update)))
        mark = "" if update is None else _live_mark(update, pieces)
        if not lines and jobs:
            lines = [_ended(jobs[-1])]
        return mark + "".join(lines)

    def clips_html(self, asked: Asked, rater: str) -> str:
        """The clips and the report of every job, oldest first; the page shows them the other way round."""
        groups = [
            keyed(job.id, "".join(cards), 'class="take"')
            for job in self._jobs(asked)
            if (cards := [*self._cards(asked, job, rater), *reports.html(job)])
        ]
        return f'<div class="takes">{"".join(groups) or live.empty(NOTHING)}</div>'

    def _cards(self, asked: Asked, job: JobRow, rater: str) -> list[str]:
        there = {clip.id: clip for clip in clips_of(self.studio, job)}
        many = len(job.clip_ids) > 1
        cards = []
        for number, clip_id in enumerate(job.clip_ids, 1):
            if clip_id in there:
                clip = there[clip_id]
                heading = f"{number} · {clip.title or 'Untitled'}" if many else ""
                beside = _stars(self.studio, clip, rater)
                cards.append(keyed(clip_id, player(clip, heading, beside, self._actions(clip))))
            elif clip_id in asked.deleted:
                undo = button("Undo", "undelete", clip_id, "small")
                gone = f'<p class="state line"><span class="name">Deleted.</span>{undo}</p>'
                cards.append(keyed(f"{clip_id} deleted", gone))
        return cards

    def _actions(self, clip: ClipRow) -> str:
        star = "★ Favourite" if clip.favorite else "☆ Favourite"
        go_on = ""
        if can_go_on(self.studio, clip):
            go_on = button("Continue", "go-on", clip.id, "small", "Make it longer", LEAVE)
        return (
            '<div class="buttons clip-actions">'
            + button(star, "favorite", clip.id, "small")
            + button("Use again", "again", clip.id, "small", "Fill in its settings", LEAVE)
            + go_on
            + button("Compare", "compare", clip.id, "small", "Beside other clips", LEAVE)
            + '<span class="grow"></span>'
            + button("Delete", "delete", clip.id, "stop small")
            + "</div>"
        )

    # what is done with a clip

    def connect_actions(self, reuse: Reuse, compare: Opens) -> None:
        """Make the buttons of each clip work; ``compare`` is the page of comparisons."""
        here = [self.asked, *self.outputs]

        def act(
            event: gr.EventData, asked: Asked, kept: str | None, request: gr.Request
        ) -> list[Any]:
            name, clip_id = str(event.action), str(event.id)
            with as_gradio_error():
                if name == "cancel":
                    self.studio.cancel(clip_id)
                    return [gr.skip()] * len(here)
                if not self._do(asked, name, clip_id):
                    return [gr.skip()] * len(here)
            return [asked, gr.skip(), self.clips_html(asked, rater_name(request, kept))]

        for item in self.outputs:
            item.select(act, [self.asked, self.who], here, queue=False, **QUIET)
        _connect_leaving(self.clips, reuse, compare)

    def _do(self, asked: Asked, name: str, clip_id: str) -> bool:
        """Do what was clicked; False when nothing here changed."""
        if name == "favorite":
            clip = self.studio.clip(clip_id)
            self.studio.clips.set_favorite(clip.id, not clip.favorite)
        elif name == "delete":
            asked.deleted[clip_id] = self.studio.clips.delete([clip_id])
        elif name == "undelete":
            if clip_id not in asked.deleted:
                raise StorageError("This clip can't be brought back any more.")
            self.studio.clips.undelete(asked.deleted.pop(clip_id))
        else:
            return False
        return True


def _connect_leaving(clips: gr.HTML, reuse: Reuse, compare: Opens) -> None:
    """Buttons that lead to another form or tab; the page reports these as ``submit``."""

    def fill(event: gr.EventData) -> list[Any]:
        if event.action == "go-on":
            return reuse.go_on(str(event.id))
        if event.action == "again":
            return reuse.again(str(event.id))
        return [gr.skip()] * len(reuse.outputs)

    def beside(event: gr.EventData, current: Any) -> list[Any]:
        if event.action != "compare":
            return [gr.skip()] * (2 + len(compare.outputs))
        return compare.opened(str(event.id), current)

    clips.submit(fill, None, reuse.outputs, queue=False, **QUIET)
    clips.submit(
        beside, compare.view, [reuse.tabs, compare.view, *compare.outputs], queue=False, **QUIET
    )


def build(studio: Studio, task: Task, job_ids: gr.BrowserState, who: gr.BrowserState) -> Results:
    """Lay out the results in the current block."""
    progress = gr.HTML(
        elem_id=f"{task}-progress",
        elem_classes="job-progress",
        js_on_load=live.LIST_JS,
        apply_default_css=False,
    )
    clips = gr.HTML(
        live.empty(NOTHING),
        elem_id=f"{task}-clips",
        js_on_load=live.LIST_JS,
        apply_default_css=False,
    )
    return Results(studio, task, job_ids, who, gr.State(Asked()), progress, clips)


def _stars(studio: Studio, clip: ClipRow, rater: str) -> str:
    """The stars of a clip, as ``rater`` set them."""
    given = studio.store.judgements.ratings(clip.id)
    own = (row.value for row in given if (row.rater, row.criterion) == (rater, "overall"))
    return stars(clip.id, next(own, 0))


def _what(job: JobRow) -> str:
    """What a job will make, in a few words."""
    said = job.settings.get("text") or job.settings.get("prompt") or ""
    return live.short(str(said), 40)


def _line(job: JobRow, bar: str) -> str:
    return f'<div class="line">{bar}{button("Cancel", "cancel", job.id, "stop small")}</div>'


def _running(update: Update) -> str:
    if update.job.state is JobState.QUEUED:
        label = f"Waiting, {update.ahead} ahead" if update.ahead else "Starting"
        return progress_bar(0, label, _what(update.job))
    left = "" if update.left_s is None else f", about {max(1, round(update.left_s))} s left"
    return progress_bar(update.progress, f"{update.progress:.0%}{left}", update.note)


def _ended(job: JobRow) -> str:
    if job.state is JobState.DONE:
        return '<p class="state ok">Done.</p>'
    kept = " What was made is kept below." if job.clip_ids else ""
    return (
        f'<p class="state bad"><b>{job.state.capitalize()}.</b> {escape(job.error or "")}{kept}</p>'
    )


def _live_mark(update: Update, pieces: int) -> str:
    """The mark by which ``studio.js`` knows which pieces of which job it may play."""
    return (
        f'<div class="live" data-job="{update.job.id}" data-pieces="{pieces}" '
        f'data-ended="{str(update.ended).lower()}"></div>'
    )
