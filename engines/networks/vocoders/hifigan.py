"""HiFi-GAN (Kong et al. 2020), with Amphion's key names; BigVGAN and NSF-HiFiGAN build on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.convolutions import Conv1d, ConvTranspose1d, same_padding

SLOPE = 0.1
LAST_SLOPE = 0.01


@dataclass(frozen=True)
class HifiganConfig:
    """Sizes of the generator under the names of the published ``args.json``.

    ``resblock`` is "1" (pairs of convolutions) or "2" (single ones). The hop is the product of
    ``upsample_rates``.
    """

    resblock: str
    upsample_rates: Sequence[int]
    upsample_kernel_sizes: Sequence[int]
    upsample_initial_channel: int
    resblock_kernel_sizes: Sequence[int]
    resblock_dilation_sizes: Sequence[Sequence[int]]

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """The configuration from a mapping that may hold other entries too."""
        return cls(
            **{field.name: given[field.name] for field in fields(cls) if field.name in given}
        )

    @property
    def hop(self) -> int:
        """Samples for each frame."""
        return math.prod(self.upsample_rates)

    def channels(self, stage: int) -> int:
        """Channels after ``stage`` upsamplings."""
        return self.upsample_initial_channel // 2**stage


class PairedBlock(nn.Module):
    """Residual block of type "1": for each dilation a dilated and a plain convolution."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            Conv1d(channels, channels, kernel, dilation=d, padding=same_padding(kernel, d))
            for d in dilations
        )
        self.convs2 = nn.ModuleList(
            Conv1d(channels, channels, kernel, padding=same_padding(kernel)) for _ in dilations
        )

    def activate(self, x: Tensor, place: int) -> Tensor:
        """The activation before convolution ``place`` of the block, counted in the order of use."""
        return F.leaky_relu(x, SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        for place, (dilated, plain) in enumerate(zip(self.convs1, self.convs2, strict=True)):
            y = dilated(self.activate(x, 2 * place))
            x = x + plain(self.activate(y, 2 * place + 1))
        return x


class SingleBlock(nn.Module):
    """Residual block of type "2": one dilated convolution for each of the first two dilations."""

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            Conv1d(channels, channels, kernel, dilation=d, padding=same_padding(kernel, d))
            for d in dilations[:2]
        )

    def activate(self, x: Tensor, place: int) -> Tensor:
        """The activation before convolution ``place``."""
        return F.leaky_relu(x, SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        for place, conv in enumerate(self.convs):
            x = x + conv(self.activate(x, place))
        return x


class HifiganGenerator(nn.Module):
    """Mel (B, ``inputs``, T) to samples (B, 1, T * hop) in [-1, 1]."""

    def __init__(self, config: HifiganConfig, inputs: int) -> None:
        super().__init__()
        self.config = config
        self.conv_pre: nn.Module = Conv1d(inputs, config.channels(0), 7, padding=3)
        self.ups = nn.ModuleList(
            self.upsampler(stage, kernel, rate)
            for stage, (kernel, rate) in enumerate(
                zip(config.upsample_kernel_sizes, config.upsample_rates, strict=True)
            )
        )
        self.resblocks = nn.ModuleList(
            self.block(config.channels(stage), kernel, dilations)
            for stage in range(1, len(config.upsample_rates) + 1)
            for kernel, dilations in zip(
                config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True
            )
        )
        self.conv_post: nn.Module = Conv1d(
            config.channels(len(config.upsample_rates)), 1, 7, padding=3
        )

    def upsampler(self, stage: int, kernel: int, rate: int) -> nn.Module:
        """The transposed convolution of ``stage``."""
        inputs, outputs = self.config.channels(stage), self.config.channels(stage + 1)
        return ConvTranspose1d(inputs, outputs, kernel, stride=rate, padding=(kernel - rate) // 2)

    def block(self, channels: int, kernel: int, dilations: Sequence[int]) -> nn.Module:
        """A residual block of the configured type."""
        kind = PairedBlock if self.config.resblock == "1" else SingleBlock
        return kind(channels, kernel, dilations)

    def refine(self, x: Tensor, stage: int) -> Tensor:
        """The mean of the stage's residual blocks over the same input."""
        count = len(self.config.resblock_kernel_sizes)
        blocks = self.resblocks[stage * count : (stage + 1) * count]
        total = blocks[0](x)
        for block in blocks[1:]:
            total = total + block(x)
        return total / count

    def finish(self, x: Tensor) -> Tensor:
        """The last activation, convolution and tanh."""
        return self.conv_post(F.leaky_relu(x, LAST_SLOPE)).tanh()

    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv_pre(mel)
        for stage, up in enumerate(self.ups):
            x = self.refine(up(F.leaky_relu(x, SLOPE)), stage)
        return self.finish(x)
