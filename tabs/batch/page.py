"""The Batch tab: any engine from a table; checked, run as one job, stopped, resumed, taken away."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from typing import Any

import gradio as gr

from engines.base import StudioError
from engines.studio import Studio
from engines.studio.batch import ray_executor
from engines.studio.batch.batches import Place
from engines.studio.batch.problems import BatchProblems, Problem
from engines.studio.batch.reading import TABLES
from engines.studio.batch.sending import SOUNDS
from storage import NotFound, StorageError
from tabs.batch import html as pages
from tabs.http.uploads import uploaded
from tabs.ui import live
from tabs.ui.chosen import ChosenView, redrawer
from tabs.ui.errors import as_gradio_error
from tabs.ui.live import Action
from tabs.ui.page import QUIET, Page
from tabs.ui.player import player
from tabs.ui.rater import user_of
from tabs.ui.task import STATE_MARK, first_ready

INTRO = (
    "A batch makes many sounds in one go: choose an engine, fill in a table with a row for each "
    "sound, and take all of them away as a zip. It goes on when this page is closed."
)
NEW = ""
PAGE_SIZE = 20
PREVIEWED = 8
HINT = "Send a file in step 3; it is checked at once, and nothing starts before you say so."
COMMON_HINT = "one value a line, such as  length_scale = 0.9"
PLACES = [("This machine", Place.LOCAL.value), ("A Ray cluster", Place.RAY.value)]


@dataclass
class BatchView(ChosenView):
    """Also the engine of a new batch, the batch that was checked and what the check said; of the
    chosen batch the filter, the page (from 1) and the row that is open."""

    engine: str = ""
    draft: str = ""
    checked: str = ""
    filter: str = ""
    page: int = 1
    position: int = 0

    def show(self, chosen: str) -> None:
        """Open a batch, or the form."""
        super().show(chosen)
        self.filter, self.page, self.position = "", 1, 0


@dataclass
class Form:
    """The controls of a new batch."""

    column: gr.Column
    engine: gr.Dropdown
    files: gr.File
    name: gr.Textbox
    common: gr.Textbox
    parameter: gr.Dropdown
    place: gr.Radio
    start: gr.Button
    lists: list[gr.HTML] = field(default_factory=list)

    @property
    def given(self) -> list[Any]:
        """What a check reads."""
        return [self.engine, self.files, self.name, self.common, self.parameter]


def build(studio: Studio) -> Page:
    """Lay out the tab in the current block."""
    with gr.Column(elem_classes=["loop-page", "batch-page"]):
        gr.HTML(f'<p class="welcome">{escape(INTRO)}</p>', apply_default_css=False)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=260):
                listed = live.listing("batch-list")
            with gr.Column(scale=8, min_width=460):
                form = _form(studio)
                with gr.Column(visible=False) as shown:
                    head = live.listing("batch-detail")
                    opened = live.listing("batch-row")
                    rows = live.listing("batch-rows")
    view = gr.State(BatchView(engine=form.engine.value))
    outputs = [listed, form.column, shown, *form.lists, form.start, head, opened, rows]

    def draw(current: BatchView) -> list[Any]:
        return [*new_html(studio, current), *chosen_html(studio, current)]

    page = live.connect(
        [listed, head, opened, rows, *form.lists],
        view,
        draw,
        lambda current, action: act(studio, current, action),
        outputs,
    )
    _connect(studio, form, view, outputs, redrawer(draw))
    return page


def _form(studio: Studio) -> Form:
    engines = studio.engines()
    with gr.Column() as column:
        gr.HTML('<p class="step"><b>1</b> Choose an engine.</p>', apply_default_css=False)
        engine = gr.Dropdown(
            [(each.card.title + STATE_MARK[each.availability()], each.card.id) for each in engines],
            value=first_ready(engines), show_label=False, container=False, elem_id="batch-engine",
        )  # fmt: skip
        guide = live.listing("batch-guide")
        gr.HTML(
            '<p class="step"><b>3</b> Send the table; a sound that it names goes along with it, or '
            "in one zip. Sounds alone are a batch too, of one row each, where the engine takes a "
            "sound.</p>",
            apply_default_css=False,
        )
        files = gr.File(
            file_count="multiple", file_types=[*TABLES, *SOUNDS, ".zip", ".mid", ".midi"],
            label="A CSV, JSON or JSON Lines file, sounds, or a zip", height=130,
            elem_id="batch-files",
        )  # fmt: skip
        with gr.Accordion("Name, and values for every row", open=False, elem_id="batch-more"):
            name = gr.Textbox(
                label="Name of the batch", placeholder="as the file", max_lines=1,
                elem_id="batch-name",
            )  # fmt: skip
            common = gr.Textbox(
                label="For every row whose own cell is empty", lines=3, placeholder=COMMON_HINT,
                info="Columns with their values, one a line.", elem_id="batch-common",
            )  # fmt: skip
            parameter = gr.Dropdown(
                [], label="Sounds without a table go into", visible=False,
                elem_id="batch-parameter",
            )  # fmt: skip
        place = gr.Radio(
            PLACES, value=Place.LOCAL.value, label="Make it on", elem_id="batch-place",
            visible=ray_executor.available(),
        )  # fmt: skip
        gr.HTML('<p class="step"><b>4</b> Look it over, and start.</p>', apply_default_css=False)
        checked = live.listing("batch-checked")
        start = gr.Button("Start", variant="primary", interactive=False, elem_id="batch-start")
    return Form(column, engine, files, name, common, parameter, place, start, [guide, checked])


def _connect(
    studio: Studio, form: Form, view: gr.State, outputs: Sequence[Any], redraw: Any
) -> None:
    def check(current: BatchView, engine: str, files: list[str] | None, *given: Any) -> list[Any]:
        current.engine = engine
        checked(studio, current, files or [], *given)
        return redraw(current)

    def other_engine(engine: str) -> Any:
        found = studio.batches.media_parameters(engine)
        return gr.update(choices=found, value=next(iter(found), None), visible=len(found) > 1)

    checking: dict[str, Any] = {
        "fn": check,
        "inputs": [view, *form.given],
        "outputs": [view, *outputs],
    }
    form.engine.input(other_engine, form.engine, form.parameter, queue=False, **QUIET).then(
        **checking, **QUIET
    )
    for event in (form.files.upload, form.files.clear, form.files.delete, form.parameter.input):
        event(**checking, **QUIET)
    for event in (form.name.blur, form.name.submit, form.common.blur):
        event(**checking, **QUIET)

    def start(current: BatchView, place: str, request: gr.Request) -> list[Any]:
        with as_gradio_error():
            if not current.draft:
                raise StudioError("Send a table first; it is checked before it can start.")
            studio.batches.start(current.draft, place, owner=user_of(request) or "browser")
        current.show(current.draft)
        current.draft = current.checked = ""
        return [*redraw(current), None, "", ""]

    form.start.click(
        start,
        [view, form.place],
        [view, *outputs, form.files, form.name, form.common],
        **QUIET,
    )


def checked(
    studio: Studio,
    view: BatchView,
    files: Sequence[str],
    name: str = "",
    common: str = "",
    parameter: str | None = None,
) -> None:
    """Check what was sent and keep in ``view`` what came of it; what was checked before goes."""
    if view.draft:
        with suppress(NotFound, StudioError):  # started or forgotten meanwhile
            studio.batches.delete(view.draft)
    view.draft = view.checked = ""
    if not files:
        return
    try:
        batch = studio.batches.check(
            view.engine,
            [uploaded(path) for path in files],
            name or "",
            common_values(common or ""),
            parameter or "",
        )
    except BatchProblems as error:
        view.checked = pages.problems_html(error.problems)
        return
    except (StudioError, StorageError) as error:
        view.checked = pages.problems_html([Problem(str(error))])
        return
    view.draft = batch.id
    view.checked = pages.preview_html(
        batch,
        studio.engine(batch.engine),
        studio.batches.preview(batch.id, PREVIEWED),
        studio.batches.reusable(batch.id),
        studio.batches.estimate(batch.id),
    )


def common_values(text: str) -> dict[str, str]:
    """Lines of ``column = value``; raises ``BatchProblems`` for others."""
    values, wrong = {}, []
    for number, line in enumerate(text.splitlines(), 1):
        column, equals, value = line.partition("=")
        if equals and column.strip():
            values[column.strip()] = value.strip()
        elif line.strip():
            words = (
                f"line {number} of the values for every row must be column = value, not {line!r}."
            )
            wrong.append(Problem(words))
    if wrong:
        raise BatchProblems(wrong)
    return values


# what is shown


def act(studio: Studio, view: BatchView, action: Action) -> None:
    """Do what was clicked."""
    batches = studio.batches
    match action.name:
        case "open":
            view.show(action.id)
        case "filter":
            view.filter, view.page = action.id if action.id in pages.CHIPS else "", 1
        case "page":
            view.page = int(action.id) if action.id.isdecimal() else 1
        case "close":
            view.position = 0
        case "row":
            view.position = int(action.id) if action.id.isdecimal() else 0
        case "stop":
            batches.stop(view.chosen)
            view.said = "It stops at the next step. What is made stays."
        case "resume":
            batches.start(view.chosen)
            view.said = ""
        case "retry":
            batches.retry_failed(view.chosen)
            view.said, view.filter = "", ""
        case "delete" if view.confirmed("delete"):
            batches.delete(view.chosen)
            view.show(NEW)
            gr.Success("The batch is forgotten. Its clips stay in History.", duration=5)


def new_html(studio: Studio, view: BatchView) -> list[Any]:
    """The list, the two columns, and the steps of a new batch."""
    batches = [studio.batches.state(row.id) for row in studio.batches.list()]
    if not view.opened:  # a page that was just opened shows what goes on
        view.show(next((found.batch.id for found in batches if found.active), NEW))
    if view.chosen and view.chosen not in [found.batch.id for found in batches]:
        view.show(NEW)
    titles = {engine.card.id: engine.card.title for engine in studio.engines()}
    new = view.chosen == NEW
    return [
        pages.list_html(batches, titles, view),
        gr.update(visible=new),
        gr.update(visible=not new),
        pages.guide_html(studio.engine(view.engine)),
        view.checked or live.empty(HINT),
        gr.update(interactive=bool(view.draft)),
    ]


def chosen_html(studio: Studio, view: BatchView) -> list[str]:
    """The chosen batch, the row that is open, and its rows."""
    if view.chosen == NEW:
        return ["", "", ""]
    found = studio.batches.state(view.chosen)
    titles = {engine.card.id: engine.card.title for engine in studio.engines()}
    title = titles.get(found.batch.engine, found.batch.engine)
    if not found.active:
        view.said = ""
    total = getattr(found.batch, view.filter) if view.filter else found.batch.total
    count = max(1, -(-total // PAGE_SIZE))
    view.page = min(max(1, view.page), count)
    rows = studio.batches.rows(
        view.chosen, view.filter or None, PAGE_SIZE, (view.page - 1) * PAGE_SIZE
    )
    working = studio.batches.in_work(view.chosen) if found.active else {}
    return [
        pages.head_html(found, title, view),
        _row(studio, view),
        pages.rows_html(found, rows, working, view.filter, view.page, count, view.position),
    ]


def _row(studio: Studio, view: BatchView) -> str:
    if not view.position:
        return ""
    try:
        item = studio.store.batches.row(view.chosen, view.position)
    except NotFound:
        return ""
    clips = studio.clips.some(item.clip_ids)
    gone = len(item.clip_ids) - len(clips)
    players = "".join(player(clip) for clip in clips)
    if gone:
        players += live.empty("A clip of this row was deleted.")
    return pages.row_html(item, players)
