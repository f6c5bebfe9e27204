"""VevoSing's modes on tiny weights that are fetched from a hub, run through the studio."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from engines import sharing
from engines.base import Cancelled, StudioError
from engines.parts import vevosing as parts
from engines.parts.references import Sound
from engines.svc.melody import MelodyNote
from engines.svc.midi import to_midi
from engines.svc.tones import tones
from engines.svc.vevosing import VevoSingTimbre, between
from engines.svc.vevosong import VevoSingEdit, VevoSingStyle, VevoSong
from engines.tts.vevosing import VevoSingSpeech
from tests import tiny_vevosing
from tests.engines.fetched import Stopping, fetched, let_go
from tests.engines.sounding import note

ENGINES = (VevoSingTimbre, VevoSong, VevoSingStyle, VevoSingEdit, VevoSingSpeech)
QUICK = {"steps": 2, "seed": 5, "model": "singnet7k"}
DRAWN = QUICK | {"min_tokens": 4, "max_tokens": 110}
RATE = 24_000


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    root = tmp_path_factory.mktemp("vevosing")
    folders = {"amphion/Vevo1.5": root / "vevosing", "openai/whisper-medium": root / "whisper"}
    for data in ("singnet7k", "sing0.4k"):
        tiny_vevosing.make(*folders.values(), data=data, content=400)
    with fetched(root, folders, ENGINES) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_left(studio):
    yield
    let_go(studio)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A low source and a reference a fifth higher, a melody in two forms, and too short a sound."""
    folder = tmp_path_factory.mktemp("sounds")
    soundfile.write(folder / "source.wav", note(220, 1.21, RATE), RATE)
    soundfile.write(folder / "reference.wav", note(330, 1.1, RATE), RATE)
    soundfile.write(folder / "other.wav", note(260, 1.1, RATE), RATE)
    soundfile.write(folder / "melody.wav", np.tile(note(440, 0.4, RATE), 2), RATE)
    soundfile.write(folder / "short.wav", note(440, 0.4, RATE), RATE)
    notes = [MelodyNote(0, 0.4, 69), MelodyNote(0.4, 0.8, 74)]
    (folder / "melody.mid").write_bytes(to_midi(notes))
    return folder


def heard(clip) -> bytes:
    """The samples of a clip's file."""
    return soundfile.read(clip.path, dtype="float32")[0].tobytes()


def test_timbre_is_as_long_as_the_source_and_its_key_is_fitted(studio, files):
    pair = {"source": files / "source.wav", "reference": files / "reference.wav"}
    (first,) = studio.make("vevosing", **pair, **QUICK)
    (again,) = studio.make("vevosing", **pair, **QUICK)
    assert (first.sample_rate, first.revision) == (RATE, "c" * 40)
    assert first.duration_s == pytest.approx(1.21, abs=1e-3)
    assert heard(first) == heard(again)
    (seeded,) = studio.make("vevosing", **pair, **(QUICK | {"seed": 6}))
    assert heard(seeded) != heard(first)
    by_hand = {"fit_key": False, "key_shift_st": 7}
    (moved,) = studio.make("vevosing", **pair, **QUICK, **by_hand)
    assert heard(moved) == heard(first)


def test_the_key_is_that_of_the_reference():
    low, high = (Sound(note(hz, 1.0, RATE), RATE) for hz in (220, 440))
    assert between(low, high) == 12
    assert between(high, low) == -12
    assert between(low, Sound(np.zeros(RATE, np.float32), RATE)) == 0


@pytest.mark.parametrize("melody", [{}, {"melody": "melody.wav"}, {"midi": "melody.mid"}])
def test_a_song_is_sung_to_each_kind_of_melody(studio, files, melody):
    given = {
        "text": "Over the hills and far away", "language": "en", "reference_text": "la la la",
        "reference": files / "reference.wav",
    } | {name: files / file for name, file in melody.items()}  # fmt: skip
    (first,) = studio.make("vevosing-song", **given, **DRAWN)
    (again,) = studio.make("vevosing-song", **given, **DRAWN)
    assert heard(first) == heard(again)
    assert first.text == "Over the hills and far away"
    assert first.duration_s >= 4 * 4 / 50
    (other,) = studio.make("vevosing-song", **given, timbre_reference=files / "other.wav", **DRAWN)
    assert heard(other) != heard(first)


def test_style_and_words_are_changed(studio, files):
    source = {"source": files / "source.wav", "source_text": "one two three", "language": "en"}
    style = {"reference": files / "reference.wav", "reference_text": "la la"}
    (converted,) = studio.make("vevosing-style", **source, **style, **DRAWN)
    assert converted.text == "one two three"
    (edited,) = studio.make("vevosing-edit", **source, text="four five", **DRAWN)
    assert edited.text == "four five"
    assert heard(edited) != heard(converted)
    assert heard(edited) == heard(
        studio.make("vevosing-edit", **source, text="four five", **DRAWN)[0]
    )


def test_text_is_spoken(studio, files):
    given = {
        "text": "Good morning.", "language": "en", "reference": files / "reference.wav",
        "reference_text": "la la", "reference_language": "en",
    }  # fmt: skip
    (clip,) = studio.make("vevosing-speech", **given, **DRAWN)
    assert clip.task == "tts" and clip.duration_s > 0.1
    assert heard(clip) == heard(studio.make("vevosing-speech", **given, **DRAWN)[0])


def test_modes_share_their_parts_and_another_model_replaces_its_own(studio, files):
    pair = {"source": files / "source.wav", "reference": files / "reference.wav"}
    edit = {"source": pair["source"], "source_text": "one", "text": "two", "language": "en"}
    studio.make("vevosing", **pair, **QUICK)
    studio.make("vevosing-edit", **edit, **DRAWN)
    one, two = studio.engine("vevosing").vevo, studio.engine("vevosing-edit").vevo
    assert one.whisper is two.whisper and one.flow is two.flow and one.vocoder is two.vocoder
    del one, two
    both = {part.name(studio.hub) for part in parts.parts_of(parts.Model.SINGNET, True)}
    assert set(sharing.held()) == both
    studio.unload("vevosing-edit")
    studio.make("vevosing", **pair, **(QUICK | {"model": "sing0.4k"}))
    small = {part.name(studio.hub) for part in parts.parts_of(parts.Model.SMALL, False)}
    assert set(sharing.held()) == small


@pytest.mark.parametrize("after", [1, 3])
def test_a_cancelled_song_stops_within_a_step(studio, files, after):
    engine = studio.engine("vevosing-edit")
    params = engine.Params(
        source=files / "source.wav", source_text="one", text="two", language="en", **DRAWN
    )
    job = Stopping(after)
    with studio.runtime.lease(engine, params), pytest.raises(Cancelled):
        engine.run(params, job)
    assert len(job.notes) == after and job.late == 0


def test_what_cannot_be_sung_is_refused_in_words(studio, files):
    edit = {"source": files / "source.wav", "text": "two"}
    with pytest.raises(StudioError, match="words of the reference are missing") as error:
        studio.submit("vevosing-edit", edit)
    assert error.value.field == "source_text"
    with pytest.raises(StudioError, match=r"lasts 0\.40 s; at least 1 s are needed"):
        studio.submit("vevosing-edit", edit | {"source": files / "short.wav", "source_text": "a"})
    song = {"text": "a", "reference": files / "reference.wav", "reference_text": "la"}
    both = {"melody": files / "melody.wav", "midi": files / "melody.mid"}
    with pytest.raises(StudioError, match="a sound or a MIDI file as the melody, not both"):
        studio.submit("vevosing-song", song | both)
    with pytest.raises(StudioError, match="The melody lasts 70 s"):
        tones([MelodyNote(0, 70, 60)], RATE, 60)


def test_tones_have_the_pitch_of_their_notes():
    made = tones([MelodyNote(1.0, 1.5, 69), MelodyNote(1.5, 2.0, 81)], RATE, 60)
    assert len(made) == RATE + 1
    for part, hz in ((made[: RATE // 2], 440), (made[RATE // 2 : RATE], 880)):
        spectrum = np.abs(np.fft.rfft(part))
        assert np.argmax(spectrum) * 2 == hz


def test_weights_say_what_they_need():
    engine = VevoSong(None)
    assert [w.id for w in engine.weights()] == ["vevosing-singnet7k", "vevosing-sing0.4k"]
    (weights, _) = engine.weights()
    parameters = 776_726_400 + 44_177_296 + 354_474_112 + 38_011_792 + 255_044_354 + 763_857_920
    assert weights.total_bytes == 4 * parameters
    assert all(each.license for each in weights.whole)
