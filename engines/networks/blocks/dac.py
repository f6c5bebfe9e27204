"""Encoder and decoder in the shape of DAC (Kumar et al. 2023), for several kinds of layers.

The stacks have published indices: a convolution, a block for each stride, perhaps an LSTM, an activation
and a convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from engines.networks.blocks.activations import Snake
from engines.networks.blocks.convolutions import Conv1d, ConvTranspose1d, same_padding
from engines.networks.blocks.padded import PaddedConv1d, PaddedConvTranspose1d, SkipLstm

DILATIONS = (1, 3, 9)


class Layers(Protocol):
    """What a codec is built of."""

    def act(self, channels: int) -> nn.Module:
        """One activation."""

    def conv(self, inputs: int, outputs: int, kernel: int, *, dilation: int = 1) -> nn.Module:
        """A convolution that keeps the length."""

    def down(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        """A convolution with a kernel of twice its stride."""

    def up(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        """A transposed convolution with a kernel of twice its stride."""


@dataclass(frozen=True)
class ZeroPadded:
    """Convolutions with zeros on both sides.

    With ``whole``, odd strides too give exactly ``stride`` times the length; DAC gives a sample less.
    """

    act: Callable[[int], nn.Module] = Snake
    whole: bool = False

    def conv(self, inputs: int, outputs: int, kernel: int, *, dilation: int = 1) -> nn.Module:
        padding = same_padding(kernel, dilation)
        return Conv1d(inputs, outputs, kernel, dilation=dilation, padding=padding)

    def down(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        padding = (stride + 1) // 2
        return Conv1d(inputs, outputs, 2 * stride, stride=stride, padding=padding)

    def up(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        return ConvTranspose1d(
            inputs,
            outputs,
            2 * stride,
            stride=stride,
            padding=(stride + 1) // 2,
            output_padding=stride % 2 if self.whole else 0,
        )


@dataclass(frozen=True)
class Reflected:
    """Convolutions that pad by reflection, with ``causal`` on the left alone."""

    act: Callable[[int], nn.Module] = Snake
    causal: bool = True

    def conv(self, inputs: int, outputs: int, kernel: int, *, dilation: int = 1) -> nn.Module:
        return PaddedConv1d(inputs, outputs, kernel, dilation=dilation, causal=self.causal)

    def down(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        return PaddedConv1d(inputs, outputs, 2 * stride, stride=stride, causal=self.causal)

    def up(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        return PaddedConvTranspose1d(inputs, outputs, stride, causal=self.causal)


class ResidualUnit(nn.Module):
    """A dilated and a plain convolution, each behind an activation: (B, C, T) to (B, C, T)."""

    def __init__(self, layers: Layers, channels: int, dilation: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            layers.act(channels),
            layers.conv(channels, channels, 7, dilation=dilation),
            layers.act(channels),
            layers.conv(channels, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


class EncoderBlock(nn.Module):
    """Residual units, then ``stride`` times fewer frames: (B, ``inputs``, T) to (B, ``outputs``, T')."""

    def __init__(self, layers: Layers, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            *(ResidualUnit(layers, inputs, dilation) for dilation in DILATIONS),
            layers.act(inputs),
            layers.down(inputs, outputs, stride),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class DecoderBlock(nn.Module):
    """``stride`` times more frames, then residual units: (B, ``inputs``, T) to (B, ``outputs``, T')."""

    def __init__(self, layers: Layers, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            layers.act(inputs),
            layers.up(inputs, outputs, stride),
            *(ResidualUnit(layers, outputs, dilation) for dilation in DILATIONS),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


def encoder_stack(
    layers: Layers, *, width: int, strides: Sequence[int], outputs: int, lstm: int = 0
) -> nn.Sequential:
    """Samples (B, 1, L) to (B, ``outputs``, about L / product of ``strides``).

    ``width`` channels double with each stride; ``lstm`` is the number of its layers.
    """
    parts: list[nn.Module] = [layers.conv(1, width, 7)]
    for stride in strides:
        parts.append(EncoderBlock(layers, width, 2 * width, stride))
        width *= 2
    if lstm:
        parts.append(SkipLstm(width, lstm))
    return nn.Sequential(*parts, layers.act(width), layers.conv(width, outputs, 3))


def decoder_stack(
    layers: Layers, *, inputs: int, width: int, strides: Sequence[int], lstm: int = 0
) -> nn.Sequential:
    """(B, ``inputs``, T) to samples (B, 1, about T * product of ``strides``) in [-1, 1].

    ``width`` channels halve with each stride; ``lstm`` is the number of its layers.
    """
    parts: list[nn.Module] = [layers.conv(inputs, width, 7)]
    if lstm:
        parts.append(SkipLstm(width, lstm))
    for stride in strides:
        parts.append(DecoderBlock(layers, width, width // 2, stride))
        width //= 2
    return nn.Sequential(*parts, layers.act(width), layers.conv(width, 1, 7), nn.Tanh())
