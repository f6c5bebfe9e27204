"""Long sounds in windows: as long as they were, cut where they are quiet, without a seam."""

from __future__ import annotations

import numpy as np
import pytest

from engines.base import StudioError
from engines.parts.references import Sound, level, read_sound, reference_text
from engines.parts.windows import converted, windows

RATE = 16000


def words(seconds: float) -> np.ndarray:
    """A tone that falls silent for 0.2 s each 1.5 s."""
    times = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 220 * times) * (times % 1.5 < 1.3)).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.5, 5.0, 5.013, 23.7])
def test_a_conversion_that_changes_nothing_gives_the_sound_back(seconds):
    sound = Sound(words(seconds), RATE)
    cut = windows(sound, 5.0)
    assert all(window.end_s - window.start_s <= 5.0 + 1e-6 for window in cut)
    assert len(cut) == 1 if seconds <= 5 else len(cut) >= 2
    pieces = list(converted(sound, cut, 24000, lambda part, _: part.at(24000)))
    whole, expected = np.concatenate(pieces), sound.at(24000)
    assert len(pieces) == len(cut)
    assert len(whole) == round(sound.duration_s * 24000)
    assert np.abs(whole[: len(expected)] - expected[: len(whole)]).max() < 2e-3


def test_cuts_are_in_pauses():
    cut = windows(Sound(words(20), RATE), 5.0)
    for window in cut[:-1]:
        assert 1.3 <= (window.last_s - 0.01) % 1.5 <= 1.5


def test_a_window_that_comes_back_short_keeps_the_length():
    sound = Sound(words(9), RATE)
    pieces = converted(sound, windows(sound, 4.0), RATE, lambda part, _: part.samples[:-4000])
    assert len(np.concatenate(list(pieces))) == 9 * RATE


def test_sounds_that_cannot_serve_are_refused_at_their_field(tmp_path):
    import soundfile

    def file(samples: np.ndarray, name: str = "a.wav"):
        soundfile.write(tmp_path / name, samples, RATE, subtype="FLOAT")
        return tmp_path / name

    for samples, message in (
        (words(0.05), r"0\.05 s; at least 1 s"),
        (words(4), r"4\.0 s; the model hears at most 3 s"),
        (np.zeros(2 * RATE), "is silent"),
        (np.full(2 * RATE, np.nan), "no numbers"),
    ):
        with pytest.raises(StudioError, match=message) as error:
            read_sound(file(samples), "reference", shortest_s=1, longest_s=3)
        assert error.value.field == "reference"
    (tmp_path / "b.wav").write_bytes(b"no sound")
    with pytest.raises(StudioError, match="can be read"):
        read_sound(tmp_path / "b.wav", "reference")
    stereo = np.stack([words(2), np.zeros(2 * RATE, np.float32)], axis=1)
    assert np.allclose(read_sound(file(stereo), "source").samples, words(2) / 2)


def test_a_reference_needs_its_words_and_its_level_leaves_pauses_out():
    assert reference_text("  so  it is ") == "so it is"
    with pytest.raises(StudioError, match="words of the reference are missing"):
        reference_text(" … ")
    tone = 0.2 * np.sin(np.arange(24000) / 9)
    assert level(np.concatenate([tone, np.zeros(48000)])) == pytest.approx(
        0.2 / np.sqrt(2), rel=0.02
    )
