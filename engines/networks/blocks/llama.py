"""What Llama layers are made of: rotary positions, attention and the gated MLP (Touvron et al. 2023).

Keys are those of ``transformers``: ``q_proj, k_proj, v_proj, o_proj`` and ``gate_proj, up_proj, down_proj``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

THETA = 10000.0
EPS = 1e-6


@dataclass(frozen=True)
class Rotary:
    """Cosines and sines (T, D) of positions, which turn queries and keys (Su et al. 2021)."""

    cos: Tensor
    sin: Tensor

    @classmethod
    def at(cls, positions: Tensor, dim: int, dtype: torch.dtype, theta: float = THETA) -> Rotary:
        """The tables of ``positions`` (T,) for heads of ``dim`` channels."""
        place = torch.arange(0, dim, 2, device=positions.device).float() / dim
        angles = positions.float()[:, None] * theta**-place
        angles = torch.cat([angles, angles], dim=-1)
        return cls(angles.cos().to(dtype), angles.sin().to(dtype))

    def __getitem__(self, span: slice) -> Rotary:
        return Rotary(self.cos[span], self.sin[span])

    def turn(self, x: Tensor) -> Tensor:
        """``x`` (B, H, T, D) turned; the first half of the channels pairs with the second."""
        first, second = x.chunk(2, dim=-1)
        return x * self.cos + torch.cat([-second, first], dim=-1) * self.sin


class AttentionProjections(nn.Module):
    """The four linear layers of attention over (B, T, C), without bias. What attends is the caller's."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(dim, dim, bias=False)
        self.k_proj = nn.Linear(dim, dim, bias=False)
        self.v_proj = nn.Linear(dim, dim, bias=False)
        self.o_proj = nn.Linear(dim, dim, bias=False)

    def queries_keys_values(self, x: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor]:
        """Three tensors (B, H, T, D), the first two turned by their positions."""
        query, key, value = (
            projection(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        return rotary.turn(query), rotary.turn(key), value

    def merge(self, attended: Tensor) -> Tensor:
        """(B, H, T, D) to (B, T, C)."""
        return self.o_proj(attended.transpose(1, 2).flatten(-2))


class GatedMlp(nn.Module):
    """``down(silu(gate(x)) * up(x))`` over the last dimension, without bias."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(dim, inner, bias=False)
        self.up_proj = nn.Linear(dim, inner, bias=False)
        self.down_proj = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


def rms_normalised(x: Tensor, eps: float = EPS) -> Tensor:
    """``x / sqrt(mean(x²) + eps)`` over the last dimension, computed in float32."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + eps)).to(x.dtype)


class RmsNorm(nn.Module):
    """Root-mean-square norm with one learned ``weight`` a channel (Zhang & Sennrich 2019)."""

    def __init__(self, dim: int, eps: float = EPS) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * rms_normalised(x, self.eps)
