"""What Noro hears: a mel of the reference, and content and F0 of the source, all of 80 Hz at 16 kHz."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from engines.networks.blocks.mel import MelRecipe
from engines.networks.blocks.quantizers import nearest

MEL = MelRecipe(sample_rate=16000, n_fft=1024, win=800, hop=200, n_mels=80, fmax=8000, epsilon=1e-6)
SOURCE_MULTIPLE, REFERENCE_MULTIPLE = (
    1600,
    200,
)  # samples; both are always padded, even a full multiple
F0_MIN, F0_MAX = 50.0, 500.0
F0_EPSILON = 1e-6
MEL_FRAMES, HUBERT_FRAMES = 8, 5  # in the same time


def pad_to_multiple(wav: Tensor, multiple: int) -> Tensor:
    """``wav`` (..., L) with zeros up to the next multiple, never none."""
    return F.pad(wav, (0, multiple - wav.shape[-1] % multiple))


def content_frames(hubert: Tensor, centres: Tensor) -> Tensor:
    """HuBERT's ninth layer (B, N, D) at 50 Hz to the nearest of ``centres`` (K, D) at 80 Hz: (B, T, D)."""
    length = hubert.shape[1] * MEL_FRAMES // HUBERT_FRAMES
    frames = F.interpolate(hubert.transpose(1, 2), length, mode="nearest").transpose(1, 2)
    return centres[nearest(frames, centres)]


def normalise_f0(f0: Tensor) -> Tensor:
    """Interpolated F0 (B, T) of each clip to mean 0 and deviation 1."""
    return (f0 - f0.mean(-1, keepdim=True)) / (f0.std(-1, keepdim=True) + F0_EPSILON)
