"""WORLD frames: round trips, windows and their joins, cepstra, formants, pitch."""

import numpy as np
import pytest

from engines.base import StudioError
from engines.world import source as sources
from engines.world.envelopes import from_cepstra, shift_formants, to_cepstra, to_frames, to_steps
from engines.world.frames import HOP_S, analyse, count, harvest, level, synthesise
from engines.world.pitch import PitchMode, moved, statistics
from engines.world.source import Source

RATE = 24_000


def sung(seconds, hz=220.0, rate=RATE, depth=0.0):
    """A harmonic tone with two formants, as good as a vowel; ``depth`` in semitones at 5 Hz."""
    t = np.arange(round(seconds * rate)) / rate
    f0 = hz * 2 ** (depth * np.sin(2 * np.pi * 5 * t) / 12)
    phase = 2 * np.pi * np.cumsum(f0) / rate
    made = np.zeros_like(t)
    for k in range(1, int(rate / 2 / hz)):
        at = hz * k
        gain = sum(1 / (1 + ((at - formant) / 120) ** 2) for formant in (700, 1200, 2600))
        made += (gain + 0.01) * np.sin(k * phase)
    return (0.1 * made).astype(np.float32)


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 44_100])
def test_a_sound_keeps_length_and_pitch_through_a_round_trip(rate):
    sound = sung(1.0, rate=rate)
    source = Source(sound, rate)
    made = source.rendered(lambda number, frames: frames)
    assert len(made) == len(sound)
    f0 = harvest(made, rate)
    assert np.median(f0[20:-20]) == pytest.approx(220, rel=0.005)
    assert 20 * np.log10(made.std() / sound.std()) == pytest.approx(0, abs=1.5)


def test_silence_and_moments_are_sounds_too():
    for length in (0, 1, 100, 5_000):
        source = Source(np.zeros(length, np.float32), RATE)
        assert not source.f0.any()
        made = source.rendered(lambda number, frames: frames)
        assert made.shape == (length,)
        assert np.abs(made).max(initial=0) < 1e-3


def test_windows_meet_in_the_pauses(monkeypatch):
    monkeypatch.setattr(sources, "WINDOW_S", 1.0)
    monkeypatch.setattr(sources, "SEARCH_S", 0.4)
    loud, pause = sung(0.8), np.zeros(RATE // 5, np.float32)
    sound = np.concatenate([loud, pause] * 4)
    source = Source(sound, RATE)
    assert len(source.windows) == 4
    for window in source.windows[1:]:
        assert 0.8 <= window.first * HOP_S % 1.0 <= 1.0
    assert source.windows[-1].last == source.frames == count(len(sound), RATE)


def test_a_held_note_has_no_seam_where_windows_meet(monkeypatch):
    sound = sung(6.0, depth=0.3)
    whole = Source(sound, RATE).rendered(lambda number, frames: frames)
    monkeypatch.setattr(sources, "WINDOW_S", 1.0)
    monkeypatch.setattr(sources, "SEARCH_S", 0.2)
    parts = Source(sound, RATE)
    assert len(parts.windows) >= 5
    made = parts.rendered(lambda number, frames: frames)
    assert len(made) == len(sound)

    def envelope(samples):  # 20 ms
        step = RATE // 50
        return np.sqrt((samples[: len(samples) // step * step].reshape(-1, step) ** 2).mean(1))

    inside = slice(5, -5)
    drop_db = 20 * np.log10(envelope(made)[inside] / envelope(whole)[inside])
    assert np.abs(drop_db).max() < 1.5
    assert np.abs(np.diff(made)).max() < 1.3 * np.abs(np.diff(whole)).max()


def test_another_timing_has_another_length():
    source = Source(sung(1.0), RATE)
    slower = source.rendered(lambda _, frames: frames, np.arange(0, source.frames - 1, 0.5))
    assert len(slower) / RATE == pytest.approx(2.0, abs=0.02)
    assert np.median(harvest(slower, RATE)[20:-20]) == pytest.approx(220, rel=0.005)


def test_cepstra_describe_the_envelope_and_steps_come_back_as_frames():
    frames = analyse(sung(0.5), RATE, harvest(sung(0.5), RATE))
    smooth = from_cepstra(to_cepstra(frames.log_envelope, RATE), frames.log_envelope.shape[1], RATE)
    again = from_cepstra(to_cepstra(smooth, RATE), smooth.shape[1], RATE)
    assert np.abs(smooth - again).mean() < 0.1
    assert np.corrcoef(smooth[50], frames.log_envelope[50])[0, 1] > 0.9
    steps = to_steps(frames.log_envelope, 25)
    assert steps.shape == (25, frames.log_envelope.shape[1])
    assert np.abs(to_frames(steps, 100) - frames.log_envelope[:100]).mean() < 0.3


def test_formants_move_and_the_pitch_stays():
    sound = sung(0.6)
    source = Source(sound, RATE)

    def shifted(number, frames):
        from dataclasses import replace

        return replace(frames, log_envelope=shift_formants(frames.log_envelope, 12))

    made = source.rendered(shifted)
    assert np.median(harvest(made, RATE)[20:-20]) == pytest.approx(220, rel=0.005)
    frames = analyse(made, RATE, harvest(made, RATE))
    hz = np.linspace(0, RATE / 2, frames.log_envelope.shape[1])
    low = (hz > 400) & (hz < 1900)
    assert hz[low][frames.log_envelope[60][low].argmax()] == pytest.approx(1400, rel=0.1)


def test_level_is_the_mean_power():
    assert level(np.log(np.array([[1.0, 3.0]])))[0, 0] == pytest.approx(np.log(2))


F0 = np.array([0, 100.0, 110, 120, 0, 200])


def test_pitch_modes():
    mine = statistics(F0)
    assert mine.median_hz == pytest.approx(np.sqrt(110 * 120))
    assert np.array_equal(moved(F0, mine, None, PitchMode.KEEP, 5), F0)
    up = moved(F0, mine, None, PitchMode.SEMITONES, 12)
    assert up == pytest.approx(2 * F0)
    theirs = statistics(np.array([300.0, 330, 310, 0]))
    matched = statistics(moved(F0, mine, theirs, PitchMode.MATCH))
    assert matched.mean_log == pytest.approx(theirs.mean_log)
    automatic = moved(F0, mine, theirs, PitchMode.AUTOMATIC)
    assert statistics(automatic).median_hz == pytest.approx(theirs.median_hz)
    assert automatic[5] / automatic[1] == pytest.approx(2)
    aimed = moved(F0, mine, None, PitchMode.AUTOMATIC, target_hz=440)
    assert statistics(aimed).median_hz == pytest.approx(440)
    with pytest.raises(StudioError, match="no voiced speech to take the pitch from"):
        moved(F0, mine, statistics(np.zeros(5)), PitchMode.MATCH)


def test_positions_do_not_mix_pitch_across_the_edge_of_a_word():
    f0 = np.array([0.0, 0.0, 200.0, 210.0])
    frames = analyse(sung(0.02), RATE, f0)
    assert frames.at(np.array([1.4, 1.6, 2.5])).f0 == pytest.approx([0, 200, 205])
    assert len(synthesise(frames.cut(0, 0))) == 0
