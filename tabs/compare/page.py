"""The Compare tab: two to eight clips that play in step, with their pictures, settings and scores."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from engines.base import StudioError
from engines.metrics.base import Need, Score
from engines.studio import Studio, variants
from engines.studio.evaluation.desk import Desk
from engines.studio.evaluation.plan import ready
from engines.studio.runner import ENDED
from storage import ClipQuery, ClipRow, StorageError
from tabs.compare import html as pages
from tabs.ui import jobs, live
from tabs.ui.errors import as_gradio_error
from tabs.ui.live import Action
from tabs.ui.page import QUIET, Page

LISTED = 12
SEEDS = 3


@dataclass
class CompareView(live.View):
    """What one browser compares. ``clips`` are ids in the order of the grid, ``jobs`` make more of
    them, ``scores`` are by metric and clip, measured against ``against``."""

    deck: str = field(default_factory=lambda: f"compare-{secrets.token_hex(6)}")
    words: str = ""
    clips: list[str] = field(default_factory=list)
    reference: str = ""
    jobs: list[str] = field(default_factory=list)
    said: str = ""
    test: str = ""
    scores: dict[str, dict[str, Score]] = field(default_factory=dict)
    against: str = ""
    note: str = ""


@dataclass
class ComparePage(Page):
    """The tab; ``view`` and ``outputs`` let the history put a clip into the grid."""

    view: Any = None
    outputs: Any = None
    redraw: Any = None

    def link(self, button: gr.Button, clip_id: Any, tabs: gr.Tabs) -> None:
        """Make ``button`` add the clip whose id ``clip_id`` holds and open the tab."""
        outputs = [tabs, self.view, *self.outputs]
        button.click(self.opened, [clip_id, self.view], outputs, queue=False, **QUIET)

    def opened(self, chosen: str, current: CompareView) -> list[Any]:
        """Updates of the tabs, the view and ``outputs`` after a clip was added."""
        with as_gradio_error():
            _add(current, chosen)
        return [gr.Tabs(selected="compare"), *self.redraw(current)]


def build(studio: Studio) -> ComparePage:
    """Lay out the tab in the current block."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            words = gr.Textbox(
                label="Clips", placeholder="Words in title, text or tags", max_lines=1,
                elem_id="compare-search",
            )  # fmt: skip
            found = live.listing("compare-found")
        with gr.Column(scale=9, min_width=440):
            making = live.listing("compare-making")
            grid = live.listing("compare-grid")
            settings = live.listing("compare-settings")
            measure = gr.Button("Measure all", visible=False, elem_id="compare-measure")
            scores = live.listing("compare-scores")
    view = gr.State(CompareView())
    drawn = [found, making, grid, settings, measure, scores]
    page = live.connect(
        [found, making, grid], view, lambda current: draw(studio, current),
        lambda current, action: act(studio, current, action), drawn,
    )  # fmt: skip

    def redraw(current: CompareView) -> list[Any]:
        shown = draw(studio, current)
        current.seen = [repr(item) for item in shown]
        return [current, *shown]

    def search(current: CompareView, typed: str) -> list[Any]:
        current.words = typed or ""
        return redraw(current)

    def score(current: CompareView) -> Iterator[list[Any]]:
        with as_gradio_error():
            for _ in measured(studio, current):
                yield [gr.skip(), scores_of(studio, current)]
        current.seen = []
        yield [current, scores_of(studio, current)]

    words.change(
        search, [view, words], [view, *drawn], queue=False, trigger_mode="always_last", **QUIET
    )
    measure.click(score, view, [view, scores], **QUIET)
    return ComparePage(page.refresh, None, view, drawn, redraw)


# drawing


def clips_of(studio: Studio, view: CompareView) -> list[ClipRow]:
    """The clips of the grid that are still there, in its order; takes those that jobs made."""
    _collect(studio, view)
    there = {clip.id: clip for clip in studio.clips.some(view.clips)}
    view.clips = [clip_id for clip_id in view.clips if clip_id in there]
    if view.reference not in there:
        view.reference = ""
    return [there[clip_id] for clip_id in view.clips]


def _collect(studio: Studio, view: CompareView) -> None:
    """Put what ended jobs made into the grid."""
    for job_id in list(view.jobs):
        job = studio.job(job_id)
        if job.state not in ENDED:
            continue
        view.jobs.remove(job_id)
        view.clips += [each for each in job.clip_ids if each not in view.clips]
        view.clips = view.clips[: pages.MOST]
        if job.error:
            view.said = f"{jobs.engine_title(studio, job.engine)}: {job.error}"


def draw(studio: Studio, view: CompareView) -> list[Any]:
    """The clips to choose from, what can be made, the grid, settings and scores."""
    clips = clips_of(studio, view)
    found = studio.clips.search(ClipQuery(text=view.words, page_size=LISTED))
    bars = []
    for job_id in view.jobs:
        job = studio.job(job_id)
        title = jobs.engine_title(studio, job.engine)
        bars.append((job_id, title, jobs.bar_html(studio, job)))
    enough = len(clips) >= pages.LEAST
    return [
        pages.found_html(found.rows, view.clips, found.total),
        pages.making_html(clips, bars, view.said, view.test),
        pages.grid_html(studio, clips, view.deck, view.reference),
        pages.settings_html(studio, clips),
        gr.update(visible=enough, value=_measure_text(view)),
        scores_of(studio, view) if enough else "",
    ]


def _measure_text(view: CompareView) -> str:
    if not view.reference:
        return "Measure all"
    return f"Measure all, and against clip {view.clips.index(view.reference) + 1}"


def scores_of(studio: Studio, view: CompareView) -> str:
    """The table of scores."""
    there = {clip.id: clip for clip in studio.clips.some(view.clips)}
    clips = [there[clip_id] for clip_id in view.clips if clip_id in there]
    return pages.scores_html(clips, view.scores, view.against, view.note)


# doing


def act(studio: Studio, view: CompareView, action: Action) -> None:
    """Do what was clicked."""
    view.said = view.test = ""
    clip_id = action.id
    match action.name:
        case "add":
            _add(view, clip_id)
        case "remove" if clip_id in view.clips:
            view.clips.remove(clip_id)
        case "left" | "right" if clip_id in view.clips:
            _move(view, clip_id, -1 if action.name == "left" else 1)
        case "reference":
            view.reference = "" if view.reference == clip_id else clip_id
        case "clear":
            view.clips, view.scores, view.reference, view.note = [], {}, "", ""
        case "models" | "seeds":
            _make(studio, view, action.name)
        case "cancel":
            studio.cancel(clip_id)
        case "blind":
            view.test = variants.blind_test(studio, view.clips).id


def _add(view: CompareView, clip_id: str) -> None:
    if not clip_id or clip_id in view.clips:
        return
    if len(view.clips) >= pages.MOST:
        raise StudioError(f"At most {pages.MOST} clips are compared at once; take one out first.")
    view.clips.append(clip_id)


def _move(view: CompareView, clip_id: str, by: int) -> None:
    place = view.clips.index(clip_id)
    to = min(max(place + by, 0), len(view.clips) - 1)
    view.clips.insert(to, view.clips.pop(place))


def _make(studio: Studio, view: CompareView, how: str) -> None:
    """Queue more clips like the reference, or like the first."""
    room = pages.MOST - len(view.clips) - len(view.jobs)
    if room <= 0:
        raise StudioError(f"At most {pages.MOST} clips are compared at once; take one out first.")
    clip = studio.clip(view.reference or view.clips[0])
    if how == "models":
        made = variants.by_models(studio, clip, room)
    else:
        made = variants.by_seeds(studio, clip, min(SEEDS, room))
    view.jobs += [job.id for job in made.jobs]
    view.said = "; ".join(made.refused)


def measured(studio: Studio, view: CompareView) -> Iterator[None]:
    """Measure clip by clip, each alone and then against the reference, with a step at each score."""
    clips = clips_of(studio, view)
    view.scores, view.against = {}, view.reference
    desk = studio.evaluation.desk
    reference = next((clip for clip in clips if clip.id == view.reference), None)
    alone, paired = ready((Need.NOTHING,)), ready((Need.REFERENCE,))
    for number, clip in enumerate(clips, 1):
        view.note = f"Measuring clip {number} of {len(clips)} …"
        yield
        tasks = [(Desk.alone(alone), desk.clip_case(clip.id))]
        if reference is not None and clip.id != reference.id:
            tasks.append((Desk.paired(paired), desk.clip_case(clip.id, reference.path)))
        for wanted, case in tasks:
            try:
                for score in desk.score(case, wanted):
                    view.scores.setdefault(score.metric, {})[clip.id] = score
                    yield
            except (StudioError, StorageError) as problem:
                view.note = f"Clip {number}: {problem}"
                return
    view.note = (
        "Press a clip's Reference button and measure again to see how far the others are from it."
        if reference is None
        else "Bold is best. ↑ higher is better, ↓ lower is better."
    )
