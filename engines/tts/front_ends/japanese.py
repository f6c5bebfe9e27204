"""Japanese in the phones of MaskGCT: OpenJTalk finds words and readings, kana become phones."""

from __future__ import annotations

import re
from functools import cache
from itertools import product

from engines.base import NotReady
from engines.tts.front_ends.european import MARKS
from engines.tts.front_ends.tables import library, table
from engines.tts.native import WORKER_PROCESS, NativeError

_VOWELS = "aiueo"
_ROWS = {
    "": "アイウエオ",
    "k": "カキクケコ",
    "g": "ガギグゲゴ",
    "s": "サ スセソ",
    "z": "ザ ズゼゾ",
    "t": "タ  テト",
    "d": "ダ  デド",
    "n": "ナニヌネノ",
    "h": "ハヒ ヘホ",
    "b": "バビブベボ",
    "p": "パピプペポ",
    "m": "マミムメモ",
    "y": "ヤ ユ ヨ",
    "r": "ラリルレロ",
    "w": "ワ",
    "sh": " シ",
    "j": " ジ",
    "ch": " チ",
    "ts": "  ツ",
    "f": "  フ",
    "v": "  ヴ",
}
"""Kana of each consonant, in the order of the vowels."""
_BEFORE_SMALL_Y = {
    **dict(
        zip(
            "キギニヒビピミリシジチデテ",
            ["ky", "gy", "ny", "hy", "by", "py", "my", "ry", "sh", "j", "ch", "dy", "ty"],
            strict=True,
        )
    ),
    "ヴ": "by",
}
_BEFORE_SMALL_VOWEL = {
    "フ": ("f", "aieo"),
    "ツ": ("ts", "aieo"),
    "ヴ": ("v", "aieo"),
    "ウ": ("w", "ieo"),
    "イ": ("y", "e"),
    "デ": ("d", "i"),
    "テ": ("t", "i"),
    "ド": ("d", "u"),
    "ト": ("t", "u"),
    "ス": ("s", "i"),
    "ズ": ("z", "i"),
}
_SMALL = dict(zip(_VOWELS, "ァィゥェォ", strict=True))
_OTHERS = {"ン": "N", "ッ": "q", "ヲ": "o", "ヱ": "e", "ヰ": "i", "ヅ": "z u", "ヂ": "j i"}
_OTHERS |= {"ヮ": "w a", "ヵ": "k a", "ヶ": "k e", "クヮ": "kw a", "グヮ": "gw a"}
_OTHERS |= {"ャ": "y a", "ュ": "y u", "ョ": "y o"}


@cache
def _kana() -> dict[str, list[str]]:
    """Phones of each mora, two kana or one."""
    found = {kana: phones.split() for kana, phones in _OTHERS.items()}
    for consonant, row in _ROWS.items():
        for kana, vowel in zip(row, _VOWELS, strict=False):
            if kana != " ":
                found[kana] = [consonant, vowel] if consonant else [vowel]
    for vowel, small in _SMALL.items():
        found[small] = [vowel]
    for (kana, consonant), (small, vowel) in product(
        _BEFORE_SMALL_Y.items(), zip("ャュョェ", "auoe", strict=True)
    ):
        if kana not in "デテヴ" or vowel != "e":
            found[kana + small] = [consonant, vowel]
    for kana, (consonant, vowels) in _BEFORE_SMALL_VOWEL.items():
        for vowel in vowels:
            found[kana + _SMALL[vowel]] = [consonant, vowel]
    return found


_MARK_OF = {
    **dict(zip("：；，。！？．⋯・·•、＄‘’＇", ":;,.!?.…,,,,.'''", strict=True)),
    **{mark: mark for mark in MARKS},
}
_LONGEST = 200
"""Characters that OpenJTalk is given at a time."""
_READABLE = re.compile(
    "[\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fffA-Za-zＡ-Ｚａ-ｚ\u0370-\u03ff]"
)
_KATAKANA = re.compile("[\u30a1-\u30fa\u30fc]")


def japanese(text: str) -> str:
    """Phonemes of Japanese text, without word boundaries."""
    text = re.sub(r"\s+", "", text.strip().strip("'"))
    text = re.sub("[\0-\x1f\x7f]", "", text)
    if not text:
        return ""
    phones: list[str] = []
    for word, reading in _words(re.sub("···|・・・|[.]{3}", "…", text)):
        marks = [_MARK_OF[char] for char in word if char in _MARK_OF]
        if marks and not _READABLE.search(word):
            phones += marks
        elif _READABLE.search(word) or _KATAKANA.search(reading):
            phones += _phones(_reading(word, reading), phones)
    ipa = table("maskgct")["japanese_phones_to_ipa"]
    return "|".join(ipa.get(phone, phone) for phone in phones)


def _words(text: str) -> list[list[str]]:
    lines = re.findall(rf".{{1,{_LONGEST}}}?(?:[、。，．！？!?,.]+|$)|.{{1,{_LONGEST}}}", text)
    try:
        return WORKER_PROCESS.ask("japanese_words", "\n".join(lines))
    except NativeError as error:
        raise NotReady(
            f"OpenJTalk, which reads Japanese, could not be used: {error}. Install the package "
            "pyopenjtalk-plus again: pip install --force-reinstall pyopenjtalk-plus"
        ) from error


@cache
def _kakasi() -> object:
    return library("pykakasi").kakasi()


def _reading(word: str, reading: str) -> str:
    """Katakana of a word; a dictionary of characters for one that OpenJTalk cannot read."""
    kana = "".join(_KATAKANA.findall(reading))
    if kana:
        return kana
    parts = _kakasi().convert(word)  # type: ignore[attr-defined]
    return "".join(_KATAKANA.findall("".join(part["kana"] for part in parts)))


def _phones(kana: str, before: list[str]) -> list[str]:
    """Phones of katakana; a long mark repeats the phone before it, which may be in ``before``."""
    found: list[str] = []
    start = 0
    while start < len(kana):
        for size in (2, 1):
            if phones := _kana().get(kana[start : start + size]):
                found += phones
                start += size
                break
        else:
            last = (before + found)[-1:] if kana[start] == "ー" else []
            found += [phone[-1:] for phone in last if phone[-1:] not in MARKS]
            start += 1
    return found
