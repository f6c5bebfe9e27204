"""MelGAN (Kumar et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from engines.networks.blocks.convolutions import Conv1d, ConvTranspose1d

SLOPE = 0.2


class ResidualBlock(nn.Module):
    """Reflect-padded dilated convolution beside a shortcut: (B, C, T) to (B, C, T)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            nn.ReflectionPad1d(dilation),
            Conv1d(channels, channels, 3, dilation=dilation),
            nn.LeakyReLU(SLOPE),
            Conv1d(channels, channels, 1),
        )
        self.shortcut = Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.block(x)


class MelganGenerator(nn.Module):
    """Mel (B, ``inputs``, T) to samples (B, 1, T * product of ``ratios``) in [-1, 1]."""

    def __init__(
        self, *, inputs: int, ratios: Sequence[int], ngf: int, n_residual_layers: int
    ) -> None:
        super().__init__()
        channels = ngf * 2 ** len(ratios)
        layers: list[nn.Module] = [nn.ReflectionPad1d(3), Conv1d(inputs, channels, 7)]
        for ratio in ratios:
            layers += [
                nn.LeakyReLU(SLOPE),
                ConvTranspose1d(
                    channels,
                    channels // 2,
                    2 * ratio,
                    stride=ratio,
                    padding=ratio // 2 + ratio % 2,
                    output_padding=ratio % 2,
                ),
            ]
            channels //= 2
            layers += [ResidualBlock(channels, 3**place) for place in range(n_residual_layers)]
        layers += [nn.LeakyReLU(SLOPE), nn.ReflectionPad1d(3), Conv1d(channels, 1, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, mel: Tensor) -> Tensor:
        return self.model(mel)
