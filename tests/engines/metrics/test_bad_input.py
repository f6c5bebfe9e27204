"""Nothing that a person drops in is a crash or a made-up number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engines.metrics.base import Need, Reason
from engines.metrics.case import Case
from engines.metrics.evaluate import measure, measure_files, plan
from engines.metrics.registry import metrics
from engines.metrics.sound import Sound

from .conftest import RATE, noise, tone

SLOW = {"wer", "cer", "speaker_wavlm", "clap_score", "speaker_resemblyzer"}
PAIR = [each.card.id for each in metrics([Need.REFERENCE]) if each.card.id not in SLOW]
ALL = [each.card.id for each in metrics() if each.card.id not in SLOW]


def sound(samples: np.ndarray, rate: int = RATE) -> Sound:
    return Sound(samples, rate)


def answers(generated: Sound, reference: Sound, ids=tuple(ALL)):
    scores = measure(Case(generated, reference), plan(ids))
    for score in scores:
        assert (score.value is None) == (score.reason is not None)
        assert score.value is None or math.isfinite(score.value)
        assert score.value is not None or score.message
    return {score.metric: score for score in scores}


@pytest.fixture(scope="module")
def voice():
    return tone(np.linspace(180, 240, RATE)) * np.linspace(0.3, 1, RATE, dtype=np.float32)


def test_a_tenth_of_a_second(voice):
    found = answers(sound(voice[: RATE // 10]), sound(voice))
    for metric in ("stoi", "pesq_wb", "loudness", "tempo", "key", "dnsmos_ovrl", "snr_estimate"):
        assert found[metric].reason is Reason.TOO_SHORT, metric
    assert found["si_sdr"].value > 100


@pytest.mark.parametrize("count", [0, 1, 100])
def test_hardly_any_samples(voice, count):
    found = answers(sound(voice[1000 : 1000 + count]), sound(voice))
    for metric in PAIR:
        assert found[metric].reason is Reason.TOO_SHORT, metric


@pytest.mark.parametrize("generated_is", ["silent", "reference"])
def test_silence(voice, generated_is):
    hush = np.zeros(RATE, np.float32)
    pair = (hush, voice) if generated_is == "silent" else (voice, hush)
    found = answers(*map(sound, pair), PAIR)
    for metric in PAIR:
        assert found[metric].reason is Reason.SILENT, metric


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_no_numbers(voice, bad):
    broken = voice.copy()
    broken[500] = bad
    found = answers(sound(broken), sound(voice))
    assert {score.reason for score in found.values()} == {Reason.NOT_FINITE}


def test_different_lengths_rates_and_channels(voice):
    stereo = np.stack([noise(1.4, 44_100), tone(200, 1.4, 44_100)])
    found = answers(Sound(stereo, 44_100), sound(voice), PAIR)
    for metric in PAIR:
        assert found[metric].value is not None, found[metric].message
        assert any("2 channels" in note for note in found[metric].notes)
    assert found["si_sdr"].notes[1] == "generated: resampled from 44100 to 24000 Hz"


@pytest.mark.parametrize("align", ["cut", "pad", "dtw"])
def test_every_alignment_of_different_lengths(voice, align):
    quick = [each for each in PAIR if "align" in plan([each])[0].settings.model_dump()]
    scores = measure(Case(sound(voice[: RATE // 2]), sound(voice)), plan(quick, {"align": align}))
    assert all(each.value is not None for each in scores if each.metric != "stoi")
    by_id = {each.metric: each for each in scores}
    frames = {"cut": (100, 102), "pad": (200, 202), "dtw": (200, 300)}[align]
    assert frames[0] <= by_id["energy_rmse"].details["frames"] <= frames[1]


def test_channels_that_cancel_are_silent_in_their_mean(voice):
    wide = sound(np.stack([voice, -voice]))
    found = answers(wide, sound(voice), ("si_sdr", "f0_rmse", "stoi", "loudness", "peak"))
    for metric in ("si_sdr", "f0_rmse", "stoi"):
        assert found[metric].reason is Reason.SILENT
    assert found["loudness"].value is not None and found["peak"].value is not None


def test_sounds_that_are_too_long_for_a_metric():
    long = Sound(np.full(8_000 * 301, 0.1, np.float32), 8_000)
    found = answers(long, long, ("f0_rmse", "mcd", "pesq_wb", "energy_rmse"))
    for metric in ("f0_rmse", "mcd", "pesq_wb"):
        assert found[metric].reason is Reason.TOO_LONG, metric
    assert found["energy_rmse"].value == 0


def test_a_text_file_named_wav(tmp_path, write, voice):
    lie = tmp_path / "lie.wav"
    lie.write_text("this is no sound")
    good = write("good.wav", voice)
    scores = measure_files(plan(["f0_rmse", "loudness"]), lie, good)
    assert {each.reason for each in scores} == {Reason.UNREADABLE}
    assert "lie.wav" in scores[0].message
    pair, alone = measure_files(plan(["energy_rmse", "loudness"]), good, lie)
    assert pair.reason is Reason.UNREADABLE
    assert alone.value is not None
    gone = measure_files(plan(["loudness"]), tmp_path / "gone.wav")[0]
    assert gone.reason is Reason.UNREADABLE
