"""What the pages made of lists share: clicks and ticks from the page, redrawing what has changed.

A list is a ``gr.HTML``. Elements in it with ``data-action`` (and ``data-id``) report clicks and
typed text to Python. While the list is on screen it also ticks, so a hidden tab costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import Any

import gradio as gr

from engines.base import Availability
from tabs.ui.errors import as_gradio_error
from tabs.ui.page import Page, refresher

TICK_S = 2.5
LIST_JS = """
const report = (event, target, text) => trigger(event, {
  action: target.dataset.action, text: text || '',
  id: target.dataset.id || target.closest('[data-clip]')?.dataset.clip || '',
});
element.addEventListener('click', (event) => {
  const target = event.target.closest('[data-action]');
  const clip = event.target.closest('[data-clip]');
  const tab = target?.dataset.action === 'tab'
    && document.getElementById(`tab-${target.dataset.id}-button`);
  if (tab) {
    tab.click();
  } else if (target && target.tagName !== 'INPUT' && !target.disabled) {
    report(target.dataset.event || 'select', target);
  } else if (clip && !event.target.closest('audio, a, button, .picture')) {
    clip.querySelector('[data-play]')?.click();
  }
});
let typed;
element.addEventListener('input', (event) => {
  const target = event.target.closest('input[data-action]');
  clearTimeout(typed);
  if (target) typed = setTimeout(() => report('input', target, target.value), 250);
});
const ticking = setInterval(() => {
  if (!element.isConnected) clearInterval(ticking);
  else if (element.offsetParent !== null && !document.hidden) trigger('tick', {});
}, __TICK_MS__);
""".replace("__TICK_MS__", str(round(TICK_S * 1000)))

STATES = {
    Availability.READY: ("ok", "ready"),
    Availability.DOWNLOAD: ("", "to download"),
    Availability.INSTALL: ("warn", "to install"),
    Availability.TRAIN: ("", "to train"),
}


@dataclass(frozen=True)
class Action:
    """What was clicked or typed: ``name`` on the thing called ``id``."""

    name: str
    id: str = ""
    text: str = ""


@dataclass
class View:
    """What one browser sees of a page; ``seen`` are fingerprints of what it was sent last."""

    seen: list[str] = field(default_factory=list)


def listing(name: str) -> gr.HTML:
    """An empty list that reports clicks, typing and ticks; ``name`` becomes its element id."""
    return gr.HTML(js_on_load=LIST_JS, apply_default_css=False, elem_id=name)


def connect(
    lists: Sequence[gr.HTML],
    view: gr.State,
    draw: Callable[[Any], list[Any]],
    act: Callable[[Any, Action], None],
    outputs: Sequence[Any],
) -> Page:
    """Redraw ``outputs`` with ``draw`` when something is done or has changed; the first list ticks.

    ``act`` may change the view; what it raises is shown as a message.
    """

    def all_of(current: View) -> list[Any]:
        drawn = draw(current)
        current.seen = [repr(item) for item in drawn]
        return [current, *drawn]

    def changes(current: View) -> Any:
        seen, drawn = current.seen, draw(current)
        current.seen = [repr(item) for item in drawn]
        if seen == current.seen:
            return gr.skip()
        same = zip(seen, current.seen, strict=True) if seen else [("", "new")] * len(drawn)
        kept = [old == new for old, new in same]
        return [current, *(gr.skip() if k else item for k, item in zip(kept, drawn, strict=True))]

    def done(current: View, event: gr.EventData) -> Any:
        with as_gradio_error():
            act(current, Action(str(event.action), str(event.id), str(event.text)))
            return changes(current)

    page = refresher(all_of, view, [view, *outputs])
    for item in lists:
        item.select(**{**page, "fn": done})
        item.input(**{**page, "fn": done}, trigger_mode="multiple")
    lists[0].tick(**{**page, "fn": changes})
    return Page(page)


# pieces of HTML


def badge(text: str, kind: str = "") -> str:
    """A small label; ``kind`` is ``ok``, ``warn``, ``bad`` or nothing."""
    return f'<span class="badge {kind}">{escape(text)}</span>'


def state_badge(state: Availability) -> str:
    """Whether something can run now."""
    kind, text = STATES[state]
    return badge(text, kind)


def button(
    text: str, action: str, id: str = "", kind: str = "", title: str = "", event: str = ""
) -> str:
    """A button that reports ``action`` on ``id``; ``kind`` is ``primary``, ``stop`` or nothing.

    It is a ``select`` of its list, or the ``event`` that is named.
    """
    as_event = f' data-event="{event}"' if event else ""
    hint = f' title="{escape(title, quote=True)}"' if title else ""
    return (
        f'<button type="button" class="act {kind}" data-action="{escape(action, quote=True)}" '
        f'data-id="{escape(id, quote=True)}"{as_event}{hint}>{escape(text)}</button>'
    )


def link(address: str, text: str) -> str:
    """A link that opens beside the studio; only web addresses become links."""
    if not address.startswith(("https://", "http://")):
        return ""
    return f'<a href="{escape(address, quote=True)}" target="_blank" rel="noopener">{text}</a>'


def meter(name: str, share: float, text: str) -> str:
    """A bar that shows how full something is; ``share`` is 0 to 1."""
    percent = round(100 * min(max(share, 0.0), 1.0))
    full = " full" if percent >= 90 else ""
    return (
        f'<div class="meter{full}"><div class="meter-line"><span>{escape(name)}</span>'
        f'<span class="quiet">{escape(text)}</span></div>'
        f'<div class="track" role="meter" aria-label="{escape(name, quote=True)}" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent}">'
        f'<i style="width:{percent}%"></i></div></div>'
    )


def empty(text: str) -> str:
    """What a list shows when there is nothing in it."""
    return f'<p class="empty">{escape(text)}</p>'


def short(text: str, length: int = 70) -> str:
    """``text`` on one line, cut at a word."""
    line = " ".join(text.split())
    if len(line) <= length:
        return line
    cut = line[: length - 1]
    return (cut.rsplit(" ", 1)[0] if " " in cut[length // 2 :] else cut) + "…"


def span(seconds: float) -> str:
    """A length of time in words: ``8 s``, ``3 min``, ``2 h 5 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{minutes} min" if not hours else f"{hours} h {rest} min" if rest else f"{hours} h"


def ago(moment: str, now: datetime | None = None) -> str:
    """How long ago a UTC time stamp was, in words."""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds()
    if seconds < 60:
        return "just now"
    if seconds < 86400:
        return f"{span(seconds)} ago"
    days = round(seconds / 86400)
    return "yesterday" if days == 1 else f"{days} days ago"
