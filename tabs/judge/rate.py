"""Rating: one clip after the other, stars for each criterion, tags, notes."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from engines.studio import Studio
from engines.studio.judging.judging import criteria_for, tags_for
from storage import ClipRow, MarkRow, NotFound
from tabs.ui import live
from tabs.ui.clip_filter import JUDGE_JS, clip_filter, engine_choices, filters
from tabs.ui.errors import as_gradio_error
from tabs.ui.keyed import keyed
from tabs.ui.page import Page, refresher
from tabs.ui.player import clock, player
from tabs.ui.rater import rater_name
from tabs.ui.stars import stars

LISTED = 12
NOTHING = (
    "Nothing left to rate here. Make more clips, choose wider filters, or untick “Only what I have "
    "not rated” to change your mind about earlier ones."
)
EMPTY = "No clips yet. Make some in Speech or Music; they wait for you here."
HINT = (
    "<kbd>1</kbd>–<kbd>5</kbd> overall <kbd>Enter</kbd> next <kbd>←</kbd> back "
    "<kbd>Space</kbd> play <kbd>F</kbd> favourite"
)


@dataclass
class Queue:
    """The clips that one browser goes through; ``at`` is the one shown."""

    ids: tuple[str, ...] = ()
    at: int = 0

    @property
    def current(self) -> str:
        """Id of the clip shown, or ""."""
        return self.ids[self.at] if self.at < len(self.ids) else ""

    def after(self, action: str, clip_id: str = "") -> Queue:
        """The queue after ``next``, ``back``, or ``open`` of a clip."""
        at = self.at
        if action == "next":
            at = min(at + 1, len(self.ids))
        elif action == "back":
            at = max(at - 1, 0)
        elif clip_id in self.ids:
            at = self.ids.index(clip_id)
        return Queue(self.ids, at)


def build(studio: Studio, remembered: gr.BrowserState) -> Page:
    """Lay out the page in the current block."""
    with gr.Row(elem_classes="judge-filters"):
        choose = filters("rate")
        unrated = gr.Checkbox(
            value=True, label="Only what I have not rated", elem_id="rate-unrated", min_width=170
        )
        blind = gr.Checkbox(
            value=False,
            label="Hide what made it",
            elem_id="rate-blind",
            min_width=170,
        )
    view = gr.State(Queue())
    with gr.Row(equal_height=False, elem_classes="rate-page"):
        with gr.Column(scale=2, min_width=260):
            listing = gr.HTML(elem_id="rate-list", js_on_load=JUDGE_JS, apply_default_css=False)
        with gr.Column(scale=5, min_width=480):
            card = gr.HTML(elem_id="rate-card", js_on_load=JUDGE_JS, apply_default_css=False)
    asked = [view, remembered, unrated, blind, *choose.parts]
    outputs = [view, listing, card]

    def draw(queue: Queue, who: str, hidden: bool) -> list[Any]:
        return [queue, list_html(studio, queue, who), card_html(studio, queue, who, hidden)]

    def start(
        request: gr.Request, _: Queue, kept: str, only_new: bool, hidden: bool, *chosen: str
    ) -> list[Any]:
        who = rater_name(request, kept)
        with as_gradio_error():
            ids = studio.judging.queue(who, clip_filter(*chosen), unrated=only_new)
        return draw(Queue(tuple(ids)), who, hidden)

    def opened(request: gr.Request, queue: Queue, kept: str, *rest: Any) -> list[Any]:
        # what is being rated stays; a queue at its end begins anew
        if queue.current and _is_there(studio, queue.current):
            drawn = [queue, list_html(studio, queue, rater_name(request, kept)), gr.skip()]
        else:
            drawn = start(request, queue, kept, *rest)
        return [*drawn, engine_choices(studio)]

    def act(
        event: gr.EventData, request: gr.Request, queue: Queue, kept: str, *rest: Any
    ) -> list[Any]:
        who, hidden, action = rater_name(request, kept), rest[1], str(event.action)
        with as_gradio_error():
            if action == "again":
                return start(request, queue, kept, *rest)
            if action == "rated":
                return [gr.skip(), list_html(studio, queue, who), gr.skip()]
            return draw(queue.after(action, str(getattr(event, "id", ""))), who, hidden)

    def redraw(request: gr.Request, queue: Queue, kept: str, hidden: bool) -> str:
        return card_html(studio, queue, rater_name(request, kept), hidden)

    begin = refresher(start, asked, outputs)
    choose.on_change(begin)
    unrated.input(**begin)
    blind.input(**refresher(redraw, [view, remembered, blind], card))
    for item in (listing, card):
        # who rates and goes on at once need not wait for the list
        item.select(**refresher(act, asked, outputs), trigger_mode="multiple")
    return Page(refresher(opened, asked, [*outputs, choose.engine]))


def _is_there(studio: Studio, clip_id: str) -> bool:
    try:
        return bool(studio.clip(clip_id))
    except NotFound:
        return False


# HTML


def list_html(studio: Studio, queue: Queue, who: str) -> str:
    """The queue: what comes, what was rated."""
    if not queue.ids:
        return ""
    rated = studio.judging.judgements.rated_by(who)
    start = max(0, min(queue.at - 3, len(queue.ids) - LISTED))
    lines = []
    for number, clip_id in enumerate(queue.ids[start : start + LISTED], start):
        try:
            clip = studio.clip(clip_id)
        except NotFound:
            continue
        here, done = number == queue.at, clip_id in rated
        lines.append(
            f'<li><button type="button" class="queue-item{" here" if here else ""}'
            f'{" done" if done else ""}" data-judge="open" data-id="{clip_id}">'
            f"<i>{'✓' if done else number + 1}</i>"
            f"<span>{escape(live.short(clip.text or clip.title or 'Untitled', 60))}</span>"
            f'<span class="quiet">{clock(clip.duration_s)}</span></button></li>'
        )
    rated_here = sum(clip_id in rated for clip_id in queue.ids)
    share = live.meter("Rated", rated_here / len(queue.ids), f"{rated_here} of {len(queue.ids)}")
    return (
        f'<section class="card queue"><header><h3>To rate</h3></header>{share}'
        f'<ol class="queue-list">{"".join(lines)}</ol></section>'
    )


def card_html(studio: Studio, queue: Queue, who: str, hidden: bool) -> str:
    """The clip to rate, or what to do when there is none."""
    if not queue.current:
        made = bool(studio.clips.engines())
        again = live.button("Look again", "again") if made else ""
        text = live.empty(NOTHING if made else EMPTY)
        if queue.ids:
            text = '<p class="thanks">✓ All done. Thank you.</p>' + text
        again = again.replace("data-action", "data-judge")
        return f'<div class="rate-done">{text}<div class="buttons centre">{again}</div></div>'
    clip = studio.clip(queue.current)
    given = {
        str(row.criterion): row.value
        for row in studio.judging.judgements.ratings(clip.id)
        if row.rater == who
    }
    rows = "".join(
        f'<div class="criterion{" first" if each.id == "overall" else ""}">'
        f'<div><b>{escape(each.title)}</b><span class="quiet">{escape(each.question)}</span></div>'
        f"{stars(clip.id, given.get(each.id, 0), each.id, each.title)}</div>"
        for each in criteria_for(clip.task)
    )
    titled = (
        " titled" if clip.text.startswith(clip.title.rstrip("…")) else ""
    )  # said once is enough
    marks = [row for row in studio.judging.judgements.marks(clip.id) if row.rater == who]
    inside = f"""
  <blockquote class="prompt">{escape(clip.text) or "(no text)"}</blockquote>
  <div class="rate-main">
    <div>{player(clip, "Clip" if hidden else "")}{notes_html(clip)}</div>
    <div><div class="criteria">{rows}</div>{marks_html(clip, marks)}</div>
  </div>
  <footer class="rate-foot">
    <button type="button" class="act" data-judge="back" {"disabled" if not queue.at else ""}>← Back</button>
    <span class="quiet">{queue.at + 1} of {len(queue.ids)}</span>
    <button type="button" class="act primary" data-judge="next">Next →</button>
    <span class="keys-hint">{HINT}</span>
  </footer>"""
    look = f"card rate-card{' blind' if hidden else ''}{titled}"
    return keyed(clip.id, inside, f'class="{look}" data-clip="{clip.id}"')


def marks_html(clip: ClipRow, marks: list[MarkRow]) -> str:
    """Tags to praise and to blame with: the suggested ones, and the rater's own."""
    given = {row.tag.lower(): row.good for row in marks}
    good, bad = tags_for(clip.task)
    own = [row for row in marks if row.tag.lower() not in {tag.lower() for tag in (*good, *bad)}]
    lists = (
        ("good", "Good", [*good, *(row.tag for row in own if row.good is not False)]),
        ("bad", "Bad", [*bad, *(row.tag for row in own if row.good is False)]),
    )
    html = ""
    for kind, title, tags in lists:
        chips = "".join(
            f'<button type="button" class="chip mark {kind}" data-mark="{escape(tag, quote=True)}" '
            f'data-opinion="{kind}" aria-pressed="{str(tag.lower() in given).lower()}">'
            f"{escape(tag)}</button>"
            for tag in tags
        )
        html += (
            f'<div class="marks-line"><b>{title}</b><div class="marks-{kind}">{chips}</div></div>'
        )
    return f"""
<div class="marks">{html}
  <div class="add-mark"><input class="search" type="text" maxlength="100" placeholder="Another tag"
    aria-label="Another tag"><button type="button" class="act small" data-add-mark="good">+ good</button>
    <button type="button" class="act small" data-add-mark="bad">+ bad</button></div>
</div>"""


def notes_html(clip: ClipRow) -> str:
    """Notes and the star; both belong to the clip, whoever writes them."""
    on = clip.favorite
    return f"""
<div class="rate-notes"><textarea data-notes rows="2" aria-label="Notes"
  placeholder="Notes, kept with the clip">{escape(clip.notes)}</textarea>
  <button type="button" class="act" data-favour aria-pressed="{str(on).lower()}">
  {"★" if on else "☆"} Favourite</button></div>"""
