"""The denoiser of NaturalSpeech 2 (Shen et al. 2023): a WaveNet that a prompt modulates through attention."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from engines.networks.blocks.attention import Attention, Memory


@dataclass(frozen=True)
class FilmWaveNetConfig:
    """Sizes of the denoiser under the published names.

    Every ``cross_attn_per_layer``-th layer, from the first, attends to the prompt.
    """

    input_size: int = 128
    hidden_size: int = 512
    out_size: int = 128
    num_layers: int = 40
    cross_attn_per_layer: int = 3
    dilation_cycle: int = 2
    attn_head: int = 8
    drop_out: float = 0.2

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From a mapping that may hold other entries too."""
        return cls(**{name: given[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Prepared:
    """What every layer takes from the condition, and those with attention from the prompt."""

    contexts: list[Tensor]
    memories: list[Memory | None]


class Film(nn.Module):
    """Scale and shift of (B, C, T) by what was attended (B, T, H). Keys ``gain, bias``."""

    def __init__(self, hidden: int, channels: int) -> None:
        super().__init__()
        self.gain = nn.Linear(hidden, channels)
        self.bias = nn.Linear(hidden, channels)

    def forward(self, x: Tensor, attended: Tensor) -> Tensor:
        return x * self.gain(attended).transpose(1, 2) + self.bias(attended).transpose(1, 2)


class FilmLayer(nn.Module):
    """One gated dilated layer: gives the residual stream (B, H, T) and what it adds to the output."""

    def __init__(self, config: FilmWaveNetConfig, place: int) -> None:
        super().__init__()
        hidden, dilation = config.hidden_size, 2 ** (place % config.dilation_cycle)
        self.dilated_conv = nn.Conv1d(hidden, 2 * hidden, 3, padding=dilation, dilation=dilation)
        self.diffusion_proj = nn.Linear(hidden, hidden)
        self.cond_proj = nn.Conv1d(hidden, 2 * hidden, 1)
        self.out_proj = nn.Conv1d(hidden, 2 * hidden, 1)
        self.attends = place % config.cross_attn_per_layer == 0
        if self.attends:
            self.attn = Attention(hidden, config.attn_head, dropout=config.drop_out)
            self.film = Film(hidden, 2 * hidden)
            self.ln = nn.LayerNorm(hidden)

    def forward(
        self, x: Tensor, step: Tensor, context: Tensor, memory: Memory | None
    ) -> tuple[Tensor, Tensor]:
        shifted = x + self.diffusion_proj(step)[:, :, None]
        y = self.dilated_conv(shifted) + context
        if memory is not None:
            y = self.film(y, self.attn(self.ln(shifted.transpose(1, 2)), memory))
        gate, value = y.chunk(2, dim=1)
        residual, skip = self.out_proj(gate.sigmoid() * value.tanh()).chunk(2, dim=1)
        return (x + residual) / math.sqrt(2), skip


class FilmWaveNet(nn.Module):
    """Noisy (B, ``input_size``, T) at times (B,) in [0, 1] to (B, ``out_size``, T).

    Led by a condition (B, T, H) and a prompt (B, M, H).
    """

    layers: nn.ModuleList

    def __init__(self, config: FilmWaveNetConfig) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.config = config
        self.in_proj = nn.Conv1d(config.input_size, hidden, 1)
        self.mlp = nn.Sequential(
            nn.Linear(hidden, 4 * hidden), nn.Mish(), nn.Linear(4 * hidden, hidden)
        )
        self.cond_ln = nn.LayerNorm(hidden)
        self.layers = nn.ModuleList(FilmLayer(config, place) for place in range(config.num_layers))
        self.skip_proj = nn.Conv1d(hidden, hidden, 1)
        self.out_proj = nn.Conv1d(hidden, config.out_size, 1)

    def prepare(self, condition: Tensor, prompt: Tensor) -> Prepared:
        """What stays the same at all times; a batch of 1 leads any batch."""
        normed = self.cond_ln(condition).transpose(1, 2)
        layers: list[Any] = list(self.layers)
        return Prepared(
            [layer.cond_proj(normed) for layer in layers],
            [layer.attn.memory(prompt) if layer.attends else None for layer in layers],
        )

    def denoise(self, x: Tensor, time: Tensor, prepared: Prepared) -> Tensor:
        """As ``forward``, with condition and prompt already projected."""
        x = self.in_proj(x).relu()
        step = self.mlp(self._embed(time))
        total = torch.zeros_like(x)
        for layer, context, memory in zip(
            self.layers, prepared.contexts, prepared.memories, strict=True
        ):
            x, skip = layer(x, step, context, memory)
            total = total + skip
        total = total / math.sqrt(len(self.layers))
        return self.out_proj(self.skip_proj(total).relu())

    def forward(self, x: Tensor, time: Tensor, condition: Tensor, prompt: Tensor) -> Tensor:
        return self.denoise(x, time, self.prepare(condition, prompt))

    def _embed(self, time: Tensor) -> Tensor:
        """Sines, then cosines, of times (B,): (B, H)."""
        half = self.config.hidden_size // 2
        places = torch.arange(half, device=time.device)
        angles = time[:, None] * (places * (-math.log(10000.0) / (half - 1))).exp()
        return torch.cat([angles.sin(), angles.cos()], dim=1)
