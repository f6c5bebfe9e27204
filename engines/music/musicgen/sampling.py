"""Choosing the next codes: temperature, top-k, top-p, and one generator for each row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sampling:
    """``top_k`` of 0 and ``top_p`` of 0 or 1 leave everything in; ``greedy`` takes the likeliest."""

    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 0.0
    greedy: bool = False


def choose(logits: np.ndarray, how: Sampling, draws: np.ndarray) -> np.ndarray:
    """Indices ``(...)`` chosen from ``logits (..., V)`` by the uniform numbers ``draws (...)``.

    As in transformers, temperature comes first, then top-k, then top-p (Holtzman et al. 2020). A draw
    u picks the first entry at which the cumulated probability, in the order of the vocabulary,
    exceeds u: each row depends on its own logits and its own draws alone.
    """
    if how.greedy:
        return logits.argmax(axis=-1)
    logits = logits.astype(np.float32) / np.float32(how.temperature)
    size = logits.shape[-1]
    if 0 < how.top_k < size:
        least = np.partition(logits, size - how.top_k, axis=-1)[..., size - how.top_k, None]
        logits = np.where(logits < least, np.float32(-np.inf), logits)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    if 0 < how.top_p < 1:
        falling = np.sort(weights, axis=-1)[..., ::-1]
        before = falling.cumsum(axis=-1) - falling
        kept = (before < how.top_p * falling.sum(axis=-1, keepdims=True)).sum(axis=-1)
        least = np.take_along_axis(falling, kept[..., None] - 1, axis=-1)
        weights = np.where(weights < least, np.float32(0), weights)
    cumulated = weights.cumsum(axis=-1, dtype=np.float64)
    target = draws[..., None] * cumulated[..., -1:]
    return (cumulated <= target).sum(axis=-1)
