"""What the Compare tab shows: the grid with its players, settings and scores side by side."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from engines.metrics.base import Better, Need, Score
from engines.studio import Studio
from engines.studio.evaluation.drawings import BESIDE_LEFT, BESIDE_RIGHT
from engines.studio.evaluation.exports import value_text
from engines.studio.evaluation.plan import card
from storage import ClipRow
from tabs.ui import deck, live
from tabs.ui.live import button
from tabs.ui.player import clock

MOST, LEAST = 8, 2
START = (
    "Choose two to eight clips on the left, or press Compare on a clip in History. They play in step: "
    "switch from one to another in the middle of a word."
)
ONE = "One more, please: choose another clip on the left, or make one below."
KEYS = (
    "<kbd>Space</kbd> play <kbd>1</kbd>–<kbd>8</kbd> <kbd>←</kbd> <kbd>→</kbd> switch "
    "<kbd>M</kbd> loudness <kbd>L</kbd> loop"
)
WAYS = {
    Better.HIGHER: ' <span class="quiet" title="Higher is better">↑</span>',
    Better.LOWER: ' <span class="quiet" title="Lower is better">↓</span>',
    Better.NEITHER: "",
}
QUIET_SETTINGS = ("text", "prompt")


def grid_html(studio: Studio, clips: Sequence[ClipRow], deck_id: str, reference: str) -> str:
    """The deck: one transport, and a card for each clip with its picture."""
    if not clips:
        return live.empty(START)
    sides = deck.sides(clips, [str(number) for number in range(1, len(clips) + 1)])
    until_s = max(clip.duration_s for clip in clips)
    rate = max(clip.sample_rate for clip in clips)
    cards = "".join(
        _card(studio, side, until_s, rate, side.clip.id == reference, len(clips)) for side in sides
    )
    more = live.empty(ONE) if len(clips) < LEAST else ""
    inside = (
        f'{deck.transport()}<div class="compare-match">'
        '<button type="button" class="act" data-deck-do="match" aria-pressed="false" '
        f'title="Switch between matched and original loudness (M)">Match loudness</button>'
        f"{match_html(sides)}</div>"
        f'<div class="compare-grid">{cards}</div>{more}<p class="keys-hint">{KEYS}</p>'
    )
    these = hashlib.sha256(" ".join(clip.id for clip in clips).encode()).hexdigest()[:12]
    return deck.deck(f"{deck_id}-{these}", "compare", inside)


def match_html(sides: Sequence[deck.Side]) -> str:
    """What matching the loudness does to these clips, in a sentence for each position."""
    silent = [side.name for side in sides if side.clip.loudness_lufs is None]
    off = (
        '<span class="when-off quiet">Off: every clip plays at its own level. On, louder ones are '
        "turned down to the quietest.</span>"
    )
    if silent:
        text = (
            f"Clip {', '.join(silent)} is too short or too quiet for its loudness to be measured, so "
            "all play at their own level."
        )
        return f'<span class="quiet">{escape(text)}</span>'
    quietest = min(side.clip.loudness_lufs or 0.0 for side in sides)
    text = (
        f"On: louder clips are turned down to the quietest, {quietest:.1f} LUFS. Nothing is turned up, "
        "so nothing clips."
    )
    return f'<span class="when-on quiet">{text}</span>{off}'


def _card(
    studio: Studio, side: deck.Side, until_s: float, rate: int, is_reference: bool, count: int
) -> str:
    clip, number = side.clip, side.name
    clip_id = escape(clip.id, quote=True)
    level = "no loudness" if clip.loudness_lufs is None else f"{clip.loudness_lufs:.1f} LUFS"
    gain = f'<span class="gain" title="Turned down by">{_db(side.gain)}</span>'
    facts = [studio.judging.system_of(clip), clock(clip.duration_s)]
    facts += [f"seed {clip.seed}"] if clip.seed is not None else []
    source = f"compare/{quote(clip.id)}.svg?until_s={until_s:.3f}&amp;rate={rate}&amp;theme="
    title = escape(clip.title or "Untitled")
    pressed = str(is_reference).lower()
    return f"""
<article class="compare-card" data-source="clips/{clip_id}/audio" data-index="{side.index}"
  data-gain="{side.gain:.4f}" data-must="0" data-name="{number}">
  <header><button type="button" class="deck-side" aria-pressed="false" aria-label="Listen to {number}"
    title="Listen ({number})"><b>{number}</b></button>
  <div class="compare-name"><h3 title="{escape(clip.text or clip.title, quote=True)}">{title}</h3>
    <p class="facts">{escape(" · ".join(facts))} · {level} {gain}</p></div>
  <div class="compare-tools"><button type="button" class="act small" data-action="reference"
    data-id="{clip_id}" aria-pressed="{pressed}" title="Measure the others against this clip">
    Reference</button>{_icon("left", clip.id, "Move left", "‹") if side.index else ""}
    {_icon("right", clip.id, "Move right", "›") if side.index < count - 1 else ""}
    {_icon("remove", clip.id, "Take out", "✕")}</div></header>
  <div class="picture compare-picture" data-left="{BESIDE_LEFT}"
    data-right="{BESIDE_RIGHT}"
    title="Click to jump to that moment"><img loading="lazy" alt="Spectrogram and F0 of clip {number}"
    data-light="{source}light" data-dark="{source}dark"><i class="cursor"></i></div>
  <i class="heard" hidden><i></i></i>
</article>"""


def _icon(action: str, id: str, label: str, sign: str) -> str:
    return (
        f'<button type="button" class="icon" data-action="{action}" '
        f'data-id="{escape(id, quote=True)}" aria-label="{label}" title="{label}">{sign}</button>'
    )


def _db(gain: float) -> str:
    change = 20 * math.log10(gain)
    return "±0 dB" if abs(change) < 0.05 else f"−{abs(change):.1f} dB"


def found_html(clips: Sequence[ClipRow], chosen: Sequence[str], total: int) -> str:
    """What the search found, each with a button that puts it into the grid or takes it out."""
    if not clips:
        return live.empty("No clip matches. Make some in Speech or Music.")
    lines = "".join(_found(clip, clip.id in chosen, len(chosen) >= MOST) for clip in clips)
    more = f'<p class="quiet">{total - len(clips):,} more; search to narrow it down.</p>' * (
        total > len(clips)
    )
    return f'<ul class="clip-list compare-found">{lines}</ul>{more}'


def _found(clip: ClipRow, chosen: bool, full: bool) -> str:
    clip_id = escape(clip.id, quote=True)
    title = escape(clip.title or "Untitled")
    off = " disabled title='At most eight'" if full and not chosen else ""
    return (
        f'<li class="{"selected" if chosen else ""}"><button class="icon" '
        f'data-play="clips/{clip_id}/audio" aria-label="Play">▶</button>'
        f'<span class="name" title="{title}">{title}<br><span class="quiet">'
        f"{escape(clip.engine)} · {clock(clip.duration_s)}"
        f"{'' if clip.seed is None else f' · seed {clip.seed}'}</span></span>"
        f'<button type="button" class="act small" data-action="{"remove" if chosen else "add"}" '
        f'data-id="{clip_id}"{off}>{"Take out" if chosen else "Add"}</button></li>'
    )


# what they have in common, and what not


def settings_html(studio: Studio, clips: Sequence[ClipRow]) -> str:
    """Settings side by side; those that differ come first and stand out."""
    if len(clips) < LEAST:
        return ""
    rows: dict[str, list[str]] = {
        "made by": [studio.judging.system_of(clip) for clip in clips],
        "text": [clip.text for clip in clips],
        "seed": ["–" if clip.seed is None else str(clip.seed) for clip in clips],
        "length": [clock(clip.duration_s) for clip in clips],
        "sample rate": [f"{clip.sample_rate:,} Hz" for clip in clips],
    }
    names = sorted({name for clip in clips for name in clip.settings} - {"seed", *QUIET_SETTINGS})
    for name in names:
        rows[name] = [_shown(clip.settings, name) for clip in clips]
    differ = {name: values for name, values in rows.items() if len(set(values)) > 1}
    same = {name: values[0] for name, values in rows.items() if name not in differ}
    head = "".join(f"<th>{number}</th>" for number in range(1, len(clips) + 1))
    lines = "".join(
        f'<tr class="differs"><th>{escape(name)}</th>'
        + "".join(f"<td>{escape(live.short(value, 90))}</td>" for value in values)
        + "</tr>"
        for name, values in differ.items()
    )
    both = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(live.short(value, 200))}</td></tr>"
        for name, value in same.items()
    )
    table = (
        f'<div class="table-scroll"><table class="compare-table"><thead><tr><th></th>{head}</tr>'
        f"</thead><tbody>{lines}</tbody></table></div>"
        if differ
        else '<p class="quiet">All settings are the same.</p>'
    )
    return (
        f'<section class="card"><header><h3>What differs</h3></header>{table}<details><summary>'
        f'{len(same)} the same in all</summary><table class="facts-table">{both}</table></details>'
        "</section>"
    )


def _shown(settings: Mapping[str, Any], name: str) -> str:
    return "–" if name not in settings else str(settings[name])


Scores = Mapping[str, Mapping[str, Score]]  # by metric, then by clip


def scores_html(clips: Sequence[ClipRow], scores: Scores, reference: str, note: str = "") -> str:
    """Metrics side by side; the best of each line stands out."""
    if not scores:
        return f'<p class="state">{escape(note)}</p>' if note else ""
    head = "".join(
        f"<th>{number}{' (reference)' if clip.id == reference else ''}</th>"
        for number, clip in enumerate(clips, 1)
    )
    lines = ""
    for alone in (True, False):
        rows = [m for m in scores if (card(m).needs is not Need.REFERENCE) is alone]
        if rows and not alone:
            number = 1 + next((n for n, clip in enumerate(clips) if clip.id == reference), -1)
            of = f"clip {number}" if number else "the reference"
            lines += f'<tr class="group"><th colspan="{len(clips) + 1}">Against {of}</th></tr>'
        lines += "".join(_scores_row(clips, metric, scores[metric]) for metric in rows)
    told = f'<p class="quiet">{escape(note)}</p>' if note else ""
    return (
        '<section class="card"><header><h3>Measured</h3></header>'
        f'{told}<div class="table-scroll"><table class="compare-table scores-beside"><thead><tr>'
        f"<th></th>{head}</tr></thead><tbody>{lines}</tbody></table></div></section>"
    )


def _scores_row(clips: Sequence[ClipRow], metric: str, found: Mapping[str, Score]) -> str:
    of = card(metric)
    values = {clip_id: score.value for clip_id, score in found.items() if score.value is not None}
    best: float | None = None
    if len(set(values.values())) > 1 and of.better is not Better.NEITHER:
        best = max(values.values()) if of.better is Better.HIGHER else min(values.values())
    cells = ""
    for clip in clips:
        score = found.get(clip.id)
        if score is None:
            cells += '<td class="quiet">–</td>'
        elif score.value is None:
            why = escape(score.message or str(score.reason), quote=True)
            cells += (
                f'<td class="quiet" title="{why}">– <small>{escape(str(score.reason))}</small></td>'
            )
        else:
            star = " best" if score.value == best else ""
            cells += f'<td class="value{star}">{escape(value_text(score))}</td>'
    name = f'<span title="{escape(of.measures, quote=True)}">{escape(of.title)}</span>'
    return f'<tr data-metric="{of.id}"><th>{name}{WAYS[of.better]}</th>{cells}</tr>'


def making_html(
    clips: Sequence[ClipRow], bars: Sequence[tuple[str, str, str]], said: str, test_id: str
) -> str:
    """What can be done with the grid, jobs under way (id, title, bar) and what came of the last click."""
    lines = "".join(
        f'<div class="line loading"><span class="name one">{escape(title)}</span>{bar}'
        f"{button('Cancel', 'cancel', job_id, 'small stop')}</div>"
        for job_id, title, bar in bars
    )
    told = f'<p class="state bad">{escape(said)}</p>' if said else ""
    if test_id:
        told += (
            '<p class="state ok">The blind test is ready. '
            f"{button('Listen and vote', 'open-test', test_id, 'small primary')}</p>"
            f'<span data-open-now="{escape(test_id, quote=True)}" hidden></span>'
        )
    if not clips:
        return told + lines
    full = len(clips) >= MOST
    make = "" if full else (
        button("Same text, several models", "models", "", "",
               "Let every other model that is ready say or play the same")
        + button("Same settings, other seeds", "seeds", "", "", "Three more with new seeds")
    )  # fmt: skip
    blind = (
        button("Blind A/B", "blind", "", "primary", "A blind test of every pair of these clips")
        if len(clips) >= LEAST
        else ""
    )
    clear = button("Clear", "clear", "", "small")
    row = f'{make}{blind}<span class="grow"></span>{clear}'
    return f'<div class="buttons compare-make">{row}</div>{told}{lines}'
