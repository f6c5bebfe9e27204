"""Error rates against jiwer, text normalisation in the open, and what Whisper hears."""

from __future__ import annotations

import jiwer
import numpy as np
import pytest

from engines.base import NotReady
from engines.metrics import recognition
from engines.metrics.base import NotApplicable, Reason
from engines.metrics.intelligibility import compare
from engines.metrics.sound import Sound
from engines.metrics.words import normalised

from .conftest import SENTENCE, tone
from .helpers import case, score, value


@pytest.mark.parametrize(
    "text, language, expected",
    [
        ("Hello,  WORLD!", "en", "hello world"),
        ("It’s 7 o'clock – 'now'", "en", "it's seven o'clock now"),
        (
            "1,234 birds and 2.5 cats",
            "en",
            "one thousand two hundred and thirty four birds and two point five cats",
        ),
        ("Straße 12", "de", "straße zwölf"),
        ("ﬁne ½", "en", "fine one two"),
        ("你好,世界。", "zh", "你好世界"),
        ("नमस्ते दुनिया", "hi", "नमस्ते दुनिया"),
    ],
)
def test_normalisation(text, language, expected):
    assert normalised(text, language).text == expected


def test_steps_are_told():
    assert normalised("same words").steps == ()
    assert normalised("Is it 7?").steps == (
        "numbers in words",
        "lower case",
        "punctuation and symbols removed",
        "spaces",
    )


@pytest.mark.parametrize(
    "said, heard",
    [
        ("the cat sat on the mat", "the cat sat on the mat"),
        ("the cat sat on the mat", "a cat sat the mat now"),
        ("one two", ""),
        ("one", "one two three four"),
    ],
)
def test_rates_are_jiwers(said, heard):
    assert compare(said, heard).value == pytest.approx(100 * jiwer.wer(said, heard))
    joined = said.replace(" ", ""), heard.replace(" ", "")
    assert compare(said, heard, characters=True).value == pytest.approx(100 * jiwer.cer(*joined))


def test_every_word_has_its_fate():
    found = compare("The cat sat on the mat.", "a cat sat the mat now").details
    assert found["alignment"] == [
        ["substitute", "the", "a"],
        ["equal", "cat", "cat"],
        ["equal", "sat", "sat"],
        ["delete", "on", ""],
        ["equal", "the", "the"],
        ["equal", "mat", "mat"],
        ["insert", "", "now"],
    ]
    assert (found["substitutions"], found["deletions"], found["insertions"]) == (1, 1, 1)


def test_chinese_is_compared_by_characters():
    assert compare("你好,世界", "你好世间", "zh", characters=True).value == 25
    found = score("wer", case(tone(200), text="你好", language="zh"))
    assert found.reason is Reason.LANGUAGE
    assert "CER" in found.message


def test_nothing_to_compare_with():
    assert score("wer", case(tone(200))).reason is Reason.NO_TEXT
    with pytest.raises(NotApplicable):
        compare("...", "words")


@pytest.mark.speech
def test_whisper_hears_the_sentence(speech):
    samples, rate = speech
    found = score("wer", case(samples, rate=rate, text=SENTENCE))
    assert found.value is not None and found.value <= 10
    assert "seven" in found.details["heard"]
    other = case(samples, rate=rate, text="Something else was meant.")
    assert value("wer", other) >= 80
    same = score("wer", case(samples, samples, rate))
    assert same.value == 0
    assert "transcript of the reference" in same.notes[-1]


@pytest.mark.speech
def test_other_languages_need_another_model(speech):
    found = score("cer", case(speech[0], rate=speech[1], text="guten Tag", language="de"))
    assert found.reason is Reason.NOT_READY
    assert "hf download" in found.message


def test_silence_says_nothing():
    hush = case(np.zeros(16_000, np.float32), rate=16_000, text="Two words.")
    found = score("wer", hush)
    assert found.value == 100
    assert found.details["heard"] == ""


def test_openai_s_package_listens_with_what_was_downloaded(tmp_path, monkeypatch):
    """A random Whisper of the real classes, as a download of openai-whisper would lie there."""
    whisper = pytest.importorskip("whisper")
    import torch

    sound = Sound(
        0.1 * np.random.default_rng(0).standard_normal((1, 16000)).astype(np.float32), 16000
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    recognition._openai.cache_clear()
    with pytest.raises(NotReady, match=r"whisper.load_model\('base'\)"):
        recognition.transcript(sound, "openai:base")
    with pytest.raises(NotReady, match="no model 'huge'"):
        recognition.transcript(sound, "openai:huge")
    torch.manual_seed(0)
    sizes = whisper.model.ModelDimensions(80, 1500, 16, 2, 1, 51865, 448, 16, 2, 1)
    kept = {"dims": sizes.__dict__, "model_state_dict": whisper.model.Whisper(sizes).state_dict()}
    (tmp_path / "whisper").mkdir()
    torch.save(kept, tmp_path / "whisper" / "base.pt")
    assert isinstance(recognition.transcript(sound, "openai:base", "de"), str)
    recognition._openai.cache_clear()
