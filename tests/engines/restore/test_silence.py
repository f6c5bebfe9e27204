"""Silence: where it is, and what is cut by it."""

import numpy as np
import pytest

from engines.restore.silence import pieces, shortened, sounding, trimmed

RATE = 16_000


def pattern(*stretches):
    """Tone where a number is positive, faint noise where it is negative, in seconds."""
    rng = np.random.default_rng(0)
    made = []
    for seconds in stretches:
        t = np.arange(round(abs(seconds) * RATE)) / RATE
        made.append(
            0.5 * np.sin(2 * np.pi * 300 * t) if seconds > 0 else 1e-4 * rng.standard_normal(len(t))
        )
    return np.concatenate(made).astype(np.float32)


def test_stretches_are_found_with_their_pads():
    spans = sounding(pattern(-0.5, 1, -0.1, 0.5, -1, 0.4, -0.5), RATE)
    assert [(s.start_s, s.end_s) for s in spans] == [
        pytest.approx((0.45, 2.15), abs=0.011),
        pytest.approx((3.05, 3.55), abs=0.011),
    ]
    assert sounding(np.zeros(1000), RATE) == []
    assert sounding(np.zeros(0), RATE) == []


def test_ends_are_trimmed_and_faded():
    sound = np.stack([pattern(-0.5, 1, -0.5)] * 2)
    out = trimmed(sound, RATE, pad_s=0)
    assert out.shape == (2, RATE)
    assert np.abs(out[:, 0]).max() == 0
    assert trimmed(np.zeros(100), RATE).shape == (0,)


def test_the_level_of_the_recording_does_not_matter():
    sound = pattern(-0.5, 1, -0.5)
    assert len(trimmed(sound, RATE)) == len(trimmed(sound * 0.01, RATE))


def test_long_pauses_are_shortened_and_short_ones_kept():
    out = shortened(pattern(0.5, -2, 0.5, -0.2, 0.5), RATE, max_pause_s=0.4)
    assert len(out) / RATE == pytest.approx(0.5 + 0.4 + 0.5 + 0.2 + 0.5, abs=0.03)
    still = pattern(0.5, -0.2, 0.5)
    assert np.array_equal(shortened(still, RATE), still)


def test_pieces_come_with_their_places():
    made = pieces(pattern(0.5, -1, 0.3), RATE)
    assert [len(piece) / RATE for _, piece in made] == [
        pytest.approx(span.duration_s, abs=0.001) for span, _ in made
    ]
    assert [round(span.start_s, 1) for span, _ in made] == [0.0, 1.4]
