"""Six languages in the phones of MaskGCT, and Mandarin in those of DebaTTS."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from engines.base import NotReady, StudioError
from engines.tts.front_ends import debatts, maskgct, sandhi
from engines.tts.front_ends.language import chinese_and_english, find_language

DATA = Path(__file__).with_name("data")


def examples(name):
    """What the original made of texts."""
    read = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))["examples"]
    return [pytest.param(example, id=example["text"]) for example in read]


@pytest.mark.parametrize("example", examples("maskgct"))
def test_text_becomes_the_phones_and_ids_of_the_original(example):
    made = maskgct.phones(example["text"], example["language"])
    assert made.phonemes == example["phonemes"]
    assert made.ids == example["ids"]


@pytest.mark.parametrize("example", examples("debatts"))
def test_mandarin_of_debatts_becomes_the_phones_and_ids_of_the_original(example):
    made = debatts.phones(example["text"])
    assert made.phonemes == example["phonemes"]
    assert made.ids == example["ids"]


def test_what_debatts_reads_is_the_transcript_a_space_and_the_text():
    transcript, text = debatts.phones("我们开始吧"), debatts.phones("谢谢大家。")
    assert debatts.sequence("我们开始吧", "谢谢大家。") == [*transcript.ids, 4, *text.ids]


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("你好，世界！", "n|i↑|x|ɑʊ↓↑|,|s`ɹ↓|tʃ⁼|iɛ↓|!|"),
        ("不错，我不去", "p⁼|u↑|tsʰ|uo↓|,|uo↓↑|p⁼|u↑|tʃʰ|ɥ↓|"),
        ("一个，一天", "i↑|k⁼|ə↓|,|i↓|tʰ|jɛn→|"),
        ("第一。", "t⁼|i↓|i→|.|"),
        ("看一看", "kʰ|an↓|i|kʰ|an↓|"),
        ("女儿", "n|ɥ↓↑|əɹ↑|"),
        ("花儿", "x|ua→|əɹ|"),
        ("10%", "p⁼|aɪ↓↑|f|ən→|ts`⁼ɹ→|s`ɹ↑|"),
        ("他不", "tʰ|a→|p⁼|u↓|"),
    ],
)
def test_mandarin_has_the_tones_of_speech(text, phonemes):
    made = maskgct.phones(text, "zh") if "%" not in text else maskgct.phones(f"是{text}", "zh")
    assert made.phonemes.removeprefix("s`ɹ↓|" if "%" in text else "") == phonemes


def test_words_are_joined_before_tones_change():
    assert sandhi.merged(["我", "不", "去"]) == ["我", "不去"]
    assert sandhi.merged(["看", "一", "看"]) == ["看一看"]
    assert sandhi.merged(["一", "个", "不"]) == ["一个", "不"]
    assert sandhi.merged(["小孩", "儿", "，", "一", "，"]) == ["小孩儿", "，", "一，"]


@pytest.mark.parametrize(
    ("word", "before", "after"),
    [
        ("你好", "ㄋㄧˇ ㄏㄠˇ", "ㄋㄧˊ ㄏㄠˇ"),
        ("展览馆", "ㄓㄢˇ ㄌㄢˇ ㄍㄨㄢˇ", "ㄓㄢˇˊ ㄌㄢˇˊ ㄍㄨㄢˇ"),
        ("不怕", "ㄅㄨˋ ㄆㄚˋ", "ㄅㄨˊ ㄆㄚˋ"),
        ("不来", "ㄅㄨˋ ㄌㄞˊ", "ㄅㄨˋ ㄌㄞˊ"),
        ("看不懂", "ㄎㄢˋ ㄅㄨˋ ㄉㄨㄥˇ", "ㄎㄢˋ ㄅㄨ˙ ㄉㄨㄥˇ"),
        ("不字", "ㄅㄨˋ ㄗˋ", "ㄅㄨˋ ㄗˋ"),
        ("一段", "ㄧ ㄉㄨㄢˋ", "ㄧˊ ㄉㄨㄢˋ"),
        ("一天", "ㄧ ㄊㄧㄢ", "ㄧˋ ㄊㄧㄢ"),
        ("一月", "ㄧ ㄩㄝˋ", "ㄧ ㄩㄝˋ"),
        ("二一零", "ㄦˋ ㄧ ㄌㄧㄥˊ", "ㄦˋ ㄧ ㄌㄧㄥˊ"),
        ("一百一", "ㄧ ㄅㄞˇ ㄧ", "ㄧˋ ㄅㄞˇ ㄧ"),
    ],
)
def test_tones_change_beside_one_another(word, before, after):
    assert sandhi.changed(word, before.split()) == after.split()


def test_chinese_and_english_are_read_each_in_their_way_whichever_is_named():
    mixed = maskgct.phones("我有 iPhone 手机", "en")
    assert mixed == maskgct.phones("我有 iPhone 手机", "zh")
    assert mixed.phonemes.startswith("uo↓↑|ioʊ↓↑|aɪ|_|f|oʊ|n|_|s`|")
    assert chinese_and_english("3个 apples，OK？") == [("zh", "3个 "), ("en", "apples，OK？")]
    assert chinese_and_english("123") == [("en", "123")]
    assert chinese_and_english("") == []


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("こんにちは、世界。", "k|o|ɴ|n|i|tɕ|i|ɰᵝ|a|,|s|e|k|a|i|."),
        ("きゃっと!", "kj|a|q|t|o|!"),
        ("スーパー", "s|ɯ|ɯ|p|a|a"),
        ("『ひ』？", "c\u0327|i|?"),
    ],
)
def test_japanese_becomes_a_phone_for_each_part_of_a_mora(text, phonemes):
    made = maskgct.phones(text, "ja")
    assert made.phonemes == phonemes
    assert len(made.ids) == phonemes.count("|") + 1  # each is known to the models


def test_espeak_is_heard_as_the_version_that_the_models_learnt_from():
    assert maskgct.phones("four", "en").phonemes == "f|oːɹ|"
    assert maskgct.phones("for", "en").phonemes == "f|ɔːɹ|"
    assert maskgct.phones("iodine", "en").phonemes == "aɪ|ə|d|iː|n|"
    assert maskgct.phones("Brot", "de").phonemes == "b|ɾ|oː|t"
    assert maskgct.phones("fünf", "de").phonemes == "f|y|n|f"


def test_french_abbreviations_are_read_in_full():
    assert maskgct.phones("av. J.-C.", "fr") == maskgct.phones("avant Jésus-Christ", "fr")
    assert maskgct.phones("Mme Dupont", "fr") == maskgct.phones("Madame Dupont", "fr")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("in 2000 and 2005", "in two thousand and two thousand five"),
        ("1900, 1907", "nineteen hundred, nineteen oh seven"),
        ("£20 and $1.01", "twenty pounds and one dollar, one cent"),
        ("$0.50, $0", "fifty cents, zero dollars"),
        ("3/2 and 5/4 and 2/3", "three halves and five quarters and two third"),
        ("3.14%", "three point fourteen percent"),
        ("the 22nd of 1,000", "the twenty-second of one thousand"),
    ],
)
def test_english_numbers_are_read_in_words(text, words):
    assert maskgct.phones(text, "en") == maskgct.phones(words, "en")


def test_the_language_of_a_text_is_found():
    found = {
        "こんにちは世界": "ja",
        "안녕하세요": "ko",
        "你好 world": "zh",
        "Good morning, my friend": "en",
        "Bonjour tout le monde": "fr",
        "Guten Morgen zusammen": "de",
        "123": "en",
    }
    assert {text: find_language(text) for text in found} == found


@pytest.mark.parametrize("language", ["zh", "en", "ja", "ko", "fr", "de"])
@pytest.mark.parametrize("text", ["", " \n", "?!", "🙂"])
def test_text_without_a_sound_is_refused_in_words(language, text):
    with pytest.raises(StudioError, match="nothing that can be read as"):
        maskgct.phones(text, language)


def test_other_languages_are_refused_with_the_names_of_those_there_are():
    with pytest.raises(StudioError, match=r"zh \(Chinese\).*de \(German\)"):
        maskgct.phones("hola", "es")
    with pytest.raises(StudioError, match="read as Chinese"):
        debatts.phones("hello")


@pytest.mark.parametrize(
    ("module", "text", "language"),
    [
        ("jieba", "你好", "zh"),
        ("pypinyin", "你好", "zh"),
        ("cn2an", "3个", "zh"),
        ("inflect", "3", "en"),
    ],
)
def test_a_missing_library_is_named_with_how_to_install_it(monkeypatch, module, text, language):
    from engines.tts.front_ends import numbers

    numbers._engine.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(NotReady, match=rf'{module}.*pip install "amphion-studio\[languages\]"'):
        maskgct.phones(text, language)
    monkeypatch.undo()
    assert maskgct.phones(text, language).ids
