"""eSpeak NG phones as the Amphion models were trained on: one by one, without stress, punctuation kept.

The models learnt from the ``phonemizer`` package. This gives the same phones: text between punctuation
marks is phonemised piece by piece, and the marks are put back where they were.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from engines.base import StudioError
from engines.tts.native import WORKER_PROCESS, NativeError

VOICES = {"en": "en-us", "fr": "fr", "de": "de", "ko": "ko"}
"""Languages that are phonemised by eSpeak, and the voice for each."""

_STRESS = re.compile("[ˈˌ'-]+")
_FLAG = re.compile(r"\(.+?\)")
_GLIDE = re.compile("(?<=[iɪyː])ʲ")
_GERMAN_R = re.compile("(?<=[tpɡbkd]_)([ˈˌ]?)r")
_ENDS_OF_WORDS = re.compile(r"_+(?= |$)")


@dataclass(frozen=True)
class Style:
    """How phones are written down: punctuation that is kept, what separates phones and words.

    ``keep_flags``: leave the "(fr)" with which eSpeak marks a word that it reads in another language.
    """

    marks: str
    phone: str
    word: str
    keep_flags: bool = False


def phones(text: str, voice: str, style: Style) -> str:
    """Phones of one line of ``text`` in an eSpeak ``voice``, written in ``style``."""
    text = re.sub(r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029\0]", " ", text)
    pieces = re.split(rf"((?:\s*[{re.escape(style.marks)}]+\s*)+)", text)
    spoken = [piece for piece in pieces[::2] if piece]
    if not spoken:
        return "".join(pieces).replace(" ", style.word)
    answers = iter(_ask(spoken, voice))
    written = []
    for index, piece in enumerate(pieces):
        if index % 2:
            written.append(piece.replace(" ", style.word))
        elif piece:
            written.append(_written(next(answers), style))
    return "".join(written)


def _ask(pieces: list[str], voice: str) -> list[str]:
    """IPA of each piece, phones separated by ``_``, from the worker process."""
    try:
        said = WORKER_PROCESS.ask("phones", "\n".join(pieces), voice=voice)
    except NativeError as error:
        raise StudioError(
            f"eSpeak NG could not be used for this text: {error}. Install piper-tts again, which "
            "brings it: pip install --force-reinstall piper-tts."
        ) from error
    return [_as_trained(ipa, mnemonics, voice) for ipa, mnemonics in said]


def _as_trained(ipa: str, mnemonics: str, voice: str) -> str:
    """What eSpeak NG 1.51 would say, with which the models were trained.

    1.52 writes a glide between vowels, German /r/ after a plosive and /ʏ/ by other signs, and the vowels
    of "four" and "for" by the same sign. Its own letters still tell these two apart. German "ur", which
    1.51 could not write and the models have no sign for, is written like "er" and "or".
    """
    ipa = _GLIDE.sub("", ipa)
    if voice == "de":
        ipa = _GERMAN_R.sub(r"\1ɾ", ipa).replace("ʏ", "y").replace("ʊɐ", "ʊ_ɾ")
    if voice == VOICES["en"] and "ɔː" in ipa:
        ipa = _four_and_for(ipa, mnemonics)
    return ipa


def _four_and_for(ipa: str, mnemonics: str) -> str:
    signs = re.split("([_ ]+)", re.sub("_+(?= |$)", "", ipa))
    letters = [sign for sign in re.split("[_ ]+", mnemonics) if sign.strip(";|!':,%=")]
    if len(signs[::2]) == len(letters):
        for index, letter in enumerate(letters):
            if letter.endswith("o@"):
                signs[2 * index] = signs[2 * index].replace("ɔː", "oː")
    return "".join(signs)


def _written(ipa: str, style: Style) -> str:
    """What eSpeak said of one piece, in ``style``."""
    ipa = re.sub("_+", "_", ipa.strip().replace("\n", " ").replace("  ", " "))
    ipa = _ENDS_OF_WORDS.sub("", ipa)
    if not style.keep_flags:
        ipa = _FLAG.sub("", ipa)
    words = (_STRESS.sub("", word.strip()) for word in ipa.split(" "))
    return style.word.join(word.replace("_", style.phone) for word in words)
