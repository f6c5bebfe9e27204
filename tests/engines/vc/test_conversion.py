"""Conversion between embedded voices: closer to the reference, still understood, pitch, seams, refusals."""

import numpy as np
import pytest

from engines.asr.models import Model
from engines.asr.recogniser import Recogniser
from engines.audio import resample
from engines.base import StudioError
from engines.metrics.sound import Sound
from engines.metrics.voices import resemblyzer
from engines.tts.kokoro import Kokoro, KokoroParams
from engines.vc.conversion import Conversion, convert
from engines.vc.voices import RATE, learn
from engines.world import source as sources
from engines.world.frames import harvest
from engines.world.pitch import PitchMode, statistics
from tests.engines.conftest import FakeCache, FakeDevice, FakeJob
from tests.engines.sounding import SENTENCE, spoken
from tests.engines.wer import SENTENCES, heard, word_error_rate

pytestmark = pytest.mark.speech


@pytest.fixture(scope="module")
def recogniser():
    return Recogniser(Model.BASE, threads=2)


@pytest.fixture(scope="module")
def references():
    """Three sentences of the embedded voice jm_kumo, a sound each."""
    kokoro = Kokoro(FakeCache())
    spoken_by = [KokoroParams(text=text, voice="jm_kumo") for text in SENTENCES[2:5]]
    kokoro.load(FakeDevice(), spoken_by[0])
    clips = [kokoro.run(params, FakeJob()) for params in spoken_by]
    return [(clip.samples, clip.sample_rate) for clip in clips]


@pytest.fixture(scope="module")
def voice(references, recogniser):
    return learn(references, recogniser)


@pytest.fixture(scope="module")
def converted(voice, recogniser):
    return convert(*spoken(), voice, recogniser)


def likeness(one, other):
    return float(resemblyzer(Sound(*one)) @ resemblyzer(Sound(*other)))


def test_the_voice_moves_to_the_reference_and_the_words_stay(converted, references):
    made, rate = converted
    assert rate == RATE
    assert made.shape == (round(len(spoken()[0]) * RATE / spoken()[1]),)
    before = np.mean([likeness(spoken(), each) for each in references])
    after = np.mean([likeness(converted, each) for each in references])
    assert after - before > 0.15
    assert word_error_rate([SENTENCE], [heard(made, rate)]) <= 0.3


def test_it_is_the_same_each_time(converted, voice, recogniser):
    again, _rate = convert(*spoken(), voice, recogniser)
    assert np.array_equal(again, converted[0])


def test_loudness_stays(converted):
    levels = [20 * np.log10(samples.std()) for samples in (spoken()[0], converted[0])]
    assert levels[1] == pytest.approx(levels[0], abs=2.5)


def interval(made):
    """Median interval in semitones from the source to ``made``, over frames voiced in both."""
    before, after = (harvest(x, RATE) for x in (resample(*spoken(), RATE), made))
    length = min(len(before), len(after))
    both = (before[:length] > 0) & (after[:length] > 0)
    return 12 * np.median(np.log2(after[:length][both] / before[:length][both]))


def test_pitch_goes_where_it_is_asked_to(converted, voice, recogniser):
    source_hz = statistics(harvest(resample(*spoken(), RATE), RATE)).median_hz
    down = 12 * np.log2(voice.pitch.median_hz / source_hz)
    assert interval(converted[0]) == pytest.approx(down, abs=1)
    for how, semitones in (
        (Conversion(pitch_mode=PitchMode.KEEP), 0),
        (Conversion(pitch_mode=PitchMode.SEMITONES, semitones=4), 4),
        (Conversion(pitch_mode=PitchMode.AUTOMATIC), down),
        (
            Conversion(pitch_mode=PitchMode.AUTOMATIC, target_hz=200),
            12 * np.log2(200 / source_hz),
        ),
    ):
        made, _rate = convert(*spoken(), voice, recogniser, how)
        assert interval(made) == pytest.approx(semitones, abs=0.3)


def test_more_strength_is_closer_to_the_reference(converted, voice, recogniser, references):
    plain = Conversion(strength=0, pitch_mode=PitchMode.KEEP)
    none = convert(*spoken(), voice, recogniser, plain)
    half = convert(*spoken(), voice, recogniser, Conversion(strength=0.5))
    alike = [likeness(sound, references[0]) for sound in (none, half, converted)]
    assert alike == sorted(alike)
    assert likeness(none, spoken()) > 0.8


def test_long_sounds_convert_in_windows_alike(voice, recogniser, monkeypatch):
    samples, rate = spoken()
    long = np.tile(samples, 3)
    whole, _rate = convert(long, rate, voice, recogniser)
    monkeypatch.setattr(sources, "WINDOW_S", 2.5)
    monkeypatch.setattr(sources, "SEARCH_S", 1.0)
    told = []
    parts, _rate = convert(long, rate, voice, recogniser, progress=lambda *at: told.append(at))
    assert len(parts) == len(whole)
    assert len(told) >= 4
    assert told[-1][0] == told[-1][1]
    assert likeness((parts, RATE), (whole, RATE)) > 0.95
    assert np.abs(np.diff(parts)).max() < 1.5 * np.abs(np.diff(whole)).max()


def test_bad_sounds_are_refused(voice, recogniser):
    with pytest.raises(StudioError, match="no voiced speech in the sound"):
        convert(np.zeros(24_000), 24_000, voice, recogniser)
    with pytest.raises(StudioError, match="is empty"):
        convert(np.zeros(0), 24_000, voice, recogniser)
    with pytest.raises(StudioError, match="no numbers"):
        convert(np.full(24_000, np.nan), 24_000, voice, recogniser)


def test_bad_references_are_refused(recogniser):
    with pytest.raises(StudioError, match="reference is needed"):
        learn([], recogniser)
    with pytest.raises(StudioError, match=r"0\.0 s of voiced speech"):
        learn([(np.zeros(48_000), 24_000)], recogniser)
    with pytest.raises(StudioError, match="last 400 s"):
        learn([(np.zeros(400 * 100), 100)], recogniser)
