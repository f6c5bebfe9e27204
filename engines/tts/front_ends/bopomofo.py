"""Bopomofo with tone marks to the phones of MaskGCT and DebaTTS."""

from __future__ import annotations

import re
from functools import cache

from engines.tts.front_ends.european import MARKS, plain_marks, spaced_marks
from engines.tts.front_ends.numbers_zh import in_chinese
from engines.tts.front_ends.tables import table

HANZI = re.compile("[\u4e00-\u9fff]")


def hanzi_and_marks(text: str) -> str:
    """``text`` with numbers in Chinese, and nothing but Chinese characters, ``_`` and punctuation."""
    text = plain_marks(in_chinese(text.strip()))
    return re.sub(rf"[^\u4e00-\u9fff_{MARKS}]", "", text)


def with_first_tone(syllables: list[str]) -> list[str]:
    """Syllables in which the first tone, which has no mark in bopomofo, is marked too."""
    return [re.sub("([\u3105-\u3129])$", r"\1ˉ", syllable) for syllable in syllables]


@cache
def _steps() -> list[tuple[re.Pattern[str], str]]:
    tables = table("maskgct")
    latin = [(re.compile(a, re.IGNORECASE), b) for a, b in tables["latin_to_bopomofo"]]
    return latin + [(re.compile(a), b) for a, b in tables["bopomofo_to_ipa"]]


def to_phonemes(text: str) -> str:
    """The phoneme string of words in bopomofo, joined by ``|``."""
    for pattern, replacement in _steps():
        text = pattern.sub(replacement, text)
    # the vowel of 是 or 四, which bopomofo does not write
    text = re.sub("([sɹ]`[⁼ʰ]?)([→↓↑ ]+|$)", r"\1ɹ\2", text)
    text = re.sub("(s[⁼ʰ]?)([→↓↑ ]+|$)", r"\1ɹ\2", text)
    text = re.sub(rf"^\||[^\w\s_{MARKS}|→↓↑⁼ʰ`]", "", text)
    return spaced_marks(text)
