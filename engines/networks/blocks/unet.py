"""Parts of the U-Nets of latent diffusion (Rombach et al. 2022) and of their autoencoders."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def timestep_embedding(steps: Tensor, dim: int) -> Tensor:
    """Time steps (B,) to cosines and sines (B, dim)."""
    half = dim // 2
    rates = (torch.arange(half, device=steps.device) * (-math.log(10000) / half)).exp()
    angles = steps[:, None].float() * rates
    return torch.cat([angles.cos(), angles.sin()], 1)


class ResidualBlock2d(nn.Module):
    """Two convolutions behind group norms, and the input, through a 1x1 convolution if widths differ.

    ``time`` is the width of an embedding that is added between them. ``shortcut`` names the 1x1
    convolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        groups: int,
        eps: float,
        shortcut: str,
        time: int | None = None,
    ) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, eps=eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = None if time is None else nn.Linear(time, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs, eps=eps)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = shortcut if inputs != outputs else None
        if self.shortcut is not None:
            self.add_module(self.shortcut, nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """(B, ``inputs``, H, W) and (B or 1, ``time``) to (B, ``outputs``, H, W)."""
        y = self.conv1(F.silu(self.norm1(x)))
        if self.time_emb_proj is not None and time is not None:
            y = y + self.time_emb_proj(F.silu(time))[:, :, None, None]
        y = self.conv2(F.silu(self.norm2(y)))
        return y + (x if self.shortcut is None else self.get_submodule(self.shortcut)(x))


class Upsample2d(nn.Module):
    """Twice the size by repetition, or another ``size`` (H, W), then a convolution. Key ``conv``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        scale = 2 if size is None else None
        return self.conv(F.interpolate(x, size, scale_factor=scale, mode="nearest"))


class ContextAttention(nn.Module):
    """Multi-head attention of tokens (B, N, C) to a context (B, M, ``context_dim``).

    What doesn't depend on the tokens is made by ``prepare``, once for all steps of a sampling.
    """

    def __init__(self, dim: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_k = nn.Linear(context_dim, dim, bias=False)
        self.to_v = nn.Linear(context_dim, dim, bias=False)
        self.to_out = nn.Sequential(nn.Linear(dim, dim))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def prepare(self, context: Tensor) -> tuple[Tensor, ...]:
        """Keys and values (B, heads, M, d) of a context; of a single token the result (B, 1, C)."""
        if context.shape[1] == 1:  # every token attends to it alone
            return (self.to_out(self.to_v(context)),)
        return self._split(self.to_k(context)), self._split(self.to_v(context))

    def forward(self, x: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        if len(prepared) == 1:
            return prepared[0]
        k, v = prepared
        attended = F.scaled_dot_product_attention(self._split(self.to_q(x)), k, v)
        return self.to_out(attended.transpose(1, 2).flatten(2))


Prepared = Mapping[ContextAttention, tuple[Tensor, ...]]


class GatedGelu(nn.Module):
    """``a * gelu(gate)``, both linear in the input (Shazeer 2020). Key ``proj``."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim, 2 * inner)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, -1)
        return value * F.gelu(gate)


class GatedFeedForward(nn.Module):
    """A gated layer of four times the width. Keys ``net.0.proj, net.2``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GatedGelu(dim, 4 * dim), nn.Identity(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class ContextBlock(nn.Module):
    """Self-attention, attention to the context and a feed-forward layer over (B, N, C)."""

    def __init__(self, dim: int, context_dim: int, heads: int) -> None:
        super().__init__()
        self.attn1 = ContextAttention(dim, dim, heads)
        self.attn2 = ContextAttention(dim, context_dim, heads)
        self.ff = GatedFeedForward(dim)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim) for _ in range(3))

    def forward(self, x: Tensor, prepared: Prepared) -> Tensor:
        y = self.norm1(x)
        x = x + self.attn1(y, self.attn1.prepare(y))
        x = x + self.attn2(self.norm2(x), prepared[self.attn2])
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """Transformer blocks over all places of an image, and the image: (B, C, H, W) to the same.

    ``linear``: the projections around them are stored as linear layers, otherwise as 1x1 convolutions.
    """

    def __init__(
        self,
        channels: int,
        context_dim: int,
        heads: int,
        *,
        depth: int = 1,
        groups: int = 32,
        linear: bool,
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in, self.proj_out = (
            nn.Linear(channels, channels) if linear else nn.Conv2d(channels, channels, 1)
            for _ in range(2)
        )
        self.transformer_blocks = nn.ModuleList(
            ContextBlock(channels, context_dim, heads) for _ in range(depth)
        )

    def forward(self, x: Tensor, prepared: Prepared) -> Tensor:
        tokens = self._project(self.proj_in, self.norm(x).flatten(2).transpose(1, 2))
        for block in self.transformer_blocks:
            tokens = block(tokens, prepared)
        return x + self._project(self.proj_out, tokens).transpose(1, 2).reshape(x.shape)

    @staticmethod
    def _project(layer: nn.Module, tokens: Tensor) -> Tensor:
        """Either kind of projection, applied to tokens."""
        return F.linear(tokens, layer.weight.flatten(1), layer.bias)  # type: ignore[operator, arg-type]


def prepare(network: nn.Module, context: Tensor, copies: int = 1) -> Prepared:
    """What all attentions of ``network`` to a context (B, M, D) need of it, each row ``copies`` times."""
    return {
        block.attn2: tuple(
            part.repeat_interleave(copies, 0) for part in block.attn2.prepare(context)
        )
        for block in network.modules()
        if isinstance(block, ContextBlock)
    }
