"""Convolutions with weight normalisation in the older published layout, and their padding.

Published checkpoints store ``weight_g`` (one length a filter) and ``weight_v`` (its direction); the
weight is ``g * v / |v|``, the norm over all dimensions but the first (Salimans & Kingma 2016). Torch's
own parametrisation stores other keys.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class WeightNorm(nn.Module):
    """A layer whose weight is ``weight_g * weight_v / |weight_v|``, with the norm over all dimensions but 0.

    ``fold`` computes the weight once, for inference.
    """

    def __init__(self, shape: tuple[int, ...], bias: int | None) -> None:
        super().__init__()
        fan_in = math.prod(shape[1:])
        bound = 1 / math.sqrt(fan_in)
        direction = torch.empty(shape).uniform_(-bound, bound)
        length = direction.flatten(1).norm(dim=1)
        self.weight_g = nn.Parameter(length.reshape(-1, *[1] * (len(shape) - 1)))
        self.weight_v = nn.Parameter(direction)
        if bias is None:
            self.register_parameter("bias", None)
        else:
            self.bias = nn.Parameter(torch.empty(bias).uniform_(-bound, bound))
        self._folded: Tensor | None = None

    @property
    def weight(self) -> Tensor:
        """The normalised weight."""
        if self._folded is not None:
            return self._folded
        return torch._weight_norm(self.weight_v, self.weight_g, 0)

    def fold(self) -> None:
        """Compute the weight once and keep it; later changes of the parameters aren't seen."""
        self._folded = torch._weight_norm(self.weight_v, self.weight_g, 0).detach()

    def _apply(self, function, recurse: bool = True):
        """Move a folded weight along with the parameters."""
        super()._apply(function, recurse)
        if self._folded is not None:
            self._folded = function(self._folded)
        return self


def fold_weight_norm(module: nn.Module) -> None:
    """Compute every normalised weight of ``module`` once."""
    for part in module.modules():
        if isinstance(part, WeightNorm):
            part.fold()


class Conv1d(WeightNorm):
    """A weight-normed 1-D convolution: (B, ``inputs``, T) to (B, ``outputs``, T')."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: int = 0,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__((outputs, inputs // groups, kernel), outputs if bias else None)
        self.stride, self.dilation, self.padding, self.groups = stride, dilation, padding, groups

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class Conv2d(WeightNorm):
    """A weight-normed 2-D convolution, as the discriminators of vocoders use it."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__((outputs, inputs, *kernel), outputs)
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


class ConvTranspose1d(WeightNorm):
    """A weight-normed transposed 1-D convolution; its norm is kept for each *input* channel."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        *,
        stride: int,
        padding: int = 0,
        output_padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__((inputs, outputs, kernel), outputs if bias else None)
        self.stride, self.padding, self.output_padding = stride, padding, output_padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose1d(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding
        )


def without_weight_norm(module: nn.Module) -> None:
    """Put ordinary convolutions in the place of the normalised ones inside ``module``.

    For checkpoints whose norms were removed before they were saved: keys ``weight, bias``.
    """
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv1d | ConvTranspose1d):
                setattr(parent, name, _ordinary(child))


def _ordinary(conv: Conv1d | ConvTranspose1d) -> nn.Conv1d | nn.ConvTranspose1d:
    """The same convolution with one weight."""
    first, second, kernel = conv.weight_v.shape
    bias = conv.bias is not None
    plain: nn.Conv1d | nn.ConvTranspose1d
    if isinstance(conv, ConvTranspose1d):
        plain = nn.ConvTranspose1d(
            first, second, kernel, conv.stride, conv.padding, conv.output_padding, bias=bias
        )
    else:
        plain = nn.Conv1d(
            second * conv.groups,
            first,
            kernel,
            conv.stride,
            conv.padding,
            conv.dilation,
            conv.groups,
            bias,
        )
    with torch.no_grad():
        plain.weight.copy_(conv.weight)
        if plain.bias is not None:
            plain.bias.copy_(conv.bias)
    return plain


class Linear(WeightNorm):
    """A weight-normed linear layer over the last dimension."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__((outputs, inputs), outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


def same_padding(kernel: int, dilation: int = 1) -> int:
    """Zeros on each side that keep the length for an odd ``kernel`` at stride 1."""
    return (kernel - 1) * dilation // 2


def pad_reflect(x: Tensor, left: int, right: int) -> Tensor:
    """Reflect-pad the last dimension of (B, C, T), also where it is shorter than the padding.

    A signal of at most ``max(left, right)`` samples is first lengthened by zeros on the right, and as
    many samples are cut after the reflection (the rule of EnCodec's convolutions).
    """
    missing = max(left, right) - x.shape[-1] + 1
    if missing <= 0:
        return F.pad(x, (left, right), mode="reflect")
    padded = F.pad(F.pad(x, (0, missing)), (left, right), mode="reflect")
    return padded[..., : padded.shape[-1] - missing]
