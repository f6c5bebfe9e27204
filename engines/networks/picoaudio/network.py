"""The U-Net of PicoAudio, under the keys of diffusers' UNet2DConditionModel, and its events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.unet import (
    Prepared,
    ResidualBlock2d,
    SpatialTransformer,
    Upsample2d,
    timestep_embedding,
)

EVENT_ROWS = 24


@dataclass(frozen=True)
class PicoUnetConfig:
    """Sizes under the published names.

    ``attention_head_dim`` is in fact the number of heads of each level. A level whose name has
    ``CrossAttn`` in it has transformers.
    """

    in_channels: int
    out_channels: int
    block_out_channels: Sequence[int]
    layers_per_block: int
    attention_head_dim: Sequence[int]
    cross_attention_dim: int
    down_block_types: Sequence[str]
    up_block_types: Sequence[str]
    norm_num_groups: int = 32
    norm_eps: float = 1e-5

    @property
    def time_dim(self) -> int:
        """Width of the embedded time step."""
        return 4 * self.block_out_channels[0]

    def residual(self, inputs: int, outputs: int) -> ResidualBlock2d:
        """A residual block that is told the time."""
        return ResidualBlock2d(
            inputs,
            outputs,
            groups=self.norm_num_groups,
            eps=self.norm_eps,
            shortcut="conv_shortcut",
            time=self.time_dim,
        )

    def transformers(self, channels: int, heads: int, count: int) -> nn.ModuleList:
        """``count`` transformers of one level."""
        return nn.ModuleList(
            SpatialTransformer(
                channels,
                self.cross_attention_dim,
                heads,
                groups=self.norm_num_groups,
                linear=True,
            )
            for _ in range(count)
        )


class TimeEmbedding(nn.Module):
    """Cosines and sines of a time step to its embedding. Keys ``linear_1, linear_2``."""

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(inputs, dim)
        self.linear_2 = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(x)))


class Downsampler(nn.Module):
    """Half the size by a convolution of stride 2. Key ``conv``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class DownLevel(nn.Module):
    """Blocks of one size on the way down; appends to ``skips`` what the way up will need."""

    def __init__(
        self, config: PicoUnetConfig, inputs: int, level: int, *, attention: bool, last: bool
    ) -> None:
        super().__init__()
        outputs, count = config.block_out_channels[level], config.layers_per_block
        self.resnets = nn.ModuleList(
            config.residual(outputs if place else inputs, outputs) for place in range(count)
        )
        heads = config.attention_head_dim[level]
        self.attentions = config.transformers(outputs, heads, count if attention else 0)
        self.downsamplers = nn.ModuleList([] if last else [Downsampler(outputs)])

    def forward(self, x: Tensor, time: Tensor, prepared: Prepared, skips: list[Tensor]) -> Tensor:
        for place, block in enumerate(self.resnets):
            x = block(x, time)
            if len(self.attentions):
                x = self.attentions[place](x, prepared)
            skips.append(x)
        for resize in self.downsamplers:
            x = resize(x)
            skips.append(x)
        return x


class MiddleLevel(nn.Module):
    """A transformer between two blocks, at the smallest size."""

    def __init__(self, config: PicoUnetConfig) -> None:
        super().__init__()
        channels, heads = config.block_out_channels[-1], config.attention_head_dim[-1]
        self.attentions = config.transformers(channels, heads, 1)
        self.resnets = nn.ModuleList(config.residual(channels, channels) for _ in range(2))

    def forward(self, x: Tensor, time: Tensor, prepared: Prepared) -> Tensor:
        x = self.attentions[0](self.resnets[0](x, time), prepared)
        return self.resnets[1](x, time)


class UpLevel(nn.Module):
    """Blocks of one size on the way up; each takes the last of ``skips`` beside its input."""

    def __init__(
        self,
        config: PicoUnetConfig,
        inputs: int,
        level: int,
        skips: Sequence[int],
        *,
        attention: bool,
    ) -> None:
        super().__init__()
        outputs, heads = config.block_out_channels[level], config.attention_head_dim[level]
        self.resnets = nn.ModuleList(
            config.residual((outputs if place else inputs) + skip, outputs)
            for place, skip in enumerate(skips)
        )
        self.attentions = config.transformers(outputs, heads, len(skips) if attention else 0)
        self.upsamplers = nn.ModuleList([Upsample2d(outputs)] if level else [])

    def forward(self, x: Tensor, time: Tensor, prepared: Prepared, skips: list[Tensor]) -> Tensor:
        for place, block in enumerate(self.resnets):
            x = block(torch.cat([x, skips.pop()], 1), time)
            if len(self.attentions):
                x = self.attentions[place](x, prepared)
        for resize in self.upsamplers:
            x = resize(x, tuple(skips[-1].shape[-2:]))
        return x


class PicoUnet(nn.Module):
    """Images (B, C, H, W) at time steps (B or 1,) to images (B, ``out_channels``, H, W)."""

    def __init__(self, config: PicoUnetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.block_out_channels
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(widths[0], config.time_dim)
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        skips = [widths[0]]
        for level, (width, kind) in enumerate(zip(widths, config.down_block_types, strict=True)):
            self.down_blocks.append(
                DownLevel(
                    config, skips[-1], level, attention="CrossAttn" in kind, last=level == last
                )
            )
            skips += [width] * (config.layers_per_block + (level < last))
        self.mid_block = MiddleLevel(config)
        channels = widths[-1]
        for level, kind in zip(reversed(range(len(widths))), config.up_block_types, strict=True):
            taken = [skips.pop() for _ in range(config.layers_per_block + 1)]
            self.up_blocks.append(
                UpLevel(config, channels, level, taken, attention="CrossAttn" in kind)
            )
            channels = widths[level]
        self.conv_norm_out = nn.GroupNorm(config.norm_num_groups, channels, eps=config.norm_eps)
        self.conv_out = nn.Conv2d(channels, config.out_channels, 3, padding=1)

    def embedded(self, steps: Tensor) -> Tensor:
        """Time steps (B,) to (B, ``time_dim``)."""
        angles = timestep_embedding(steps, self.config.block_out_channels[0])
        return self.time_embedding(angles.to(self.conv_in.weight))

    def forward(self, x: Tensor, steps: Tensor, prepared: Prepared) -> Tensor:
        time = self.embedded(steps)
        x = self.conv_in(x)
        skips = [x]
        for level in self.down_blocks:
            x = level(x, time, prepared, skips)
        x = self.mid_block(x, time, prepared)
        for level in self.up_blocks:
            x = level(x, time, prepared, skips)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class PicoAudio(nn.Module):
    """The U-Net and a vector for each kind of event. Keys ``unet, class_emb``."""

    def __init__(self, config: PicoUnetConfig) -> None:
        super().__init__()
        self.unet = PicoUnet(config)
        self.class_emb = nn.Embedding(EVENT_ROWS, config.cross_attention_dim)

    def event_context(self, row: int) -> Tensor:
        """Context (1, 1, D) of the variant that is told the first event of the timeline."""
        return self.class_emb.weight[row][None, None]

    @staticmethod
    def clap_context(embedding: Tensor) -> Tensor:
        """Context (B, 1, D) of the variant that is told a CLAP embedding (B, D / 2) of the events."""
        return embedding.repeat_interleave(2, 1)[:, None]

    def forward(self, latent: Tensor, steps: Tensor, grid: Tensor, prepared: Prepared) -> Tensor:
        """v of a latent (B, 8, 256, 16), whose ``grid`` (B, 2, 256, 16) is from ``as_channels``."""
        return self.unet(torch.cat([grid, latent], 1), steps, prepared)
