"""The sound designer: descriptions and timelines, when events are heard, seeds, samples, refusals."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import soundfile

from engines.base import Availability, Cancelled, StudioError
from engines.parameters import parse
from engines.studio import Studio
from engines.tta.designer import timeline
from engines.tta.designer.engine import DesignerParams, SoundDesigner
from engines.tta.designer.kinds import KINDS
from engines.tta.designer.understand import understand
from tests.conftest import make_settings

RATE = 44_100
PICOAUDIO = {
    "burping_belching", "car_horn_honking", "cat_meowing", "cow_mooing", "dog_barking", "door_knocking",
    "door_slamming", "explosion", "gunshot", "sheep_goat_bleating", "sneeze", "spraying", "thump_thud",
    "train_horn", "tapping_clicking_clanking", "woman_laughing", "duck_quacking", "whistling",
}  # fmt: skip
STEADY = [name for name, kind in KINDS.items() if kind.steady]


@pytest.fixture
def make(cache, new_job):
    """A function from parameters to the clips of a job with seed 7."""

    def made(**values):
        return list(SoundDesigner(cache).run(parse(DesignerParams, values), new_job()))

    return made


def heard(samples: np.ndarray, threshold_db: float = -30.0) -> tuple[float, float]:
    """When a sound is first and last within ``threshold_db`` of its loudest 5 ms."""
    width = RATE // 200
    power = (np.atleast_2d(samples) ** 2).mean(0)
    level = power[: len(power) // width * width].reshape(-1, width).mean(1)
    loud = np.flatnonzero(level > level.max() * 10 ** (threshold_db / 10))
    return loud[0] * width / RATE, (loud[-1] + 1) * width / RATE


def lines(text: str) -> list[str]:
    return timeline.write(understand(text)).splitlines()


def test_it_makes_all_of_picoaudios_events_and_a_dozen_more():
    names = {name.replace(" ", "_") for name in KINDS}
    assert names.issuperset(PICOAUDIO)
    assert len(names) >= 18 + 12
    assert names.issuperset(["rain", "wind", "thunder", "waves", "footsteps", "bell", "engine"])


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_heard_when_it_should_be(make, name):
    length_s = min(KINDS[name].duration_s, 3.0)
    (clip,) = make(timeline=f"{name} 0.7-{0.7 + length_s}", duration_s=1.2 + length_s)
    assert clip.samples.shape == (2, round((1.2 + length_s) * RATE))
    assert np.isfinite(clip.samples).all() and 0.003 < np.abs(clip.samples).max() < 1
    start, end = heard(clip.samples)
    assert start == pytest.approx(0.7, abs=0.02)
    assert end <= 0.7 + length_s + 0.02
    if name in STEADY and name not in ("alarm", "crickets"):  # which come in groups
        assert end == pytest.approx(0.7 + length_s, abs=0.1)


@pytest.mark.parametrize(
    "name",
    [
        "dog barking",
        "door knocking",
        "gunshot",
        "footsteps",
        "tapping clicking clanking",
        "thump thud",
    ],
)
def test_an_onset_detector_finds_each_event_within_20_ms(make, name):
    wanted = [0.5, 1.37, 2.24, 3.11]
    length_s = KINDS[name].duration_s
    gap_s = 0.87 - length_s
    text = f"{name} 0.5-{0.5 + length_s:.4f} count 4 gap {gap_s:.4f}"
    if gap_s < 0:
        text = "\n".join(f"{name} {at} " for at in wanted)
    (clip,) = make(timeline=text, duration_s=4.5)
    envelope = librosa.onset.onset_strength(
        y=clip.samples.mean(0), sr=RATE, hop_length=128, n_fft=1024, n_mels=40
    )
    found = librosa.onset.onset_detect(
        onset_envelope=envelope, sr=RATE, hop_length=128, units="time", delta=0.3, wait=40
    )
    for onset in wanted:
        assert np.abs(found - onset).min() <= 0.02, (onset, found)


@pytest.mark.parametrize(
    ("text", "events"),
    [
        (
            "dog barks twice, then rain from 4 s to 9 s",
            ["dog barking 0.0-0.26 count 2 gap 0.32", "rain 4.0-9.0"],
        ),
        (
            "cat meowing at 0.5-2.0, 3.0-4.5 and whistling at 5.0-6.5",
            ["cat meowing 0.5-2.0", "cat meowing 3.0-4.5", "whistling 5.0-6.5"],
        ),
        (
            "cat_meowing__0.5-2.0_3.0-4.5--whistling__5.0-6.5",
            ["cat meowing 0.5-2.0", "cat meowing 3.0-4.5", "whistling 5.0-6.5"],
        ),
        (
            "Heavy rain with distant thunder at 3 s and 8 s",
            [
                "rain 0.0-13.5 gain 4 force 0.9",
                "thunder 3.0-8.0 gain -12 distance 0.8",
                "thunder 8.0-13.0 gain -12 distance 0.8",
            ],
        ),
        (
            "three loud knocks on a wooden door, after 2 seconds a door slams",
            ["door knocking 0.0-0.2 count 3 gap 0.08 gain 6", "door slamming 2.76-3.56"],
        ),
        ("a gunshot after a siren", ["siren 0.0-6.0", "gunshot 6.25-7.15"]),
        ("sneeze before an explosion", ["sneeze 0.0-0.95", "explosion 1.2-4.2"]),
        ("two dogs bark 3 times", ["dog barking 0.0-0.26 count 3 gap 0.32"]),
        ("a dog barks every 2 seconds from 1 s to 9 s", ["dog barking 1.0-1.26 count 4 gap 1.74"]),
        ("a duck quacks 5 times between 2 and 6 s", ["duck quacking 2.0-2.22 count 5 gap 0.725"]),
        ("a dog barks at 3", ["dog barking 3.0-3.26"]),
        ("bell, quiet, from the left", ["bell 0.0-4.0 gain -9 pan -0.8"]),
        ("rain for 3 s, 2 s of silence, thunder", ["rain 0.0-3.0", "thunder 5.0-10.0"]),
        (
            "Birds sing throughout. A cow moos at 3 s.",
            ["birdsong 0.0-5.2", "cow mooing 3.0-4.7"],
        ),
    ],
)  # fmt: skip
def test_a_description_becomes_a_timeline(text, events):
    assert lines(text) == events


WORDS = (
    "a the dog barks twice then rain from to 4 s 9 seconds 4-9 2 minutes and , . ; while with after before "
    "every 0.5 thunder heavy loud left bell rings 3 times for until at between throughout pause silence of "
    "sample 1 apart later in background knock glass high-pitched # - gain 0 1000"
)


def test_any_words_are_a_timeline_that_reads_again_or_a_refusal():
    rng, understood = np.random.default_rng(1), 0
    for _ in range(1500):
        text = " ".join(rng.choice(WORDS.split(), rng.integers(1, 13)))
        try:
            events = understand(text, {"sample 1": 1.0})
        except StudioError as refusal:
            assert refusal.field == "prompt" or refusal.field.startswith("sample_"), text
            continue
        understood += 1
        assert all(0 <= each.start_s < each.end_s <= 600 and each.gap_s >= 0 for each in events), (
            text
        )
        again = timeline.read(timeline.write(events), {"sample 1": 1.0})
        assert [(each.kind, each.count) for each in again] == [
            (each.kind, each.count) for each in events
        ]
    assert understood > 300


def test_a_written_timeline_reads_as_the_same_events():
    events = understand("heavy rain while a big dog barks at 3 s, then a quiet bell from the right")
    assert timeline.read(timeline.write(events)) == events
    assert understand(timeline.write(events)) == events


def test_what_the_clip_says_of_its_timeline_makes_it_again(make):
    (first,) = make(prompt="a dog barks twice, then rain for 1 s", seed=7)
    assert first.settings["timeline"].startswith("dog barking 0.0-0.26 count 2 gap 0.32\nrain 1.09")
    (again,) = make(prompt="whatever it says", timeline=first.settings["timeline"], seed=7)
    np.testing.assert_array_equal(again.samples, first.samples)


def test_one_event_is_changed_without_changing_the_others(make):
    (both,) = make(timeline="rain 0-1\ndog barking 2.0-2.3 gain -6")
    (louder,) = make(timeline="rain 0-1\ndog barking 2.0-2.3")
    np.testing.assert_array_equal(both.samples[:, :RATE], louder.samples[:, :RATE])
    ratio = np.abs(louder.samples[:, RATE:]).max() / np.abs(both.samples[:, RATE:]).max()
    assert 20 * np.log10(ratio) == pytest.approx(6, abs=0.01)


def test_pan_and_room(make):
    (left,) = make(timeline="dog barking 0-0.3 pan -1")
    assert np.abs(left.samples[1]).max() < 1e-6 < np.abs(left.samples[0]).max()
    (dry,) = make(timeline="tapping 0.2-0.4")
    (wet,) = make(timeline="tapping 0.2-0.4", room=0.5, room_decay_s=0.5)
    assert wet.samples.shape[1] - dry.samples.shape[1] == round(0.5 * RATE)
    assert np.abs(wet.samples[:, round(0.45 * RATE) :]).max() > 1e-4


def test_controls_are_heard(make):
    def centroid(text):
        (clip,) = make(timeline=text)
        power = np.abs(np.fft.rfft(clip.samples.mean(0))) ** 2
        return (power * np.fft.rfftfreq(clip.samples.shape[1], 1 / RATE)).sum() / power.sum()

    assert centroid("tapping 0-0.2 material 1") > 1.3 * centroid("tapping 0-0.2 material 0")
    assert centroid("explosion 0-3 distance 1") < 0.8 * centroid("explosion 0-3")
    assert centroid("car horn honking 0-0.5 pitch 2") > 1.15 * centroid("car horn honking 0-0.5")


def test_a_long_steady_sound_has_no_seam(make):
    (clip,) = make(timeline="spraying 0-1\nrain 0-34")
    frames = clip.samples[:, 2 * RATE : 33 * RATE].reshape(2, -1, RATE // 2)
    level = 10 * np.log10((frames**2).mean((0, 2)))
    assert level.max() - level.min() < 4


def test_own_samples_are_events(make, tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 16_000)
    soundfile.write(tmp_path / "tone.wav", tone, 16_000)
    (clip,) = make(prompt="sample 1 twice at 1 s", sample_1=tmp_path / "tone.wav")
    assert clip.settings["timeline"] == "sample 1 1.0-1.5 count 2 gap 0.2"
    start, end = heard(clip.samples)
    assert (start, end) == (pytest.approx(1.0, abs=0.01), pytest.approx(2.2, abs=0.01))
    peak = np.abs(np.fft.rfft(clip.samples[0])).argmax() * RATE / clip.samples.shape[1]
    assert peak == pytest.approx(1000, abs=3)
    (lower,) = make(timeline="sample 1 0 pitch 0.5", sample_1=tmp_path / "tone.wav")
    peak = np.abs(np.fft.rfft(lower.samples[0])).argmax() * RATE / lower.samples.shape[1]
    assert peak == pytest.approx(500, abs=3)


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({}, "prompt", "names no sound"),
        ({"prompt": "a dog barks while a man talks"}, "prompt", "“a man talks” names no sound"),
        ({"prompt": "rain for 20 minutes"}, "prompt", r"would last 1,200 s; at most 600 s fit"),
        ({"prompt": "sample 9 and rain"}, "prompt", "no sample 9; there are sample 1 to 4"),
        ({"prompt": "sample 2 at 1 s"}, "sample_2", "asks for sample 2, and no sound is given"),
        ({"timeline": "rain four"}, "timeline", "Line 1, “rain four”, should look like"),
        (
            {"timeline": "rain 1-2\ndogg 3-4"},
            "timeline",
            "Line 2: there is no kind of event “dogg”",
        ),
        ({"timeline": "rain 4-3"}, "timeline", "ends at 3 s, before it is heard"),
        (
            {"timeline": "rain 0-3 pitch 2"},
            "timeline",
            "rain has no “pitch”; it has count, gap, gain",
        ),
        ({"timeline": "rain 0-3 force 7"}, "timeline", "force must be 0 to 1, not 7"),
        ({"timeline": "rain 0-700"}, "timeline", "at most 600 s"),
        (
            {"timeline": "bell 0-1", "sample_1": __file__},
            "sample_1",
            "not a sound that can be read",
        ),
    ],
)
def test_refusals_name_the_field_and_the_line(cache, values, field, words):
    with pytest.raises(StudioError, match=words) as error:
        SoundDesigner(cache).check(parse(DesignerParams, values))
    assert error.value.field == field


def test_a_scene_may_be_cancelled_between_sounds(cache, new_job):
    job = new_job()
    told = []
    job.check = lambda: told.append(1) if len(told) < 3 else (_ for _ in ()).throw(Cancelled("x"))
    with pytest.raises(Cancelled):
        list(
            SoundDesigner(cache).run(
                parse(DesignerParams, {"timeline": "tapping 0-0.1 count 9"}), job
            )
        )
    assert len(job.notes) == 3


def test_on_a_fresh_machine_the_studio_makes_a_scene_twice_the_same(tmp_path, no_engines):
    with Studio(make_settings(tmp_path)) as studio:
        studio.registry.add(SoundDesigner)
        engine = studio.engine("sound-designer")
        assert engine.availability() is Availability.READY
        assert "rocedural" in engine.card.summary and "rocedural" in engine.card.notes
        made = []
        for _ in range(2):
            clips = studio.make(
                "sound-designer", 60, prompt="a dog barks, then wind for 1 s", seed=5, variations=2
            )
            assert [clip.sample_rate for clip in clips] == [RATE, RATE]
            made.append([clip.path.name for clip in clips])
        assert made[0] == made[1]
        assert made[0][0] != made[0][1]
        assert (
            studio.settings_of(clips[0].id).settings["timeline"].splitlines()[1] == "wind 1.09-2.09"
        )
