"""The fixtures' discriminators: the layers of full size with fewer channels."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import Tensor

from engines.networks.blocks.adversarial import Layer


def narrowed(weights: dict[str, Tensor], prefix: str, layers: Sequence[Layer]) -> list[Layer]:
    """``layers`` with the channels and groups that the stored weights have."""
    shapes = [weights[f"{prefix}.convs.{place}.weight_v"].shape for place in range(len(layers))]
    inputs = [1, *(shape[0] for shape in shapes)]
    return [
        Layer(shape[0], layer.kernel, layer.stride, given // shape[1])
        for layer, shape, given in zip(layers, shapes, inputs, strict=False)
    ]


def period_channels(weights: dict[str, Tensor], prefix: str) -> list[int]:
    """Channels of the layers of one stored discriminator over periods."""
    keys = sorted(key for key in weights if re.fullmatch(rf"{prefix}\.convs\.\d+\.weight_v", key))
    return [len(weights[key]) for key in keys]
