"""Spectral and signal metrics against torch, librosa, torchmetrics, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.audio import (
    scale_invariant_signal_distortion_ratio,
    scale_invariant_signal_noise_ratio,
    signal_noise_ratio,
)

from engines.metrics import world
from engines.metrics.case import Case
from engines.metrics.dtw import align_frames
from engines.metrics.sound import Sound
from engines.metrics.stft import RESOLUTIONS

from .conftest import RATE, at_snr, noise, tone
from .helpers import case, value


@pytest.fixture(scope="module")
def pair():
    reference = tone(np.linspace(150, 300, RATE)) * np.linspace(0.2, 1, RATE, dtype=np.float32)
    return at_snr(reference, 12), reference


def torch_magnitude(samples, n_fft, hop, win):
    spectrum = torch.stft(
        torch.from_numpy(samples).double(),
        n_fft,
        hop,
        win,
        torch.hann_window(win, dtype=torch.float64),
        return_complex=True,
    )
    return spectrum.abs().square().clamp(min=1e-7).sqrt()


def test_multi_resolution_stft_agrees_with_torch(pair):
    generated, reference = pair
    convergence, logs = [], []
    for resolution in RESOLUTIONS:
        a, b = (torch_magnitude(each, *resolution) for each in (reference, generated))
        convergence.append(float(torch.linalg.norm(a - b) / torch.linalg.norm(a)))
        logs.append(float((a.log() - b.log()).abs().mean()))
    of = case(generated, reference)
    assert value("spectral_convergence", of) == pytest.approx(np.mean(convergence), rel=1e-3)
    assert value("log_magnitude", of) == pytest.approx(np.mean(logs), rel=1e-3)
    assert value("mrstft", of) == pytest.approx(np.mean(convergence) + np.mean(logs), rel=1e-3)


def test_log_spectral_distance_agrees_with_librosa(pair):
    import librosa

    a, b = (
        np.maximum(np.abs(librosa.stft(each, n_fft=2048, hop_length=512, pad_mode="reflect")), 1e-5)
        for each in pair
    )
    reference = np.sqrt(np.mean((20 * np.log10(a / b)) ** 2, axis=0)).mean()
    assert value("lsd", case(*pair)) == pytest.approx(reference, rel=1e-3)


def test_long_sounds_are_measured_in_blocks_with_the_same_answer(pair, monkeypatch):
    from engines.metrics import spectra

    whole = value("mrstft", case(*pair)), value("lsd", case(*pair))
    monkeypatch.setattr(spectra, "BLOCK_VALUES", 20_000)
    assert (value("mrstft", case(*pair)), value("lsd", case(*pair))) == pytest.approx(
        whole, rel=1e-6
    )


@pytest.mark.parametrize(
    "metric, reference",
    [
        ("si_sdr", scale_invariant_signal_distortion_ratio),
        ("si_snr", scale_invariant_signal_noise_ratio),
        ("snr", signal_noise_ratio),
    ],
)
def test_signal_ratios_agree_with_torchmetrics(pair, metric, reference):
    generated, target = (torch.from_numpy(each + np.float32(0.01)).double() for each in pair)
    expected = float(reference(generated, target))
    found = value(metric, case(generated.float().numpy(), target.float().numpy()))
    assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("snr_db", [0, 10, 30])
def test_noise_at_a_level_gives_that_level(pair, snr_db):
    of = case(at_snr(pair[1], snr_db), pair[1])
    assert value("snr", of) == pytest.approx(snr_db, abs=1e-3)
    assert value("si_sdr", of) == pytest.approx(snr_db, abs=0.15)  # noise is not quite orthogonal


def test_gain_means_nothing_to_scale_invariant_ratios(pair):
    generated, reference = pair
    assert value("si_sdr", case(reference * 0.5, reference)) > 100
    assert value("si_sdr", case(generated * 0.25, reference)) == pytest.approx(
        value("si_sdr", case(generated, reference)), abs=1e-6
    )
    assert value("snr", case(reference * 0.5, reference)) == pytest.approx(
        20 * np.log10(2), abs=1e-3
    )


def test_a_gain_is_its_log_distance(pair):
    of = case(pair[1] * 2, pair[1])
    assert value("spectral_convergence", of) == pytest.approx(1, rel=1e-3)
    loud = case(noise(level=0.2), noise(level=0.1))
    assert value("log_magnitude", loud) == pytest.approx(np.log(2), rel=1e-3)
    assert value("lsd", loud) == pytest.approx(20 * np.log10(2), rel=1e-3)


def test_distances_are_zero_to_itself_and_grow_with_noise(pair):
    reference = pair[1]
    cases = [case(each, reference) for each in (reference, pair[0], at_snr(reference, 0))]
    for metric in ("mcd", "mcd_dtw", "mrstft", "lsd"):
        values = [value(metric, each) for each in cases]
        assert values[0] == pytest.approx(0, abs=1e-6), metric
        assert values[0] < values[1] < values[2], metric


def test_symmetric_distances_do_not_care_who_is_the_reference(pair):
    here = case(*pair)
    there = Case(here.target, here.generated)
    for metric in ("mcd", "mcd_dtw", "lsd", "log_magnitude", "energy_rmse"):
        assert value(metric, here) == pytest.approx(value(metric, there), rel=1e-6), metric


# mel-cepstra


def test_mel_cepstra_are_those_of_the_warped_spectrum():
    """The definition by numerical integration over the warped frequency axis."""
    n_fft, order, alpha = 1024, 24, 0.466
    omega = np.linspace(0, np.pi, n_fft // 2 + 1)
    log_power = 2 * np.cos(omega) - 1.3 * np.cos(2 * omega) + 0.4 * np.cos(5 * omega) - 3
    found = log_power @ world._to_mel_cepstrum(n_fft, order, alpha)
    warped = omega + 2 * np.arctan(alpha * np.sin(omega) / (1 - alpha * np.cos(omega)))
    for m in range(order + 1):
        expected = np.trapezoid(log_power * np.cos(m * warped), warped) / np.pi
        assert found[m] == pytest.approx(expected / (2 if m == 0 else 1), abs=2e-4)


def test_mel_cepstra_are_those_of_sptk():
    """Figures of pysptk 1.0.1, ``sp2mc(power, 24, 0.466)``."""
    omega = np.linspace(0, np.pi, 513)
    power = 0.1 / (1.25 - np.cos(omega - 0.5)) + 1e-3 * np.exp(np.sin(3 * omega))
    found = np.log(power) @ world._to_mel_cepstrum(1024, 24, 0.466)
    np.testing.assert_allclose(found[SPTK_PLACES], SPTK_VALUES, rtol=1e-6)


SPTK_PLACES = [0, 1, 2, 3, 5, 8, 13, 24]
SPTK_VALUES = [
    -0.744091561,
    0.36949886,
    -0.273272368,
    0.0485619361,
    0.0035881593,
    -0.00572592225,
    0.00117804167,
    -0.000741867635,
]


def test_mcd_by_hand(pair):
    of = case(*pair)
    a, b = world.mel_cepstra(of.target), world.mel_cepstra(of.generated)
    by_hand = np.mean(10 / np.log(10) * np.sqrt(2 * np.sum((a[:, 1:] - b[:, 1:]) ** 2, axis=1)))
    assert value("mcd", of) == pytest.approx(by_hand, rel=1e-9)


def test_mcd_leaves_level_out(pair):
    assert value("mcd", case(pair[0] * 0.5, pair[0])) < 0.05


def test_warping_undoes_a_change_of_speed(pair):
    slow = tone(
        np.interp(np.linspace(0, 1, 30_000), np.linspace(0, 1, RATE), np.linspace(150, 300, RATE)),
        1.25,
    )
    of = case(slow, tone(np.linspace(150, 300, RATE)))
    assert value("mcd_dtw", of) < value("mcd", of)


# time warping


def test_the_path_is_as_cheap_as_librosas():
    import librosa

    rng = np.random.default_rng(1)
    a = np.cumsum(rng.standard_normal((80, 5)), axis=0)
    b = np.repeat(a, rng.integers(1, 3, 80), axis=0) + 0.1 * rng.standard_normal((1, 5))
    rows, columns = align_frames(a, b)
    cost, _path = librosa.sequence.dtw(a.T, b.T)
    assert np.linalg.norm(a[rows] - b[columns], axis=1).sum() == pytest.approx(cost[-1, -1])
    assert (rows[0], columns[0], rows[-1], columns[-1]) == (0, 0, 79, len(b) - 1)
    steps = np.diff(rows) + np.diff(columns)
    assert steps.min() >= 1 and steps.max() <= 2


def test_mel_cepstra_are_the_same_again_and_in_blocks(monkeypatch):
    short = tone(200, 0.4) + noise(0.4, level=0.01)
    whole = world.mel_cepstra(Sound(short, RATE))
    np.testing.assert_array_equal(world.mel_cepstra(Sound(short, RATE)), whole)
    monkeypatch.setattr(world, "BLOCK", 30)
    np.testing.assert_allclose(world.mel_cepstra(Sound(short, RATE)), whole, atol=1e-4)
