"""Masks of padded batches, tokens repeated for as long as they last, and random segments."""

from __future__ import annotations

import torch
from torch import Tensor


def length_mask(lengths: Tensor, longest: int | None = None) -> Tensor:
    """(B, T) that is True inside each of ``lengths`` (B,); T is ``longest`` or the largest of them."""
    longest = int(lengths.max()) if longest is None else longest
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


def repeat_tokens(x: Tensor, durations: Tensor, frames: int) -> Tensor:
    """Each column of ``x`` (B, C, N) as often as ``durations`` (B, N) says, then zeros: (B, C, frames)."""
    ends = durations.long().cumsum(1)
    time = torch.arange(frames, device=x.device).expand(len(x), -1).contiguous()
    token = torch.searchsorted(ends, time, right=True).clamp(max=x.shape[-1] - 1)
    repeated = x.gather(2, token[:, None].expand(-1, x.shape[1], -1))
    return repeated * (time < ends[:, -1:])[:, None].to(x.dtype)


def random_starts(uniforms: Tensor, lengths: Tensor, size: int, *, last: bool = True) -> Tensor:
    """First frames (B,) of segments of ``size`` frames in clips of ``lengths`` (B,).

    ``uniforms`` (B,) in [0, 1) are spread over the possible starts, without ``last`` over all but the
    last of them. Raises ``ValueError`` for a clip that is shorter than a segment.
    """
    if bool((lengths < size).any()):
        shortest = int(lengths.min())
        raise ValueError(f"Segments of {size} frames can't be cut from a clip of {shortest}.")
    return (uniforms.to(lengths.device) * (lengths - size + int(last))).long()


def segments(x: Tensor, starts: Tensor, length: int) -> Tensor:
    """``length`` entries of the last dimension of each item of ``x`` (B, ..., T), from ``starts`` (B,)."""
    return torch.stack(
        [item[..., start : start + length] for item, start in zip(x, starts.tolist(), strict=True)]
    )
