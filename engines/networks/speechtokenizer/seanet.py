"""The convolutional encoder and decoder of SpeechTokenizer: EnCodec's SEANet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from engines.networks.blocks.activations import Snake
from engines.networks.blocks.padded import PaddedConv1d, PaddedConvTranspose1d, SkipLstm


@dataclass(frozen=True)
class SpeechTokenizerConfig:
    """Sizes under the names of the published ``config.json``.

    ``strides`` are the decoder's, the encoder takes them backwards; ``bidirectional`` is the encoder's
    LSTM; ``activation`` is "ELU" or "Snake"; ``sample_rate`` in Hz.
    """

    n_filters: int
    strides: Sequence[int]
    dimension: int
    semantic_dimension: int
    codebook_size: int
    n_q: int
    bidirectional: bool = True
    dilation_base: int = 2
    residual_kernel_size: int = 3
    n_residual_layers: int = 1
    lstm_layers: int = 2
    activation: str = "ELU"
    sample_rate: int = 16000

    @property
    def hop(self) -> int:
        """Samples for each frame."""
        return math.prod(self.strides)

    def act(self, channels: int) -> nn.Module:
        """One activation."""
        return Snake(channels) if self.activation == "Snake" else nn.ELU()


class SeanetBlock(nn.Module):
    """Two convolutions over half of the channels, beside one of kernel 1: (B, C, T) to (B, C, T)."""

    def __init__(self, config: SpeechTokenizerConfig, channels: int, dilation: int) -> None:
        super().__init__()
        hidden, kernel = channels // 2, config.residual_kernel_size
        self.block = nn.Sequential(
            config.act(channels),
            PaddedConv1d(channels, hidden, kernel, dilation=dilation),
            config.act(hidden),
            PaddedConv1d(hidden, channels, 1),
        )
        self.shortcut = PaddedConv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.block(x)


def residual_blocks(config: SpeechTokenizerConfig, channels: int) -> list[nn.Module]:
    """The residual blocks of one rate, with growing dilation."""
    return [
        SeanetBlock(config, channels, config.dilation_base**place)
        for place in range(config.n_residual_layers)
    ]


def seanet_encoder(config: SpeechTokenizerConfig) -> nn.Sequential:
    """Samples (B, 1, L) to latents (B, ``dimension``, ceil(L / hop))."""
    channels = config.n_filters
    layers: list[nn.Module] = [PaddedConv1d(1, channels, 7)]
    for stride in reversed(config.strides):
        layers += residual_blocks(config, channels)
        layers += [
            config.act(channels),
            PaddedConv1d(channels, 2 * channels, 2 * stride, stride=stride),
        ]
        channels *= 2
    if config.lstm_layers:
        layers.append(SkipLstm(channels, config.lstm_layers, bidirectional=config.bidirectional))
        channels *= 2 if config.bidirectional else 1
    layers += [config.act(channels), PaddedConv1d(channels, config.dimension, 7)]
    return nn.Sequential(*layers)


def seanet_decoder(config: SpeechTokenizerConfig) -> nn.Sequential:
    """Latents (B, ``dimension``, T) to samples (B, 1, T * hop)."""
    channels = config.n_filters * 2 ** len(config.strides)
    layers: list[nn.Module] = [PaddedConv1d(config.dimension, channels, 7)]
    if config.lstm_layers:
        layers.append(SkipLstm(channels, config.lstm_layers))
    for stride in config.strides:
        layers += [
            config.act(channels),
            PaddedConvTranspose1d(channels, channels // 2, stride),
        ]
        channels //= 2
        layers += residual_blocks(config, channels)
    layers += [config.act(channels), PaddedConv1d(channels, 1, 7)]
    return nn.Sequential(*layers)
