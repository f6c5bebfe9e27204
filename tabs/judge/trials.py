"""One trial of a listening test as HTML: A/B, MOS or MUSHRA on a deck."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from zlib import crc32

from engines.studio.judging.designs import ANCHOR
from engines.studio.judging.judging import config, criterion
from engines.studio.judging.listening import Presentation
from tabs.ui import deck

AB_KEYS = (
    "<kbd>Space</kbd> play <kbd>←</kbd> <kbd>→</kbd> switch <kbd>1</kbd> <kbd>2</kbd> <kbd>0</kbd> "
    "answer <kbd>Q</kbd> <kbd>W</kbd> <kbd>E</kbd> how much <kbd>L</kbd> loop"
)
MOS_KEYS = "<kbd>Space</kbd> play <kbd>1</kbd>–<kbd>5</kbd> grade <kbd>Enter</kbd> next"
MUSHRA_KEYS = (
    "<kbd>Space</kbd> play <kbd>0</kbd> reference <kbd>1</kbd>–<kbd>9</kbd> sounds "
    "<kbd>L</kbd> loop <kbd>Enter</kbd> next"
)
Addresses = (
    Sequence[str] | None
)  # of the sounds in the order of their sides; None: those of the clips
ABOUT_MUSHRA = (
    "Grade each sound by how close it is to the reference. One of them <b>is</b> the reference: give "
    "it 100."
)
ABOUT_ANCHOR = " One is much worse on purpose."


def button(text: str, action: str, id: str = "", kind: str = "") -> str:
    """A button that tells ``action`` to Python."""
    return (
        f'<button type="button" class="act {kind}" data-judge="{action}" '
        f'data-id="{escape(id, quote=True)}">{text}</button>'
    )


def trial_html(shown: Presentation, who: str) -> str:
    """One trial, to be answered or answered again."""
    kind = str(shown.test.kind)
    inside = INSIDE[kind](shown)
    share = shown.done / shown.of
    back = "" if shown.position == 1 else button("← Back", "goto", str(shown.position - 1))
    forward = ""
    if shown.answer is not None:
        last = shown.position == shown.of
        action, to = ("take", shown.test.id) if last else ("goto", str(shown.position + 1))
        forward = button("Keep my answer →", action, to)
    # another listener has another order: then the sounds must not be taken over from this deck
    deck_id = f"{shown.trial.id}-{crc32(who.encode())}"
    return f"""
<div class="trial-head"><h3>{escape(shown.test.name)}</h3>
  <span class="quiet">Trial {shown.position} of {shown.of} · {shown.done} answered, each is saved</span>
  <span class="grow"></span>{back}{forward}{button("Stop, go on later", "list")}</div>
<div class="track" role="progressbar" aria-valuemin="0" aria-valuemax="{shown.of}"
  aria-valuenow="{shown.done}"><i style="width:{100 * share:.1f}%"></i></div>
{deck.deck(deck_id, kind, inside, f'data-trial="{shown.trial.id}"')}"""


def question(shown: Presentation) -> str:
    """What is asked."""
    return criterion(str(shown.test.criterion)).asked(str(shown.test.kind))


def ab_html(shown: Presentation, addresses: Addresses = None) -> str:
    """Two sounds, three answers."""
    answer = shown.answer or {}
    pair = deck.sides(shown.clips, ["1", "2"], addresses=addresses)
    return (
        deck.prompt_html(shown.trial.prompt, question(shown))
        + f'<div class="deck-sides">{"".join(map(deck.listen_button, pair))}</div>'
        + deck.transport()
        + deck.vote_html(answer.get("choice"), answer.get("strength", 1))
        + f'<div class="deck-foot" data-ready="Answer, and the next trial comes.">{deck.why()}</div>'
        + f'<p class="keys-hint">{AB_KEYS}</p>'
    )


def mos_html(shown: Presentation, addresses: Addresses = None) -> str:
    """One sound, five grades."""
    given = (shown.answer or {"scores": [0]})["scores"][0]
    grades = "".join(
        f'<button type="button" class="act grade" role="radio" data-grade="{number}" disabled '
        f'aria-checked="{str(number == given).lower()}"><kbd>{number}</kbd><b>{word}</b></button>'
        for number, word in enumerate(config()["grades"], 1)
    )
    (side,) = deck.sides(shown.clips, ["the sound"], match=False, addresses=addresses)
    return (
        deck.prompt_html(shown.trial.prompt, question(shown))
        + f'<div class="deck-sides single">{deck.listen_button(side, text="Listen")}</div>'
        + deck.transport()
        + f'<div class="grades" role="radiogroup" aria-label="Grade">{grades}</div>'
        + save_html("Save, and the next sound comes.")
        + f'<p class="keys-hint">{MOS_KEYS}</p>'
    )


def mushra_html(shown: Presentation, addresses: Addresses = None) -> str:
    """All sounds side by side, each with a slider from 0 to 100."""
    assert shown.reference is not None
    given = (shown.answer or {}).get("scores")
    clips = [shown.reference, *shown.clips]
    names = ["Reference", *(str(number) for number in range(1, len(clips)))]
    reference, *others = deck.sides(clips, names, match=False, addresses=addresses)
    columns = "".join(
        f'<div class="mushra-column">{deck.listen_button(side)}'
        f'<input type="range" min="0" max="100" step="1" value="{given[place] if given else 50}" '
        f'{"data-touched" if given else ""} aria-label="Score of sound {side.name}">'
        f"<output>{given[place] if given else '–'}</output></div>"
        for place, side in enumerate(others)
    )
    about = ABOUT_MUSHRA
    if any(each.role == ANCHOR for each in shown.trial.stimuli):
        about += ABOUT_ANCHOR
    scale = "".join(f"<li>{word}</li>" for word in reversed(config()["grades"]))
    return (
        deck.prompt_html(shown.trial.prompt, question(shown))
        + f'<p class="quiet">{about}</p><div class="mushra">'
        + f'<div class="mushra-reference">{deck.listen_button(reference, "", "reference")}'
        + f'<ol class="mushra-scale" aria-hidden="true">{scale}</ol></div>'
        + f'<div class="mushra-columns">{columns}</div></div>'
        + deck.transport()
        + save_html("Save, and the next trial comes.")
        + f'<p class="keys-hint">{MUSHRA_KEYS}</p>'
    )


def save_html(ready: str) -> str:
    """What is missing, and the button that saves."""
    return (
        f'<div class="deck-foot" data-ready="{escape(ready, quote=True)}">{deck.why()}'
        '<button type="button" class="act primary" data-save disabled>Next →</button></div>'
    )


INSIDE = {"ab": ab_html, "mos": mos_html, "mushra": mushra_html}
