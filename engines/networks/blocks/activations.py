"""Periodic activations, alone and between an up- and a down-sampling that keep aliases out."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS = 12


class Snake(nn.Module):
    """``x + sin(a x)² / (a + 1e-9)`` with one learned ``alpha`` (1, C, 1) a channel (Ziyin et al. 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        # multiplied by the reciprocal as in the originals: quotients differ by an ulp, which grows
        return x + (self.alpha + 1e-9).reciprocal() * torch.sin(self.alpha * x).square()


class SnakeBeta(nn.Module):
    """Snake over (B, C, T) with parameters of shape (C,); with ``beta`` the height is learned too.

    With ``logscale`` the parameters are stored as logarithms (Lee et al. 2023, BigVGAN).
    """

    def __init__(self, channels: int, *, beta: bool = True, logscale: bool = True) -> None:
        super().__init__()
        self.logscale = logscale
        start = torch.zeros if logscale else torch.ones
        self.alpha = nn.Parameter(start(channels))
        if beta:
            self.beta = nn.Parameter(start(channels))
        else:
            self.register_parameter("beta", None)

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.alpha[:, None]
        beta = alpha if self.beta is None else self.beta[:, None]
        if self.logscale:
            alpha, beta = alpha.exp(), beta.exp()
        return x + torch.sin(alpha * x).square() / (beta + 1e-9)


def lowpass_filter() -> Tensor:
    """The 12-tap Kaiser-windowed sinc of cutoff 0.25 and half width 0.3, as (1, 1, 12)."""
    attenuation = 2.285 * (TAPS / 2 - 1) * math.pi * 4 * 0.3 + 7.95
    window = torch.kaiser_window(TAPS, periodic=False, beta=0.1102 * (attenuation - 8.7))
    time = torch.arange(-TAPS // 2, TAPS // 2) + 0.5
    taps = 0.5 * window * torch.sinc(0.5 * time)
    return (taps / taps.sum()).reshape(1, 1, TAPS)


class Upsample2(nn.Module):
    """Twice as many samples for each channel of (B, C, T)."""

    filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", lowpass_filter())

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        x = F.pad(x, (5, 5), mode="replicate")
        x = 2 * F.conv_transpose1d(
            x, self.filter.expand(channels, -1, -1), stride=2, groups=channels
        )
        return x[..., 15:-15]


class LowPass2(nn.Module):
    """A low pass that keeps every second sample of each channel."""

    filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", lowpass_filter())

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        x = F.pad(x, (5, 6), mode="replicate")
        return F.conv1d(x, self.filter.expand(channels, -1, -1), stride=2, groups=channels)


class Downsample2(nn.Module):
    """Half as many samples; only here so that the filter's key is ``lowpass.filter``."""

    def __init__(self) -> None:
        super().__init__()
        self.lowpass = LowPass2()

    def forward(self, x: Tensor) -> Tensor:
        return self.lowpass(x)


class AntiAliased(nn.Module):
    """An activation at twice the rate: (B, C, T) to (B, C, T). Keys ``act, upsample, downsample``."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.act = activation
        self.upsample = Upsample2()
        self.downsample = Downsample2()

    def forward(self, x: Tensor) -> Tensor:
        return self.downsample(self.act(self.upsample(x)))
