"""Scores become sound: as long as asked, at the stated loudness, in the key they name."""

import librosa
import numpy as np
import pytest

from engines.music.composer import brief_of, compose, render, understand
from engines.music.composer.harmonise import PROFILES
from engines.music.composer.instruments import instrument, knowledge, names
from engines.music.composer.mixing import LOUDNESS, loudness
from engines.music.composer.sampler import SAMPLE_RATE, Stroke, bank, play

INHARMONIC = ("bells", "timpani", "steel-drums", "breath-fx", "glockenspiel")


def sounding(text, seed=1, duration_s=12.0, **how):
    return render(compose(brief_of(understand(text).attributes, seed, duration_s)), **how)


@pytest.fixture(scope="module")
def ballad():
    return sounding("slow sad piano ballad in A minor, 70 bpm", 3, stems=True)


def test_a_mix_has_its_length_its_loudness_and_no_clipping(ballad):
    assert ballad.mix.shape == (2, 12 * SAMPLE_RATE)
    assert ballad.mix.dtype == np.float32
    assert abs(loudness(ballad.mix) - LOUDNESS) < 0.7
    assert np.abs(ballad.mix).max() < 0.95
    assert not np.allclose(ballad.mix[0], ballad.mix[1])


def test_stems_add_up_to_the_mix(ballad):
    assert any(name.startswith("lead") for name in ballad.stems)
    total = sum(ballad.stems.values())
    assert np.abs(total - ballad.mix).max() < 1e-3


def test_the_same_seed_gives_the_same_bytes():
    first, second = (sounding("funk", 8, 5.0).mix.tobytes() for _ in range(2))
    assert first == second


def test_a_clip_is_never_silent_for_a_tenth_of_it(ballad):
    frames = np.sqrt(
        librosa.feature.rms(y=ballad.mix.mean(0), frame_length=4096, hop_length=2048)[0]
    )
    assert np.mean(frames < 10 ** (-50 / 40)) < 0.1


@pytest.mark.parametrize("key", ["C major", "F sharp minor", "B flat major"])
def test_the_key_is_heard_in_the_chroma(key):
    mix = sounding(f"pop in {key}", 5).mix.mean(0)
    chroma = librosa.feature.chroma_cqt(
        y=librosa.resample(mix, orig_sr=44100, target_sr=22050), sr=22050
    ).mean(1)
    fits = {
        (tonic, minor): np.corrcoef(chroma, np.roll(PROFILES[minor], tonic))[0, 1]
        for tonic in range(12)
        for minor in (False, True)
    }
    tonic, minor = max(fits, key=fits.get)
    brief = brief_of(understand(f"in {key}").attributes, 1).tonality
    relative = ((brief.tonic + (3 if brief.minor else 9)) % 12, not brief.minor)
    assert (tonic, minor) in {(brief.tonic, brief.minor), relative}


def test_every_instrument_sounds_in_tune():
    """The pitch that is asked for is the pitch that sounds, by its autocorrelation."""
    wrong = []
    for name in names():
        facts = instrument(name)
        if facts.kit or facts.noise or name in INHARMONIC:
            continue
        pitch = int(np.clip(facts.home, 48, 72))
        sound = play(facts, [Stroke(0, 30000, pitch, 90)], 33000).mean(0)[6000:26000]
        heard = librosa.yin(sound, fmin=55, fmax=1200, sr=SAMPLE_RATE, frame_length=8192)
        off = 12 * np.log2(np.median(heard) / librosa.midi_to_hz(pitch))
        if abs((off + 6) % 12 - 6) > 0.35:
            wrong.append((name, round(float(off), 2)))
    assert not wrong


def test_every_sound_is_in_the_archive_with_its_licence():
    assert set(knowledge()["sounds"]) == set(bank().zones)
    from engines.music.composer.sampler import ARCHIVE

    assert ARCHIVE.stat().st_size <= 30_000_000
    assert "Permission is hereby granted" in (ARCHIVE.parent / "LICENSE.FluidR3.txt").read_text()


def test_drums_alone_play_to_the_end():
    mix = sounding("drums only, 100 bpm", 2, 8.0).mix
    tail = mix[:, -2 * SAMPLE_RATE :]
    assert np.sqrt(np.mean(tail**2)) > 0.3 * np.sqrt(np.mean(mix**2))


def test_a_loop_goes_around_without_a_gap():
    score = compose(brief_of(understand("lofi loop").attributes, 2, 10))
    mix = render(score).mix
    assert abs(mix.shape[1] / SAMPLE_RATE - score.beats * 60 / score.brief.tempo) < 0.001
    begin, end = (np.sqrt(np.mean(part**2)) for part in (mix[:, :22050], mix[:, -22050:]))
    assert 0.1 < end / begin < 10
