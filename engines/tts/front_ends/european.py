"""English, French, German and Korean in the phones of MaskGCT, by way of eSpeak NG."""

from __future__ import annotations

import re
from functools import cache

from engines.tts.front_ends.espeak import VOICES, Style, phones
from engines.tts.front_ends.numbers import in_words
from engines.tts.front_ends.tables import table

MARKS = ",.?!;:'…"
_STYLE = Style(MARKS, phone="|", word="|_|")
_TO_ASCII = str.maketrans({**dict(zip("，。！？；：、‘’⋯", ",.!?;:,''…", strict=True))})
_ENDS_IN_A_PHONE = "p⁼ʰmftnlkxʃs`ɹaoəɛɪeɑʊŋiuɥwæjː"


def plain_marks(text: str) -> str:
    """``text`` with full-width punctuation in ASCII, and every kind of ellipsis as ``…``."""
    return re.sub(r"···|・・・|\.\.\.", "…", text.translate(_TO_ASCII))


def spaced_marks(phonemes: str) -> str:
    """``phonemes`` with ``|`` around each punctuation mark, and never twice."""
    phonemes = re.sub(rf"([{MARKS}])", r"|\1|", phonemes)
    return re.sub(r"\|+", "|", phonemes).rstrip("|")


def _spoken(text: str, language: str) -> str:
    """The phoneme string of text that has been normalised."""
    text = plain_marks(re.sub(r"\s+", " ", text.strip()))
    text = re.sub(rf"[^\w\s_{MARKS}]", "", text)
    text = re.sub(rf"\s*([{MARKS}])\s*", r"\1", text)
    text = re.sub(r"\s+", " ", text)
    return spaced_marks(phones(text, VOICES[language], _STYLE))


# --- English --------------------------------------------------------------------------------


@cache
def _abbreviations() -> list[tuple[re.Pattern[str], str]]:
    rows = table("maskgct")["english_abbreviations"]
    return [(re.compile(rf"\b{short}\b", re.IGNORECASE), full) for short, full in rows]


@cache
def _merges() -> list[tuple[re.Pattern[str], str]]:
    rows = table("maskgct")["english_merges"]
    return [(re.compile(rf"(?<![^_|]){re.escape(parts)}(?![^_|])"), whole) for parts, whole in rows]


def english(text: str) -> str:
    """Phonemes of English text; ends with ``|_`` after a phone."""
    for pattern, full in _abbreviations():
        text = pattern.sub(full, text)
    phonemes = _spoken(in_words(text), "en")
    if phonemes and phonemes[-1] in _ENDS_IN_A_PHONE:
        phonemes += "|_"
    for merge, whole in _merges():
        phonemes = merge.sub(whole, phonemes)
    return phonemes


# --- French and German ----------------------------------------------------------------------


@cache
def _replacements() -> tuple[re.Pattern[str], dict[str, str]]:
    rows = table("maskgct")["german_and_french_replacements"]
    return re.compile("|".join(map(re.escape, rows))), rows


@cache
def _french_abbreviations() -> list[tuple[re.Pattern[str], str]]:
    rows = sorted(table("maskgct")["french_abbreviations"], key=lambda row: -len(row[0]))
    dotted = [(re.compile(rf"\b{re.escape(s)}\.", re.IGNORECASE), full) for s, full in rows]
    bare = [(s, full) for s, full in rows if s in ("Mlle", "Mlles", "Mme", "Mmes")]
    return dotted + [(re.compile(rf"\b{short}\b"), full) for short, full in bare]


def german(text: str) -> str:
    """Phonemes of German text."""
    return _spoken(_continental(text), "de")


def french(text: str) -> str:
    """Phonemes of French text."""
    for pattern, full in _french_abbreviations():
        text = pattern.sub(full, text)
    return _spoken(_continental(text).replace("&", " et "), "fr")


def _continental(text: str) -> str:
    """German or French text with few kinds of punctuation."""
    pattern, replaced = _replacements()
    text = pattern.sub(lambda match: replaced[match[0]], text)
    text = text.replace(";", ",").replace(":", ",").replace("-", " ")
    text = re.sub(r"[<>()\[\]\"«»]+", "", text)
    text = re.sub("^[,.!?]+", "", text)
    return re.sub(r"\s+", " ", text).strip()


# --- Korean ---------------------------------------------------------------------------------

_HANJA = re.compile("[⺀-⿕々〇〡-〩〸-〻㐀-䶵一-鿃豈-龎]")


def korean(text: str) -> str:
    """Phonemes of Korean text; Chinese characters are left out, some English words spelt in Hangul."""
    words = table("maskgct")["korean_english_words"]
    text = _HANJA.sub("", text.strip())
    text = re.sub("[A-Za-z]+", lambda match: words.get(match[0], match[0]), text)
    return _spoken(text.lower(), "ko")
