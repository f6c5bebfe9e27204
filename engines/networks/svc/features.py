"""What the conversion networks hear of a clip: content frames, F0, loudness; and the scale of their mels.

Frames are those of the mel: 24 kHz, hop 256.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

F0_STEP_MEL = 1127.0
RANGE_EPSILON = 1e-12


@dataclass(frozen=True)
class SingingFeatures:
    """Frames of a batch of clips.

    ``f0`` (B, T) in Hz after the key shift, 0 where unvoiced; ``unvoiced`` (B, T) of 0 and 1; ``energy``
    (B, T); ``contents`` maps "whisper" and "contentvec" to (B, T, D); ``singer`` (B,) is a row of the table.
    """

    f0: Tensor
    unvoiced: Tensor
    energy: Tensor
    contents: dict[str, Tensor]
    singer: Tensor


def coarse_pitch(f0: Tensor, bins: int, f0_min: float, f0_max: float) -> Tensor:
    """Bins 1 .. ``bins`` - 1 of F0 in Hz, evenly spaced on the mel scale; unvoiced frames are 1."""

    def to_mel(hz: Tensor) -> Tensor:
        return F0_STEP_MEL * (1 + hz / 700).log()

    low, high = to_mel(torch.tensor([f0_min, f0_max], dtype=torch.float64)).tolist()
    mel = to_mel(f0)
    place = torch.where(mel > 0, (mel - low) * (bins - 2) / (high - low) + 1, mel)
    return (place.clamp(1, bins - 1) + 0.5).floor().long()


def interpolate_f0(f0: Tensor) -> tuple[Tensor, Tensor]:
    """F0 (T,) with its unvoiced frames filled in linearly, and where it stays unvoiced, both float64.

    Before the first and after the last voiced frame stands the nearest voiced value. A frame stays unvoiced
    if both its neighbours are unvoiced too. A clip without a voiced frame is given back as it is.
    """
    f0 = f0.double()
    unvoiced = f0 == 0
    voiced = (~unvoiced).nonzero()[:, 0]
    if not len(voiced):
        return f0, unvoiced.double()
    frames = torch.arange(len(f0), device=f0.device)
    right = torch.searchsorted(voiced, frames).clamp(max=len(voiced) - 1)
    left = (torch.searchsorted(voiced, frames, right=True) - 1).clamp(min=0)
    start, end = voiced[left], voiced[right]
    part = (frames - start) / (end - start).clamp(min=1)
    filled = f0[start] + part.clamp(0, 1) * (f0[end] - f0[start])
    alone = F.pad(unvoiced, (1, 1)).double().unfold(0, 3, 1).amin(1)
    alone[[0, -1]] = 0
    return torch.where(unvoiced, filled, f0), alone


def automatic_shift(f0: Tensor, median_hz: float) -> float:
    """The key shift in semitones that brings the median of the voiced F0 to ``median_hz``; 0 if unvoiced."""
    voiced = f0[f0 > 0]
    return 12 * math.log2(median_hz / float(voiced.median())) if len(voiced) else 0.0


def shift_key(f0: Tensor, semitones: float) -> Tensor:
    """F0 in Hz moved by ``semitones``."""
    return f0 * 2 ** (semitones / 12)


def frame_energy(log_mel: Tensor) -> Tensor:
    """Loudness (B, T) of un-normalised log mels (B, n_mels, T)."""
    return log_mel.exp().square().sum(1).sqrt()


def align_content(content: Tensor, length: int, source_hop: int, target_hop: int) -> Tensor:
    """Content frames (N, D) of one hop as ``length`` frames (T, D) of another, both in samples of one rate.

    Each source frame is repeated and neighbours are averaged; the last one fills what is missing.
    """
    common = math.gcd(source_hop, target_hop)
    source, target = source_hop // common, target_hop // common
    heard = content[: length * target // source + 1]
    count = len(heard) * source // target
    fine = heard.repeat_interleave(source, 0)[: count * target]
    frames = fine.unflatten(0, (count, target)).mean(1)[:length]
    return torch.cat([frames, frames[-1:].expand(length - len(frames), -1)])


def normalise_mel(log_mel: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Log mel (B, n_mels, T) to [-1, 1] by the extrema (n_mels,) of a data set."""
    span = (high - low + RANGE_EPSILON)[:, None]
    return (log_mel - low[:, None]) / span * 2 - 1


def denormalise_mel(mel: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Undoes ``normalise_mel``."""
    return (mel + 1) / 2 * (high - low + RANGE_EPSILON)[:, None] + low[:, None]
