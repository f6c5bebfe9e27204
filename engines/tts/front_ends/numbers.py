"""English numbers, amounts of money and ordinals in words."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from engines.tts.front_ends.tables import library

_LONGEST = 30
"""Numbers with more digits are read digit by digit."""
_DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@cache
def _engine() -> Any:
    return library("inflect").engine()


def _by_digit(digits: str) -> str:
    return " ".join(_DIGITS[int(digit)] for digit in digits)


def cardinal(digits: str) -> str:
    """``digits`` in words without "and"; 1001 to 2999 are read as years."""
    if len(digits) > _LONGEST:
        return _by_digit(digits)
    number = int(digits)
    if not 1000 < number < 3000:
        return _engine().number_to_words(number, andword="")
    if number == 2000:
        return "two thousand"
    if 2000 < number < 2010:
        return f"two thousand {_engine().number_to_words(number % 100)}"
    if number % 100 == 0:
        return f"{_engine().number_to_words(number // 100)} hundred"
    pairs = _engine().number_to_words(number, andword="", zero="oh", group=2)
    return pairs.replace(", ", " ")


def _ordinal(digits: str, ending: str) -> str:
    if len(digits) > _LONGEST:
        return _by_digit(digits)
    return _engine().number_to_words(f"{int(digits)}{ending}")


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _dollars(amount: str) -> str:
    """ "3.50" as "3 dollars, 50 cents"; the digits after the point are taken as they are."""
    parts = amount.replace(",", "").split(".")
    if len(parts) > 2 or len(amount) > _LONGEST:
        return f"{amount} dollars"
    dollars, cents = (int(part or 0) for part in (*parts, "0")[:2])
    said = [_counted(dollars, "dollar")] if dollars else []
    said += [_counted(cents, "cent")] if cents else []
    return ", ".join(said) or "zero dollars"


def _fraction(above: str, below: str) -> str:
    if max(len(above), len(below)) > _LONGEST:
        return f"{_by_digit(above)} over {_by_digit(below)}"
    words = _engine().number_to_words
    numerator, denominator = int(above), int(below)
    unit = {2: "half", 4: "quarter"}.get(denominator)
    if unit and numerator == 1:
        return f"one {unit}"
    if unit:
        return f"{words(numerator)} {'halves' if unit == 'half' else 'quarters'}"
    return f"{words(numerator)} {_engine().ordinal(words(denominator))}"


def in_words(text: str) -> str:
    """``text`` with its numbers in words: money, fractions, decimals, per cent, ordinals, the rest."""
    text = re.sub(r"[0-9][0-9,]+[0-9]", lambda match: match[0].replace(",", ""), text)
    text = re.sub(r"£([0-9,]*[0-9])", r"\1 pounds", text)
    text = re.sub(r"\$([0-9.,]*[0-9])", lambda match: f" {_dollars(match[1])} ", text)
    text = re.sub(r"([0-9]+)/([0-9]+)", lambda match: f" {_fraction(match[1], match[2])} ", text)
    text = re.sub(r"([0-9]+)\.([0-9]+)", r"\1 point \2", text)
    text = re.sub(r"([0-9])%", r"\1 percent ", text)
    text = re.sub(r"([0-9]+)(st|nd|rd|th)", lambda match: f" {_ordinal(match[1], match[2])} ", text)
    return re.sub("[0-9]+", lambda match: f" {cardinal(match[0])} ", text)
