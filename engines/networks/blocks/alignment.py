"""Monotonic alignment search: which token each frame belongs to (Kim et al. 2020, Glow-TTS)."""

from __future__ import annotations

import torch
from torch import Tensor

from engines.networks.blocks.lengths import length_mask


@torch.no_grad()
def monotonic_path(
    scores: Tensor, tokens: Tensor, frames: Tensor, *, advance_on_ties: bool = False
) -> Tensor:
    """The monotonic path of the largest total score, as (B, N, T) of 0 and 1 in the type of ``scores``.

    ``scores`` (B, N, T) is the score of each token at each frame; ``tokens`` and ``frames`` (B,) are
    lengths. Every token gets at least one frame. Of two equally good paths into a token the one that
    comes from the token before is taken with ``advance_on_ties``, else the one that stays.

    Raises ``ValueError`` where an item has fewer frames than tokens.
    """
    if bool((frames < tokens).any()):
        raise ValueError("A text with more tokens than frames can't be aligned.")
    advances = _forward(scores, advance_on_ties)
    return _backward(advances, tokens, frames).to(scores.dtype)


def _forward(scores: Tensor, advance_on_ties: bool) -> Tensor:
    """Whether the best path to token n at frame t comes from token n-1, as (T, B, N).

    ``best[n]`` at frame t is ``max(best[n-1], best[n])`` at frame t-1, plus the score.
    """
    batch, count, _ = scores.shape
    best = scores.new_full((batch, count), -torch.inf)
    best[:, 0] = scores[:, 0, 0]
    nothing = scores.new_full((batch, 1), -torch.inf)
    advances = [torch.zeros(batch, count, dtype=torch.bool, device=scores.device)]
    for score in scores.unbind(2)[1:]:
        before = torch.cat([nothing, best[:, :-1]], 1)
        advances.append(before >= best if advance_on_ties else before > best)
        best = torch.maximum(before, best) + score
    return torch.stack(advances)


def _backward(advances: Tensor, tokens: Tensor, frames: Tensor) -> Tensor:
    """The path (B, N, T) from the last token at the last frame back to the first."""
    length, batch, count = advances.shape
    items = torch.arange(batch, device=advances.device)
    inside = length_mask(frames, length)
    token = tokens - 1
    path = torch.zeros(batch, count, length, dtype=torch.bool, device=advances.device)
    for frame in reversed(range(length)):
        path[items, token, frame] = inside[:, frame]
        step = advances[frame, items, token] & inside[:, frame] & (token > 0)
        token = token - step.long()
    return path
