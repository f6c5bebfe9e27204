"""How tones of Mandarin change beside one another, as MaskGCT was trained with.

Words and their syllables in bopomofo; a first tone has no mark.
"""

from __future__ import annotations

_TONES = "˙ˊˇˋ"
_DIGITS = "零一二三四五六七八九十"
_NO_SUFFIX = {"女儿", "老儿", "男儿", "少儿", "小儿"}


def merged(words: list[str]) -> list[str]:
    """Words in which 一 and 不 are joined to what follows, x一x to one word, 儿 to what precedes."""
    return _with_er(_with_next(_with_next(_reduplicated(words), "一"), "不"))


def _reduplicated(words: list[str]) -> list[str]:
    found: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        if words[index + 1 : index + 3] == ["一", word] and word.isalpha():
            found.append(f"{word}一{word}")
            index += 3
        else:
            found.append(word)
            index += 1
    return found


def _with_next(words: list[str], first: str) -> list[str]:
    found: list[str] = []
    joins = False
    for word in words:
        if joins:
            found[-1] += word
            joins = False
        else:
            found.append(word)
            joins = word == first
    return found


def _with_er(words: list[str]) -> list[str]:
    found: list[str] = []
    for word in words:
        if found and word == "儿":
            found[-1] += word
        else:
            found.append(word)
    return found


def changed(word: str, syllables: list[str]) -> list[str]:
    """Syllables of ``word``, one a character, as they are spoken."""
    if len(syllables) != len(word) or not all(syllables):
        return syllables
    syllables = list(syllables)
    _third_tones(syllables)
    _bu(word, syllables)
    _yi(word, syllables)
    if len(word) > 1 and word[-1] == "儿" and word not in _NO_SUFFIX:
        syllables[-1] = _toned(syllables[-1], "˙")
    return syllables


def _toned(syllable: str, tone: str) -> str:
    return syllable.rstrip(_TONES) + tone


def _third_tones(syllables: list[str]) -> None:
    if not all(syllable.endswith("ˇ") for syllable in syllables):
        return
    if len(syllables) == 2:
        syllables[0] = _toned(syllables[0], "ˊ")
    elif len(syllables) == 3:  # the models learnt from syllables with both tone marks
        syllables[0] += "ˊ"
        syllables[1] += "ˊ"


def _bu(word: str, syllables: list[str]) -> None:
    if set(word) == {"不"} or word == "不字":
        return
    if len(word) == 3 and word[1] == "不" and syllables[1].rstrip(_TONES) == "ㄅㄨ":
        syllables[1] = _toned(syllables[1], "˙")
        return
    for index, char in enumerate(word[:-1]):
        if char == "不" and syllables[index + 1].endswith("ˋ"):
            syllables[index] = _toned(syllables[index], "ˊ")


def _yi(word: str, syllables: list[str]) -> None:
    if "一" not in word:
        return
    if any(char.isnumeric() for char in word if char != "一"):
        _yi_in_number(word, syllables)
    elif len(word) == 3 and word[1] == "一" and word[0] == word[2]:
        syllables[1] = _toned(syllables[1], "˙")
    elif word.startswith("第一"):
        syllables[1] = _toned(syllables[1], "")
    elif word.startswith(("一月", "一日", "一号")):
        syllables[0] = _toned(syllables[0], "")
    else:
        for index, char in enumerate(word[:-1]):
            if char == "一" and word[index + 1] not in ",.?!;:'…_":
                rises = syllables[index + 1].endswith("ˋ")
                syllables[index] = _toned(syllables[index], "ˊ" if rises else "ˋ")


def _yi_in_number(word: str, syllables: list[str]) -> None:
    for index, char in enumerate(word):
        if char != "一":
            continue
        if index == 0 and len(word) > 1 and word[1] not in _DIGITS:
            rises = syllables[1].endswith(("ˋ", "˙"))
            syllables[0] = _toned(syllables[0], "ˊ" if rises else "ˋ")
        else:
            syllables[index] = _toned(syllables[index], "")
