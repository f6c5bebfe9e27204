"""The composer as an engine: seeds, length, variations, what a prompt and its attributes ask for, cancel."""

from __future__ import annotations

import time

import numpy as np
import pytest
import soundfile

from engines import registry
from engines.base import Availability, InvalidParams
from engines.music.composer.sampler import bank
from engines.music.composing import Composer, ComposerParams, attributes
from engines.parameters import parse
from engines.studio import Studio
from storage import JobState
from tests.conftest import make_settings

RATE = 44_100
ROCK = "energetic rock song with electric guitar"


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A studio on a fresh machine with the composer alone."""
    folder = tmp_path_factory.mktemp("composer")
    listed = folder / "engines.json"
    listed.write_text('["engines.music.composing:Composer"]', encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "BUILT_IN", listed)
        patch.setattr(registry, "entry_points", lambda group: [])
        with Studio(make_settings(folder)) as studio:
            yield studio


def make(studio, **values):
    """The clips of a job of 5 s, where no other length is given, with seed 3."""
    return studio.make("composer", **{"prompt": ROCK, "duration_s": 5, "seed": 3, **values})


def samples(clip):
    return soundfile.read(clip.path, dtype="float32", always_2d=True)[0].T


@pytest.fixture
def played(cache, new_job):
    """A function from parameters to the instruments that are played and the one clip."""

    def found(**values):
        job = new_job()
        (clip,) = Composer(cache).run(parse(ComposerParams, {"duration_s": 5, **values}), job)
        np.testing.assert_array_equal(np.concatenate(job.pieces, axis=1), clip.samples)
        told = [note.removeprefix("Playing ") for _, _, note in job.notes if "Playing" in note]
        return told, clip

    return found


def test_a_fresh_machine_has_it_and_nothing_is_said_of_trained_weights(studio):
    engine = studio.engine("composer")
    assert engine.availability() is Availability.READY
    assert engine.card.license_code == "MIT" and "FluidR3" in engine.card.license_weights
    assert "composed by rules and played by sampled instruments" in engine.card.summary
    assert studio.resolve("composer", {"prompt": ROCK})["duration_s"] == 20


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_piece(studio):
    one, again, other = (make(studio, seed=seed)[0] for seed in (3, 3, 4))
    assert samples(one).shape == (2, 5 * RATE)
    np.testing.assert_array_equal(samples(one), samples(again))
    assert np.abs(samples(one) - samples(other)).max() > 0.05
    assert np.sqrt((samples(one) ** 2).mean()) > 0.02 and np.abs(samples(one)).max() < 1


def test_the_clip_says_what_was_asked_and_what_was_made_of_it(studio):
    values = {"mood": "sad", "key": "A minor", "tempo": 70, "primary_instruments": ["cello"]}
    (clip,) = make(studio, prompt="slow ballad", style="folk", duration_s=7.5, **values)
    assert clip.text == "sad folk, slow ballad, featuring cello, in A minor, 70 bpm"
    assert clip.title == "Sad folk in A minor, 70 bpm"
    assert clip.duration_s == pytest.approx(7.5, abs=1 / RATE)


def test_each_variation_has_a_seed_of_its_own_that_makes_it_again(studio):
    first, second = make(studio, variations=2)
    assert first.seed == 3 != second.seed
    assert np.abs(samples(first) - samples(second)).max() > 0.05
    settings = studio.clip(second.id).settings
    assert settings["variations"] == 1
    (alone,) = studio.make("composer", **settings)
    np.testing.assert_array_equal(samples(alone), samples(second))


def test_what_is_denied_is_not_played(played):
    drums = "acoustic drum kit"
    assert drums in played(prompt=ROCK)[0]
    told, clip = played(prompt=f"{ROCK}, no drums")
    assert drums not in told and "electric guitar distorted" in told
    assert clip.samples.shape == (2, 5 * RATE)
    assert (
        drums in played(prompt=f"{ROCK}, no drums", secondary_instruments=["acoustic-drum-kit"])[0]
    )


def test_given_attributes_win_over_words_and_empty_ones_are_read_from_them():
    prompt = "slow sad jazz with piano in d minor, 60 bpm, soft strings in the background"
    read = attributes(parse(ComposerParams, {"prompt": prompt}))
    assert (read.style, read.mood, read.key, read.tempo) == ("jazz", "sad", "D minor", 60)
    assert (read.lead, read.support) == (("acoustic-piano",), ("acoustic-strings-ensemble",))
    given = {
        "style": "Techno", "mood": "uplifting", "key": "G major", "tempo": 130, "energy": "high",
        "primary_instruments": ["flute"], "secondary_instruments": ["acoustic-piano"],
    }  # fmt: skip
    found = attributes(parse(ComposerParams, {"prompt": prompt, **given}))
    assert (found.style, found.mood, found.energy) == ("techno", "uplifting", "high")
    assert (found.key, found.tempo, found.pace) == ("G major", 130, None)
    assert (found.lead, found.support) == (("flute",), ("acoustic-piano",))


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"prompt": "  "}, "prompt", "missing"),
        ({"duration_s": 4}, "duration_s", "5 to 600"),
        ({"duration_s": 601}, "duration_s", "5 to 600"),
        ({"tempo": 300}, "tempo", "40 to 200"),
        ({"key": "H major"}, "key", "unknown value 'H major'"),
        ({"primary_instruments": ["flutee"]}, "primary_instruments", "did you mean flute"),
        ({"variations": 9}, "variations", "1 to 8"),
        ({"model": "musicgen-small"}, "model", "is not a parameter here"),
    ],
)
def test_bad_values_are_refused(studio, values, field, words):
    with pytest.raises(InvalidParams) as refused:
        make(studio, **values)
    assert field in refused.value.problems
    assert words in refused.value.problems[field]


def test_cancel_stops_between_two_parts_and_nothing_is_kept(studio):
    values = {"prompt": "orchestral piece", "duration_s": 120, "variations": 8, "seed": 1}
    job = studio.submit("composer", values)
    for update in studio.follow(job.id):
        if update.note.startswith("Playing"):
            break
    asked = time.monotonic()
    studio.cancel(job.id)
    ended = studio.wait(job.id, 30)
    assert ended.state is JobState.CANCELLED and len(ended.clip_ids) == 0
    assert time.monotonic() - asked < 10


def test_long_pieces_need_more_memory_and_unload_forgets_the_recordings(studio):
    engine = studio.engine("composer")
    short, long = (
        engine.memory_mb("float32", parse(ComposerParams, {"prompt": ROCK, "duration_s": length_s}))
        for length_s in (20, 600)
    )
    assert short == engine.memory_mb("float32") < long < 2500
    engine.load(None)
    before = bank()
    engine.unload()
    assert bank() is not before
