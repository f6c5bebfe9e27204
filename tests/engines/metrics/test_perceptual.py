"""PESQ, STOI and ESTOI are those of pesq and pystoi on the same samples."""

from __future__ import annotations

import numpy as np
import pesq
import pystoi
import pytest

from engines.audio import resample
from engines.metrics.base import Reason

from .conftest import at_snr, noise
from .helpers import case, score, value


@pytest.fixture(scope="module")
def noisy(speech):
    return at_snr(speech[0], 10)


@pytest.mark.parametrize(
    "metric, rate, mode", [("pesq_nb", 8_000, "nb"), ("pesq_wb", 16_000, "wb")]
)
def test_pesq(speech, noisy, metric, rate, mode):
    clean, given = speech
    expected = pesq.pesq(rate, resample(clean, given, rate), resample(noisy, given, rate), mode)
    assert value(metric, case(noisy, clean, given)) == pytest.approx(expected, rel=1e-3)
    assert value(metric, case(clean, clean, given)) > 4.4


@pytest.mark.parametrize("metric, extended", [("stoi", False), ("estoi", True)])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_stoi(speech, noisy, metric, extended, rate):
    clean, dirty = (resample(each, speech[1], rate) for each in (speech[0], noisy))
    expected = pystoi.stoi(clean, dirty, rate, extended)
    assert value(metric, case(dirty, clean, rate)) == pytest.approx(expected, rel=1e-3)
    assert value(metric, case(clean, clean, rate)) == pytest.approx(1, abs=1e-6)


def test_more_noise_is_worse(speech):
    clean, rate = speech
    for metric in ("pesq_wb", "stoi", "estoi"):
        values = [value(metric, case(at_snr(clean, db), clean, rate)) for db in (20, 5, -5)]
        assert values == sorted(values, reverse=True), metric


def test_too_little_speech_is_a_reason():
    short = noise(0.3, 16_000)
    assert score("stoi", case(short, short, 16_000)).reason is Reason.TOO_SHORT
    assert score("pesq_wb", case(short[:3000], short[:3000], 16_000)).reason is Reason.TOO_SHORT
    click = np.zeros(16_000, np.float32)
    click[8_000] = 0.5
    assert score("stoi", case(click, click, 16_000)).reason is Reason.TOO_SHORT
