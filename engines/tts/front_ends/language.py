"""Which of the languages of MaskGCT a text is written in."""

from __future__ import annotations

import re
from functools import cache
from itertools import groupby
from typing import Any

from engines.tts.front_ends.tables import library

NAMES = {
    "zh": "Chinese",
    "en": "English",
    "ja": "Japanese",
    "ko": "Korean",
    "fr": "French",
    "de": "German",
}
_KANA = re.compile("[\u3041-\u30ff\uff66-\uff9f]")
_HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")
_HANZI = re.compile("[\u3400-\u9fff]")
_LETTER = re.compile(r"[^\W\d_]")


@cache
def _identifier() -> Any:
    langid = library("py3langid.langid")
    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
    identifier.set_languages(["en", "fr", "de"])
    return identifier


def find_language(text: str) -> str:
    """The language of ``text``: by its script, and among those in Latin letters by its words.

    English where there is nothing to go by.
    """
    if len(_KANA.findall(text)) > len(_HANGUL.findall(text)):
        return "ja"
    if _HANGUL.search(text):
        return "ko"
    if _HANZI.search(text):
        return "zh"
    if not _LETTER.search(text):
        return "en"
    return _identifier().classify(text)[0]


def chinese_and_english(text: str) -> list[tuple[str, str]]:
    """``text`` as runs of ``zh`` and ``en``: (language, run). Other characters belong to the run before.

    At the beginning they belong to the run after; a text without any letter is English.
    """
    languages: list[str | None] = [_either(char) for char in text]
    last = next((language for language in languages if language), "en")
    for index, language in enumerate(languages):
        languages[index] = last = language or last
    pairs = zip(languages, text, strict=True)
    return [
        (f"{language}", "".join(char for _, char in run))
        for language, run in groupby(pairs, key=lambda pair: pair[0])
    ]


def _either(char: str) -> str | None:
    if "\u4e00" <= char <= "\u9fa5":
        return "zh"
    return "en" if char.isascii() and char.isalpha() else None
