"""The text front end of MaskGCT, Metis, Vevo and VevoSing: six languages, one set of phones.

Their text is the transcript of the reference and the text to speak, one after the other without anything
between: ``phones(transcript, ...).ids + phones(text, ...).ids``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engines.base import StudioError
from engines.tts.front_ends.chinese import chinese
from engines.tts.front_ends.european import english, french, german, korean
from engines.tts.front_ends.japanese import japanese
from engines.tts.front_ends.language import NAMES, chinese_and_english
from engines.tts.front_ends.tables import nothing_to_say, table

_LANGUAGES: dict[str, Callable[[str], str]] = {
    "ja": japanese,
    "ko": korean,
    "fr": french,
    "de": german,
}


@dataclass(frozen=True)
class Phones:
    """What a text becomes: symbols separated by ``|``, and the ids of those that the models know."""

    phonemes: str
    ids: list[int]


@cache
def _ids() -> dict[str, int]:
    return {phone: index for index, phone in enumerate(table("maskgct")["phones"])}


def known_ids(phonemes: str) -> list[int]:
    """Ids (0 to 362) of the symbols of a phoneme string; symbols without one are left out."""
    known = _ids()
    return [known[phone] for phone in phonemes.split("|") if phone in known]


def phones(text: str, language: str, folder: Path | None = None) -> Phones:
    """Phones of ``text`` in ``language``: zh, en, ja, ko, fr or de.

    Chinese and English may be mixed, whichever of the two is named. ``folder`` may hold the published
    Chinese word list and classifier; see ``chinese``. Raises ``StudioError`` for text without a sound.
    """
    if language not in NAMES:
        names = ", ".join(f"{code} ({name})" for code, name in NAMES.items())
        raise StudioError(
            f"“{language}” is not a language of this model. Choose {names}.", "language"
        )
    if language in _LANGUAGES:
        phonemes = _LANGUAGES[language](text)
    else:
        phonemes = _mixed(chinese_and_english(text), folder)
    ids = known_ids(phonemes)
    if not set(ids) - _silent():
        raise nothing_to_say(text, NAMES[language])
    return Phones(phonemes, ids)


@cache
def _silent() -> frozenset[int]:
    """Ids of punctuation and of the space between words."""
    return frozenset(_ids()[mark] for mark in ",.?!_:;'…")


def _mixed(runs: Iterable[tuple[str, str]], folder: Path | None) -> str:
    phonemes, language = "", ""
    for language, run in runs:
        phonemes += (english(run) if language == "en" else chinese(run, folder)) + "|"
    if language == "en":  # only between two runs
        phonemes = phonemes.removesuffix("_|")
    return phonemes
