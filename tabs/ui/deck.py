"""The deck: several sounds that play in step, one of them heard at a time.

Here is its HTML; ``judge.js`` decodes the sounds, switches between them at the same position, keeps
count of how long each was heard, and enables the answer once all were heard long enough. A deck that
is drawn again with the same id goes on playing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from engines.studio.judging.judging import config, must_listen_s
from storage import ClipRow
from tabs.ui.keyed import keyed

LETTERS = "ABCDEFGHIJKLMNOP"


@dataclass(frozen=True)
class Side:
    """One sound of a deck: its number from 0, the ``name`` on its button, and the ``gain`` that makes
    it as loud as the others, at most 1. ``address`` is where its sound is fetched."""

    index: int
    clip: ClipRow
    name: str
    gain: float = 1.0
    address: str = ""


def sides(
    clips: Sequence[ClipRow],
    names: Sequence[str],
    match: bool = True,
    addresses: Sequence[str] | None = None,
) -> list[Side]:
    """Clips as the sides of a deck; ``match`` turns louder ones down to the quietest.

    Their sounds come from ``addresses``, in the same order, or else from those of the clips.
    """
    known = [clip.loudness_lufs for clip in clips]
    levels = [level for level in known if level is not None]
    quietest = min(levels, default=0.0)
    every = match and len(levels) == len(clips)
    gains = [
        10 ** ((quietest - level) / 20) if every and level is not None else 1.0 for level in known
    ]
    places = addresses or [f"clips/{clip.id}/audio" for clip in clips]
    each = zip(clips, names, gains, places, strict=True)
    return [Side(index, *values) for index, values in enumerate(each)]


def source(side: Side) -> str:
    """The attributes by which the script finds the sound of a side."""
    return (
        f'data-source="{escape(side.address, quote=True)}" data-index="{side.index}" '
        f'data-gain="{side.gain:.4f}" '
        f'data-must="{must_listen_s(side.clip.duration_s):g}" '
        f'data-name="{escape(side.name, quote=True)}"'
    )


def listen_button(side: Side, label: str = "", kind: str = "", text: str = "") -> str:
    """A button that makes this side the one that is heard; ``text`` stands for its name."""
    return (
        f'<button type="button" class="deck-side {kind}" {source(side)} aria-pressed="false" '
        f'aria-label="Listen to {escape(side.name, quote=True)}">'
        f'<b>{escape(text or side.name)}</b><span class="deck-label">{label}</span>'
        '<i class="heard"><i></i></i></button>'
    )


def transport() -> str:
    """Play, position, time and loop."""
    return (
        '<div class="deck-transport">'
        '<button type="button" class="act primary deck-play" data-deck-do="play" '
        'aria-label="Play or pause" title="Play or pause (Space)">▶</button>'
        '<div class="deck-bar" role="slider" tabindex="0" aria-label="Position" aria-valuemin="0" '
        'aria-valuemax="0" aria-valuenow="0" title="Click or drag to jump to that moment">'
        '<canvas></canvas><i class="cursor"></i></div>'
        '<span class="deck-time">0.0 s</span>'
        '<button type="button" class="act deck-loop" data-deck-do="loop" aria-pressed="true" '
        'title="Play again and again (L)">⟳ Loop</button></div>'
    )


def why() -> str:
    """Where the script says what is still to be heard."""
    return '<p class="deck-why" role="status">Loading the sounds…</p>'


def deck(deck_id: str, kind: str, inside: str, attributes: str = "") -> str:
    """A whole deck around its parts."""
    named = f'class="deck deck-{kind}" data-deck="{escape(deck_id, quote=True)}" data-kind="{kind}"'
    return keyed(deck_id, inside, f"{named} {attributes}")


def prompt_html(text: str, question: str = "") -> str:
    """The prompt and what is asked about it."""
    asked = f'<h3 class="question">{escape(question)}</h3>' if question else ""
    return f'{asked}<blockquote class="prompt">{escape(text) or "(no text)"}</blockquote>'


def vote_html(voted: int | None = None, strength: int = 1, fixed: bool = False) -> str:
    """Strength, and the three answers; ``fixed`` shows the answer without asking."""
    words = config()["strengths"]
    steps = "".join(
        f'<button type="button" class="chip" data-strength="{number}" '
        f'aria-pressed="{str(number == strength).lower()}" {"disabled" if fixed else ""} '
        f'title="{key.upper()}">{word}</button>'
        for number, (word, key) in enumerate(zip(words, "qwe", strict=True), 1)
    )
    answers = "".join(
        f'<button type="button" class="act vote{" chosen" if voted == choice else ""}" '
        f'data-vote="{choice}" disabled><kbd>{choice}</kbd> {text}</button>'
        for choice, text in ((1, "is better"), (0, "no difference"), (2, "is better"))
    )
    return (
        f'<div class="deck-strength"><span>How much better?</span>{steps}</div>'
        f'<div class="deck-vote">{answers}</div>'
    )
