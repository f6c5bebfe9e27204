"""How scores, cards and pictures of sounds look on the pages of the Evaluation tab."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import Any

from engines.base import Availability
from engines.metrics.base import Better, Card, Need, Score
from engines.metrics.sound import Sound
from engines.studio.evaluation.drawings import LEFT, RIGHT, Palette
from engines.studio.evaluation.exports import value_text
from engines.studio.evaluation.plan import availability, card, value_range
from tabs.ui import live
from tabs.ui.player import clock
from tabs.ui.plots import FAINT, INK, LINE, themed

PAGE = Palette(INK, LINE, "#d97706", FAINT)  # exchanged for the page's own colours by ``themed``
WAYS = {
    Better.HIGHER: '<span class="way" title="More is better">higher is better</span>',
    Better.LOWER: '<span class="way" title="Less is better">lower is better</span>',
    Better.NEITHER: "",
}
NEEDS = {
    Need.NOTHING: "the sound alone",
    Need.REFERENCE: "a reference",
    Need.TEXT: "a text",
    Need.TEXT_OR_REFERENCE: "a text or a reference",
    Need.SET: "a whole set with references",
}


def drawing_html(svg: str) -> str:
    """A drawing that follows the page's theme."""
    return f'<div class="drawing">{themed(svg)}</div>'


def picture_html(svg: str) -> str:
    """A drawing of one sound, in which the cursor of the player above runs."""
    return (
        f'<div class="picture drawn" data-left="{LEFT}" data-right="{RIGHT}" '
        f'title="Click to jump to that moment">{themed(svg)}<i class="cursor"></i></div>'
    )


def sound_html(name: str, source: str, sound: Sound, svg: str = "", badge: str = "") -> str:
    """A player with facts and, where there is one, its drawing."""
    channels = {1: "mono", 2: "stereo"}.get(sound.channels, f"{sound.channels} channels")
    facts = f"{clock(sound.duration_s)} · {sound.sample_rate / 1000:g} kHz {channels}"
    head = live.badge(badge) if badge else ""
    return (
        f'<article class="clip measured"><header><h3>{escape(name)}</h3>{head}</header>'
        f'<p class="facts">{facts}</p><audio controls preload="metadata" '
        f'src="{escape(source, quote=True)}" aria-label="Player"></audio>'
        f"{picture_html(svg) if svg else ''}</article>"
    )


def scores_html(scores: Sequence[Score], waiting: Sequence[str] = ()) -> str:
    """Scores by group; what does not apply says why. ``waiting`` are metrics still to come."""
    rows: list[tuple[str, str]] = [(card(s.metric).group, score_row(s)) for s in scores]
    rows += [(card(each).group, _waiting_row(card(each), n == 0)) for n, each in enumerate(waiting)]
    order = list(dict.fromkeys(group for group, _ in rows))
    rows.sort(key=lambda row: order.index(row[0]))
    body = "".join(
        f'<tr class="group"><th colspan="3">{escape(group)}</th></tr>'
        + "".join(row for _, row in found)
        for group, found in groupby(rows, key=lambda row: row[0])
    )
    table = f'<table class="scores"><tbody>{body}</tbody></table>' if body else ""
    return table + notes_html(scores)


def notes_html(scores: Sequence[Score]) -> str:
    """What was done to the sounds before they were measured, and for which measures."""
    told: dict[str, list[str]] = {}
    for score in scores:
        for note in score.notes:
            told.setdefault(note, []).append(card(score.metric).title)
    if not told:
        return ""
    lines = "".join(
        f"<li>{escape(note)} <span class='quiet'>({escape(', '.join(titles))})</span></li>"
        for note, titles in told.items()
    )
    return (
        '<details class="done-to"><summary>What was done to the sounds first</summary>'
        f"<ul>{lines}</ul></details>"
    )


def score_row(score: Score) -> str:
    """One metric with its number, or the reason why there is none."""
    of = card(score.metric)
    name = f'<td><b title="{escape(of.measures, quote=True)}">{escape(of.title)}</b></td>'
    if score.value is None:
        why = escape(score.message or str(score.reason))
        return (
            f'<tr data-metric="{of.id}" class="none">{name}<td class="quiet">–</td>'
            f'<td class="quiet">{why}</td></tr>'
        )
    return (
        f'<tr data-metric="{of.id}">{name}<td class="value">{escape(value_text(score))}</td>'
        f"<td>{gauge(of, score.value)}{WAYS[of.better]}{alignment_html(score)}</td></tr>"
    )


def _waiting_row(of: Card, now: bool) -> str:
    text = "measuring …" if now else ""
    return f'<tr class="none"><td><b>{escape(of.title)}</b></td><td class="quiet">{text}</td><td></td></tr>'


def gauge(of: Card, value: float) -> str:
    """Where a value lies between the ends of its scale, where it has both."""
    if of.low is None or of.high is None:
        return ""
    share = min(max((value - of.low) / (of.high - of.low), 0.0), 1.0)
    return (
        f'<span class="gauge" title="{of.low:g} to {of.high:g}"><i style="left:{100 * share:.1f}%">'
        "</i></span>"
    )


def alignment_html(score: Score) -> str:
    """What a recogniser heard, word by word, where that was kept."""
    rows = score.details.get("alignment") or []
    if not rows or score.metric == "cer":  # letter by letter nobody can read it
        return ""
    words = "".join(_word(*row) for row in rows)
    return f'<span class="words" aria-label="What was heard">{words}</span>'


def _word(fate: str, said: str, heard: str) -> str:
    said, heard = escape(said), escape(heard)
    if fate == "equal":
        return f"<span>{said}</span> "
    if fate == "delete":
        return f'<del title="not heard">{said}</del> '
    if fate == "insert":
        return f'<ins title="not said">{heard}</ins> '
    return f'<del title="said">{said}</del><ins title="heard">{heard}</ins> '


# cards


def cards_html(cards: Iterable[Card]) -> str:
    """All cards by group."""
    return "".join(
        f'<h4 class="cards-group">{escape(group)}</h4><div class="metric-cards">'
        + "".join(map(card_html, some))
        + "</div>"
        for group, some in groupby(cards, key=lambda each: each.group)
    )


def card_html(of: Card) -> str:
    """What one metric measures, its range, what it needs, where it comes from, its weights."""
    state, missing = availability(of.id)
    badge = live.badge("ready", "ok")
    if state is Availability.INSTALL:
        badge = live.badge(f"to install: {', '.join(missing)}", "warn")
    elif "to download" in of.weights:
        badge = live.badge("weights to download")
    unit = f" {of.unit}" if of.unit else ""
    better = {"higher": "higher", "lower": "lower", "neither": "neither: it describes"}
    rate = f"{of.sample_rate / 1000:g} kHz" if of.sample_rate else "that of the sound"
    facts: list[tuple[str, str]] = [
        ("Range", f"{value_range(of)}{unit}"),
        ("Better", better[str(of.better)]),
        ("Needs", NEEDS[of.needs]),
        ("Sample rate", rate),
        ("Source", of.paper),
        ("Weights", of.weights),
        (
            "Licence",
            f"{of.license_code}, weights {of.license_weights}" if of.weights else of.license_code,
        ),
    ]
    if of.pip_extra and missing:
        facts.append(("Install", f"pip install {of.pip_extra}"))
    listed = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts if text)
    return (
        f'<section class="card metric-card" data-metric="{of.id}"><header><h3>{escape(of.title)}</h3>'
        f"<code>{of.id}</code>{badge}</header><p>{escape(of.measures)}</p>"
        f'<dl class="facts-grid">{listed}</dl></section>'
    )


def choices(cards: Iterable[Card]) -> list[tuple[str, Any]]:
    """Metrics to choose from, by title."""
    return [(each.title, each.id) for each in cards]
