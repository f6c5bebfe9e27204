"""Losses of token models, as pure functions of tensors.

Shapes: B items, K codebooks, L positions (frames plus delay), V entries. ``labels`` are IGNORED where
nothing is to be predicted: in the delay pattern's padding and beyond a shorter clip's end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

IGNORED = -100
TIE = 1e-4


@dataclass(frozen=True)
class PairLoss:
    """``loss`` (B,) of each pair and its reward ``margin`` (B,): above 0 where the preferred one is
    rated higher."""

    loss: torch.Tensor
    margin: torch.Tensor


def token_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Negative log-probability of each label in float32, 0 where ignored: (B, K, L, V), (B, K, L)
    -> (B, K, L)."""
    flat = F.cross_entropy(
        logits.float().flatten(0, -2), labels.flatten(), ignore_index=IGNORED, reduction="none"
    )
    return flat.view(labels.shape)


def supervised(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean over codebooks of the mean cross-entropy of a codebook's valid positions (MusicGen,
    Copet et al. 2023, as in AudioCraft and transformers).

    ``weights`` (B,) multiply the items' losses; their mean over the dataset should be 1, so that
    they change what counts and not the learning rate.
    """
    losses = token_losses(logits, labels)
    valid = (labels != IGNORED).sum((0, 2)).clamp(min=1)
    if weights is not None:
        losses = losses * weights[:, None, None]
    return (losses.sum((0, 2)) / valid).mean()


def log_probability(
    logits: torch.Tensor, labels: torch.Tensor, normalised: bool = False
) -> torch.Tensor:
    """Sum (``normalised``: mean) over all valid positions and codebooks of the labels'
    log-probability, (B,)."""
    total = -token_losses(logits, labels).sum((1, 2))
    if not normalised:
        return total
    return total / (labels != IGNORED).sum((1, 2)).clamp(min=1)


def dpo(
    policy: torch.Tensor,
    reference: torch.Tensor,
    beta: float,
    label_smoothing: float = 0.0,
    offset: torch.Tensor | None = None,
) -> PairLoss:
    """Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290, eq. 7).

    ``policy`` and ``reference`` (2, B) are log-probabilities of the chosen and the rejected items.
    ``label_smoothing`` is the share of preferences thought to be flipped (conservative DPO, Mitchell
    2023); ``offset`` (B,) the gap asked for (DPO with an offset, Amini et al. 2024,
    arXiv:2402.10571).
    """
    rewards = beta * (policy - reference)
    margin = rewards[0] - rewards[1]
    logit = margin if offset is None else margin - offset
    loss = -(1 - label_smoothing) * F.logsigmoid(logit) - label_smoothing * F.logsigmoid(-logit)
    return PairLoss(loss, margin.detach())


def rank(policy: torch.Tensor, gap: torch.Tensor | float) -> PairLoss:
    """Rank calibration without a reference (SLiC-HF, Zhao et al. 2023, arXiv:2305.10425, eq. 1).

    A hinge on the difference of the log-probabilities ``policy`` (2, B), here of their mean over
    tokens, so that ``gap`` means the same at any length.
    """
    margin = policy[0] - policy[1]
    return PairLoss(F.relu(gap - margin), margin.detach())


def preferred(margin: torch.Tensor) -> torch.Tensor:
    """1 where the preferred item is rated higher, one half for a tie, else 0, (B,).

    Margins below TIE are the rounding of sums over thousands of tokens, not a preference.
    """
    return (margin > TIE).float() + 0.5 * (margin.abs() <= TIE).float()
