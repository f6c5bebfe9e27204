"""Loudness and true peak against values known beforehand."""

import math

import numpy as np
import pytest

from engines.audio import measure
from engines.base import StudioError
from engines.restore import levels
from engines.restore.levels import limit, normalise_loudness, normalise_peak, true_peak_db

RATE = 48_000


def tone(hz, phase=0.0, seconds=1.0):
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE + phase)


def test_peaks_between_samples_are_seen():
    # a quarter of the rate at 45°: no sample is above -3 dB, the wave reaches 0 dB
    quarter = tone(RATE / 4, math.pi / 4)[100:-100] * np.hanning(RATE - 200)
    assert 20 * math.log10(np.abs(quarter).max()) == pytest.approx(-3.01, abs=0.05)
    assert true_peak_db(quarter) == pytest.approx(0, abs=0.15)
    assert true_peak_db(np.zeros(10)) == -math.inf
    assert true_peak_db(np.zeros((2, 0))) == -math.inf


def test_blocks_change_nothing(monkeypatch):
    whole = true_peak_db(tone(997))
    monkeypatch.setattr(levels, "BLOCK", 1000)
    assert true_peak_db(tone(997)) == pytest.approx(whole, abs=0.01)


def test_peak_goes_to_the_ceiling():
    out = normalise_peak(0.1 * np.stack([tone(997), tone(440)]), -3.0)
    assert true_peak_db(out.samples) == pytest.approx(-3, abs=0.02)
    assert out.gain_db == pytest.approx(17, abs=0.1)
    assert not normalise_peak(np.zeros(100)).samples.any()


@pytest.mark.parametrize("target", [-30.0, -16.0])
def test_loudness_goes_to_the_target(target):
    noise = np.random.default_rng(0).standard_normal((2, 2 * RATE)) * 0.02
    out = normalise_loudness(noise, RATE, target)
    assert measure(out.samples, RATE).loudness_lufs == pytest.approx(target, abs=0.1)
    assert true_peak_db(out.samples) <= -1.0


def test_clicks_are_limited_so_that_the_rest_can_be_loud():
    sound = tone(440, seconds=2.0) * 0.05
    sound[RATE : RATE + 20] = 0.9
    out = normalise_loudness(sound, RATE, -16.0)
    assert out.limited_db > 5
    assert true_peak_db(out.samples) <= -1.0 + 1e-6
    assert measure(out.samples, RATE).loudness_lufs == pytest.approx(-16, abs=0.3)
    quiet = out.samples[RATE // 2 : RATE // 2 + 1000]  # far from the click
    assert np.allclose(
        quiet, sound[RATE // 2 : RATE // 2 + 1000] * 10 ** (out.gain_db / 20), atol=1e-4
    )


def test_the_limiter_leaves_quiet_sounds_alone():
    sound = (0.3 * tone(440)).astype(np.float32)
    out, reduction_db = limit(sound, RATE)
    assert reduction_db == 0
    assert np.array_equal(out, sound)


def test_no_loudness_is_said():
    for nothing in (np.zeros(RATE), tone(440, seconds=0.1)):
        with pytest.raises(StudioError, match="Loudness cannot be measured"):
            normalise_loudness(nothing, RATE)
