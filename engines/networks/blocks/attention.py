"""Multi-head attention in the key layout of torch, with its memory projected apart from its queries."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Memory = tuple[Tensor, Tensor]  # keys and values, (B, heads, M, D / heads)


class Attention(nn.Module):
    """Queries (B, T, D) over a memory (B, M, D) to (B, T, D), with the keys of ``nn.MultiheadAttention``."""

    def __init__(self, dim: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.dim, self.heads, self.dropout = dim, heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def memory(self, x: Tensor) -> Memory:
        """Keys and values of ``x`` (B, M, D); the same for all queries."""
        weight, bias = self.in_proj_weight[self.dim :], self.in_proj_bias[self.dim :]
        keys, values = F.linear(x, weight, bias).chunk(2, dim=-1)
        return self._split(keys), self._split(values)

    def forward(self, x: Tensor, memory: Memory, mask: Tensor | None = None) -> Tensor:
        """``mask`` (B, M) is True where the memory may be seen; a memory of batch 1 serves any batch."""
        query = self._split(
            F.linear(x, self.in_proj_weight[: self.dim], self.in_proj_bias[: self.dim])
        )
        keys, values = (part.expand(len(x), -1, -1, -1) for part in memory)
        seen = None if mask is None else mask[:, None, None]
        y = F.scaled_dot_product_attention(
            query, keys, values, seen, dropout_p=self.dropout if self.training else 0.0
        )
        return self.out_proj(y.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, D) to (B, heads, T, D / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
