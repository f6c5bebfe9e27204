"""Text made comparable, in the open: each step is named, and its result is shown."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# written without spaces between words: word errors mean nothing, character errors do
NO_SPACES = {"zh", "ja", "yue", "th", "lo", "my", "km"}
APOSTROPHES = "'’‘ʼ`´"
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Normalised:
    """Text as it is compared, and the steps that changed it."""

    text: str
    steps: tuple[str, ...]


def normalised(text: str, language: str = "en") -> Normalised:
    """Compatibility forms, numbers in words, lower case, no punctuation, single spaces.

    Apostrophes inside words stay. Languages written without spaces lose all of them.
    """
    language = language.lower().split("-")[0]
    steps, now = [], text
    for name, change in (
        ("compatibility forms (NFKC)", lambda t: unicodedata.normalize("NFKC", t)),
        ("numbers in words", lambda t: _numbers(t, language)),
        ("lower case", str.lower),
        ("punctuation and symbols removed", _letters),
        ("spaces", lambda t: _spaces(t, language)),
    ):
        after = change(now)
        if after != now:
            steps.append(name)
        now = after
    return Normalised(now, tuple(steps))


def _numbers(text: str, language: str) -> str:
    """Digits as words; languages that num2words does not know keep them."""
    from num2words import num2words

    def said(match: re.Match[str]) -> str:
        digits = match[0]
        thousands = re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", digits)
        plain = digits.replace(",", "") if thousands else digits.replace(",", ".")
        try:
            value = float(plain) if "." in plain else int(plain)
            return f" {num2words(value, lang=language)} "
        except (NotImplementedError, ValueError, OverflowError):
            return digits

    return NUMBER.sub(said, text)


def _letters(text: str) -> str:
    kept = []
    for place, letter in enumerate(text):
        inside = (
            0 < place < len(text) - 1 and text[place - 1].isalnum() and text[place + 1].isalnum()
        )
        if letter in APOSTROPHES and inside:
            kept.append("'")
        elif unicodedata.category(letter)[0] in "LMN":
            kept.append(letter)
        else:
            kept.append(" ")
    return "".join(kept)


def _spaces(text: str, language: str) -> str:
    return ("" if language in NO_SPACES else " ").join(text.split())
