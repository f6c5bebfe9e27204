"""The pre-norm transformer of VALL-E, with plain norms or norms that a condition sets."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.cache import KeyValueCache


class SinePosition(nn.Module):
    """``x + alpha * pe``: sines at even and cosines at odd channels, ``alpha`` one learned number."""

    def __init__(self, dim: int, *, learned: bool) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1), requires_grad=learned)
        self.dim = dim

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """(B, T, D), whose first row is at position ``start``."""
        positions = torch.arange(start, start + x.shape[1], device=x.device)[:, None]
        rates = torch.arange(0, self.dim, 2, device=x.device) * -(math.log(10000) / self.dim)
        angles = positions * rates.exp()
        table = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
        return x + self.alpha * table.to(x)


class PlainLayerNorm(nn.LayerNorm):
    """A layer norm that takes no condition."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(x)


class AdaptiveLayerNorm(nn.Module):
    """``scale * norm(x) + shift``, both a linear function of the condition (1, D)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project_layer = nn.Linear(dim, 2 * dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.project_layer(condition).chunk(2, -1)
        return scale * self.norm(x) + shift


class SelfAttention(nn.Module):
    """Multi-head attention whose projections to queries, keys and values are one matrix."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(
        self, x: Tensor, mask: Tensor | None, cache: KeyValueCache | None, layer: int
    ) -> Tensor:
        """(B, T, D); ``mask`` is True where a row may see a column, None where it sees all."""
        projected = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = projected.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if cache is not None:
            k, v = cache.extend(layer, k, v)
        attended = F.scaled_dot_product_attention(q, k, v, mask)
        return self.out_proj(attended.transpose(1, 2).flatten(2))


class TransformerLayer(nn.Module):
    """Attention and a ReLU layer of four times the width, each behind its norm and with a residual."""

    def __init__(self, dim: int, heads: int, *, adaptive: bool) -> None:
        super().__init__()
        norm = AdaptiveLayerNorm if adaptive else PlainLayerNorm
        self.self_attn = SelfAttention(dim, heads)
        self.linear1 = nn.Linear(dim, 4 * dim)
        self.linear2 = nn.Linear(4 * dim, dim)
        self.norm1, self.norm2 = norm(dim), norm(dim)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        condition: Tensor | None,
        cache: KeyValueCache | None,
        layer: int,
    ) -> Tensor:
        x = x + self.self_attn(self.norm1(x, condition), mask, cache, layer)
        return x + self.linear2(self.linear1(self.norm2(x, condition)).relu())


class Transformer(nn.Module):
    """``layers`` layers and a last norm: (B, T, D) to (B, T, D). Keys ``layers, norm``."""

    def __init__(self, dim: int, heads: int, layers: int, *, adaptive: bool) -> None:
        super().__init__()
        self.heads = heads
        self.layers = nn.ModuleList(
            TransformerLayer(dim, heads, adaptive=adaptive) for _ in range(layers)
        )
        self.norm = AdaptiveLayerNorm(dim) if adaptive else PlainLayerNorm(dim)

    def cache(self, batch: int, capacity: int) -> KeyValueCache:
        """An empty cache for this stack."""
        weight = next(self.parameters())
        return KeyValueCache(
            layers=len(self.layers),
            batch=batch,
            heads=self.heads,
            capacity=capacity,
            head_dim=weight.shape[-1] // self.heads,
            like=weight,
        )

    def forward(
        self,
        x: Tensor,
        *,
        mask: Tensor | None = None,
        condition: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """``mask`` broadcasts to (B, heads, T, T + cached); ``condition`` (1, D) is for adaptive norms."""
        for place, layer in enumerate(self.layers):
            x = layer(x, mask, condition, cache, place)
        if cache is not None:
            cache.advance(x.shape[1])
        return self.norm(x, condition)
