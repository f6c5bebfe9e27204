"""A parameter declared once is read the same way everywhere."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field

from engines.base import AudioFile, InvalidParams, Params, Seed
from engines.parameters import Kind, knobs, parse, plain
from tests.fakes import ToneParams


class Mixed(Params):
    """One of each kind."""

    text: str = Field(min_length=1, max_length=5, json_schema_extra={"lines": 4})
    speed: float = Field(1.0, ge=0.5, le=2, json_schema_extra={"unit": "x", "step": 0.1})
    count: int | None = Field(None, gt=0, json_schema_extra={"advanced": True})
    sound: AudioFile | None = None
    seed: Seed = -1


class Lists(Params):
    """Lists of each kind, and texts with values to pick from."""

    letters: tuple[Literal["a", "b"], ...] = Field((), max_length=2)
    colours: list[str] = Field(["red"], json_schema_extra={"labels": {"red": "Dark red"}})
    lines: tuple[str, ...] = Field(("one", "two"), json_schema_extra={"lines": 3})
    mood: str = Field("", max_length=9, examples=["calm", "wild"])
    tempo: int | None = Field(None, ge=40, le=200)


def test_each_field_is_described_by_its_declaration():
    text, speed, count, sound, seed = knobs(Mixed)
    assert (text.kind, text.required, text.lines, text.max_length) == (Kind.TEXT, True, 4, 5)
    assert (speed.kind, speed.minimum, speed.maximum, speed.step) == (Kind.NUMBER, 0.5, 2, 0.1)
    assert speed.label == "Speed (x)"
    assert speed.bounds == "0.5 to 2"
    assert (count.kind, count.advanced, count.default) == (Kind.INTEGER, True, None)
    assert (sound.kind, sound.media) == (Kind.MEDIA, "audio")
    assert (seed.kind, seed.default) == (Kind.SEED, -1)


def test_a_choice_lists_the_values_of_its_enum():
    shape = next(knob for knob in knobs(ToneParams) if knob.name == "shape")
    assert (shape.kind, shape.choices, shape.default) == (Kind.CHOICE, ("sine", "square"), "sine")


def test_lists_and_suggestions_are_described_by_their_declaration():
    letters, colours, lines, mood, tempo = knobs(Lists)
    assert (letters.kind, letters.choices, letters.default) == (Kind.LIST, ("a", "b"), [])
    assert letters.bounds == "up to 2 of a, b"
    assert (colours.choices, colours.labels, colours.default) == (
        ("red",),
        {"red": "Dark red"},
        ["red"],
    )
    assert (lines.kind, lines.lines, lines.default) == (Kind.LIST, 3, ["one", "two"])
    assert (lines.choices, lines.bounds) == ((), "any number")
    assert (mood.kind, mood.suggestions, mood.choices) == (Kind.TEXT, ("calm", "wild"), ())
    assert (tempo.kind, tempo.minimum, tempo.maximum, tempo.default) == (
        Kind.INTEGER,
        40,
        200,
        None,
    )


@pytest.mark.parametrize(
    ("values", "name", "words"),
    [
        ({"letters": ["a", "a", "b"]}, "letters", "has 3 entries; at most 2 fit"),
        ({"letters": ["z"]}, "letters", "must be up to 2 of a, b, not 'z'"),
        ({"letters": "a"}, "letters", "must be up to 2 of a, b, not 'a'"),
        ({"tempo": 72.5}, "tempo", "must be a whole number, 40 to 200, not 72.5"),
        ({"tempo": 39}, "tempo", "must be 40 to 200, not 39"),
        ({"mood": "0123456789"}, "mood", "10 characters; at most 9"),
    ],
)
def test_wrong_entries_are_told_in_plain_words(values, name, words):
    with pytest.raises(InvalidParams) as error:
        parse(Lists, values)
    assert words in error.value.problems[name]


@pytest.mark.parametrize(
    ("values", "name", "words"),
    [
        ({"text": ""}, "text", "is missing"),
        ({}, "text", "is missing"),
        ({"text": "abcdef"}, "text", "6 characters; at most 5"),
        ({"text": "a", "speed": 3}, "speed", "must be 0.5 to 2, not 3"),
        ({"text": "a", "sped": 1}, "sped", "not a parameter here; known are text, speed"),
    ],
)
def test_wrong_values_are_told_in_plain_words(values, name, words):
    with pytest.raises(InvalidParams) as error:
        parse(Mixed, values)
    assert words in error.value.problems[name]


def test_every_wrong_field_is_told_at_once():
    with pytest.raises(InvalidParams) as error:
        parse(Mixed, {"text": "", "speed": 9})
    assert set(error.value.problems) == {"text", "speed"}


def test_plain_values_parse_back_to_the_same_params():
    params = parse(ToneParams, {"text": "la", "shape": "square"})
    assert plain(params)["shape"] == "square"
    assert parse(ToneParams, plain(params)) == params
