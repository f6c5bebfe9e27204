"""engines/audio.py against signals whose answers are known."""

import math

import numpy as np
import pytest

from engines import audio

RATE = 48_000


def sine(frequency: float, level_db: float, seconds: float, rate: int = RATE) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def test_as_channels_adds_a_channel_axis_and_refuses_more_than_two_axes():
    assert audio.as_channels(np.zeros(5)).shape == (1, 5)
    assert audio.as_channels(np.zeros((2, 5))).dtype == np.float32
    with pytest.raises(ValueError, match=r"\(1, 2, 5\)"):
        audio.as_channels(np.zeros((1, 2, 5)))


def test_loudness_of_the_reference_tones():
    """BS.1770: 0 dBFS at 997 Hz in one front channel reads -3.01 LKFS; EBU 3341: stereo -23."""
    assert audio.measure(sine(997, 0, 5), RATE).loudness_lufs == pytest.approx(-3.01, abs=0.05)
    stereo = np.stack([sine(1000, -23, 5)] * 2)
    assert audio.measure(stereo, RATE).loudness_lufs == pytest.approx(-23.0, abs=0.1)


def test_peak_and_duration():
    levels = audio.measure(sine(997, -6, 1), RATE)
    assert levels.duration_s == 1.0
    assert levels.peak_db == pytest.approx(-6.0, abs=0.01)


def test_what_has_no_loudness_gets_none():
    assert audio.measure(sine(997, -6, 0.39), RATE).loudness_lufs is None
    quiet = audio.measure(np.zeros(RATE, np.float32), RATE)
    assert quiet.loudness_lufs is None
    assert quiet.peak_db == -math.inf
    assert audio.measure(sine(997, -90, 1), RATE).loudness_lufs is None  # below the -70 LUFS gate
    assert audio.measure(np.ones((6, RATE), np.float32), RATE).loudness_lufs is None
    assert audio.measure(np.zeros(0, np.float32), RATE) == audio.Levels(0.0, -math.inf, None)


def test_join_puts_exact_pauses_between_pieces():
    joined = audio.join([np.ones(10), np.ones(20)], 1000, pause_s=0.05)
    assert len(joined) == 10 + 50 + 20
    assert joined.dtype == np.float32
    assert not joined[10:60].any() and joined[60:].all()
    assert audio.join([], 1000).shape == (0,)


def test_crossfade_of_equal_constants_is_that_constant():
    joined = audio.join([np.ones(100), np.ones(100)], 1000, crossfade_s=0.03)
    assert len(joined) == 170
    np.testing.assert_allclose(joined, 1, atol=1e-6)


@pytest.mark.parametrize("shape", [(), (2,)])
def test_joiner_pieces_concatenate_to_join(shape):
    rng = np.random.default_rng(0)
    pieces = [rng.standard_normal((*shape, n)).astype(np.float32) for n in (50, 3, 0, 200, 10)]
    joiner = audio.Joiner(1000, crossfade_s=0.02)
    out = [joiner.feed(piece) for piece in pieces]
    out.append(joiner.finish().reshape(*shape, -1))
    np.testing.assert_array_equal(
        np.concatenate(out, axis=-1), audio.join(pieces, 1000, crossfade_s=0.02)
    )


def test_joiner_holds_back_the_tail_only_without_a_pause():
    joiner = audio.Joiner(1000, crossfade_s=0.02)
    assert len(joiner.feed(np.ones(100))) == 80
    assert len(joiner.feed(np.ones(100), pause_s=0.1)) == 20 + 80 + 100
    assert len(joiner.finish()) == 0


def test_trim_keeps_the_pad_and_empties_silence():
    samples = np.concatenate([np.zeros(500), np.full(100, 0.5), np.zeros(500)])
    assert len(audio.trim_silence(samples, 1000, pad_s=0.02)) == 140
    assert audio.trim_silence(np.stack([samples, samples]), 1000, pad_s=0).shape == (2, 100)
    assert len(audio.trim_silence(np.full(100, 1e-4), 1000)) == 0


def test_resample_keeps_pitch_level_and_shape():
    out = audio.resample(np.stack([sine(440, -6, 1)] * 2), RATE, 16_000)
    assert out.shape == (2, 16_000)
    spectrum = np.abs(np.fft.rfft(out[0][2000:14_000] * np.hanning(12_000)))
    assert np.argmax(spectrum) * 16_000 / 12_000 == pytest.approx(440, abs=1.4)
    assert np.abs(out[:, 2000:-2000]).max() == pytest.approx(10 ** (-6 / 20), rel=1e-3)
    assert audio.resample(np.ones(10), 8000, 8000).dtype == np.float32


def test_mel_peak_lies_in_the_band_of_the_tone():
    import librosa

    mel = audio.mel_spectrogram(sine(1000, -6, 1, 22_050), 22_050, n_mels=80)
    assert mel.shape[0] == 80
    centres = librosa.mel_frequencies(n_mels=82, fmax=11_025)[1:-1]
    loudest = mel[:, 10:-10].mean(axis=1).argmax()
    assert abs(centres[loudest] - 1000) < 40
    assert mel.max() - mel.min() == pytest.approx(80, abs=1e-3)


def test_mel_of_a_few_samples_is_one_window():
    assert audio.mel_spectrogram(np.ones(10, np.float32), 22_050).shape == (80, 5)


def test_envelope_finds_extremes():
    samples = np.array([0, 1, -1, 0.5, 0.25, -0.5], np.float32)
    np.testing.assert_array_equal(
        audio.waveform_envelope(samples, 3), [[0, 1], [-1, 0.5], [-0.5, 0.25]]
    )
    assert audio.waveform_envelope(samples, 12).shape == (12, 2)
    assert not audio.waveform_envelope(np.zeros(0), 4).any()
