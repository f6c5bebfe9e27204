"""English speech must be understood: word error rate by faster-whisper tiny.en."""

import pytest

from engines.tts.kokoro import Kokoro, KokoroParams
from engines.tts.piper import Piper, PiperParams

from .conftest import FakeCache, FakeJob
from .wer import SENTENCES, heard, word_error_rate

pytestmark = pytest.mark.speech


def spoken_word_error_rate(engine, params_of) -> float:
    transcripts = []
    for sentence in SENTENCES:
        clip = engine.run(params_of(text=sentence), FakeJob(seed=3))
        transcripts.append(heard(clip.samples, clip.sample_rate))
    rate = word_error_rate(SENTENCES, transcripts)
    print(rate, *transcripts, sep="\n")
    return rate


def test_piper_is_understood(device):
    engine = Piper(FakeCache())
    engine.load(device)
    assert spoken_word_error_rate(engine, PiperParams) <= 0.10


def test_kokoro_is_understood_in_english_by_its_default_voice(device):
    engine = Kokoro(FakeCache())
    engine.load(device)
    assert spoken_word_error_rate(engine, KokoroParams) <= 0.25


def test_the_measure_itself():
    assert word_error_rate(["One two, three four!"], ["one too three"]) == 0.5
