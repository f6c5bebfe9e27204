"""BigVGAN (Lee et al. 2023): HiFi-GAN with anti-aliased periodic activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from engines.networks.blocks.activations import AntiAliased, SnakeBeta
from engines.networks.vocoders.hifigan import (
    HifiganConfig,
    HifiganGenerator,
    PairedBlock,
    SingleBlock,
)


@dataclass(frozen=True)
class BigvganConfig(HifiganConfig):
    """``activation`` is "snakebeta" or "snake"; ``snake_logscale`` says how its parameters are stored."""

    activation: str = "snakebeta"
    snake_logscale: bool = True

    def snake(self, channels: int) -> AntiAliased:
        """One activation."""
        beta = self.activation == "snakebeta"
        return AntiAliased(SnakeBeta(channels, beta=beta, logscale=self.snake_logscale))


class PeriodicPairedBlock(PairedBlock):
    """Type "1" with an activation of its own before each convolution."""

    def __init__(
        self, config: BigvganConfig, channels: int, kernel: int, dilations: Sequence[int]
    ) -> None:
        super().__init__(channels, kernel, dilations)
        self.activations = nn.ModuleList(config.snake(channels) for _ in range(2 * len(dilations)))

    def activate(self, x: Tensor, place: int) -> Tensor:
        return self.activations[place](x)


class PeriodicSingleBlock(SingleBlock):
    """Type "2" with an activation of its own before each convolution."""

    def __init__(
        self, config: BigvganConfig, channels: int, kernel: int, dilations: Sequence[int]
    ) -> None:
        super().__init__(channels, kernel, dilations)
        self.activations = nn.ModuleList(config.snake(channels) for _ in self.convs)

    def activate(self, x: Tensor, place: int) -> Tensor:
        return self.activations[place](x)


class BigvganGenerator(HifiganGenerator):
    """Mel (B, ``inputs``, T) to samples (B, 1, T * hop) in [-1, 1]."""

    config: BigvganConfig

    def __init__(self, config: BigvganConfig, inputs: int) -> None:
        super().__init__(config, inputs)
        self.activation_post = config.snake(config.channels(len(config.upsample_rates)))

    def upsampler(self, stage: int, kernel: int, rate: int) -> nn.Module:
        return nn.ModuleList([super().upsampler(stage, kernel, rate)])

    def block(self, channels: int, kernel: int, dilations: Sequence[int]) -> nn.Module:
        kind = PeriodicPairedBlock if self.config.resblock == "1" else PeriodicSingleBlock
        return kind(self.config, channels, kernel, dilations)

    def finish(self, x: Tensor) -> Tensor:
        return self.conv_post(self.activation_post(x)).tanh()

    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv_pre(mel)
        for stage, up in enumerate(self.ups):
            x = self.refine(up[0](x), stage)  # type: ignore[index]
        return self.finish(x)
