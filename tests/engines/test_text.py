"""Cutting, checking and spelling out text."""

import random
import re

import pytest

from engines.base import StudioError
from engines.tts.normalize import expand_abbreviations, normalize
from engines.tts.text import (
    Break,
    check_speakable,
    check_text,
    chunk,
    clean,
    in_script_of,
    unspeakable,
)


def texts(text: str, language: str = "en", limit: int = 300, first: int = 300) -> list[str]:
    return [piece.text for piece in chunk(text, language, limit, first)]


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("One. Two! Three?", "en", ["One.", "Two!", "Three?"]),
        ("Mr. Smith met Dr. Jones. They left.", "en", ["Mr. Smith met Dr. Jones.", "They left."]),
        ("It is 3.14 or so. Yes.", "en", ["It is 3.14 or so.", "Yes."]),
        ("J. R. R. Tolkien wrote. Good.", "en", ["J. R. R. Tolkien wrote.", "Good."]),
        ("In the U.S. Army e.g. here. End.", "en", ["In the U.S. Army e.g. here.", "End."]),
        ("Well... maybe. Wait... What?", "en", ["Well... maybe.", "Wait...", "What?"]),
        ("At 9 a.m. The bell rang.", "en", ["At 9 a.m.", "The bell rang."]),
        ("Apples, pears etc. We ate.", "en", ["Apples, pears etc.", "We ate."]),
        ("It was 1990. Then came I. You too.", "en", ["It was 1990.", "Then came I.", "You too."]),
        ("1. Buy milk\n2. Go home", "en", ["1. Buy milk", "2. Go home"]),
        ("Am 3. Oktober war es. Gut.", "de", ["Am 3. Oktober war es.", "Gut."]),
        ('He said "Stop!" She did.', "en", ['He said "Stop!"', "She did."]),
        ("(Really.) Yes.", "en", ["(Really.)", "Yes."]),
        ("今日は。元気ですか？はい！", "ja", ["今日は。", "元気ですか？", "はい！"]),
        ("「待て！」と彼。終わり", "ja", ["「待て！」", "と彼。", "終わり"]),
        ("नमस्ते। आप कैसे हैं?", "hi", ["नमस्ते।", "आप कैसे हैं?"]),
        ("Roses are red\nViolets are blue", "en", ["Roses are red", "Violets are blue"]),
        ("a line that was\nwrapped. End.", "en", ["a line that was wrapped.", "End."]),
    ],
)
def test_sentences(text, language, expected):
    assert texts(text, language) == expected


def test_kinds_of_break_and_their_pauses():
    pieces = chunk("One. Two.\n\nThree, and four.", "en", 300, 300)
    assert [piece.end for piece in pieces] == [Break.SENTENCE, Break.PARAGRAPH, Break.END]
    pauses = [kind.pause_s(0.5) for kind in Break]
    assert pauses == [1.0, 0.5, 0.2, 0.0, 0.0, 0.0]


def test_long_sentence_is_cut_at_clauses_then_words_then_anywhere():
    clauses = chunk("one two three, four five six, seven eight nine", "en", 30, 30)
    assert [(p.text, p.end) for p in clauses] == [
        ("one two three, four five six,", Break.CLAUSE),
        ("seven eight nine", Break.END),
    ]
    words = chunk("aaaa bbbb cccc dddd", "en", 10, 10)
    assert [(p.text, p.end) for p in words] == [("aaaa bbbb", Break.WORD), ("cccc dddd", Break.END)]
    cut = chunk("x" * 25, "en", 10, 10)
    assert [(len(p.text), p.end) for p in cut] == [(10, Break.CUT), (10, Break.CUT), (5, Break.END)]
    assert texts("あ、" * 10, "ja", 8, 8)[0] == "あ、あ、あ、あ、"


def test_a_cut_never_separates_an_accent_from_its_letter():
    assert all(piece[0] == "e" for piece in texts("e\u0301" * 20, "en", 9, 9))


def test_first_chunk_is_short_when_a_clause_allows():
    text = "When the sun had gone down behind the hills, " + "we walked home very slowly " * 6
    first, second = texts(text, limit=300, first=80)
    assert first == "When the sun had gone down behind the hills,"
    assert second.startswith("we walked")
    assert len(texts("word " * 30, limit=300, first=80)) == 1
    assert len(texts("So, " + "word " * 30, limit=300, first=80)) == 1, (
        "a clause too short to stand"
    )


ALPHABET = [
    *"abc XYZ019",
    " ",
    " ",
    "\n",
    "\n\n",
    ".",
    ". ",
    "...",
    "!",
    "?",
    ",",
    ", ",
    "; ",
    ": ",
]
ALPHABET += [
    "“",
    "”",
    ")",
    "(",
    " — ",
    "。",
    "、",
    "あ",
    "漢",
    "é",
    "e\u0301",
    "Mr. ",
    "U.S. ",
    "3.5 ",
]


@pytest.mark.parametrize("seed", range(200))
def test_no_character_is_lost_or_doubled(seed):
    rng = random.Random(seed)
    text = "".join(rng.choices(ALPHABET, k=rng.randint(1, 400)))
    limit = rng.choice([5, 20, 80, 300])
    pieces = chunk(text, rng.choice(["en", "de", "ja"]), limit, min(80, limit))
    assert squeezed("".join(piece.text for piece in pieces)) == squeezed(text)
    assert all(0 < len(piece.text) <= limit for piece in pieces)
    assert all(piece.text == piece.text.strip() for piece in pieces)
    assert [piece.end for piece in pieces].count(Break.END) == (1 if pieces else 0)


def test_clean():
    assert clean("a\u200bb\u00ad\r\nc\u00a0 d\x07 e\u0301 ") == "ab\nc d é"


def test_check_text_says_what_is_wrong():
    check_text("Hi", 10)
    with pytest.raises(StudioError, match="no text to read") as error:
        check_text(" \n", 10)
    assert error.value.field == "text"
    with pytest.raises(StudioError, match=r"“… !” has no letter or digit"):
        check_text("… !", 10)
    with pytest.raises(
        StudioError, match=r"1,200 characters; one job reads at most 1,000.*200 out"
    ):
        check_text("x" * 1200, 1000)


def test_unspeakable_characters_are_named_once():
    assert unspeakable("ab你b好你, 5€!", "ab5".__contains__) == ["你", "好", "€"]
    with pytest.raises(
        StudioError, match=r"joe cannot say “ж” \(CYRILLIC SMALL LETTER ZHE\)"
    ) as error:
        check_speakable("Hello ж", in_script_of("en"), "joe")
    assert error.value.field == "text"
    check_speakable("π is 3, naïve café, 5 µm, №", in_script_of("en"), "joe")
    check_speakable("Привет Linux", in_script_of("ru_RU"), "irina")
    check_speakable("コーヒーをＡ杯", in_script_of("ja"), "alpha")


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("I have 42 cats.", "eng", "I have forty two cats."),
        ("Dr. Lee paid $3.50, not £20.", "en",
         "Doctor Lee paid three dollars fifty cents, not twenty pounds."),
        ("The 21st of May 1984", "en", "The twenty first of May nineteen eighty four"),
        ("50% of 1,234,567", "en", "fifty percent of one million two hundred and thirty four "
         "thousand five hundred and sixty seven"),
        ("-3.5 at 10:05 & 9:00", "en",
         "minus three point five at ten oh five and nine o'clock"),
        ("pages 10-12, call 007", "en", "pages ten twelve, call zero zero seven"),
        ("e.g. Mr. Fox vs. St. Ives", "en", "for example Mister Fox versus Saint Ives"),
        ("1.234,5 Euro z.B. 7 %", "de",
         "eintausendzweihundertvierunddreißig Komma fünf Euro zum Beispiel sieben Prozent"),
        ("20 € pour 3 kg", "fra", "vingt euros pour trois kg"),
        ("Tengo 15 gatos", "spa", "Tengo quince gatos"),
        ("No numbers here.", "hau", "No numbers here."),
    ],
)  # fmt: skip
def test_normalize(text, language, expected):
    assert normalize(text, language) == expected


def test_normalize_says_which_number_it_cannot_read():
    with pytest.raises(StudioError, match=r"language \(hau\): write “1,234” in words") as error:
        normalize("Ina da 1,234.", "hau")
    assert error.value.field == "text"


def test_abbreviations_need_their_capitals_and_dot():
    assert expand_abbreviations("No. 5? no. St. Mr", "en-us") == "number 5? no. Saint Mr"
