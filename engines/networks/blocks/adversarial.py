"""Discriminators over samples and periods (HiFi-GAN, VITS) and least-squares losses (Mao et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.convolutions import Conv1d, Conv2d, same_padding

SLOPE = 0.1
PERIODS = (2, 3, 5, 7, 11)


@dataclass(frozen=True)
class Judgement:
    """What one discriminator says of a batch: ``scores`` (1 real, 0 generated), and every layer's output."""

    scores: Tensor
    features: list[Tensor]


@dataclass(frozen=True)
class Layer:
    """One convolution of a discriminator; ``kernel`` is odd and padded to keep the length."""

    channels: int
    kernel: int
    stride: int = 1
    groups: int = 1


class SpectralConv1d(nn.Module):
    """A convolution divided by its largest singular value (Miyato et al. 2018).

    Keys ``weight_orig, weight_u, weight_v``, the last two the singular vectors, which each training
    step brings nearer by one power iteration.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int, padding: int, groups: int
    ) -> None:
        super().__init__()
        plain = nn.Conv1d(inputs, outputs, kernel, groups=groups)
        self.weight_orig, self.bias = plain.weight, plain.bias
        self.stride, self.padding, self.groups = stride, padding, groups
        self.register_buffer("weight_u", F.normalize(torch.randn(outputs), dim=0))
        size = inputs // groups * kernel
        self.register_buffer("weight_v", F.normalize(torch.randn(size), dim=0))

    @property
    def weight(self) -> Tensor:
        """The weight of singular value 1."""
        matrix = self.weight_orig.flatten(1)
        if self.training:
            with torch.no_grad():
                self.weight_v = F.normalize(matrix.T @ self.weight_u, dim=0)
                self.weight_u = F.normalize(matrix @ self.weight_v, dim=0)
        return self.weight_orig / (self.weight_u @ (matrix @ self.weight_v))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(x, self.weight, self.bias, self.stride, self.padding, groups=self.groups)


class SampleDiscriminator(nn.Module):
    """Judges samples (B, 1, L) as they are; scores are (B, 1, L'). Keys ``convs, conv_post``."""

    def __init__(self, layers: Sequence[Layer], *, spectral: bool = False) -> None:
        super().__init__()
        kind = SpectralConv1d if spectral else Conv1d
        channels = 1
        self.convs = nn.ModuleList()
        for layer in layers:
            self.convs.append(
                kind(
                    channels,
                    layer.channels,
                    layer.kernel,
                    stride=layer.stride,
                    padding=same_padding(layer.kernel),
                    groups=layer.groups,
                )
            )
            channels = layer.channels
        self.conv_post = kind(channels, 1, 3, stride=1, padding=1, groups=1)

    def forward(self, audio: Tensor) -> Judgement:
        x, features = audio, []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
            features.append(x)
        x = self.conv_post(x)
        return Judgement(x, [*features, x])


class PeriodDiscriminator(nn.Module):
    """Judges samples (B, 1, L) folded into columns of ``period``; scores are (B, ·)."""

    def __init__(self, period: int, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.period = period
        self.convs = nn.ModuleList(
            Conv2d(inputs, outputs, (5, 1), stride=(stride, 1), padding=(2, 0))
            for inputs, outputs, stride in zip([1, *channels], channels, strides, strict=False)
        )
        self.conv_post = Conv2d(channels[-1], 1, (3, 1), padding=(1, 0))

    def forward(self, audio: Tensor) -> Judgement:
        missing = -audio.shape[-1] % self.period
        x = F.pad(audio, (0, missing), mode="reflect").unflatten(2, (-1, self.period))
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
            features.append(x)
        x = self.conv_post(x)
        return Judgement(x.flatten(1), [*features, x])


def feature_matching(real: list[Judgement], fake: list[Judgement]) -> Tensor:
    """Mean absolute difference of each layer's outputs, summed over layers and discriminators."""
    pairs = zip(real, fake, strict=True)
    layers = (pair for r, f in pairs for pair in zip(r.features, f.features, strict=True))
    return torch.stack([(a.detach() - b).abs().mean() for a, b in layers]).sum()


def least_squares_to_one(fake: list[Judgement]) -> Tensor:
    """The generator's adversarial loss: squared distance of the scores from 1, summed."""
    return torch.stack([(1 - judgement.scores).square().mean() for judgement in fake]).sum()


def discriminator_loss(real: list[Judgement], fake: list[Judgement]) -> Tensor:
    """Squared distance of real scores from 1 and of generated ones from 0, summed."""
    zeros = torch.stack([judgement.scores.square().mean() for judgement in fake]).sum()
    return least_squares_to_one(real) + zeros
