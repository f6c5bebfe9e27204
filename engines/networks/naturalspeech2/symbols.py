"""The phones of NaturalSpeech 2: ARPAbet in CMUdict's order, then pauses and marks."""

from __future__ import annotations

from collections.abc import Iterable

_VOWELS = ["AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"]
_CONSONANTS = [
    "B",
    "CH",
    "D",
    "DH",
    "F",
    "G",
    "HH",
    "JH",
    "K",
    "L",
    "M",
    "N",
    "NG",
    "P",
    "R",
    "S",
    "SH",
    "T",
    "TH",
    "V",
    "W",
    "Y",
    "Z",
    "ZH",
]
_STRESSED = [vowel + stress for vowel in _VOWELS for stress in ("", "0", "1", "2")]

PHONES = (*sorted([*_STRESSED, *_CONSONANTS]), "sp", "spn", "sil", "<s>", "</s>")
ID_OF = {phone: place for place, phone in enumerate(PHONES)}


def phone_ids(phones: Iterable[str]) -> list[int]:
    """Rows of the phone table; phones that it lacks are left out."""
    return [ID_OF[phone] for phone in phones if phone in ID_OF]
