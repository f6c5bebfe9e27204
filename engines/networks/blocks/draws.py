"""Random numbers of the samplers, each from one seeded generator."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Draw = Callable[[tuple[int, ...]], Tensor]  # numbers of a shape


def uniform(generator: torch.Generator) -> Draw:
    """Draws from [0, 1), made where the generator lives: a seed means the same on every device."""
    return lambda shape: torch.rand(shape, generator=generator, device=generator.device)


def normal(generator: torch.Generator) -> Draw:
    """Draws of mean 0 and variance 1, made where the generator lives."""
    return lambda shape: torch.randn(shape, generator=generator, device=generator.device)


def gumbel(draw: Draw, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Gumbel noise ``-log(-log u)`` of ``shape`` from uniform draws, on the device of ``like``."""
    noise = draw(shape).to(like.device, torch.float32)
    return -torch.log(-torch.log(noise + 1e-10) + 1e-10)
