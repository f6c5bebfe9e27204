"""FastSpeech2's and Jets' input: ARPAbet phones and their numbers."""

from __future__ import annotations

from collections.abc import Iterable
from string import ascii_letters

VOWELS = ["AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"]
CONSONANTS = [*"BDFGKLMNPRSTVWYZ", "CH", "DH", "HH", "JH", "NG", "SH", "TH", "ZH"]
STRESSES = ("", "0", "1", "2")
SILENCES = ("sp", "spn", "sil")

PHONES = sorted([vowel + stress for vowel in VOWELS for stress in STRESSES] + CONSONANTS)
SYMBOLS = [*"_-!'(),.:;? ", *ascii_letters.swapcase(), *(f"@{p}" for p in [*PHONES, *SILENCES])]
NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS)}


def encode(phones: Iterable[str]) -> list[int]:
    """Numbers of ``phones`` such as ``HH`` or ``AH0``; ``sp`` is a pause, and what isn't known is left out.

    >>> encode(["HH", "AY1", "sp"])
    [110, 87, 148]
    """
    return [NUMBERS[f"@{phone}"] for phone in phones if f"@{phone}" in NUMBERS]
