"""The text side: a tokenizer learned from captions, in T5's form."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterable
from typing import Any

SPECIAL = ("<pad>", "</s>", "<unk>")
SPACE = "\u2581"  # stands for the space before a word
SPELT = -20.0  # log-probability of a single sign, below that of any word
_WORD = re.compile(r"[\w-]+")


def learn_tokenizer(captions: Iterable[str], vocabulary: int) -> Any:
    """A ``T5Tokenizer`` of at most ``vocabulary`` pieces: the commonest words of the captions, numbers among
    them, each in one piece, and printable ASCII to spell all others.

    Unigrams that are learned (Kudo 2018, arXiv:1804.10959) need fewer pieces, but leave "9" and "2" where a
    small encoder has to hear "92 bpm".
    """
    from transformers import T5Tokenizer

    signs = sorted({*string.printable} - {*string.whitespace})
    words = Counter(word for text in captions for word in _WORD.findall(text))
    kept = sorted(words.items(), key=lambda item: (-item[1], item[0]))
    kept = kept[: vocabulary - len(SPECIAL) - len(signs) - 1]
    total = sum(words.values())
    pieces = [(f"{SPACE}{word}", math.log(count / total)) for word, count in kept]
    spelling = [(sign, SPELT) for sign in (SPACE, *signs)]
    return T5Tokenizer(
        vocab=[(piece, 0.0) for piece in SPECIAL] + pieces + spelling,
        extra_ids=0,
        additional_special_tokens=[],
    )
