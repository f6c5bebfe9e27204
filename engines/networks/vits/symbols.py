"""VITS's input: eSpeak's phones, split and numbered as its checkpoints expect."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from engines.networks.weights import WeightsError

PAD, BOS, EOS, EPSILON = "<pad>", "<bos>", "<eos>", "<eps>"
WORD, PHONE = "_", "|"
PIECE = re.compile(r"\w+|[^\w\s]")


def split_phones(spoken: str) -> list[str]:
    """Phones of what the phonemizer gives with ``|`` between phones and ``_`` between words.

    >>> split_phones("h|ə|l|oʊ|_w|ɜː|l|d|!")
    ['h', 'ə', 'l', 'oʊ', '_', 'w', 'ɜː', 'l', 'd', '!']
    """
    phones: list[str] = []
    for word in spoken.split(WORD):
        pieces = [piece for piece in PIECE.findall(word) if piece != PHONE]
        phones += [WORD, *pieces] if phones else pieces
    return phones


@dataclass(frozen=True)
class SymbolTable:
    """Numbers of symbols: padding 0, beginning 1, end 2, then the symbols in sorted order."""

    ids: dict[str, int]

    @classmethod
    def of(cls, symbols: Iterable[str]) -> Self:
        """The table of ``symbols``, whatever their order."""
        order = [PAD, BOS, EOS, *sorted({*symbols, EPSILON})]
        return cls({symbol: place for place, symbol in enumerate(order)})

    @classmethod
    def read(cls, path: Path) -> Self:
        """The table of a published ``symbols.dict``, a line for each symbol; its numbers don't count."""
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise WeightsError(
                f"{path.name} can't be read as a list of symbols: {error}"
            ) from error
        return cls.of(line.split()[0] for line in lines if line.strip())

    def unknown(self, phones: Sequence[str]) -> list[str]:
        """Those of ``phones`` that the voice wasn't trained on."""
        return [phone for phone in phones if phone not in self.ids]

    def encode(self, phones: Sequence[str], *, blanks: bool = True) -> list[int]:
        """Numbers of ``phones`` between beginning and end; with ``blanks`` a 0 around and between them.

        Raises ``KeyError`` for a phone that isn't in the table.
        """
        numbers = [self.ids[BOS], *(self.ids[phone] for phone in phones), self.ids[EOS]]
        if not blanks:
            return numbers
        spaced = [self.ids[PAD]] * (2 * len(numbers) + 1)
        spaced[1::2] = numbers
        return spaced
