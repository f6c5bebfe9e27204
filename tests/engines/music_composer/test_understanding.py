"""What people type is read into attributes, and the words that say so are shown."""

import json
from pathlib import Path

import pytest

from engines.music.composer import brief_of, understand
from engines.music.composer.instruments import instrument, names
from engines.prompts import instruments, vocabulary

FREE = json.loads((Path(__file__).parent / "free_prompts.json").read_text(encoding="utf-8"))
LISTS = ("lead", "support", "without")


@pytest.mark.parametrize(("text", "expected"), FREE)
def test_a_free_prompt_is_understood(text, expected):
    attributes = understand(text).attributes
    for name, value in expected.items():
        got = getattr(attributes, name)
        if name in LISTS:
            assert set(value) <= set(got), name
        else:
            assert got == (tuple(value) if name == "form" else value), name


def test_the_words_behind_each_value_are_told_in_their_order():
    found = understand("A sad waltz for Solo Cello in D minor, no drums, 2 minutes").found
    said = {(each.attribute, each.value): each.words for each in found}
    assert said["mood", "sad"] == "sad"
    assert said["lead", "cello"] == "cello"
    assert said["key", "D minor"] == "d minor"
    assert said["without", "drums"] == "drums"
    assert said["duration_s", 120.0] == "2 minutes"
    assert [each.at for each in found] == sorted(each.at for each in found)


def test_a_negation_holds_for_a_list_and_for_no_more_than_that():
    attributes = understand("no drums, bass or strings but a piano").attributes
    assert set(attributes.without) == {"drums", "bass", "strings"}
    assert attributes.lead == ("acoustic-piano",)
    attributes = understand("not too fast jazz trio with drums").attributes
    assert attributes.style == "jazz"
    assert attributes.pace == -0.25
    assert attributes.lead == ("acoustic-drum-kit",)


def test_an_article_is_no_key():
    assert understand("a song in a minor key").attributes.key == ""
    assert understand("a song in a minor key").attributes.mode == "minor"
    assert understand("a song in A minor").attributes.key == "A minor"
    assert understand("in Db major").attributes.key == "C sharp major"


def test_a_decade_is_no_length():
    assert understand("music of the 80s").attributes.duration_s is None
    assert understand("45s of jazz").attributes.duration_s == 45.0


def test_every_style_mood_and_instrument_of_the_vocabulary_is_understood():
    known = vocabulary()
    for style in known["styles"]:
        assert understand(f"some {style} music").attributes.style == style
    for mood in known["moods"]:
        assert understand(f"a {mood} piece").attributes.mood == mood
    for name, words in instruments().items():
        assert name in understand(f"music with {words}").attributes.lead, words
    assert set(instruments()) <= set(names())


def test_a_cast_has_who_is_named_and_nobody_who_is_barred():
    for seed in range(12):
        brief = brief_of(understand("rock with trumpet, no drums, no bass").attributes, seed)
        playing = {name for _, members in brief.cast for name in members}
        assert "trumpet" in playing
        assert not any(
            instrument(name).kit or instrument(name).family == "bass" for name in playing
        )
        alone = brief_of(understand("solo piano").attributes, seed)
        assert {name for _, members in alone.cast for name in members} == {"acoustic-piano"}


def test_somebody_always_plays():
    for text in ("no drums, bass, guitar, strings, keys, synth", "no melody, no piano, drums only"):
        assert brief_of(understand(text).attributes, 1).cast


def test_texts_without_meaning_leave_everything_open():
    for text in ("", "!!!", "xyzzy", "a" * 3000):
        assert understand(text).found == ()
        assert brief_of(understand(text).attributes, 1).cast
