"""The Transformer encoder of VITS: attention with learned offsets (Shaw et al. 2018), convolutional FFN."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MASKED = -1e4  # not minus infinity: a row that is masked as a whole becomes a mean


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of (B, C, T). Keys ``gamma, beta``."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.layer_norm(x.transpose(1, 2), self.gamma.shape, self.gamma, self.beta, self.eps)
        return y.transpose(1, 2)


class RelativeAttention(nn.Module):
    """Self-attention over (B, C, T) that adds a learned key and value for each offset up to ``window``.

    Offsets beyond ``window`` add nothing. ``emb_rel_k`` and ``emb_rel_v`` are (1, 2 window + 1, C / heads)
    and shared by the heads.
    """

    def __init__(self, channels: int, heads: int, window: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.conv_q = nn.Conv1d(channels, channels, 1)
        self.conv_k = nn.Conv1d(channels, channels, 1)
        self.conv_v = nn.Conv1d(channels, channels, 1)
        self.conv_o = nn.Conv1d(channels, channels, 1)
        depth = channels // heads
        self.emb_rel_k = nn.Parameter(torch.randn(1, 2 * window + 1, depth) / math.sqrt(depth))
        self.emb_rel_v = nn.Parameter(torch.randn(1, 2 * window + 1, depth) / math.sqrt(depth))
        self.drop = nn.Dropout(dropout)
        for conv in (self.conv_q, self.conv_k, self.conv_v):
            nn.init.xavier_uniform_(conv.weight)

    def forward(self, x: Tensor, pairs: Tensor) -> Tensor:
        """``pairs`` (B, 1, T, T) is 0 where a frame must not see another."""
        q, k, v = (self._split(conv(x)) for conv in (self.conv_q, self.conv_k, self.conv_v))
        q = q / math.sqrt(q.shape[-1])
        offsets, known = self._offsets(x.shape[-1], x.device)
        near = F.pad(q @ self.emb_rel_k.transpose(1, 2), (0, 1))  # one column of zeros: too far
        columns = torch.where(known, offsets, 2 * self.window + 1)
        scores = q @ k.transpose(2, 3) + near.gather(3, columns.expand_as(pairs_of(q)))
        weights = self.drop(scores.masked_fill(pairs == 0, MASKED).softmax(-1))
        y = weights @ v + self._near(weights) @ self.emb_rel_v
        return self.conv_o(y.transpose(2, 3).reshape(x.shape))

    def _split(self, x: Tensor) -> Tensor:
        """(B, C, T) to (B, heads, T, C / heads)."""
        return x.unflatten(1, (self.heads, -1)).transpose(2, 3)

    def _offsets(self, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Row of the tables for each pair of frames (T, T), and whether it lies within the window."""
        place = torch.arange(length, device=device)
        rows = place[None, :] - place[:, None] + self.window
        return rows, (rows >= 0) & (rows <= 2 * self.window)

    def _near(self, weights: Tensor) -> Tensor:
        """Of weights (B, H, T, T), those of the offsets up to ``window``: (B, H, T, 2 window + 1)."""
        length = weights.shape[-1]
        places = torch.arange(length, device=weights.device)[:, None]
        shifts = torch.arange(-self.window, self.window + 1, device=weights.device)
        frames = places + shifts
        inside = (frames >= 0) & (frames < length)
        index = frames.clamp(0, length - 1).expand(*weights.shape[:2], -1, -1)
        return weights.gather(3, index) * inside


def pairs_of(x: Tensor) -> Tensor:
    """A tensor of the shape (B, H, T, T) for ``x`` (B, H, T, D), without memory of its own."""
    return x[..., :1].expand(-1, -1, -1, x.shape[2])


class ConvFeedForward(nn.Module):
    """Two convolutions with a ReLU between, on (B, C, T) times ``mask`` (B, 1, T)."""

    def __init__(self, channels: int, inner: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.padding = ((kernel - 1) // 2, kernel // 2)
        self.conv_1 = nn.Conv1d(channels, inner, kernel)
        self.conv_2 = nn.Conv1d(inner, channels, kernel)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = self.drop(self.conv_1(F.pad(x * mask, self.padding)).relu())
        return self.conv_2(F.pad(y * mask, self.padding)) * mask


class RelativeTransformer(nn.Module):
    """Post-norm layers over (B, C, T) with ``mask`` (B, 1, T) of ones and zeros.

    VITS multiplies by the mask before the first layer and after the last; with ``mask_each`` the input
    of every layer is multiplied too. Keys ``attn_layers, norm_layers_1, ffn_layers, norm_layers_2``.
    """

    def __init__(
        self,
        channels: int,
        inner: int,
        heads: int,
        layers: int,
        *,
        kernel: int = 3,
        window: int = 4,
        dropout: float = 0.1,
        eps: float = 1e-5,
        mask_each: bool = False,
    ) -> None:
        super().__init__()
        self.mask_each = mask_each
        self.drop = nn.Dropout(dropout)
        self.attn_layers = nn.ModuleList(
            RelativeAttention(channels, heads, window, dropout) for _ in range(layers)
        )
        self.norm_layers_1 = nn.ModuleList(ChannelNorm(channels, eps) for _ in range(layers))
        self.ffn_layers = nn.ModuleList(
            ConvFeedForward(channels, inner, kernel, dropout) for _ in range(layers)
        )
        self.norm_layers_2 = nn.ModuleList(ChannelNorm(channels, eps) for _ in range(layers))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        pairs = mask[:, :, None, :] * mask[:, :, :, None]
        x = x * mask
        for attention, norm_1, feed, norm_2 in zip(
            self.attn_layers, self.norm_layers_1, self.ffn_layers, self.norm_layers_2, strict=True
        ):
            if self.mask_each:
                x = x * mask
            x = norm_1(x + self.drop(attention(x, pairs)))
            x = norm_2(x + self.drop(feed(x, mask)))
        return x * mask
