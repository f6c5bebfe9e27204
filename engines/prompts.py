"""Prompts for music and sound: a text with attributes, and the one way to write them as a sentence.

``render_prompt`` is what the model reads. Generation, datasets and training use the same words,
because a clip keeps the rendered prompt as its text.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from engines.base import Params, StudioError

VOCABULARY = Path(__file__).parents[1] / "configs" / "prompts.json"
MAX_CHARS = 2000
MAX_INSTRUMENTS = 6


@functools.cache
def vocabulary() -> dict[str, Any]:
    """Styles, moods, energies, keys, and instruments by group (name to the words a model reads)."""
    return json.loads(VOCABULARY.read_text(encoding="utf-8"))


@functools.cache
def instruments() -> dict[str, str]:
    """Every known instrument: its name and the words for it."""
    groups = vocabulary()["instruments"].values()
    return {name: words for group in groups for name, words in group.items()}


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    wrong = next((name for name in names if name not in instruments()), None)
    if wrong is not None:
        near = get_close_matches(wrong, instruments(), n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}? Known are " if near else "known are "
        raise ValueError(f"unknown instrument {wrong!r}; {hint}{', '.join(instruments())}")
    return tuple(dict.fromkeys(names))


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _one_of(name: str) -> Callable[[str], str]:
    """A validator that takes the words of one list of the vocabulary, in any case, or none."""

    def known(words: str) -> str:
        listed = {each.lower(): each for each in vocabulary()[name]}
        if words and words.lower() not in listed:
            near = get_close_matches(words.lower(), listed, n=3, cutoff=0.4)
            hint = " or ".join(listed[each] for each in near) or ", ".join(vocabulary()[name])
            raise ValueError(f"unknown value {words!r}; choose {hint}, or leave it empty")
        return listed.get(words.lower(), "")

    return known


Instruments = Annotated[tuple[str, ...], AfterValidator(_known)]
Text = Annotated[str, StringConstraints(strip_whitespace=True)]
Words = Annotated[Text, AfterValidator(_on_one_line)]


LABELS: dict[str, Any] = {"labels": instruments()}


class PromptParams(Params):
    """What is asked for. Engines that make music or sound build their parameters on this."""

    prompt: Text = Field(
        min_length=1,
        max_length=MAX_CHARS,
        title="Prompt",
        description="What to hear, in English. Name the instruments, the style and the mood.",
        json_schema_extra={"lines": 3},
    )
    style: Words = Field(
        "",
        max_length=60,
        title="Style",
        description="Genre, such as jazz; any words will do.",
        examples=vocabulary()["styles"],
    )
    mood: Words = Field(
        "",
        max_length=60,
        title="Mood",
        description="Feeling, such as peaceful; any words will do.",
        examples=vocabulary()["moods"],
    )
    tempo: int | None = Field(
        None,
        ge=40,
        le=200,
        title="Tempo",
        description="Beats per minute; empty leaves it open.",
        json_schema_extra={"unit": "bpm"},
    )
    key: Annotated[Words, AfterValidator(_one_of("keys"))] = Field(
        "",
        max_length=20,
        title="Key",
        description="Such as C major or A minor.",
        examples=vocabulary()["keys"],
    )
    energy: Annotated[Words, AfterValidator(_one_of("energies"))] = Field(
        "",
        max_length=20,
        title="Energy",
        description="Low, medium or high.",
        examples=vocabulary()["energies"],
    )
    primary_instruments: Instruments = Field(
        (),
        max_length=MAX_INSTRUMENTS,
        title="Instruments",
        description="What leads.",
        json_schema_extra=LABELS,
    )
    secondary_instruments: Instruments = Field(
        (),
        max_length=MAX_INSTRUMENTS,
        title="Background instruments",
        description="What accompanies.",
        json_schema_extra=LABELS,
    )


ATTRIBUTES = tuple(name for name in PromptParams.model_fields if name != "prompt")


def attributes_of(prompt: PromptParams) -> dict[str, Any]:
    """The attributes that were given, JSON-ready; empty ones are left out."""
    values = prompt.model_dump(mode="json", include=set(ATTRIBUTES))
    return {name: value for name, value in values.items() if value}


def prompt_of(text: str, attributes: Mapping[str, Any] | None = None) -> PromptParams:
    """A prompt from a text and attributes that are known to be valid.

    What people typed goes through ``engines.studio.Studio.prompt``, which says what is wrong with it;
    this raises pydantic's ``ValidationError``.
    """
    return PromptParams(prompt=text, **(attributes or {}))


def render_prompt(prompt: PromptParams) -> str:
    """The sentence that the model reads, such as
    ``peaceful jazz, slow piano theme, featuring acoustic piano, with subtle cymbals, 80 bpm``.

    Raises ``StudioError`` for a prompt of blanks.
    """
    text = " ".join(prompt.prompt.split())
    if not text:
        raise StudioError("Write a prompt: what do you want to hear?", "prompt")
    words = instruments()
    lead = " ".join(part for part in (prompt.mood, prompt.style) if part)
    parts = [
        lead,
        text.rstrip(".,;"),
        _listed("featuring", [words[name] for name in prompt.primary_instruments]),
        _listed("with subtle", [words[name] for name in prompt.secondary_instruments]),
        f"in {prompt.key}" if prompt.key else "",
        f"{prompt.energy} energy" if prompt.energy else "",
        f"{prompt.tempo} bpm" if prompt.tempo else "",
    ]
    return ", ".join(part for part in parts if part)


def _listed(before: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    *first, last = names
    return f"{before} " + (f"{', '.join(first)} and {last}" if first else last)
