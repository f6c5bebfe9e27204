"""Windowed-sinc resampling with the defaults that published models were trained behind."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

ZEROS = 6  # zero crossings of the sinc on each side
ROLLOFF = 0.99


@lru_cache(maxsize=16)
def _taps(given: int, wanted: int) -> tuple[Tensor, int]:
    """One filter for each phase, (``wanted``, 1, N), and how many samples it reaches back."""
    base = min(given, wanted) * ROLLOFF
    width = math.ceil(ZEROS * given / base)
    samples = torch.arange(-width, width + given, dtype=torch.float64) / given
    phases = -torch.arange(wanted, dtype=torch.float64)[:, None] / wanted
    time = ((phases + samples) * base).clamp(-ZEROS, ZEROS)
    window = torch.cos(time * math.pi / (2 * ZEROS)).square()
    return (torch.sinc(time) * window * (base / given)).float()[:, None], width


def resample(wav: Tensor, given_hz: int, wanted_hz: int) -> Tensor:
    """Samples (..., L) at ``given_hz`` to (..., ceil(L * wanted / given)) at ``wanted_hz``."""
    if given_hz == wanted_hz:
        return wav
    divisor = math.gcd(given_hz, wanted_hz)
    given, wanted = given_hz // divisor, wanted_hz // divisor
    taps, width = _taps(given, wanted)
    rows = F.pad(wav.reshape(-1, 1, wav.shape[-1]), (width, width + given))
    phases = F.conv1d(rows, taps.to(rows), stride=given)
    length = math.ceil(wanted * wav.shape[-1] / given)
    return phases.transpose(1, 2).flatten(1)[:, :length].reshape(*wav.shape[:-1], length)
