"""Text to phonemes: eSpeak NG for most languages, OpenJTalk for Japanese.

eSpeak NG comes inside the ``piper-tts`` package and is GPL-3.0-or-later, as that package is.
Its IPA is turned into the alphabet that Kokoro was trained on, which is described at
https://github.com/hexgrad/misaki/blob/main/EN_PHONES.md: one capital for each diphthong, one letter
for an affricate, ``ᵊ`` for a schwa that is hardly there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache

from engines.tts.native import WORKER_PROCESS, NativeError


class Phonemizer:
    """eSpeak NG in the worker process, with the methods of ``piper``'s ``EspeakPhonemizer``."""

    def phonemize(
        self, voice: str, text: str, vowel_clusters: Collection[tuple[str, ...]] | None = None
    ) -> list[list[str]]:
        """Phonemes of each sentence; ``ValueError`` for an unknown voice."""
        clusters = sorted(vowel_clusters) if vowel_clusters else None
        return WORKER_PROCESS.ask("espeak", text, voice=voice, clusters=clusters)


@lru_cache(maxsize=1024)
def espeak_ipa(text: str, voice: str) -> str:
    """IPA of ``text`` with stress marks and the punctuation that eSpeak keeps (``. , ? ! : ;``).

    ``voice`` is an eSpeak voice such as ``en-us``. Raises ``ValueError`` if there is none so named.
    """
    try:
        sentences = Phonemizer().phonemize(voice, text)
    except NativeError as error:
        raise ValueError(f"eSpeak NG has no voice {voice!r}") from error
    joined = " ".join("".join(sentence) for sentence in sentences)
    return unicodedata.normalize("NFC", re.sub(r"\s+", " ", joined)).strip()


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
    return WORKER_PROCESS.ask("japanese", text)
