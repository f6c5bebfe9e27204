"""Classifier-free guidance with its deviation brought back (Lin et al. 2024)."""

from __future__ import annotations

from torch import Tensor


def guided(
    given: Tensor, free: Tensor, scale: float, rescale: float, *, as_published: bool = False
) -> Tensor:
    """``given + scale (given - free)``, with the share ``rescale`` of it at the deviation of ``given``.

    Both are (B, T, C): computed with and without what guides. The deviation is each row's own;
    ``as_published`` takes it over the whole batch, where rows then depend on their neighbours.
    """
    dims = tuple(range(given.ndim)) if as_published else tuple(range(1, given.ndim))
    wide = given.float()
    pushed = wide + scale * (wide - free.float())
    level = wide.std(dims, keepdim=True) / pushed.std(dims, keepdim=True)
    return (rescale * (pushed * level) + (1 - rescale) * pushed).to(given)
