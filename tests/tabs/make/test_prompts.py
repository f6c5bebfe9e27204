"""Prompts: what a model reads, what is refused, what the studio remembers, which adapters are used."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from engines.base import Adapter, InvalidParams, NotReady, StudioError
from engines.prompts import PromptParams, attributes_of, instruments, render_prompt, vocabulary
from engines.studio import Studio
from tests.fakes import Strum

LOUNGE = {
    "style": "jazz",
    "mood": "peaceful",
    "tempo": 80,
    "key": "C minor",
    "energy": "low",
    "primary_instruments": ["acoustic-piano", "electric-guitar-clean"],
    "secondary_instruments": ["cymbals"],
}


@pytest.fixture
def strum(studio):
    """The studio with the fake music engine."""
    studio.registry.add(Strum)
    return studio


# --- what a model reads ---------------------------------------------------------------------


def test_everything_given_stands_in_the_sentence_in_natural_words():
    prompt = Studio.prompt("slow piano theme.", LOUNGE)
    assert render_prompt(prompt) == (
        "peaceful jazz, slow piano theme, featuring acoustic piano and clean electric guitar, "
        "with subtle cymbals, in C minor, low energy, 80 bpm"
    )
    assert attributes_of(prompt) == LOUNGE


def test_a_bare_text_is_read_as_it_is_but_on_one_line():
    prompt = Studio.prompt("  a calm\n\n  piano ")
    assert prompt.prompt == "a calm\n\n  piano"
    assert render_prompt(prompt) == "a calm piano"
    assert attributes_of(prompt) == {}


@pytest.mark.parametrize(
    ("text", "attributes", "field", "words"),
    [
        (" \n ", {}, "prompt", "Prompt is missing."),
        ("x" * 2001, {}, "prompt", "2,001 characters; at most 2,000 fit"),
        ("a", {"tempo": 39}, "tempo", "Tempo must be 40 to 200, not 39."),
        ("a", {"tempo": 201}, "tempo", "Tempo must be 40 to 200, not 201."),
        ("a", {"tempo": "fast"}, "tempo", "must be a whole number, 40 to 200, not 'fast'"),
        (
            "a",
            {"primary_instruments": ["acoustic piano"]},
            "primary_instruments",
            "Instruments: unknown instrument 'acoustic piano'; did you mean acoustic-piano",
        ),
        (
            "a",
            {"secondary_instruments": ["organ"] * 7},
            "secondary_instruments",
            "7 entries; at most 6 fit",
        ),
        ("a", {"mood": "m" * 61}, "mood", "61 characters; at most 60"),
        ("a", {"colour": "red"}, "colour", "is not a parameter here"),
    ],
)
def test_what_is_wrong_is_told_at_its_field(text, attributes, field, words):
    with pytest.raises(InvalidParams) as error:
        Studio.prompt(text, attributes)
    assert words in error.value.problems[field]


def test_there_are_53_instruments_in_seven_groups_with_words_of_their_own():
    groups = vocabulary()["instruments"]
    assert [len(group) for group in groups.values()] == [5, 10, 10, 9, 7, 6, 6]
    assert len(instruments()) == len(set(instruments().values())) == 53
    assert not any("-synth" in words for words in instruments().values())


def test_every_template_is_a_valid_prompt_from_the_vocabulary():
    templates = vocabulary()["templates"]
    assert len({entry["name"] for entry in templates}) == len(templates) >= 20
    for entry in templates:
        prompt = Studio.prompt(entry["text"], entry["attributes"])
        assert prompt.style in vocabulary()["styles"]
        assert prompt.mood in vocabulary()["moods"]
        assert attributes_of(prompt) == entry["attributes"]


# --- what the studio remembers --------------------------------------------------------------


def test_making_music_keeps_the_prompt_and_counts_its_uses(strum):
    clip = strum.make("strum", prompt="a chord", seed=1, **LOUNGE)[0]
    strum.make("strum", prompt="a chord", seed=2, **LOUNGE)
    strum.make("strum", prompt="a chord")
    page = strum.prompts.search()
    assert [(row.text, row.uses) for row in page.rows] == [("a chord", 1), ("a chord", 2)]
    assert page.rows[1].attributes == LOUNGE
    assert page.rows[1].rendered == clip.text == render_prompt(Studio.prompt("a chord", LOUNGE))


def test_a_refused_run_leaves_no_prompt(strum):
    with pytest.raises(InvalidParams):
        strum.submit("strum", {"prompt": "a chord", "tempo": 500})
    with pytest.raises(NotReady) as error:
        strum.submit("strum", {"prompt": "a chord", "model": "strum-large"})
    assert error.value.field == "model"
    assert "Download it in Models (2,000 MB)" in str(error.value)
    assert strum.prompts.search().total == 0


def test_each_variation_is_a_clip_that_can_be_made_again_alone(strum):
    first, second = strum.make("strum", prompt="a chord", variations=2, seed=7)
    assert (first.settings["seed"], first.settings["variations"]) == (7, 1)
    assert second.settings["seed"] != 7
    again = strum.make("strum", **second.settings)[0]
    assert again.hash == second.hash != first.hash


def test_the_studio_brings_its_templates(studio):
    names = [row.name for row in studio.templates.list() if row.system]
    assert names == sorted(entry["name"] for entry in vocabulary()["templates"])
    assert "jazz" in studio.templates.categories()


# --- sounds from outside --------------------------------------------------------------------


def sound(path, frequency=440.0):
    wave = 0.3 * np.sin(2 * np.pi * frequency * np.arange(8000) / 16000)
    soundfile.write(path, wave, 16000, subtype="PCM_16")
    return path


def test_a_sound_from_outside_becomes_one_clip_and_the_parent(strum, tmp_path):
    given = sound(tmp_path / "hum.wav")
    made = strum.make("strum", prompt="go on", continue_from=str(given))[0]
    parent = strum.clip(made.parents[0])
    assert (parent.title, parent.engine, parent.task) == ("hum", "import", "music")
    assert made.settings["continue_from"] == str(parent.path)
    given.unlink()
    again = strum.make("strum", **made.settings)[0]
    assert again.hash == made.hash
    second = strum.make("strum", prompt="more", continue_from=str(sound(tmp_path / "hum.wav")))[0]
    assert second.parents == (parent.id,)


def test_settings_find_their_sound_again_by_its_content(strum, tmp_path):
    made = strum.make("strum", prompt="go on", continue_from=str(sound(tmp_path / "hum.wav")))[0]
    parent = strum.clip(made.parents[0])
    moved = dict(made.settings) | {"continue_from": f"/elsewhere/audio/{parent.path.name}"}
    other = strum.clips.add(
        np.zeros(100, np.float32), 16000, engine="strum", task="music", settings=moved, peak_db=-90
    )
    assert strum.settings_of(other.id).settings["continue_from"] == str(parent.path)
    strum.clips.delete([parent.id])
    restored = strum.settings_of(other.id)
    assert "continue_from" not in restored.settings
    assert restored.missing == "The sound of continue_from is not here."


def test_what_is_no_sound_is_refused_and_nothing_is_queued(strum, tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(Exception, match="cannot be decoded"):
        strum.submit("strum", {"prompt": "a", "continue_from": str(tmp_path / "text.wav")})
    assert strum.jobs.list() == []


# --- adapters -------------------------------------------------------------------------------


@pytest.fixture
def adapters(strum, tmp_path):
    """Active adapters of both models and one that is not active."""

    def adapter(id, base, active, scale=1.0):
        return Adapter(id, id.title(), base, tmp_path, active, scale)

    strum.hub.adapters = lambda: [
        adapter("warm", "strum-small", True, 0.8),
        adapter("idle", "strum-small", False),
        adapter("big", "strum-large", True),
    ]
    return strum


def test_active_adapters_of_the_model_are_used_unless_others_are_named(adapters):
    def used(**values):
        return adapters.submit("strum", {"prompt": "a"} | values).settings["adapters"]

    assert used() == ["warm@0.8"]
    assert used(adapters=[]) == []
    assert used(adapters=["idle@0.5"]) == ["idle@0.5"]


def test_a_clip_made_with_an_active_adapter_says_so(adapters):
    clip = adapters.make("strum", prompt="a")[0]
    assert (clip.adapter, clip.settings["adapters"]) == ("warm", ["warm@0.8"])


def test_an_unknown_model_is_told_at_its_field(strum):
    with pytest.raises(StudioError) as error:
        strum.submit("strum", {"prompt": "a", "model": "nobody"})
    assert error.value.field == "model"


@pytest.mark.parametrize(("name", "typed"), [("energy", "lowhigh"), ("key", "H mayor")])
def test_a_word_outside_a_closed_list_is_refused_at_its_field(name, typed):
    with pytest.raises(ValidationError, match=f"unknown value '{typed}'") as refused:
        PromptParams(prompt="a tune", **{name: typed})
    assert refused.value.errors()[0]["loc"] == (name,)
    assert (
        PromptParams(prompt="a tune", energy="Low", key="c MAJOR").model_dump()["key"] == "C major"
    )
