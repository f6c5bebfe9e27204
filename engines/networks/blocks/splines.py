"""Monotonic rational-quadratic splines with linear tails (Durkan et al. 2019)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST = 1e-3  # width and height of a bin, and slope of a knot


def rational_quadratic(
    x: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, *, bound: float, inverse: bool
) -> tuple[Tensor, Tensor]:
    """``x`` (...) through a spline on [-``bound``, ``bound``], and the logarithm of its derivative.

    Outside of the bound ``x`` stays as it is. ``widths`` and ``heights`` (..., K) and ``slopes``
    (..., K-1) of the inner knots are what a network gives, not yet normalised.
    """
    inside = (x >= -bound) & (x <= bound)
    edge = math.log(math.exp(1 - SMALLEST) - 1)  # a slope of 1, that of the tails
    slope = SMALLEST + F.softplus(F.pad(slopes, (1, 1), value=edge))
    x_knots, y_knots = _knots(widths, bound), _knots(heights, bound)
    bounded = x.clamp(-bound, bound)
    bins = _bin_of(y_knots if inverse else x_knots, bounded)
    left, right = (_pick(x_knots, bins + offset) for offset in (0, 1))
    low, high = (_pick(y_knots, bins + offset) for offset in (0, 1))
    first, second = (_pick(slope, bins + offset) for offset in (0, 1))
    width, height = right - left, high - low
    mean = height / width
    bend = first + second - 2 * mean
    if inverse:
        rise = bounded - low
        a, b, c = rise * bend + height * (mean - first), height * first - rise * bend, -mean * rise
        part = 2 * c / (-b - (b.square() - 4 * a * c).sqrt())
        y = part * width + left
    else:
        part = (bounded - left) / width
        y = low + height * (mean * part.square() + first * part * (1 - part)) / (
            mean + bend * part * (1 - part)
        )
    below = mean + bend * part * (1 - part)
    above = second * part.square() + 2 * mean * part * (1 - part) + first * (1 - part).square()
    log_slope = 2 * mean.log() + above.log() - 2 * below.log()
    if inverse:
        log_slope = -log_slope
    return torch.where(inside, y, x), torch.where(inside, log_slope, torch.zeros_like(x))


def _knots(raw: Tensor, bound: float) -> Tensor:
    """Borders (..., K+1) of bins that share [-``bound``, ``bound``] by a softmax."""
    shares = SMALLEST + (1 - SMALLEST * raw.shape[-1]) * raw.softmax(-1)
    inner = shares.cumsum(-1)[..., :-1]
    return F.pad(F.pad(2 * bound * inner - bound, (1, 0), value=-bound), (0, 1), value=bound)


def _bin_of(knots: Tensor, x: Tensor) -> Tensor:
    """Place of the last knot that isn't above ``x``."""
    return (x[..., None] >= knots[..., 1:-1]).sum(-1)


def _pick(values: Tensor, places: Tensor) -> Tensor:
    return values.gather(-1, places[..., None])[..., 0]
