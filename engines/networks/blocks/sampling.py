"""Drawing the next token: repetition penalty, temperature, top-k, top-p and one generator a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Progress = Callable[[int, int], None]  # steps done and steps in all; it may raise to cancel


def penalize_repeated(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Logits (B, V) of the ids in ``seen`` (B, N), divided by ``penalty``; negative ones times it.

    Ids from V on, which can't be drawn, don't matter. Keskar et al. 2019 (CTRL).
    """
    if penalty == 1:
        return logits
    rows, size = logits.shape
    repeated = torch.zeros(rows, size + 1, dtype=torch.bool, device=logits.device)
    repeated = repeated.scatter(1, seen.clamp(max=size), value=True)[:, :size]
    penalized = torch.where(logits < 0, logits * penalty, logits / penalty)
    return torch.where(repeated, penalized, logits)


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """All but the ``k`` largest of (B, V) at minus infinity; ties with the last stay. 0 or less keeps all."""
    if k <= 0 or k >= logits.shape[-1]:
        return logits
    least = logits.topk(k).values[:, -1:]
    return logits.masked_fill(logits < least, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """The fewest of (B, V) whose probabilities together exceed ``p``, at least one. 1 keeps all."""
    if p >= 1:
        return logits
    rising, order = logits.sort(descending=False)
    dropped = rising.softmax(-1).cumsum(-1) <= 1 - p
    dropped[:, -1] = False
    return logits.masked_fill(dropped.scatter(1, order, dropped), -torch.inf)


def draw(probabilities: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """One index (B,) from each row of (B, V) by the row's own generator on the CPU."""
    rows = probabilities.float().cpu()
    drawn = [
        torch.multinomial(row, 1, generator=generator)
        for row, generator in zip(rows, generators, strict=True)
    ]
    return torch.cat(drawn).to(probabilities.device)
