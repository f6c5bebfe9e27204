"""Pronunciation of English words that no dictionary has, by the network of the ``g2p-en`` package.

Two recurrent networks of 128 units (Park and Kim, https://github.com/Kyubyong/g2p, Apache-2.0): one reads the
letters, the other writes the phones. Only its weights are used: the package itself downloads at its import.
"""

from __future__ import annotations

import string
from functools import cache, lru_cache
from typing import Any

from engines.packages import package_file
from engines.tts.front_ends.tables import EXTRA, PAUSES, table

_LETTERS = ["<pad>", "<unk>", "</s>", *string.ascii_lowercase]
_BEGIN, _END, _FIRST = 2, 3, 4
_MOST = 20
_LONGEST = 40


@cache
def _phones() -> list[str]:
    """Phones in the order of the network: vowels with their stress, and one UW without."""
    known = table("arpabet")["phones"].split()[: -len(PAUSES)]
    return [phone for phone in known if f"{phone}0" not in known or phone == "UW"]


@cache
def _weights() -> dict[str, Any]:
    import numpy as np

    file = package_file("g2p_en", "checkpoint20.npz", "g2p-en", EXTRA)
    with np.load(file) as arrays:
        return dict(arrays)


def _step(side: str, inputs: Any, state: Any) -> Any:
    """One step of the recurrent network ``enc`` or ``dec`` (a GRU)."""
    import numpy as np

    weights = _weights()
    new = inputs @ weights[f"{side}_w_ih"].T + weights[f"{side}_b_ih"]
    old = state @ weights[f"{side}_w_hh"].T + weights[f"{side}_b_hh"]
    (reset_new, update_new, next_new), (reset_old, update_old, next_old) = (
        np.split(new, 3),
        np.split(old, 3),
    )
    reset = 1 / (1 + np.exp(-(reset_new + reset_old)))
    update = 1 / (1 + np.exp(-(update_new + update_old)))
    return (1 - update) * np.tanh(next_new + reset * next_old) + update * state


@lru_cache(maxsize=4096)
def _spelt(word: str) -> tuple[str, ...]:
    import numpy as np

    weights = _weights()
    numbers = {letter: index for index, letter in enumerate(_LETTERS)}
    state = np.zeros(weights["enc_w_hh"].shape[1], np.float32)
    for letter in (*word, "</s>"):
        state = _step("enc", weights["enc_emb"][numbers.get(letter, 1)], state)
    phones: list[str] = []
    best = _BEGIN
    for _ in range(_MOST):
        state = _step("dec", weights["dec_emb"][best], state)
        best = int(np.argmax(weights["fc_w"] @ state + weights["fc_b"]))
        if best == _END:
            break
        if best >= _FIRST:
            phones.append(_phones()[best - _FIRST])
    return tuple(phones)


def spelt(word: str) -> list[str]:
    """Phones of ``word`` (small letters); a very long one in pieces."""
    pieces = (word[start : start + _LONGEST] for start in range(0, len(word), _LONGEST))
    return [phone for piece in pieces for phone in _spelt(piece)]
