"""Captions of composed pieces: the studio's own prompts, said in many ways and never complete.

A person writes a few of the attributes and rarely all of them, so each caption leaves some out, and
says others in the text instead. ``render_prompt`` makes the sentence, as it does for every prompt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.prompts import PromptParams, instruments, prompt_of, render_prompt
from training.recipes.composer import Brief

NOUNS = ("music", "a piece", "a tune", "a track", "a song", "an instrumental", "a loop", "a theme")
FEEL = {
    "low": ("slow and quiet", "sparse", "soft", "gentle", "relaxed", "laid back"),
    "medium": ("steady", "flowing", "mid-paced", "easy going"),
    "high": ("driving", "powerful", "lively", "busy", "loud", "intense"),
}
WITH = ("with", "featuring", "played on", "led by", "for")
KEPT = {"style": 0.85, "mood": 0.6, "energy": 0.35, "key": 0.65, "tempo": 0.7, "lead": 0.85,
        "support": 0.5}  # fmt: skip
IN_TEXT = 0.45  # of what is kept, how much is said in the text rather than as an attribute


def caption(brief: Brief, rng: np.random.Generator) -> str:
    """One way to ask for the piece that ``brief`` describes."""
    return render_prompt(request(brief, rng))


def request(brief: Brief, rng: np.random.Generator) -> PromptParams:
    """The prompt behind a caption: some attributes as such, some in the text, some left out."""
    # lists: the order of a set changes from one process to the next, and with it who draws what
    kept = [name for name, odds in KEPT.items() if rng.random() < odds] or ["style"]
    said = [name for name in kept if rng.random() < IN_TEXT]
    attributes: dict[str, object] = {
        "style": brief.style,
        "mood": brief.mood,
        "energy": brief.energy,
        "key": brief.key,
        "tempo": brief.tempo,
        "primary_instruments": brief.lead,
        "secondary_instruments": _support(brief, rng),
    }
    names = {"lead": "primary_instruments", "support": "secondary_instruments"}
    chosen = {
        names.get(name, name): attributes[names.get(name, name)]
        for name in kept
        if name not in said
    }
    return prompt_of(
        _text(brief, said, rng), {name: value for name, value in chosen.items() if value}
    )


def _support(brief: Brief, rng: np.random.Generator) -> list[str]:
    names = list(brief.support)
    if len(names) > 1 and rng.random() < 0.5:
        names.remove(names[int(rng.integers(len(names)))])
    return names


def _text(brief: Brief, said: Sequence[str], rng: np.random.Generator) -> str:
    words: list[str] = []
    if "energy" in said:
        words.append(_one(rng, FEEL[brief.energy]))
    if "mood" in said:
        words.append(brief.mood)
    if "style" in said:
        words.append(brief.style)
    noun = _one(rng, NOUNS)
    article, _, bare = noun.rpartition(" ")
    first = " ".join([*words, bare])
    if article:
        first = ("an " if first[0] in "aeiou" else "a ") + first
    parts = [f"solo {instruments()[brief.lead[0]]}" if brief.solo and rng.random() < 0.7 else first]
    if "lead" in said and not (brief.solo and parts[0].startswith("solo")):
        parts.append(f"{_one(rng, WITH)} {_listed([instruments()[name] for name in brief.lead])}")
    if "support" in said and brief.support:
        parts.append(f"over {_listed([instruments()[name] for name in _support(brief, rng)])}")
    if "key" in said:
        parts.append(f"in {brief.key}")
    if "tempo" in said:
        parts.append(_one(rng, (f"at {brief.tempo} bpm", f"{brief.tempo} beats per minute")))
    if not brief.drums and not brief.solo and rng.random() < 0.3:
        parts.append("without drums")
    return " ".join(parts)


def _one(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
