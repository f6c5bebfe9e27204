"""What VevoSing hears: the chromagram of a melody, stretched or shifted as asked for."""

from __future__ import annotations

import math

import librosa
import torch
import torch.nn.functional as F
from torch import Tensor

SAMPLE_RATE, HOP, N_FFT, CHROMA = 24000, 480, 1920, 24


def frame_count(samples: Tensor) -> int:
    """Frames of samples (..., L) at 24 kHz, 50 a second."""
    return samples.shape[-1] // HOP


def chromagram(samples: Tensor) -> Tensor:
    """Samples (L,) at 24 kHz to chroma (1, L // 480, 24), each frame divided by its maximum.

    The tuning is estimated from the signal.
    """
    chroma = librosa.feature.chroma_stft(
        y=samples.float().cpu().numpy(),
        sr=SAMPLE_RATE,
        n_fft=N_FFT,
        hop_length=HOP,
        win_length=N_FFT,
        n_chroma=CHROMA,
    )
    frames = torch.from_numpy(chroma).float().T[None, : frame_count(samples)]
    return frames.to(samples.device)


def stretched(chroma: Tensor, ratio: float) -> Tensor:
    """Chroma (B, T, 24) at ``int(T * ratio)`` frames, linear in between."""
    frames = int(chroma.shape[1] * ratio)
    stretched = F.interpolate(chroma.transpose(1, 2), frames, mode="linear", align_corners=False)
    return stretched.transpose(1, 2)


def shifted(samples: Tensor, semitones: int) -> Tensor:
    """Samples (L,) at 24 kHz at another pitch and the same pace."""
    moved = librosa.effects.pitch_shift(
        samples.float().cpu().numpy(), sr=SAMPLE_RATE, n_steps=semitones
    )
    return torch.from_numpy(moved).to(samples)


def semitones_between(source: Tensor, reference: Tensor) -> int:
    """The shift that brings the median of one F0 (Hz) to that of another, without unvoiced frames."""
    return round(12 * math.log2(float(reference.median()) / float(source.median())))
