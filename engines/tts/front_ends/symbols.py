"""The text front end of VITS and VALL-E: eSpeak's phones, numbered by the checkpoint's ``symbols.dict``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engines.base import NotReady
from engines.tts.front_ends.espeak import VOICES, Style, phones
from engines.tts.front_ends.tables import nothing_to_say

if TYPE_CHECKING:
    from engines.networks.vits.symbols import SymbolTable

FILE = "symbols.dict"
_STYLE = Style(';:,.!?¡¿—…"«»“”', phone="|", word="_", keep_flags=True)
_PLAIN_QUOTES = str.maketrans("“”", '""')


def english_phones(text: str) -> list[str]:
    """Phones, punctuation marks and ``_`` between words of English ``text``."""
    from engines.networks.vits.symbols import split_phones

    text = text.strip().translate(_PLAIN_QUOTES)
    return split_phones(phones(text, VOICES["en"], _STYLE))


@dataclass(frozen=True)
class SymbolText:
    """Text for a checkpoint with a table of symbols: ids 0 to ``len(table.ids) - 1``."""

    table: SymbolTable

    @classmethod
    def read(cls, folder: Path) -> SymbolText:
        """The front end of a checkpoint's folder; ``NotReady`` where the folder has no table."""
        from engines.networks.vits.symbols import SymbolTable

        file = folder / FILE
        if not file.is_file():
            raise NotReady(
                f"The folder {folder.name} has no {FILE}, which numbers the phones of this model. "
                "It is published beside the weights: download them again, or put it there."
            )
        return cls(SymbolTable.read(file))

    def ids(self, text: str, *, blanks: bool = False) -> list[int]:
        """Ids of English ``text`` between beginning and end; VITS wants ``blanks``, VALL-E does not.

        What the checkpoint has no symbol for is left out. Raises ``StudioError`` for text without a sound.
        """
        known = [phone for phone in english_phones(text) if phone in self.table.ids]
        if not any(char.isalpha() for phone in known for char in phone):
            raise nothing_to_say(text, "English")
        return self.table.encode(known, blanks=blanks)
