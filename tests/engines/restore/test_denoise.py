"""DeepFilterNet3: gain on noisy speech, alignment, channels, limits."""

import numpy as np
import pytest

from engines.audio import resample
from engines.base import StudioError
from engines.restore.denoise import RATE, Denoiser
from tests.engines.sounding import noise_at, si_sdr, spoken

pytestmark = pytest.mark.speech


@pytest.fixture(scope="module")
def denoiser():
    return Denoiser()


@pytest.fixture(scope="module")
def clean():
    return resample(*spoken(), RATE)


def test_noise_at_10_db_is_taken_off_and_the_sound_stays_in_place(denoiser, clean):
    noisy = clean + noise_at(clean, 10)
    out = denoiser.denoise(noisy, RATE)
    assert out.shape == clean.shape
    assert si_sdr(clean, noisy) == pytest.approx(10, abs=0.1)
    assert si_sdr(clean, out) > 18


def test_no_attenuation_changes_nothing(denoiser, clean):
    noisy = clean + noise_at(clean, 10)
    assert np.array_equal(denoiser.denoise(noisy, RATE, attenuation_db=0), noisy)
    gains = [
        si_sdr(clean, denoiser.denoise(noisy, RATE, attenuation_db=limit)) for limit in (3, 6, 12)
    ]
    assert gains == sorted(gains)
    assert gains[0] > 11


def test_channels_and_rates(denoiser, clean):
    stereo = np.stack([clean, np.zeros_like(clean)])[:, : RATE // 2]
    out = denoiser.denoise(stereo, RATE)
    assert out.shape == stereo.shape
    assert np.abs(out[1]).max() < 1e-4
    assert np.array_equal(out[0], denoiser.denoise(stereo[0], RATE))  # states are apart
    low = denoiser.denoise(np.zeros(8_000), 16_000)
    assert low.shape == (24_000,)
    assert denoiser.denoise(np.zeros(0), RATE).shape == (0,)


def test_progress_ends_at_the_end_and_may_stop(denoiser, clean):
    told = []
    denoiser.denoise(np.stack([clean, clean]), RATE, progress=lambda *at: told.append(at))
    assert told[-1] == pytest.approx((2 * len(clean) / RATE,) * 2)
    assert [done for done, _ in told] == sorted(done for done, _ in told)

    def stop(done, total):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        denoiser.denoise(np.tile(clean, 3), RATE, progress=stop)


def test_samples_that_are_no_numbers_are_refused(denoiser):
    with pytest.raises(StudioError, match="no numbers"):
        denoiser.denoise(np.full(100, np.nan), RATE)
