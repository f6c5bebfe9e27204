"""The denoiser of the diffusion models: DiffWave's gated dilated convolutions, over mel frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from engines.networks.blocks.convolutions import same_padding


@dataclass(frozen=True)
class DenoiserConfig:
    """Sizes of the denoiser. ``condition`` counts the channels of what it is led by."""

    n_mels: int
    channels: int
    blocks: int
    condition: int
    kernel: int = 3
    dilation_cycle: int = 4
    step_dim: int = 128
    step_hidden: int = 512
    step_layers: int = 2
    max_period: float = 10000.0

    @classmethod
    def read(cls, given: Mapping[str, Any], n_mels: int) -> DenoiserConfig:
        """From the ``diffusion`` of a published ``args.json``."""
        stack, step = given["bidilconv"], given["step_encoder"]
        return cls(
            n_mels=n_mels,
            channels=stack["base_channel"],
            blocks=stack["n_res_block"],
            condition=stack["conditioner_size"],
            kernel=stack["conv_kernel_size"],
            dilation_cycle=stack["dilation_cycle_length"],
            step_dim=step["dim_raw_embedding"],
            step_hidden=step["dim_hidden_layer"],
            step_layers=step["num_layer"],
            max_period=step["max_period"],
        )


class StepEncoder(nn.Module):
    """Diffusion steps (B,), whole, fractional or negative, to (B, ``channels``)."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.dim, self.max_period = config.step_dim, config.max_period
        sizes = [config.step_dim, *[config.step_hidden] * config.step_layers]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.SiLU()]
        self.out = nn.Sequential(*layers, nn.Linear(sizes[-1], config.channels))

    def forward(self, step: Tensor) -> Tensor:
        half = self.dim // 2
        rates = (-math.log(self.max_period) / half * torch.arange(half, device=step.device)).exp()
        angles = step[:, None].float() * rates
        return self.out(torch.cat([angles.cos(), angles.sin()], 1))


class GatedUnit(nn.Module):
    """A gated dilated convolution, shifted by the condition. Keys ``conv, context_proj``."""

    def __init__(self, config: DenoiserConfig, dilation: int) -> None:
        super().__init__()
        channels, kernel = config.channels, config.kernel
        padding = same_padding(kernel, dilation)
        self.conv = nn.Conv1d(channels, 2 * channels, kernel, padding=padding, dilation=dilation)
        self.context_proj = nn.Conv1d(config.condition, 2 * channels, 1)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """``context`` (B, 2C, T) is the projected condition."""
        value, gate = (self.conv(x) + context).chunk(2, dim=1)
        return value.tanh() * gate.sigmoid()


class ResidualBlock(nn.Module):
    """Gives the residual stream (B, C, T) and what the block adds to the output."""

    def __init__(self, config: DenoiserConfig, dilation: int) -> None:
        super().__init__()
        self.gau = GatedUnit(config, dilation)
        self.out_proj = nn.Conv1d(config.channels, 2 * config.channels, 1)

    def forward(self, x: Tensor, step: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        residual, skip = self.out_proj(self.gau(x + step, context)).chunk(2, dim=1)
        return (residual + x) / math.sqrt(2), skip


class DilatedStack(nn.Module):
    """Mels (B, n_mels, T) through all blocks. Keys ``input, residual_blocks, out_proj``."""

    residual_blocks: nn.ModuleList

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        channels = config.channels
        self.input = nn.Sequential(nn.Conv1d(config.n_mels, channels, 1), nn.ReLU())
        self.residual_blocks = nn.ModuleList(
            ResidualBlock(config, 2 ** (block % config.dilation_cycle))
            for block in range(config.blocks)
        )
        self.out_proj = nn.Sequential(
            nn.Conv1d(channels, channels, 1), nn.ReLU(), nn.Conv1d(channels, config.n_mels, 1)
        )

    def forward(self, mel: Tensor, step: Tensor, contexts: Sequence[Tensor]) -> Tensor:
        x = self.input(mel)
        total = torch.zeros_like(x)
        for block, context in zip(self.residual_blocks, contexts, strict=True):
            x, skip = block(x, step[:, :, None], context)
            total = total + skip
        return self.out_proj(total / math.sqrt(len(self.residual_blocks)))


class Denoiser(nn.Module):
    """Noisy mels (B, n_mels, T) at a step (B,) along a condition (B, C, T): (B, n_mels, T).

    Keys ``diff_encoder, neural_network``.
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.diff_encoder = StepEncoder(config)
        self.neural_network = DilatedStack(config)

    def contexts(self, condition: Tensor) -> list[Tensor]:
        """What every block takes from the condition (B, C, T): the same at all steps."""
        return [
            block.gau.context_proj(condition)  # type: ignore[union-attr, operator]
            for block in self.neural_network.residual_blocks
        ]

    def denoise(self, mel: Tensor, step: Tensor, contexts: Sequence[Tensor]) -> Tensor:
        """As ``forward``, with the condition already projected."""
        return self.neural_network(mel, self.diff_encoder(step), contexts)

    def forward(self, mel: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        return self.denoise(mel, step, self.contexts(condition))
