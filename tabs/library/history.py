"""The History tab: every clip, found by words and filters, heard, kept, restored, deleted, undone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from html import escape
from typing import Any

import gradio as gr

from engines.base import StudioError
from engines.studio import Studio
from storage import ClipQuery, ClipRow, Sort
from tabs.ui.errors import as_gradio_error
from tabs.ui.page import QUIET, Page, refresher
from tabs.ui.player import player, rows, table
from tabs.ui.reuse import Reuse, can_go_on

PAGE_SIZE = 25
SORTS = {
    "Newest first": (Sort.CREATED, True),
    "Oldest first": (Sort.CREATED, False),
    "Longest first": (Sort.DURATION, True),
    "Shortest first": (Sort.DURATION, False),
    "Title A to Z": (Sort.TITLE, False),
    "Engine": (Sort.ENGINE, False),
    "Loudest first": (Sort.LOUDNESS, True),
}
ANY = ""
SELECT_JS = """
element.addEventListener('click', (event) => {
  const row = event.target.closest('[data-clip]');
  if (row) trigger('select', {clip: row.dataset.clip,
    action: event.target.closest('[data-action]')?.dataset.action || 'open'});
});
element.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && event.target.matches('[data-clip]')) event.target.click();
});
"""


def query_from(filters: Sequence[Any], page: int) -> ClipQuery:
    """``Parts.filters`` as a query; raises ``StudioError`` for a date that is none."""
    words, engine, tag, favorite, since, until, shortest_s, longest_s, sort = filters
    by, descending = SORTS.get(sort, SORTS["Newest first"])
    return ClipQuery(
        text=words or "",
        engine=engine or "",
        tag=tag or "",
        favorite=True if favorite else None,
        created_from=_day(since, "From"),
        created_to=_day(until, "To"),
        duration_min_s=shortest_s or None,
        duration_max_s=longest_s or None,
        sort=by,
        descending=descending,
        page=page,
        page_size=PAGE_SIZE,
    )


def _day(text: str, name: str) -> date | None:
    if not text or not text.strip():
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise StudioError(f"{name} must be a date like 2026-01-31, not {text!r}.") from None


@dataclass
class Parts:
    """The components of the tab, by what they are for."""

    filters: list[Any] = field(default_factory=list)
    page: Any = None
    listing: Any = None
    summary: Any = None
    selected: Any = None
    detail: Any = None
    editor: Any = None
    title: Any = None
    tags: Any = None
    notes: Any = None
    favorite: Any = None
    settings: Any = None
    go_on: Any = None
    undo_row: Any = None
    undo_text: Any = None
    token: Any = None

    @property
    def shown(self) -> list[Any]:
        """What ``details`` updates."""
        return [
            self.selected, self.detail, self.editor, self.title, self.tags, self.notes,
            self.favorite, self.settings, self.go_on,
        ]  # fmt: skip


def build(
    studio: Studio,
    tabs: gr.Tabs,
    reuse: Reuse,
    measure: Callable[[gr.Button, Any, gr.Tabs], None],
    compare: Callable[[gr.Button, Any, gr.Tabs], None],
) -> Page:
    """Lay out the tab. ``reuse`` leads to the tabs that make clips.

    ``measure`` makes a button lead to the measures of the clip whose id a component holds, ``compare``
    to the grid.
    """
    parts = Parts()
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=380):
            _filters(studio, parts)
        with gr.Column(scale=4, min_width=380):
            buttons = _details(parts)
    deletions: dict[str, list[str]] = defaultdict(list)
    redraw = _connect_list(studio, parts)
    _connect_editor(studio, parts, redraw)
    _connect_delete(studio, parts, buttons["delete"], buttons["undo"], redraw, deletions)
    _connect_reuse(parts, buttons, reuse)
    measure(buttons["measure"], parts.selected, tabs)
    compare(buttons["compare"], parts.selected, tabs)

    def forget(request: gr.Request) -> None:
        for token in deletions.pop(request.session_hash or "", []):
            studio.clips.purge(token)

    return Page(redraw, forget)


def _filters(studio: Studio, parts: Parts) -> None:
    words = gr.Textbox(
        label="Search",
        placeholder='Words in text, title, tags and notes; "quotes" for a phrase',
        elem_id="history-search",
    )
    with gr.Row():
        engine = gr.Dropdown(
            [("Any engine", ANY)],
            value=ANY,
            label="Engine",
            min_width=120,
            elem_id="history-engine",
        )
        tag = gr.Dropdown(
            [("Any tag", ANY)], value=ANY, label="Tag", min_width=120, elem_id="history-tag"
        )
        sort = gr.Dropdown(
            list(SORTS), value="Newest first", label="Order", min_width=120, elem_id="history-sort"
        )
    favorite = gr.Checkbox(label="Favourites only", elem_id="history-favorites")
    with gr.Accordion("Date and length", open=False):
        with gr.Row():
            since = gr.Textbox(label="From", placeholder="2026-01-31", min_width=110)
            until = gr.Textbox(label="To", placeholder="2026-12-31", min_width=110)
            shortest = gr.Number(label="At least (s)", value=None, minimum=0, min_width=90)
            longest = gr.Number(label="At most (s)", value=None, minimum=0, min_width=90)
    parts.filters = [words, engine, tag, favorite, since, until, shortest, longest, sort]
    parts.summary = gr.HTML(elem_id="history-summary", apply_default_css=False)
    parts.listing = gr.HTML(elem_id="history-list", js_on_load=SELECT_JS, apply_default_css=False)
    parts.page = gr.Number(
        1, label="Page", precision=0, minimum=1, elem_id="history-page", interactive=True
    )
    parts.selected = gr.State("")


def _details(parts: Parts) -> dict[str, Any]:
    buttons: dict[str, Any] = {}
    with gr.Row(visible=False, elem_classes="undo-row") as parts.undo_row:
        parts.undo_text = gr.HTML()
        buttons["undo"] = gr.Button("Undo", size="sm", min_width=80, elem_id="history-undo")
    parts.token = gr.State("")
    parts.detail = gr.HTML(
        '<p class="empty">Choose a clip on the left to hear it and see how it was made.</p>',
        elem_id="history-detail",
        js_on_load=SELECT_JS,
        apply_default_css=False,
    )
    with gr.Column(visible=False) as parts.editor:
        with gr.Row():
            buttons["reuse"] = gr.Button(
                "Use these settings again", size="sm", variant="primary", elem_id="history-reuse"
            )
            parts.go_on = gr.Button(
                "Continue from here", size="sm", visible=False, elem_id="history-continue"
            )
            buttons["measure"] = gr.Button("Measure", size="sm", elem_id="history-measure")
            buttons["compare"] = gr.Button("Compare", size="sm", elem_id="history-compare")
            parts.favorite = gr.Button("☆ Favourite", size="sm", elem_id="history-favorite")
            buttons["delete"] = gr.Button(
                "Delete", size="sm", variant="stop", elem_id="history-delete"
            )
        parts.title = gr.Textbox(label="Title", max_lines=1, elem_id="history-title")
        parts.tags = gr.Textbox(
            label="Tags", placeholder="separated by commas", max_lines=1, elem_id="history-tags"
        )
        parts.notes = gr.Textbox(label="Notes", lines=2, elem_id="history-notes")
        with gr.Accordion("How it was made", open=False):
            parts.settings = gr.HTML(js_on_load=SELECT_JS, apply_default_css=False)
    with gr.Accordion("Restore settings from a file", open=True):
        buttons["restore"] = gr.File(
            label="Drop a WAV, FLAC, MP3 or OGG that was downloaded from a studio",
            file_types=[".wav", ".flac", ".mp3", ".ogg"],
            height=110,
            elem_id="history-restore",
        )
    return buttons


def _connect_list(studio: Studio, parts: Parts) -> dict[str, Any]:
    """Search as one types, filter, page; returns the listener arguments that redraw the list."""

    def find(selected: str, page: int | None, *filters: Any) -> list[Any]:
        with as_gradio_error():
            found = studio.clips.search(query_from(filters, int(page or 1)))
        many = "clip" if found.total == 1 else "clips"
        summary = f"{found.total:,} {many}, page {found.page} of {found.pages:,}"
        return [
            rows(found.rows, selected, "No clip matches. Try fewer words or filters."),
            f'<p class="facts">{summary}</p>',
            gr.update(value=found.page, maximum=found.pages, visible=found.pages > 1),
        ]

    def redraw(selected: str, page: int | None, *filters: Any) -> list[Any]:
        engines = [("Any engine", ANY), *((c.name, c.name) for c in studio.clips.engines())]
        tags = [("Any tag", ANY)]
        tags += [(f"{c.name} ({c.clips})", c.name) for c in studio.clips.tags()]
        choices = [gr.update(choices=engines), gr.update(choices=tags)]
        return [*find(selected, page, *filters), *choices]

    def from_start(selected: str, *filters: Any) -> list[Any]:
        return find(selected, 1, *filters)

    # typing changes what is found, never which engines and tags there are to choose from
    matches = [parts.listing, parts.summary, parts.page]
    for control in parts.filters:
        # Gradio's input event of a text box misses deleted and composed text; change sees all
        event = control.select if isinstance(control, gr.Dropdown) else control.change
        event(
            from_start,
            [parts.selected, *parts.filters],
            matches,
            queue=False,
            trigger_mode="multiple",
            **QUIET,
        )
    asked = [parts.selected, parts.page, *parts.filters]
    parts.page.change(**refresher(find, asked, matches), trigger_mode="multiple")
    arguments = refresher(redraw, asked, [*matches, parts.filters[1], parts.filters[2]])

    def open_clip(selected: str, event: gr.EventData) -> list[Any]:
        with as_gradio_error():
            if event.action == "favorite":
                clip = studio.clip(event.clip)
                studio.clips.set_favorite(clip.id, not clip.favorite)
                if clip.id != selected:
                    return [gr.skip()] * len(parts.shown)
            return details(studio, event.clip)

    for listing in (parts.listing, parts.settings):
        listing.select(open_clip, parts.selected, parts.shown, queue=False, **QUIET).then(
            **arguments
        )
    return arguments


def details(studio: Studio, clip_id: str) -> list[Any]:
    """Updates that show one clip, for ``Parts.shown``."""
    clip = studio.clip(clip_id)
    return [
        clip.id,
        player(clip),
        gr.update(visible=True),
        clip.title,
        ", ".join(clip.tags),
        clip.notes,
        "★ Favourite" if clip.favorite else "☆ Favourite",
        made_of(studio, clip),
        gr.update(visible=can_go_on(studio, clip)),
    ]


def made_of(studio: Studio, clip: ClipRow) -> str:
    """Text, settings and lineage of a clip as HTML."""
    lineage = studio.clips.lineage(clip.id)
    facts = [
        ("Engine", clip.engine),
        ("Revision", clip.revision or "–"),
        *((name, "–" if value is None else value) for name, value in clip.settings.items()),
        ("Content", f"sha256 {clip.hash[:16]}…, {clip.bytes / 1e6:.2f} MB"),
        ("Made by", f"version {clip.app_version}, job {clip.job_id}"),
    ]
    html = table(facts)
    for heading, clips in (
        ("Made from", lineage.ancestors),
        ("Used to make", lineage.descendants),
    ):
        if clips:
            html += f"<h4>{heading}</h4>{rows(clips)}"
    return html


def _connect_editor(studio: Studio, parts: Parts, redraw: dict[str, Any]) -> None:
    """Title, tags, notes and the star are kept as soon as the field is left."""

    def rename(clip_id: str, title: str) -> None:
        with as_gradio_error():
            if clip_id and studio.clip(clip_id).title != title:
                studio.clips.rename(clip_id, title)

    def retag(clip_id: str, typed: str) -> str:
        with as_gradio_error():
            if not clip_id:
                return typed
            wanted = {tag.strip() for tag in typed.split(",") if tag.strip()}
            now = set(studio.clip(clip_id).tags)
            for tag in now - wanted:
                studio.clips.remove_tag(clip_id, tag)
            for tag in wanted - now:
                studio.clips.add_tag(clip_id, tag)
            return ", ".join(studio.clip(clip_id).tags)

    def note(clip_id: str, notes: str) -> None:
        with as_gradio_error():
            if clip_id:
                studio.clips.set_notes(clip_id, notes)

    def star(clip_id: str) -> str:
        with as_gradio_error():
            clip = studio.clips.set_favorite(clip_id, not studio.clip(clip_id).favorite)
        return "★ Favourite" if clip.favorite else "☆ Favourite"

    for control, keep, outputs in (
        (parts.title, rename, None),
        (parts.tags, retag, parts.tags),
        (parts.notes, note, None),
    ):
        for event in (control.blur, control.submit):
            event(keep, [parts.selected, control], outputs, **QUIET).then(**redraw)
    parts.favorite.click(star, parts.selected, parts.favorite, **QUIET).then(**redraw)


def _connect_delete(
    studio: Studio,
    parts: Parts,
    delete: gr.Button,
    undo: gr.Button,
    redraw: dict[str, Any],
    deletions: dict[str, list[str]],
) -> None:
    """Delete at once, with an undo that lasts until the page is left."""

    def remove(clip_id: str, request: gr.Request) -> list[Any]:
        with as_gradio_error():
            title = studio.clip(clip_id).title
            token = studio.clips.delete([clip_id])
        deletions[request.session_hash or ""].append(token)
        text = (
            f"<p class='facts'>Deleted “{escape(title)}”. Undo works until you leave the page.</p>"
        )
        hidden = [gr.skip()] * (len(parts.shown) - 3)
        return [token, gr.update(visible=True), text, "", "", gr.update(visible=False), *hidden]

    def restore(token: str, request: gr.Request) -> list[Any]:
        with as_gradio_error():
            restored = studio.clips.undelete(token)
        deletions[request.session_hash or ""].remove(token)
        return [gr.update(visible=False), *details(studio, restored[0])]

    delete.click(
        remove,
        parts.selected,
        [parts.token, parts.undo_row, parts.undo_text, *parts.shown],
        **QUIET,
    ).then(**redraw)
    undo.click(restore, parts.token, [parts.undo_row, *parts.shown], **QUIET).then(**redraw)


def _connect_reuse(parts: Parts, buttons: dict[str, Any], reuse: Reuse) -> None:
    """Settings of a clip or of a dropped file go into the tab that makes such clips."""
    buttons["reuse"].click(reuse.again, parts.selected, reuse.outputs, **QUIET)
    parts.go_on.click(reuse.go_on, parts.selected, reuse.outputs, **QUIET)
    buttons["restore"].upload(reuse.restore, buttons["restore"], reuse.outputs, **QUIET).then(
        lambda: None, None, buttons["restore"], queue=False, **QUIET
    )  # so that another file can be dropped at once
