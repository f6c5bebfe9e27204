"""The bidirectional Llama of MaskGCT, Metis and Vevo: every norm is scaled by the step (Wang et al. 2024).

A sampler runs it over several sequences at once (with and without a prompt, for guidance). They are
packed one behind the other, so that weights are read once and no frame is padding; each attends to
itself only and counts its positions from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.llama import (
    AttentionProjections,
    GatedMlp,
    Rotary,
    rms_normalised,
)

INNER = 4  # width of the inner layers, in model widths


def mlp(inputs: int, inner: int, outputs: int) -> nn.Sequential:
    """Linear, SiLU, linear. Keys ``0`` and ``2``."""
    return nn.Sequential(nn.Linear(inputs, inner), nn.SiLU(), nn.Linear(inner, outputs))


def step_sinusoid(t: Tensor, dim: int) -> Tensor:
    """Times (N,) in [0, 1] to (N, ``dim``): the sines of ``t f_k``, then the cosines."""
    half = dim // 2
    frequencies = torch.exp(torch.arange(half, device=t.device) * (-math.log(10000) / (half - 1)))
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class StepScale(nn.Module):
    """What a norm is multiplied by at a step: embedded step (N, C) to (N, C). Key ``to_weight``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.to_weight = nn.Linear(dim, dim)

    def forward(self, step: Tensor) -> Tensor:
        return self.to_weight(step)


class AdaptiveLayer(nn.Module):
    """Attention and MLP, each after a norm scaled by the step, each added to its input."""

    def __init__(self, dim: int, heads: int, inner: int | None = None) -> None:
        super().__init__()
        self.self_attn = AttentionProjections(dim, heads)
        self.mlp = GatedMlp(dim, inner or INNER * dim)
        self.input_layernorm = StepScale(dim)
        self.post_attention_layernorm = StepScale(dim)

    def forward(
        self,
        x: Tensor,
        scales: tuple[Tensor, Tensor],
        rotary: Rotary,
        lengths: Sequence[int],
        masks: Sequence[Tensor | None],
    ) -> Tensor:
        heads = self.self_attn.queries_keys_values(rms_normalised(x) * scales[0], rotary)
        parts = zip(*(tensor.split(list(lengths), dim=2) for tensor in heads), masks, strict=True)
        attended = [
            F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            for query, key, value, mask in parts
        ]
        x = x + self.self_attn.merge(torch.cat(attended, dim=2))
        return x + self.mlp(rms_normalised(x) * scales[1])


class AdaptiveLlama(nn.Module):
    """Hidden sequences to hidden sequences at a time t, along a condition that the caller adds.

    ``condition`` adds ``cond_mlp``, which the caller puts its condition through; ``empty_embedding`` the
    empty ``embed_tokens`` that some published files hold. Keys ``layers, norm, diff_step_mlp``.
    """

    def __init__(
        self,
        dim: int,
        layers: int,
        heads: int,
        *,
        condition: bool = True,
        empty_embedding: bool = False,
    ) -> None:
        super().__init__()
        self.dim, self.head_dim = dim, dim // heads
        if empty_embedding:
            self.embed_tokens = nn.Embedding(0, 256)
        self.layers = nn.ModuleList(AdaptiveLayer(dim, heads) for _ in range(layers))
        self.norm = StepScale(dim)
        self.diff_step_mlp = mlp(dim, INNER * dim, dim)
        if condition:
            self.cond_mlp = mlp(dim, INNER * dim, dim)

    def scales(self, t: Tensor) -> Tensor:
        """Scales (N, 2 * layers + 1, C) of all norms at times (N,): two a layer, then the last norm's.

        They depend on nothing else, so a sampler computes those of all its steps at once.
        """
        sinusoid = step_sinusoid(t, self.dim).to(self.norm.to_weight.weight)
        step = self.diff_step_mlp(sinusoid)
        norms = [part for part in self.modules() if isinstance(part, StepScale)]  # in order of use
        return torch.stack([norm(step) for norm in norms], dim=1)

    def forward(
        self,
        parts: Sequence[Tensor],
        scales: Tensor,
        masks: Sequence[Tensor | None] | None = None,
    ) -> list[Tensor]:
        """Each part (B, T_i, C) to (B, T_i, C).

        ``scales`` (B or 1, 2 * layers + 1, C) are those of the rows' times. ``masks`` (B, T_i) are true
        where a frame may be attended to; None where every frame may.
        """
        lengths = [part.shape[1] for part in parts]
        x = torch.cat(list(parts), dim=1)
        positions = torch.cat([torch.arange(length, device=x.device) for length in lengths])
        rotary = Rotary.at(positions, self.head_dim, x.dtype)
        keys = [
            None if mask is None else mask.bool()[:, None, None]
            for mask in masks or [None] * len(lengths)
        ]
        by_norm = scales[:, :, None].unbind(1)
        for place, layer in enumerate(self.layers):
            x = layer(x, by_norm[2 * place : 2 * place + 2], rotary, lengths, keys)
        return list((rms_normalised(x) * by_norm[-1]).split(lengths, dim=1))
