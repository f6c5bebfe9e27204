"""Levels, tempo and key of sounds that are known."""

from __future__ import annotations

import librosa
import numpy as np
import pyloudnorm
import pytest

from engines.metrics.base import Reason

from .conftest import RATE, noise, tone
from .helpers import case, score, value


def test_loudness_is_pyloudnorms_and_uses_all_channels():
    stereo = np.stack([tone(200, 2), noise(2)])
    expected = pyloudnorm.Meter(RATE).integrated_loudness(stereo.T.astype(float))
    assert value("loudness", case(stereo)) == pytest.approx(expected, abs=1e-3)
    mono = value("loudness", case(stereo[0]))
    assert value("loudness", case(stereo[0] * 0.5)) == pytest.approx(
        mono - 20 * np.log10(2), abs=0.01
    )


def test_loudness_that_the_standard_does_not_define():
    assert score("loudness", case(tone(200, 0.3))).reason is Reason.TOO_SHORT
    assert score("loudness", case(np.zeros(RATE, np.float32))).reason is Reason.SILENT
    assert score("loudness", case(np.stack([noise()] * 6))).reason is Reason.CHANNELS


def test_clipping_counts_runs_at_full_scale():
    clean = 0.9 * tone(200)
    assert value("clipping", case(clean)) == 0
    clipped = clean.copy()
    clipped[100:110], clipped[500:505], clipped[900] = 1.0, -1.0, 1.0
    found = score("clipping", case(clipped))
    assert found.value == pytest.approx(100 * 15 / RATE)
    assert found.details["places"] == 2


def test_peak_of_half_scale():
    assert value("peak", case(np.array([0.0, 0.5, -0.25] * RATE))) == pytest.approx(
        -6.0206, abs=1e-3
    )


def test_silence_at_both_ends():
    quiet = np.zeros(RATE // 4, np.float32)
    found = score("silence", case(np.concatenate([quiet, tone(200, 0.5), quiet])))
    assert found.value == pytest.approx(50, abs=2.5)
    assert found.details["leading_s"] == pytest.approx(0.25, abs=0.02)
    assert found.details["trailing_s"] == pytest.approx(0.25, abs=0.02)
    assert value("silence", case(quiet)) == 100


@pytest.mark.parametrize("snr_db", [10, 20, 30])
def test_estimated_snr_of_a_voice_with_pauses_in_steady_noise(snr_db):
    voice = tone(200, 4) * np.repeat([1, 0, 1, 0], RATE)
    power = np.mean(voice**2) * 10 ** (-snr_db / 10)
    noisy = voice + noise(4, level=float(np.sqrt(power)))
    assert value("snr_estimate", case(noisy)) == pytest.approx(snr_db, abs=1)


def test_snr_is_not_invented():
    assert score("snr_estimate", case(noise(2))).reason is Reason.NO_PAUSES
    gapped = np.concatenate([tone(200), np.zeros(RATE, np.float32)])
    assert score("snr_estimate", case(gapped)).reason is Reason.SILENT


@pytest.mark.parametrize("bpm", [90, 120, 150])
def test_tempo_of_a_click_track(bpm):
    clicks = librosa.clicks(times=np.arange(0, 12, 60 / bpm), sr=22_050, length=12 * 22_050)
    assert value("tempo", case(clicks, rate=22_050)) == pytest.approx(bpm, rel=0.03)


@pytest.mark.parametrize("tonic, third, name", [(60, 4, "C major"), (57, 3, "A minor")])
def test_key_of_its_scale_and_chord(tonic, third, name):
    scale = (0, 2, 4, 5, 7, 9, 11) if third == 4 else (0, 2, 3, 5, 7, 8, 10)
    notes = [tonic, tonic + third, tonic + 7, *(tonic + step for step in scale), tonic]
    song = np.concatenate([tone(440 * 2 ** ((n - 69) / 12), 0.4, harmonics=3) for n in notes])
    found = score("key", case(song))
    assert found.label == name
    assert found.value > 0.6
