"""The held-out prompts: fixed, complete, five of each style, drawn once by a seed of their own.

``prompts.json`` is what is measured on; this module writes it (``python -m
benchmarks.studio_tiny.prompts``) and reads it. A brief with so many attributes is never met in
training, and its sentence leaves none of them out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engines.prompts import instruments, prompt_of, render_prompt
from training.recipes.composer import Brief, draw_brief, knowledge

FILE = Path(__file__).parent / "prompts.json"
SEED = 20_260_404  # of no corpus: those draw from (seed, split, item)
OF_EACH_STYLE = 5
MOST_SOLOS = 1  # of each style
NEUTRAL_MOODS = ("calm", "happy", "sad", "energetic", "dreamy", "dark")
OTHER_MOODS = ("romantic", "hopeful")  # of neutral prompts that something may be learned from


@dataclass(frozen=True)
class Asked:
    """One held-out prompt: the brief it says in full, and the sentence that the model reads."""

    brief: Brief
    prompt: str


def sentence(brief: Brief) -> str:
    """A brief as a prompt with every attribute."""
    if brief.solo:
        text = f"solo {instruments()[brief.lead[0]]}"
    else:
        text = "an instrumental" if brief.drums else "an instrumental without drums"
    attributes = {
        "style": brief.style,
        "mood": brief.mood,
        "energy": brief.energy,
        "key": brief.key,
        "tempo": brief.tempo,
        "primary_instruments": brief.lead,
        "secondary_instruments": brief.support,
    }
    return render_prompt(prompt_of(text, attributes))


def draw(seed: int = SEED) -> list[Asked]:
    """Five prompts of each style, with one solo at most and one lead instrument each."""
    rng, found = np.random.default_rng(seed), []
    for style in sorted(knowledge()["styles"]):
        chosen: list[Brief] = []
        while len(chosen) < OF_EACH_STYLE:
            brief = draw_brief(rng)
            solos = sum(one.solo for one in chosen)
            if (
                brief.style == style
                and len(brief.lead) == 1
                and (not brief.solo or solos < MOST_SOLOS)
            ):
                chosen.append(brief)
        found += [Asked(brief, sentence(brief)) for brief in chosen]
    return found


def neutral(moods: Sequence[str] = NEUTRAL_MOODS) -> list[str]:
    """Prompts that name a style and a mood and no instrument, one of each style and mood."""
    return [
        render_prompt(prompt_of("music", {"style": style, "mood": mood}))
        for style in sorted(knowledge()["styles"])
        for mood in moods
    ]


def read(path: Path = FILE) -> list[Asked]:
    """The prompts in ``path``."""
    return [
        Asked(
            Brief(
                **one["brief"] | {name: tuple(one["brief"][name]) for name in ("lead", "support")}
            ),
            one["prompt"],
        )
        for one in json.loads(path.read_text(encoding="utf-8"))
    ]


def write(asked: list[Asked], path: Path = FILE) -> None:
    """The prompts as JSON, one a line."""
    lines = ",\n".join(json.dumps(asdict(one)) for one in asked)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    write(draw())
