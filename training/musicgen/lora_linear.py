"""A linear layer with its LoRA in one step, for training on a processor.

peft adds the adapter's output by separate operations, each of which goes through memory again, and
draws dropout one number at a time. Here both are done with what a matrix product costs anyway, and
backward keeps the input and one byte for each of its values instead of two more copies of it. The
results are peft's, but for which values dropout picks. On other devices, and in other formats than
float32, peft's own forward stays in use.
"""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from peft.tuners.lora import Linear
from torch.nn import functional as F

ADAPTER = "default"


def install(model: PeftModel) -> None:
    """Let every LoRA layer of ``model`` take the short way where it can."""
    for module in model.modules():
        if isinstance(module, Linear):
            module.forward = types.MethodType(_forward, module)  # type: ignore[method-assign]


def _forward(layer: Linear, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    base: Any = layer.get_base_layer()
    short = (
        x.device.type == "cpu"
        and x.dtype is base.weight.dtype is torch.float32
        and not (layer.disable_adapters or layer.merged or args or kwargs)
        and not torch.is_autocast_enabled("cpu")
    )
    if not short:
        return Linear.forward(layer, x, *args, **kwargs)
    down: Any = layer.lora_A[ADAPTER]
    up: Any = layer.lora_B[ADAPTER]
    share = float(getattr(layer.lora_dropout[ADAPTER], "p", 0.0)) if layer.training else 0.0
    kept = keep(x.shape, share) if share else None
    scale = layer.scaling[ADAPTER] / (1 - share)
    return _LoraLinear.apply(x, base.weight, base.bias, down.weight, up.weight, scale, kept)


def keep(shape: torch.Size, dropped: float) -> torch.Tensor:
    """Booleans of ``shape``, each false with probability ``dropped`` (to 1/65536).

    16 bits decide. Torch's generator gives the seed; numpy draws from it, forty times as fast.
    """
    count = shape.numel()
    bits = np.random.SFC64(int(torch.randint(2**63 - 1, ())))
    draws = np.random.Generator(bits).integers(
        2**64 - 1, size=(count + 3) // 4, dtype=np.uint64, endpoint=True
    )
    return torch.from_numpy(draws.view(np.uint16)[:count] >= round(dropped * 2**16)).view(shape)


class _LoraLinear(torch.autograd.Function):
    """``x W' + b + scale * (kept x) A' B'``; W and b are frozen."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> torch.Tensor:
        """x (..., in), W (out, in), b (out) or None, A (r, in), B (out, r), scale, kept or None."""
        x, weight, bias, down, up, scale, kept = given
        heard = x if kept is None else _heard(x, kept)
        low = F.linear(heard, down).mul_(scale)
        out = F.linear(x, weight, bias)
        _rows(out).addmm_(_rows(low), up.T)
        ctx.save_for_backward(x, weight, down, up, low, kept)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of x (where asked for), A and B."""
        x, weight, down, up, low, kept = ctx.saved_tensors
        grad = _rows(grads[0])
        to_up = grad.T @ _rows(low)
        to_low = (grad @ up).mul_(ctx.scale)
        to_down = to_low.T @ _rows(x if kept is None else _heard(x, kept))
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = grad @ weight
            if kept is None:
                to_x.addmm_(to_low, down)
            else:
                to_x += _heard(to_low @ down, _rows(kept))
            to_x = to_x.view(x.shape)
        return to_x, None, None, to_down, to_up, None, None


def _heard(x: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """``x`` where ``kept``, else 0; by way of bytes, a third of the time of ``torch.where``."""
    return kept.view(torch.uint8).to(x.dtype).mul_(x)


def _rows(tensor: torch.Tensor) -> torch.Tensor:
    """All leading dimensions as one."""
    return tensor.reshape(-1, tensor.shape[-1])
