"""Mandarin in the phones of MaskGCT: words, their pinyin, tone changes, phones.

Pinyin comes from the published word list ``chinese_lexicon.txt`` and the classifier of characters with
several readings in ``g2p_chinese_model/``, where a folder with them is given, else from pypinyin.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from engines.base import StudioError
from engines.tts.front_ends.bopomofo import HANZI, hanzi_and_marks, to_phonemes, with_first_tone
from engines.tts.front_ends.polyphones import Polyphones
from engines.tts.front_ends.sandhi import changed, merged
from engines.tts.front_ends.tables import library, table

LEXICON = "chinese_lexicon.txt"
_TONE_MARKS = {"0": "˙", "5": "˙", "1": "", "2": "ˊ", "3": "ˇ", "4": "ˋ"}
_LOCK = threading.Lock()

Reader = Callable[[str, str, int], list[str]]
"""Syllables in bopomofo of a word, given the text and where in it the word begins."""


def chinese(text: str, folder: Path | None = None) -> str:
    """Phonemes of Mandarin text; letters of other scripts are left out."""
    text = hanzi_and_marks(text)
    read = _reader(folder)
    found = ""
    start = 0
    for word in merged(words(text)):
        if HANZI.search(word):
            syllables = with_first_tone(changed(word, read(word, text, start)))
            found += ("|" if found else "") + "|".join(syllables)
        else:
            found += f"|{word}"
        start += len(word)
    return to_phonemes(found)


def words(text: str) -> list[str]:
    """The words of Chinese text."""
    jieba = library("jieba")
    with _LOCK:  # the dictionary is read at the first use
        if not jieba.dt.initialized:
            jieba.setLogLevel("ERROR")
            jieba.initialize()
    return jieba.lcut(text)


def _reader(folder: Path | None) -> Reader:
    lexicon = folder and _file(folder, LEXICON)
    if not folder or not lexicon:
        return _by_pypinyin
    model = _file(folder, "g2p_chinese_model")
    return _Published(_lexicon(lexicon), Polyphones.read(model) if model else None)


def _file(folder: Path, name: str) -> Path | None:
    places = (folder, folder / "sources", folder / "g2p" / "sources")
    return next((place / name for place in places if (place / name).exists()), None)


@lru_cache(maxsize=2)
def _lexicon(file: Path) -> dict[str, list[str]]:
    """Pinyin of words: lines of a word, a tab and syllables such as ``zhong1 guo2``."""
    found = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        word, tab, pinyin = line.strip().partition("\t")
        if not tab and word:
            raise StudioError(
                f"Line {number} of {file.name} is “{line[:40]}”; expected a word, a tab and its "
                "pinyin. Download the file again."
            )
        found[word] = pinyin.split()
    return found


@cache
def _polyphonic() -> frozenset[str]:
    return frozenset(table("maskgct")["polyphonic_characters"])


class _Published:
    """Readings as the models were trained with: a word list, and a classifier of characters."""

    def __init__(self, lexicon: dict[str, list[str]], polyphones: Polyphones | None) -> None:
        self.lexicon = lexicon
        self.polyphones = polyphones

    def __call__(self, word: str, text: str, start: int) -> list[str]:
        pinyin = self.lexicon.get(word) if word not in _polyphonic() else None
        syllables = [_bopomofo(syllable) for syllable in pinyin or []]
        if syllables and all(syllables):
            return syllables
        found = []
        for index, char in enumerate(word):
            found += self._character(char, text, start + index)
        return found

    def _character(self, char: str, text: str, place: int) -> list[str]:
        pinyin: list[str] = []
        if char in _polyphonic() and self.polyphones:
            pinyin = [self.polyphones.pinyin(text, place)]
        elif char not in _polyphonic():
            pinyin = self.lexicon.get(char, [])[:1]
        syllables = [_bopomofo(syllable) for syllable in pinyin]
        return syllables if syllables and all(syllables) else _by_pypinyin(char, text, place)


def _by_pypinyin(word: str, text: str, start: int) -> list[str]:
    pypinyin: Any = library("pypinyin")
    tone3, own = pypinyin.Style.TONE3, pypinyin.Style.BOPOMOFO
    found = []
    pinyin = pypinyin.lazy_pinyin(word, style=tone3, neutral_tone_with_five=True)
    if len(pinyin) != len(word):  # other characters are in it
        pinyin = [syllable for char in word for syllable in pypinyin.lazy_pinyin(char, style=tone3)]
    for char, syllable in zip(word, pinyin, strict=False):
        found.append(_bopomofo(syllable) or "".join(pypinyin.lazy_pinyin(char, style=own)))
    return found


def _bopomofo(pinyin: str) -> str:
    """A syllable such as ``lv4`` in bopomofo; empty where the table lacks it."""
    syllable = table("maskgct")["pinyin_to_bopomofo"].get(pinyin[:-1])
    tone = _TONE_MARKS.get(pinyin[-1:])
    return "" if syllable is None or tone is None else syllable + tone
