"""Which token each frame belongs to, learned from text and mel (Badlani et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.alignment import monotonic_path

BLANK = -1.0
IMPOSSIBLE = -1e4  # in place of minus infinity, whose gradient isn't a number
GAUSSIAN_DELTA = 0.1


@dataclass(frozen=True)
class Alignment:
    """``log_probability`` (B, T, N) with the prior, the best ``path`` (B, N, T), ``durations`` (B, N)."""

    log_probability: Tensor
    path: Tensor

    @property
    def durations(self) -> Tensor:
        return self.path.sum(2)

    def token_means(self, frames: Tensor) -> Tensor:
        """Mean of ``frames`` (B, T) over each token's frames, (B, N)."""
        total = (self.path @ frames[:, :, None])[..., 0]
        return total / self.durations.clamp(min=1)

    def binarisation_loss(self) -> Tensor:
        """Negative log probability of the path: mean over frames, then over items."""
        taken = self.path.transpose(1, 2) > 0
        on_path = torch.where(taken, self.log_probability, 0.0).sum((1, 2))
        return -(on_path / self.path.sum((1, 2))).mean()

    def forward_sum_loss(self, tokens: Tensor, frames: Tensor) -> Tensor:
        """Negative log probability of all monotonic paths together, by CTC with a constant blank."""
        known = self.log_probability.clamp(min=IMPOSSIBLE)
        scores = F.pad(known, (1, 0), value=BLANK).log_softmax(2)
        targets = torch.arange(1, scores.shape[2], device=scores.device).expand(len(scores), -1)
        return F.ctc_loss(scores.transpose(0, 1), targets, frames, tokens, zero_infinity=True)


class AlignmentModule(nn.Module):
    """Text (B, N, C) and mel (B, T, n_mel) to an alignment."""

    def __init__(self, hidden: int, n_mel: int) -> None:
        super().__init__()
        self.t_conv1 = nn.Conv1d(hidden, hidden, 3, padding=1)
        self.t_conv2 = nn.Conv1d(hidden, hidden, 1)
        self.f_conv1 = nn.Conv1d(n_mel, hidden, 3, padding=1)
        self.f_conv2 = nn.Conv1d(hidden, hidden, 3, padding=1)
        self.f_conv3 = nn.Conv1d(hidden, hidden, 1)

    def forward(self, text: Tensor, mel: Tensor, tokens: Tensor, frames: Tensor) -> Alignment:
        """``tokens`` and ``frames`` (B,) are lengths."""
        keys = self.t_conv2(self.t_conv1(text.transpose(1, 2)).relu())
        queries = self.f_conv2(self.f_conv1(mel.transpose(1, 2)).relu()).relu()
        queries = self.f_conv3(queries)
        distance = torch.cdist(
            queries.transpose(1, 2),
            keys.transpose(1, 2),
            compute_mode="donot_use_mm_for_euclid_dist",
        )
        padding = torch.arange(text.shape[1], device=text.device) >= tokens[:, None]
        scores = (-distance).masked_fill(padding[:, None], -torch.inf).log_softmax(2)
        scores = scores + diagonal_prior(tokens, frames, scores.shape[1], scores.shape[2])
        path = monotonic_path(scores.transpose(1, 2), tokens, frames, advance_on_ties=True)
        return Alignment(scores, path)


def diagonal_prior(tokens: Tensor, frames: Tensor, longest: int, most: int) -> Tensor:
    """Log probability (B, ``longest``, ``most``) of each token at each frame: high near the diagonal.

    At frame t of T the token is beta-binomial with n = N, alpha = t and beta = T - t + 1; as n isn't
    N - 1, a little of the probability lies past the last token. Outside it is minus infinity.
    """
    size = int((tokens + frames).max()) + 1
    factorial = torch.lgamma(torch.arange(1, size + 1, dtype=torch.float64))  # log k!
    prior = torch.full((len(tokens), longest, most), -torch.inf)
    for item, (n, length) in enumerate(zip(tokens.tolist(), frames.tolist(), strict=True)):
        k, t = torch.arange(n), torch.arange(1, length + 1)[:, None]
        choices = factorial[n] - factorial[k] - factorial[n - k]
        numerator = factorial[k + t - 1] + factorial[n - k + length - t] - factorial[n + length]
        denominator = factorial[t - 1] + factorial[length - t] - factorial[length]
        prior[item, :length, :n] = (choices + numerator - denominator).float()
    return prior.to(tokens.device)


def gaussian_upsampling(
    x: Tensor, durations: Tensor, token_mask: Tensor, frame_mask: Tensor
) -> Tensor:
    """Tokens (B, N, C) to frames (B, T, C), each a mean of the tokens near it.

    A token weighs ``exp(-0.1 (t - c)²)`` around its middle c. Masks (B, N) and (B, T) are True inside;
    a frame outside is as the first.
    """
    middle = durations.cumsum(1) - durations / 2
    time = torch.arange(frame_mask.shape[1], device=x.device) * frame_mask
    energy = -GAUSSIAN_DELTA * (time[:, :, None] - middle[:, None]).square()
    return energy.masked_fill(~token_mask[:, None], -torch.inf).softmax(2) @ x
