"""F0 and energy: known answers, and the definitions of scipy, scikit-learn and librosa."""

from __future__ import annotations

import numpy as np
import pytest

from engines.metrics.base import Reason
from engines.metrics.contours import Tracker, contour
from engines.metrics.energy import energy_db
from engines.metrics.sound import Sound

from .conftest import RATE, noise, tone
from .helpers import case, score, value

SEMITONE = 2 ** (1 / 12)


@pytest.fixture(scope="module")
def glide():
    """A melody that rises and falls around 200 Hz."""
    t = np.arange(RATE) / RATE
    return 200 * 2 ** (np.sin(2 * np.pi * 1.5 * t) / 4)


@pytest.fixture(scope="module")
def shifted(glide):
    return case(tone(glide * SEMITONE), tone(glide))


@pytest.mark.parametrize("tracker", list(Tracker))
def test_a_semitone_is_100_cents(shifted, tracker):
    assert value("f0_rmse_cents", shifted, tracker=tracker) == pytest.approx(100, abs=2)
    assert value("f0_rmse_cents", shifted, tracker=tracker, transpose="median") < 10  # edges
    assert value("f0_pearson", shifted, tracker=tracker) > 0.999


@pytest.mark.parametrize("tracker", list(Tracker))
def test_rmse_in_hz_is_that_of_the_true_curves(shifted, glide, tracker):
    true = np.sqrt(np.mean((glide * (SEMITONE - 1)) ** 2))
    assert value("f0_rmse", shifted, tracker=tracker) == pytest.approx(true, rel=0.03)


def test_a_sound_against_itself(shifted):
    same = case(shifted.target.samples, shifted.target.samples)
    exact = {"f0_rmse": 0, "f0_rmse_cents": 0, "periodicity_rmse": 0, "energy_rmse": 0}
    for metric, answer in (exact | {"f0_pearson": 1, "vuv_f1": 1, "energy_pearson": 1}).items():
        assert value(metric, same) == pytest.approx(answer, abs=1e-9), metric


def test_definitions_agree_with_scipy_and_scikit_learn():
    from scipy.stats import pearsonr
    from sklearn.metrics import precision_recall_fscore_support

    rest = np.zeros(RATE // 4, np.float32)
    reference = np.concatenate([tone(np.linspace(150, 300, RATE)), rest, noise(0.5)])
    generated = np.concatenate([tone(np.linspace(160, 280, RATE // 2), 0.5), rest, tone(220)])
    of = case(generated, reference)
    a, b = contour(of.target).f0, contour(of.generated).f0
    length = min(len(a), len(b))
    a, b = a[:length], b[:length]
    both = (a > 0) & (b > 0)
    precision, recall, f1, _ = precision_recall_fscore_support(a > 0, b > 0, average="binary")
    assert value("vuv_precision", of) == pytest.approx(precision, rel=1e-9)
    assert value("vuv_recall", of) == pytest.approx(recall, rel=1e-9)
    assert value("vuv_f1", of) == pytest.approx(f1, rel=1e-9)
    assert value("f0_pearson", of) == pytest.approx(pearsonr(a[both], b[both])[0], rel=1e-6)
    assert 0.3 < f1 < 0.95


@pytest.mark.parametrize("metric", ["f0_rmse", "f0_rmse_cents", "f0_pearson", "vuv_precision"])
def test_unvoiced_sounds_get_a_reason(metric):
    of = case(tone(200), tone(200))
    of.generated.once("harvest", lambda: np.zeros(201))
    found = score(metric, of)
    assert (found.value, found.reason) == (None, Reason.UNVOICED)


def test_voice_that_was_lost_is_recalled_nowhere():
    of = case(tone(200), tone(200))
    of.target.once("harvest", lambda: np.full(201, 200.0))
    of.generated.once("harvest", lambda: np.zeros(201))
    assert value("vuv_recall", of) == value("vuv_f1", of) == 0


def test_a_steady_tone_has_no_correlation():
    steady = case(tone(200), tone(200))
    steady.target.once("harvest", lambda: np.full(201, 200.0))
    assert score("f0_pearson", steady).reason is Reason.CONSTANT


def test_periodicity_separates_voice_from_noise():
    of = case(tone(200) + noise(level=0.1), tone(200))
    assert value("periodicity_rmse", of) > 0.03
    clean = contour(Sound(tone(200), RATE))
    assert clean.periodicity[20:-20].min() > 0.98


def test_time_warping_finds_a_melody_sung_slower():
    curve = 200 * 2 ** (np.sin(2 * np.pi * 1.5 * np.arange(RATE) / RATE) / 2)
    slow = np.interp(np.linspace(0, RATE - 1, round(1.3 * RATE)), np.arange(RATE), curve)
    of = case(tone(slow, 1.3), tone(curve))
    assert value("f0_rmse_cents", of, align="dtw") < 0.4 * value("f0_rmse_cents", of)


def test_energy_is_librosas_and_a_gain_is_its_rmse():
    import librosa

    signal = tone(200) * np.linspace(0.1, 1, RATE, dtype=np.float32)
    spectrum = librosa.stft(signal, n_fft=1024, hop_length=120, pad_mode="reflect")
    reference = 20 * np.log10(np.linalg.norm(np.abs(spectrum), axis=0))
    np.testing.assert_allclose(energy_db(Sound(signal, RATE)), reference, rtol=1e-4)
    louder = case(signal * 2, signal)
    assert value("energy_rmse", louder) == pytest.approx(20 * np.log10(2), rel=1e-4)
    assert value("energy_pearson", louder) == pytest.approx(1, abs=1e-6)


def test_energy_of_silence_after_a_sound_is_a_number():
    cut = np.concatenate([tone(200, 0.5), np.zeros(RATE // 2, np.float32)])
    assert 20 < value("energy_rmse", case(cut, tone(200))) < 150
