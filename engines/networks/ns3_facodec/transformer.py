"""The small transformers of FACodec: over the speaker, the mel and, with a condition, the prosody."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POSITIONS = 5000


@dataclass(frozen=True)
class FacodecTransformerSizes:
    """Sizes under the published names; the published weights have these."""

    encoder_layer: int = 4
    encoder_hidden: int = 256
    encoder_head: int = 4
    conv_filter_size: int = 1024
    conv_kernel_size: int = 5


class StyleNorm(nn.Module):
    """Layer normalisation whose scale and shift come from a condition: (B, T, C), (B, C) to (B, T, C)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.style = nn.Linear(dim, 2 * dim)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gamma, beta = self.style(condition)[:, None].chunk(2, -1)
        return gamma * F.layer_norm(x, x.shape[-1:]) + beta


class PlainNorm(nn.LayerNorm):
    """Layer normalisation that takes a condition and leaves it."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(x)


class PositionTable(nn.Module):
    """Sinusoids (5000, 1, C): sines in even channels, cosines in odd ones. Key ``pe``."""

    pe: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        rates = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
        angles = torch.arange(POSITIONS)[:, None] * rates
        self.register_buffer(
            "pe", torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, None]
        )


class FacodecFeedForward(nn.Module):
    """A convolution over time, ReLU, and a linear layer: (B, T, C) to (B, T, C)."""

    def __init__(self, sizes: FacodecTransformerSizes) -> None:
        super().__init__()
        kernel = sizes.conv_kernel_size
        self.ffn_1 = nn.Conv1d(
            sizes.encoder_hidden, sizes.conv_filter_size, kernel, padding=kernel // 2
        )
        self.ffn_2 = nn.Linear(sizes.conv_filter_size, sizes.encoder_hidden)

    def forward(self, x: Tensor) -> Tensor:
        return self.ffn_2(self.ffn_1(x.transpose(1, 2)).transpose(1, 2).relu())


class FacodecLayer(nn.Module):
    """Attention over the whole sequence and a feed-forward part, each behind its norm."""

    def __init__(
        self, sizes: FacodecTransformerSizes, norm: type[StyleNorm] | type[PlainNorm]
    ) -> None:
        super().__init__()
        dim = sizes.encoder_hidden
        self.ln_1, self.ln_2 = norm(dim), norm(dim)
        self.self_attn = nn.MultiheadAttention(dim, sizes.encoder_head, batch_first=True)
        self.ffn = FacodecFeedForward(sizes)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        y = self.ln_1(x, condition)
        x = x + self.self_attn(y, y, y, need_weights=False)[0]
        return x + self.ffn(self.ln_2(x, condition))


class FacodecTransformer(nn.Module):
    """(B, T, C) to (B, T, C); with ``conditional``, norms follow the time mean of a condition (B, T, C).

    The original reads its table of positions by the index of the *batch*: all frames of row b are given
    position b. ``as_published`` repeats it; otherwise every row is treated as the first, so that a sound
    gives the same in a batch and alone. Batches of one are the same either way.
    """

    def __init__(
        self,
        sizes: FacodecTransformerSizes,
        *,
        conditional: bool = False,
        as_published: bool = False,
    ) -> None:
        super().__init__()
        self.as_published = as_published
        norm: type[StyleNorm] | type[PlainNorm] = StyleNorm if conditional else PlainNorm
        self.position_emb = PositionTable(sizes.encoder_hidden)
        self.layers = nn.ModuleList(FacodecLayer(sizes, norm) for _ in range(sizes.encoder_layer))
        self.last_ln = norm(sizes.encoder_hidden)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        style = None if condition is None else condition.mean(1)
        rows = x.shape[0] if self.as_published else 1
        x = x + self.position_emb.pe[:rows]
        for layer in self.layers:
            x = layer(x, style)
        return self.last_ln(x, style)
