"""Comparing blind: two clips of one prompt, or several put in order. Names come after the answer."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from engines.base import StudioError
from engines.studio import Studio
from engines.studio.judging.judging import Choice, must_listen_s
from storage import ClipRow
from tabs.ui import deck, live
from tabs.ui.clip_filter import JUDGE_JS, clip_filter, engine_choices, filters
from tabs.ui.errors import as_gradio_error
from tabs.ui.page import Page, refresher
from tabs.ui.rater import rater_name

TWO, SEVERAL = "Two clips", "Several in order"
NO_PAIR = (
    "No two clips of one prompt are left to compare. Make another variation of a prompt (the same "
    "text with another seed, engine or adapter), or choose wider filters."
)
NO_RANKING = (
    "No prompt has three clips that you have not put in order yet. Make a few variations of one "
    "prompt, then come back."
)
AB_KEYS = (
    "<kbd>Space</kbd> play <kbd>←</kbd> <kbd>→</kbd> switch <kbd>1</kbd> <kbd>2</kbd> <kbd>0</kbd> "
    "answer <kbd>Q</kbd> <kbd>W</kbd> <kbd>E</kbd> how much <kbd>L</kbd> loop <kbd>Enter</kbd> next"
)
RANK_KEYS = (
    "<kbd>Space</kbd> play <kbd>A</kbd>–<kbd>F</kbd> listen <kbd>↑</kbd> <kbd>↓</kbd> move "
    "<kbd>L</kbd> loop <kbd>Enter</kbd> save, next"
)
UNTOLD = ("text", "seed", "variations")


@dataclass(frozen=True)
class Shown:
    """What one browser compares: ``answer`` is 1, 2, 0, or the order of a ranking, once given."""

    id: str = ""
    choice: Choice | None = None
    several: bool = False
    answer: int | tuple[int, ...] | None = None
    strength: int = 1
    seen: tuple[frozenset[str], ...] = ()
    count: int = 0


def build(studio: Studio, remembered: gr.BrowserState) -> Page:
    """Lay out the page in the current block."""
    with gr.Row(elem_classes="judge-filters"):
        mode = gr.Radio(
            [TWO, SEVERAL], value=TWO, label="Compare", elem_id="compare-mode", min_width=330
        )
        size = gr.Dropdown(
            [("3", 3), ("4", 4), ("5", 5), ("6", 6)], value=4, label="How many", visible=False,
            min_width=90, elem_id="compare-size",
        )  # fmt: skip
        choose = filters("compare")
        new = gr.Checkbox(
            value=True, label="Only what I have not compared", elem_id="compare-new", min_width=170
        )
    view = gr.State(Shown())
    stage = gr.HTML(elem_id="compare-stage", js_on_load=JUDGE_JS, apply_default_css=False)
    asked = [view, remembered, mode, size, new, *choose.parts]
    outputs = [view, stage]

    def start(
        request: gr.Request, shown: Shown, kept: str, how: str, many: float, only_new: bool,
        *chosen: str,
    ) -> list[Any]:  # fmt: skip
        who, several = rater_name(request, kept), how == SEVERAL
        judging, wanted = studio.judging, clip_filter(*chosen)
        with as_gradio_error():
            find = judging.next_ranking if several else judging.next_pair
            options: dict[str, Any] = {"size": int(many)} if several else {}
            found = find(who, wanted, new=only_new, skip=shown.seen, **options)
            if found is None and shown.seen:  # what was skipped before comes again
                shown = replace(shown, seen=())
                found = find(who, wanted, new=only_new, **options)
        shown = Shown(secrets.token_hex(8), found, several, seen=shown.seen, count=shown.count)
        return [shown, stage_html(studio, shown)]

    def opened(request: gr.Request, shown: Shown, *rest: Any) -> list[Any]:
        if shown.choice and shown.answer is None:
            drawn = [shown, gr.skip()]
        else:
            drawn = start(request, shown, *rest)
        return [*drawn, engine_choices(studio)]

    def act(
        event: gr.EventData, request: gr.Request, shown: Shown, kept: str, *rest: Any
    ) -> list[Any]:
        action = str(event.action)
        with as_gradio_error():
            if action in ("vote", "rank"):
                if str(event.deck) == shown.id:
                    shown = keep(studio, shown, rater_name(request, kept), event)
            elif action == "change":
                shown = replace(shown, answer=None)
            elif action in ("next", "skip"):
                seen = shown.seen
                if shown.choice:
                    seen = (*seen, frozenset(clip.id for clip in shown.choice.clips))
                return start(request, replace(shown, seen=seen), kept, *rest)
        return [shown, stage_html(studio, shown)]

    begin = refresher(start, asked, outputs)
    choose.on_change(begin)
    mode.input(**begin).then(**refresher(lambda how: gr.update(visible=how == SEVERAL), mode, size))
    size.select(**begin)
    new.input(**begin)
    stage.select(**refresher(act, asked, outputs))
    return Page(refresher(opened, asked, [*outputs, choose.engine]))


def keep(studio: Studio, shown: Shown, who: str, event: Any) -> Shown:
    """Store the answer that the page sent; raises ``StudioError`` when a side was not heard."""
    if shown.choice is None:
        return shown
    clips = shown.choice.clips
    require_heard(clips, event.heard)
    judgements = studio.judging.judgements
    if shown.several:
        order = tuple(int(index) for index in event.order)
        judgements.rank([clips[index].id for index in order], who)
        return replace(shown, answer=order, count=shown.count + 1)
    choice, strength = int(event.choice), int(event.strength)
    chosen, rejected = clips[::-1] if choice == 2 else clips
    judgements.prefer(chosen.id, rejected.id, rater=who, tie=choice == 0, strength=strength)
    return replace(shown, answer=choice, strength=strength, count=shown.count + 1)


def require_heard(clips: Sequence[ClipRow], heard_s: Sequence[float]) -> None:
    """Refuse an answer to sounds that were not listened to."""
    for clip, seconds in zip(clips, heard_s, strict=True):
        if float(seconds) < must_listen_s(clip.duration_s) - 0.05:
            raise StudioError("Listen to every sound for a few seconds before you answer.")


# HTML


def stage_html(studio: Studio, shown: Shown) -> str:
    """The comparison, before or after the answer."""
    if shown.choice is None:
        text = live.empty(NO_RANKING if shown.several else NO_PAIR)
        if shown.count:
            text = f'<p class="thanks">✓ {shown.count} answered. Thank you.</p>{text}'
        return text
    return rank_html(studio, shown) if shown.several else pair_html(studio, shown)


def pair_html(studio: Studio, shown: Shown) -> str:
    """Two clips; after the answer, what they are."""
    assert shown.choice is not None
    clips, told = shown.choice.clips, shown.answer is not None
    labels = reveal(studio, clips) if told else [""] * len(clips)
    both = deck.sides(clips, ["1", "2"])
    buttons = "".join(
        deck.listen_button(side, label, "won" if told and shown.answer == side.index + 1 else "")
        for side, label in zip(both, labels, strict=True)
    )
    answer = shown.answer if isinstance(shown.answer, int) else None
    inside = (
        deck.prompt_html(shown.choice.prompt, "Which is better?")
        + f'<div class="deck-sides">{buttons}</div>'
        + deck.transport()
        + deck.vote_html(answer, shown.strength, told)
        + (after_html("Next pair →") if told else before_html("You can answer now."))
        + f'<p class="keys-hint">{AB_KEYS}</p>'
    )
    return deck.deck(shown.id, "ab", inside, 'data-fixed="yes"' if told else "")


def rank_html(studio: Studio, shown: Shown) -> str:
    """Several clips in rows; after the answer, what they are."""
    assert shown.choice is not None
    clips, told = shown.choice.clips, shown.answer is not None
    labels = reveal(studio, clips) if told else [""] * len(clips)
    all_sides = deck.sides(clips, deck.LETTERS[: len(clips)])
    order = shown.answer if isinstance(shown.answer, tuple) else tuple(range(len(clips)))
    rows = "".join(
        rank_row(all_sides[index], labels[index], place, told)
        for place, index in enumerate(order, 1)
    )
    pairs = len(clips) * (len(clips) - 1) // 2
    save = (
        f'<p class="state ok">Kept: {pairs} comparisons.</p>{after_html("Next →")}'
        if told
        else before_html(
            "Is this your order, best first? Then save it.",
            '<button type="button" class="act primary" data-save disabled>Save this order</button>',
        )
    )
    inside = (
        deck.prompt_html(shown.choice.prompt, "Put them in order, the best on top")
        + f'<ol class="rank-list">{rows}</ol>'
        + deck.transport()
        + save
        + f'<p class="keys-hint">{RANK_KEYS}</p>'
    )
    return deck.deck(shown.id, "rank", inside, 'data-fixed="yes"' if told else "")


def rank_row(side: deck.Side, label: str, place: int, fixed: bool) -> str:
    """One row of a ranking; the script moves it."""
    moves = (
        ""
        if fixed
        else '<button type="button" class="icon" data-move="-1" aria-label="Up">▲</button>'
        '<button type="button" class="icon" data-move="1" aria-label="Down">▼</button>'
    )
    return (
        f'<li class="rank-row" {deck.source(side)} draggable="{str(not fixed).lower()}">'
        f'<span class="place">{place}.</span>'
        f'<button type="button" class="deck-side" aria-label="Listen to {side.name}"><b>{side.name}</b>'
        f'</button><span class="deck-label">{label}</span><i class="heard"><i></i></i>{moves}</li>'
    )


def before_html(ready: str, save: str = "") -> str:
    """Before the answer: what is missing, and a way past."""
    return (
        f'<div class="deck-foot" data-ready="{escape(ready, quote=True)}">{deck.why()}{save}'
        '<button type="button" class="act" data-judge="skip">Skip</button></div>'
    )


def after_html(following: str) -> str:
    """After the answer: go on, or answer again."""
    return (
        '<div class="deck-foot"><span class="grow"></span>'
        '<button type="button" class="act" data-judge="change">Change my answer</button>'
        f'<button type="button" class="act primary" data-judge="next">{following}</button></div>'
    )


def reveal(studio: Studio, clips: Sequence[ClipRow]) -> list[str]:
    """What each clip is: system, seed, and the settings in which they differ."""
    names = {name for clip in clips for name in clip.settings if name not in UNTOLD}
    differing = [
        name for name in sorted(names) if len({repr(clip.settings.get(name)) for clip in clips}) > 1
    ]
    lines = []
    for clip in clips:
        parts = [studio.judging.system_of(clip)]
        parts += [f"{name} {clip.settings.get(name)}" for name in differing[:4]]
        parts += [f"seed {clip.seed}"] if clip.seed is not None else []
        lines.append(escape(live.short(" · ".join(parts), 140)))
    return lines
