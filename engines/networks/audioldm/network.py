"""The U-Net of AudioLDM, under the keys of the first latent diffusion code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engines.networks.blocks.unet import (
    Prepared,
    SpatialTransformer,
    Upsample2d,
    prepare,
    timestep_embedding,
)

GROUPS = 32


@dataclass(frozen=True)
class AudioLdmUnetConfig:
    """Sizes under the published names.

    ``attention_resolutions`` are the reductions of size at which there are transformers.
    """

    in_channels: int
    out_channels: int
    model_channels: int
    attention_resolutions: Sequence[int]
    num_res_blocks: int
    channel_mult: Sequence[int]
    num_heads: int
    context_dim: int
    transformer_depth: int = 1


class TimedResidualBlock(nn.Module):
    """Two convolutions behind group norms, the time (B or 1, D) between them, and the input."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, outputs))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(GROUPS, outputs),
            nn.SiLU(),
            nn.Identity(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        y = self.in_layers(x) + self.emb_layers(time)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(y)


class StridedDownsample(nn.Module):
    """Half the size by a convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class UnetBlock(nn.ModuleList):
    """Layers one after the other, each given of time and context what it takes."""

    def forward(self, x: Tensor, time: Tensor, prepared: Prepared) -> Tensor:
        for layer in self:
            if isinstance(layer, TimedResidualBlock):
                x = layer(x, time)
            elif isinstance(layer, SpatialTransformer):
                x = layer(x, prepared)
            else:
                x = layer(x)
        return x


class AudioLdmUnet(nn.Module):
    """A noisy latent (B, C, H, W) at time steps (B or 1,) to its noise (B, C, H, W)."""

    def __init__(self, config: AudioLdmUnetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.model_channels
        time = 4 * width
        self.time_embed = nn.Sequential(nn.Linear(width, time), nn.SiLU(), nn.Linear(time, time))
        levels = list(enumerate(config.channel_mult))
        self.input_blocks = nn.ModuleList(
            [UnetBlock([nn.Conv2d(config.in_channels, width, 3, padding=1)])]
        )
        skips, channels = [width], width
        for level, factor in levels:
            for _ in range(config.num_res_blocks):
                self.input_blocks.append(self._block(channels, factor * width, level))
                channels = factor * width
                skips.append(channels)
            if level + 1 < len(levels):
                self.input_blocks.append(UnetBlock([StridedDownsample(channels)]))
                skips.append(channels)
        self.middle_block = UnetBlock(
            [
                TimedResidualBlock(channels, channels, time),
                self._transformer(channels),
                TimedResidualBlock(channels, channels, time),
            ]
        )
        self.output_blocks = nn.ModuleList()
        for level, factor in reversed(levels):
            for place in range(config.num_res_blocks + 1):
                block = self._block(channels + skips.pop(), factor * width, level)
                channels = factor * width
                if level and place == config.num_res_blocks:
                    block.append(Upsample2d(channels))
                self.output_blocks.append(block)
        self.out = nn.Sequential(
            nn.GroupNorm(GROUPS, channels),
            nn.SiLU(),
            nn.Conv2d(channels, config.out_channels, 3, padding=1),
        )

    def _block(self, inputs: int, outputs: int, level: int) -> UnetBlock:
        block = UnetBlock([TimedResidualBlock(inputs, outputs, 4 * self.config.model_channels)])
        if 2**level in self.config.attention_resolutions:
            block.append(self._transformer(outputs))
        return block

    def _transformer(self, channels: int) -> SpatialTransformer:
        config = self.config
        return SpatialTransformer(
            channels,
            config.context_dim,
            config.num_heads,
            depth=config.transformer_depth,
            linear=False,
        )

    def forward(self, x: Tensor, steps: Tensor, prepared: Prepared) -> Tensor:
        time = self.time_embed(timestep_embedding(steps, self.config.model_channels).to(x))
        skips = []
        for block in self.input_blocks:
            x = block(x, time, prepared)
            skips.append(x)
        x = self.middle_block(x, time, prepared)
        for block in self.output_blocks:
            skip = skips.pop()
            x = x[..., : skip.shape[-2], : skip.shape[-1]]
            x = block(torch.cat([x, skip], 1), time, prepared)
        return self.out(x)


class AudioLdm(nn.Module):
    """The U-Net under the key ``unet`` of the published file, with guidance."""

    def __init__(self, config: AudioLdmUnetConfig) -> None:
        super().__init__()
        self.unet = AudioLdmUnet(config)

    def forward(self, x: Tensor, steps: Tensor, context: Tensor) -> Tensor:
        """Noise of latents (B, C, H, W) at time steps (B,) with the context (B, L, D) of each."""
        return self.unet(x, steps, prepare(self.unet, context))

    def guided(self, x: Tensor, step: int, prepared: Prepared, guidance: float) -> Tensor:
        """Noise of latents (B, C, H, W), away from that without text (Ho & Salimans 2022).

        ``prepared`` is of B unconditional rows, then of B conditional ones. The latents keep their
        precision where the network computes in a lower one.
        """
        steps = torch.tensor([step], device=x.device)
        both = self.unet(torch.cat([x, x]).to(self.dtype), steps, prepared).to(x)
        without, with_text = both.chunk(2)
        return without + guidance * (with_text - without)

    @property
    def dtype(self) -> torch.dtype:
        """In what the network computes."""
        return next(self.unet.parameters()).dtype
