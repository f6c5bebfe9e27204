"""The embedded singing conversion run through the studio: key, tempo, melody, timbre, cancel, refusals."""

import numpy as np
import pytest

from engines import sharing
from engines.asr import shared as whisper
from engines.base import Cancelled, StudioError
from engines.svc.melody import MelodyNote
from engines.svc.midi import to_midi
from engines.svc.singing import RATE
from engines.svc.world import WorldSinging
from engines.world.frames import harvest
from engines.world.pitch import statistics
from tests.engines.fetched import Stopping, fetched, let_go, samples
from tests.engines.publishing import written
from tests.engines.sounding import note, spoken

LENGTH_S = 2.0


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with fetched(tmp_path_factory.mktemp("world"), {}, (WorldSinging,)) as running:
        yield running
        let_go(running)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A song of two notes, a melody, and sounds that can't be used."""
    folder = tmp_path_factory.mktemp("sounds")
    song = np.concatenate([note(220, LENGTH_S / 2, RATE), note(247, LENGTH_S / 2, RATE)])
    voice, rate = spoken()
    sounds = {
        "source": (song, RATE),
        "reference": (voice, rate),
        "short": (song[: RATE // 5], RATE),
        "silent": (np.zeros(2 * RATE), RATE),
    }
    made = {name: written(folder / f"{name}.wav", *sound) for name, sound in sounds.items()}
    made["melody"] = folder / "melody.mid"
    made["melody"].write_bytes(to_midi([MelodyNote(0.0, 1.0, 64.0), MelodyNote(1.0, 2.5, 67.0)]))
    made["broken"] = folder / "broken.mid"
    made["broken"].write_bytes(b"no notes")
    return made


def median_hz(studio, clip):
    return statistics(harvest(samples(studio, clip), RATE)).median_hz


def test_the_key_moves_the_length_stays_and_it_is_the_same_again(studio, files):
    (plain,) = studio.make("world_singing", source=files["source"])
    (up,) = studio.make("world_singing", source=files["source"], key_shift_st=5)
    (again,) = studio.make("world_singing", source=files["source"], key_shift_st=5)
    assert up.sample_rate == RATE
    assert up.duration_s == pytest.approx(LENGTH_S, abs=1e-3)
    assert samples(studio, up).tobytes() == samples(studio, again).tobytes()
    interval = 12 * np.log2(median_hz(studio, up) / median_hz(studio, plain))
    assert interval == pytest.approx(5, abs=0.2)
    assert whisper.NAME not in sharing.held()


def test_tempo_and_a_target_are_met(studio, files):
    asked = {"tempo_ratio": 1.25, "key": "octaves", "target_hz": 460, "vibrato_depth": 0}
    (clip,) = studio.make("world_singing", source=files["source"], **asked)
    assert clip.duration_s == pytest.approx(LENGTH_S / 1.25, abs=0.02)
    assert 430 < median_hz(studio, clip) < 500


def test_a_melody_is_sung_in_its_own_time(studio, files):
    (clip,) = studio.make("world_singing", source=files["source"], melody=files["melody"])
    assert clip.duration_s == pytest.approx(2.8, abs=0.02)
    heard = harvest(samples(studio, clip), RATE)
    assert np.median(heard[60:160]) == pytest.approx(329.6, rel=0.02)
    assert np.median(heard[260:400]) == pytest.approx(392.0, rel=0.02)


@pytest.mark.speech
def test_a_reference_changes_the_timbre_and_not_the_key(studio, files):
    (plain,) = studio.make("world_singing", source=files["source"])
    (other,) = studio.make("world_singing", source=files["source"], reference=files["reference"])
    assert other.sample_rate == RATE
    assert other.duration_s == plain.duration_s
    assert samples(studio, other).tobytes() != samples(studio, plain).tobytes()
    assert median_hz(studio, other) == pytest.approx(median_hz(studio, plain), rel=0.02)
    assert whisper.NAME in sharing.held()


@pytest.mark.parametrize("after", [1, 2])
def test_a_cancelled_song_stops_within_a_step(studio, files, after):
    engine = studio.engine("world_singing")
    params = WorldSinging.Params(source=files["source"])
    job = Stopping(after)
    with studio.runtime.lease(engine, params), pytest.raises(Cancelled):
        engine.run(params, job)
    assert len(job.notes) == after and job.late == 0


def test_what_cannot_be_sung_is_refused_in_words(studio, files):
    for given, words, field in (
        ({"source": files["short"]}, r"short.wav lasts 0\.20 s", "source"),
        ({"reference": files["short"]}, r"lasts 0\.20 s; at least 1 s", "reference"),
        ({"reference": files["silent"]}, "silent.wav is silent", "reference"),
        ({"source": files["silent"]}, "silent.wav is silent", "source"),
        ({"melody": files["broken"]}, "no MIDI file", "melody"),
        ({"key": "automatic"}, "neither a reference nor a target pitch", "key"),
    ):
        with pytest.raises(StudioError, match=words) as error:
            studio.submit("world_singing", {"source": files["source"]} | given)
        assert error.value.field == field
