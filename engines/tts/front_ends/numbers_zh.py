"""Arabic numbers in Chinese text."""

from __future__ import annotations

import re
import warnings

from engines.tts.front_ends.tables import library

_DIGITS = "零一二三四五六七八九"
_LONGEST = 16


def in_chinese(text: str) -> str:
    """``text`` with numbers, dates, fractions and per cent in Chinese characters.

    What is too long for a number is read digit by digit.
    """
    text = re.sub(rf"[0-9]{{{_LONGEST + 1},}}", lambda match: _by_digit(match[0]), text)
    if not re.search("[0-9]", text):
        return text
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = library("cn2an").transform(text, "an2cn")
    return _by_digit(text)


def _by_digit(text: str) -> str:
    return re.sub("[0-9]", lambda match: _DIGITS[int(match[0])], text)
