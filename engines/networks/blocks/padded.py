"""Convolutions of EnCodec (Défossez et al. 2022) that pad by themselves, and its LSTM with a skip."""

from __future__ import annotations

import math

from torch import Tensor, nn

from engines.networks.blocks.convolutions import Conv1d, ConvTranspose1d, pad_reflect


class PaddedConv1d(nn.Module):
    """(B, ``inputs``, T) to (B, ``outputs``, ceil(T / stride)), reflected at the ends.

    The padding is half on each side, or with ``causal`` all on the left; the right gets as much more as
    makes the last window full. ``normed`` False leaves the weight normalisation out. Key ``conv.conv``.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        causal: bool = False,
        normed: bool = True,
    ) -> None:
        super().__init__()
        make = Conv1d if normed else nn.Conv1d
        self.conv = nn.ModuleDict(
            {"conv": make(inputs, outputs, kernel, stride=stride, dilation=dilation)}
        )
        self._stride, self._span = stride, (kernel - 1) * dilation + 1
        self._causal = causal

    def forward(self, x: Tensor) -> Tensor:
        length, total = x.shape[-1], self._span - self._stride
        windows = math.ceil((length - self._span + total) / self._stride + 1)
        extra = (windows - 1) * self._stride + self._span - total - length
        right = 0 if self._causal else total // 2
        return self.conv["conv"](pad_reflect(x, total - right, right + extra))


class PaddedConvTranspose1d(nn.Module):
    """(B, ``inputs``, T) to (B, ``outputs``, T * stride) by a kernel of 2 * stride. Key ``convtr.convtr``.

    The stride's samples too many are cut half on each side, or with ``causal`` all on the right.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, *, causal: bool = False) -> None:
        super().__init__()
        self.convtr = nn.ModuleDict(
            {"convtr": ConvTranspose1d(inputs, outputs, 2 * stride, stride=stride)}
        )
        self._right = stride if causal else stride // 2
        self._left = stride - self._right

    def forward(self, x: Tensor) -> Tensor:
        y = self.convtr["convtr"](x)
        return y[..., self._left : y.shape[-1] - self._right]


class SkipLstm(nn.Module):
    """An LSTM from zero state whose input is added: (B, C, T) to (B, C, T). Key ``lstm``.

    A ``bidirectional`` one gives (B, 2C, T) and adds its input to both halves.
    """

    def __init__(self, channels: int, layers: int, *, bidirectional: bool = False) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            channels, channels, layers, batch_first=True, bidirectional=bidirectional
        )
        self._directions = 2 if bidirectional else 1

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.lstm(x.transpose(1, 2))
        return y.transpose(1, 2) + x.repeat(1, self._directions, 1)
