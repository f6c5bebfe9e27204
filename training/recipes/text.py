"""The text side: a tokenizer learned from captions, in T5's form."""

from __future__ import annotations

import json
import string
from collections.abc import Iterable
from typing import Any

SPECIAL = ("<pad>", "</s>", "<unk>")


def learn_tokenizer(captions: Iterable[str], vocabulary: int) -> Any:
    """A ``T5Tokenizer`` of at most ``vocabulary`` pieces (unigrams, Kudo 2018, arXiv:1804.10959) that
    can also spell any printable ASCII."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import T5Tokenizer

    learner = Tokenizer(models.Unigram())
    learner.pre_tokenizer = pre_tokenizers.Metaspace()
    learner.train_from_iterator(
        captions,
        trainers.UnigramTrainer(
            vocab_size=vocabulary,
            special_tokens=list(SPECIAL),
            unk_token=SPECIAL[2],
            initial_alphabet=sorted(set(string.printable) - set(string.whitespace)),
            show_progress=False,
        ),
    )
    pieces = [(piece, score) for piece, score in json.loads(learner.to_str())["model"]["vocab"]]
    # pieces of the same score come in another order each time
    learned = sorted(pieces[len(SPECIAL) :], key=lambda piece: (-piece[1], piece[0]))
    return T5Tokenizer(
        vocab=pieces[: len(SPECIAL)] + learned,
        extra_ids=0,
        additional_special_tokens=[],
    )
