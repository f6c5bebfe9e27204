"""Restoration through the studio: noise off, stems apart, levels met, silence cut."""

import numpy as np
import pytest

from engines.audio import measure, resample
from engines.base import StudioError
from engines.restore.levels import true_peak_db
from engines.studio import Studio
from storage import JobState
from tests.conftest import make_settings
from tests.engines.publishing import done, heard, written
from tests.engines.sounding import chords, noise_at, si_sdr, spoken

RATE = 44_100


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with Studio(make_settings(tmp_path_factory.mktemp("studio"))) as running:
        yield running


@pytest.fixture(scope="module")
def tone():
    """Two seconds in stereo, half a second of silence before, a second inside and after."""
    time = np.arange(RATE) / RATE
    sound = 0.1 * np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 550 * time)])
    silent = np.zeros((2, RATE))
    return np.concatenate([silent[:, : RATE // 2], sound, silent, sound, silent], axis=1)


@pytest.mark.speech
def test_noise_is_taken_off_and_the_limit_holds(studio, tmp_path):
    clean = resample(*spoken(), 48_000)
    noisy = clean + noise_at(clean, 10)
    path = written(tmp_path / "noisy.wav", noisy, 48_000)
    _, clip = done(studio, "denoise", source=str(path))
    assert (clip.sample_rate, len(heard(clip))) == (48_000, len(noisy))
    full = si_sdr(clean, heard(clip))
    _, clip = done(studio, "denoise", source=str(path), attenuation_db=3)
    assert full > 18 > si_sdr(clean, heard(clip)) > 11


@pytest.mark.speech
def test_two_stems_are_two_clips_that_add_up(studio, tmp_path):
    voice = resample(*spoken(), RATE)
    music = chords(len(voice) / RATE, RATE)
    voice, mix = voice[: len(music)], voice[: len(music)] * 0.5 + music[: len(voice)] * 0.3
    path = written(tmp_path / "mix.wav", mix, RATE)
    job, _ = done(studio, "separate", source=str(path))
    clips = [studio.clip(each) for each in job.clip_ids]
    assert [clip.title for clip in clips] == ["Vocals", "Accompaniment"]
    vocals, rest = (heard(clip) for clip in clips)
    assert vocals.shape == (len(mix), 2)
    assert np.abs((vocals + rest)[:, 0] - mix).max() < 1e-3
    assert si_sdr(voice, vocals[:, 0]) - si_sdr(voice, mix) > 5


def test_loudness_meets_its_target_below_the_ceiling(studio, tmp_path, tone):
    path = written(tmp_path / "quiet.wav", tone, RATE)
    job, clip = done(studio, "loudness", source=str(path), target_lufs=-14, ceiling_dbtp=-2)
    out = heard(clip).T
    assert (clip.sample_rate, out.shape) == (RATE, tone.shape)
    assert measure(out, RATE).loudness_lufs == pytest.approx(-14, abs=0.1)
    assert true_peak_db(out) < -1.99
    assert job.report["values"]["loudness after (LUFS)"] == pytest.approx(-14, abs=0.1)
    _, clip = done(studio, "loudness", source=str(path), measure="peak", ceiling_dbtp=-3)
    assert true_peak_db(heard(clip).T) == pytest.approx(-3, abs=0.05)


def test_silence_is_cut_off_the_ends_and_out_of_pauses(studio, tmp_path, tone):
    path = written(tmp_path / "gaps.wav", tone, RATE)
    job, clip = done(studio, "trim", source=str(path), pad_s=0.1)
    assert len(heard(clip)) / RATE == pytest.approx(3.2, abs=0.03)
    assert job.report["values"]["cut (s)"] == pytest.approx(1.3, abs=0.03)
    _, clip = done(studio, "trim", source=str(path), pad_s=0, max_pause_s=0.4)
    assert len(heard(clip)) / RATE == pytest.approx(2.4, abs=0.03)


def test_silence_has_no_loudness_and_nothing_to_keep(studio, tmp_path):
    path = written(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    for engine, said in (("loudness", "Loudness cannot be measured"), ("trim", "silent from end")):
        job = studio.wait(studio.submit(engine, {"source": str(path)}).id, 60)
        assert job.state is JobState.FAILED
        assert said in job.error
        assert not job.clip_ids


def test_what_cannot_be_restored_is_refused_at_the_source(studio, tmp_path):
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    with pytest.raises(StudioError, match="not a sound that can be read") as refused:
        studio.submit("trim", {"source": str(text)})
    assert refused.value.field == "source"
    three = written(tmp_path / "three.wav", np.zeros((3, RATE)), RATE)
    with pytest.raises(StudioError, match="3 channels; separation takes one or two"):
        studio.submit("separate", {"source": str(three)})
