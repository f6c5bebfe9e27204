"""Singing on synthetic vowels and real speech: key, tempo, vibrato, contours, melodies, refusals."""

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from engines.base import StudioError
from engines.svc.contours import fine, replaced, semitones, snapped, with_vibrato
from engines.svc.melody import MelodyNote, Timing, plan
from engines.svc.singing import RATE, Key, Singing, sing
from engines.world.frames import HOP_S, harvest
from engines.world.pitch import statistics
from tests.engines.sounding import spoken


def vowels(pitches, each_s=0.5, gap_s=0.08, depth=0.0):
    """A vowel for each MIDI pitch, ``depth`` semitones of vibrato at 5.5 Hz, faint gaps between."""
    made = []
    for pitch in pitches:
        t = np.arange(round(each_s * RATE)) / RATE
        hz = 440 * 2 ** ((pitch - 69 + depth * np.sin(2 * np.pi * 5.5 * t)) / 12)
        phase = 2 * np.pi * np.cumsum(hz) / RATE
        note = np.zeros_like(t)
        for k in range(1, 20):
            at = k * hz.mean()
            note += (
                sum(1 / (1 + ((at - f) / 150) ** 2) for f in (600, 1100, 2500)) + 0.01
            ) * np.sin(k * phase)
        edge = np.minimum(1, np.minimum(t, t[::-1]) / 0.02)
        made += [0.15 * note * edge, np.zeros(round(gap_s * RATE))]
    noise = np.random.default_rng(0).standard_normal(sum(map(len, made))) * 1e-4
    return (np.concatenate(made) + noise).astype(np.float32)


TUNE = (57, 59, 60, 64, 62)


@pytest.fixture(scope="module")
def sung():
    return vowels(TUNE)


def cents_off(made, asked):
    """Distance in cents of what is heard from what was asked, over frames voiced in both, 10 ms from
    the edges, and within 30 dB of the loudest: Harvest bridges pauses with a pitch of its own."""
    heard = harvest(made, RATE)
    length = min(len(heard), len(asked))
    size = RATE // 50
    power = np.convolve(made.astype(float) ** 2, np.ones(size), mode="same")
    loud = power[np.minimum((np.arange(length) * HOP_S * RATE).astype(int), len(power) - 1)]
    both = (heard[:length] > 0) & binary_erosion(asked[:length] > 0, iterations=2)
    both &= loud > loud.max() / 1000
    assert both.sum() > 50
    return 1200 * np.log2(heard[:length][both] / asked[:length][both])


def share_in_tune(made, asked, cents=30):
    return float((np.abs(cents_off(made, asked)) <= cents).mean())


def test_the_key_moves_and_the_length_stays(sung):
    made = sing(sung, RATE, Singing(semitones=3))
    assert made.samples.shape == sung.shape
    assert made.semitones == 3
    asked = harvest(sung, RATE) * 2 ** (3 / 12)
    assert share_in_tune(made.samples, asked) > 0.95


def test_the_key_finds_its_target(sung):
    median_hz = statistics(harvest(sung, RATE)).median_hz
    up = sing(sung, RATE, Singing(key=Key.AUTOMATIC, target_hz=median_hz * 2 ** (4.3 / 12)))
    assert up.semitones == 4
    octave = sing(sung, RATE, Singing(key=Key.OCTAVES, target_hz=median_hz * 1.8))
    assert octave.semitones == 12
    with pytest.raises(StudioError, match="neither a voice nor a target"):
        sing(sung, RATE, Singing(key=Key.AUTOMATIC))


@pytest.mark.parametrize("tempo", [0.8, 1.25])
def test_tempo_changes_the_length_and_not_the_pitch(sung, tempo):
    made = sing(sung, RATE, Singing(tempo=tempo))
    assert len(made.samples) / len(sung) == pytest.approx(1 / tempo, rel=0.005)
    before, after = (statistics(harvest(x, RATE)).median_hz for x in (sung, made.samples))
    assert 1200 * np.log2(after / before) == pytest.approx(0, abs=15)
    assert share_in_tune(made.samples, made.f0) > 0.9


def test_vibrato_flattens_and_deepens():
    sound = vowels((60,), each_s=1.5, depth=0.6)

    def depth(samples):
        f0 = harvest(samples, RATE)
        return np.abs(fine(f0)[60:-80][f0[60:-80] > 0]).max()

    as_sung = depth(sound)
    assert depth(sing(sound, RATE, Singing(vibrato_depth=0)).samples) < 0.35 * as_sung
    deeper = depth(sing(sound, RATE, Singing(vibrato_depth=2)).samples)
    assert deeper == pytest.approx(2 * as_sung, rel=0.3)


def test_a_drawn_contour_is_followed(sung):
    frames = int(len(sung) / RATE / HOP_S) + 1
    drawn = 180 * 2 ** (np.linspace(0, 7, frames) / 12)
    made = sing(sung, RATE, contour=drawn)
    assert share_in_tune(made.samples, drawn) > 0.95


def notes(pitches, each_s=0.6, start_s=0.3):
    return [
        MelodyNote(start_s + i * each_s, start_s + (i + 0.9) * each_s, pitch)
        for i, pitch in enumerate(pitches)
    ]


def asked_hz(melody, shift=0.0):
    """F0 of a melody each 5 ms, 0 in pauses and within 50 ms of a change of note."""
    f0 = np.zeros(round(melody[-1].end_s / HOP_S) + 100)
    for note in melody:
        first, last = round(note.start_s / HOP_S) + 10, round(note.end_s / HOP_S) - 10
        f0[first:last] = 440 * 2 ** ((note.pitch + shift - 69) / 12)
    return f0


@pytest.mark.parametrize("melody", [notes((60, 62, 64, 67, 65)), notes((69, 65, 67, 60, 62), 0.45)])
def test_a_melody_replaces_the_sung_one_at_the_time_of_its_notes(sung, melody):
    made = sing(sung, RATE, Singing(vibrato_depth=0), melody=melody)
    assert share_in_tune(made.samples, asked_hz(melody)) > 0.9
    assert len(made.samples) / RATE == pytest.approx(melody[-1].end_s + 0.3, abs=0.02)
    voiced = harvest(made.samples, RATE) > 0
    for note in melody:  # something is sung on each note
        assert voiced[round(note.start_s / HOP_S) : round(note.end_s / HOP_S)].mean() > 0.5


def test_a_melody_may_keep_the_singers_timing(sung):
    made = sing(sung, RATE, Singing(timing=Timing.SUNG, vibrato_depth=0), melody=notes(TUNE))
    assert made.samples.shape == sung.shape
    assert share_in_tune(made.samples, harvest(sung, RATE)) > 0.9


@pytest.mark.speech
def test_speech_can_be_sung():
    samples, rate = spoken()
    melody = notes((57, 57, 59, 60, 59, 57, 55, 57), 0.4)
    made = sing(samples, rate, Singing(vibrato_depth=0), melody=melody)
    assert share_in_tune(made.samples, made.f0) > 0.9
    assert share_in_tune(made.samples, asked_hz(melody)) > 0.9


def test_tempo_and_key_move_a_melody(sung):
    melody = notes(TUNE)
    made = sing(sung, RATE, Singing(semitones=-2, tempo=1.2, vibrato_depth=0), melody=melody)
    faster = [MelodyNote(n.start_s / 1.2, n.end_s / 1.2, n.pitch) for n in melody]
    assert share_in_tune(made.samples, asked_hz(faster, -2)) > 0.9


def test_what_cannot_be_sung_is_said(sung):
    with pytest.raises(StudioError, match="Nothing is sung"):
        sing(np.zeros(RATE), RATE)
    with pytest.raises(StudioError, match="melody has no notes"):
        sing(sung, RATE, melody=[])
    long = [MelodyNote(0, 3000, 60)]
    with pytest.raises(StudioError, match="too long to be aligned"):
        plan(np.full(60_000, 200.0), np.zeros(60_000), long)


def test_contours():
    f0 = 440 * 2 ** (np.concatenate([np.full(100, 0.3), np.full(100, 2.4)]) / 12)
    assert semitones(snapped(f0, frozenset({9, 11})))[[50, 150]] == pytest.approx(
        [69, 71], abs=0.05
    )
    half = semitones(snapped(f0, frozenset({9, 11}), 0.5))
    assert half[[50, 150]] == pytest.approx([69.15, 71.2], abs=0.05)
    assert np.array_equal(snapped(np.zeros(5), frozenset({0})), np.zeros(5))
    assert np.array_equal(with_vibrato(f0, 1), f0)
    drawn = np.array([0.0, 500.0])
    assert replaced(np.array([0, 100.0, 100.0, 100]), drawn).tolist() == [0, 100, 500, 500]
