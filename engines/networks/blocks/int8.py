"""Linear layers with weights of 8 bits, for drawing token by token on a processor.

A step there is as long as reading the weights takes, and these are a quarter as long. Each row of a
weight has its own scale, so that the largest of it becomes 127.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW = 8  # rows up to which the product reads the weights as they are
BLOCK = 32  # inputs that the product takes at once; torch doesn't check it


class Int8Linear(nn.Module):
    """A linear layer without bias: (..., ``inputs``) to (..., ``outputs``). Keys ``weight, scale``.

    For few rows inputs are rounded to bfloat16, whose product is the fast one.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        full = linear.weight.detach().float()
        scale = (full.abs().amax(dim=1) / 127).clamp(min=1e-12).bfloat16()
        rounded = (full / scale.float()[:, None]).round().clamp(-127, 127)
        self.register_buffer("weight", rounded.to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.some(x)

    def some(self, x: Tensor, outputs: int | None = None) -> Tensor:
        """The first ``outputs`` of the outputs, or all."""
        weight, scale = self.weight[:outputs], self.scale[:outputs]
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) <= FEW:
            few = rows.bfloat16().contiguous()
            product = torch.ops.aten._weight_int8pack_mm(few, weight, scale).to(x)
        else:
            product = F.linear(rows, weight.to(x)) * scale.to(x)
        return product.reshape(*x.shape[:-1], -1)


def to_int8(network: nn.Module) -> int:
    """Put 8-bit weights into every linear layer of a network on the CPU that can have them; their number.

    Layers with a bias, or whose inputs aren't a multiple of 32, stay as they are.
    """
    changed = 0
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            fits = isinstance(layer, nn.Linear) and layer.in_features % BLOCK == 0
            if fits and layer.bias is None:
                parent.set_submodule(name, Int8Linear(layer))
                changed += 1
    return changed
