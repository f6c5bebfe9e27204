"""Spleeter's two stems on speech over chords: gain, sum, seams, refusals."""

import numpy as np
import pytest

from engines.audio import resample
from engines.base import StudioError
from engines.restore import separation
from engines.restore.separation import RATE, Separator
from tests.engines.sounding import chords, si_sdr, spoken

pytestmark = pytest.mark.speech


@pytest.fixture(scope="module")
def separator():
    return Separator()


@pytest.fixture(scope="module")
def mix():
    voice = np.tile(resample(*spoken(), RATE), 2)
    music = chords(len(voice) / RATE, RATE)
    music = np.pad(music, (0, len(voice) - len(music)))
    return voice, music * np.float32(np.sqrt((voice**2).mean() / (music**2).mean()))


def test_both_stems_gain_and_add_up_to_the_mix(separator, mix):
    voice, music = mix
    both = voice + music
    stems = separator.separate(both, RATE)
    assert stems.vocals.shape == (2, len(both))
    assert np.allclose(stems.vocals + stems.accompaniment, both, atol=1e-6)
    assert si_sdr(voice, stems.vocals[0]) - si_sdr(voice, both) > 5
    assert si_sdr(music, stems.accompaniment[0]) - si_sdr(music, both) > 5


def test_long_sounds_are_worked_through_in_blocks_without_seams(separator, mix, monkeypatch):
    both = np.tile(mix[0] + mix[1], 4)
    whole = separator.separate(both, RATE).vocals
    monkeypatch.setattr(separation, "BLOCK", 1)
    told = []
    parts = separator.separate(both, RATE, progress=lambda *at: told.append(at)).vocals
    assert len(told) >= 3
    assert told[-1][0] == told[-1][1] == pytest.approx(len(both) / RATE)
    assert si_sdr(whole[0], parts[0]) > 15
    # no click where blocks meet: the largest step is one that the sound has anyway
    assert np.abs(np.diff(parts)).max() < 1.2 * np.abs(np.diff(whole)).max()


def test_what_cannot_be_separated_is_said(separator):
    with pytest.raises(StudioError, match="3 channels"):
        separator.separate(np.zeros((3, 100)), RATE)
    with pytest.raises(StudioError, match="no numbers"):
        separator.separate(np.full(100, np.inf), RATE)
    assert separator.separate(np.zeros(10), RATE).vocals.shape == (2, 10)


def test_damaged_weights_are_refused(monkeypatch):
    separation._state.cache_clear()
    monkeypatch.setattr(separation, "CHECKPOINTS", {"testcheckpoint0.ckpt": "0" * 64})
    with pytest.raises(StudioError, match="damaged or of another version"):
        Separator()
