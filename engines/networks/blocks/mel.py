"""Mel spectrograms, each in the exact form that a published model was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

FLOOR = 1e-5


@dataclass(frozen=True)
class MelRecipe:
    """How a model turns samples into log mels.

    ``sample_rate``, ``fmin`` and ``fmax`` in Hz; ``n_fft``, ``win`` and ``hop`` in samples. ``centred``
    pads half a window on both sides (one frame more), otherwise ``(n_fft - hop) / 2``. ``epsilon`` is
    added to the power before the root.
    """

    sample_rate: int
    n_fft: int
    hop: int
    n_mels: int
    fmin: float = 0.0
    fmax: float | None = None
    win: int | None = None
    centred: bool = False
    epsilon: float = 1e-9

    def magnitude(self, wav: Tensor, window: Tensor | None = None) -> Tensor:
        """Linear magnitudes (B, n_fft/2+1, T) of samples (B, L) in [-1, 1].

        ``window`` (win,) is a periodic Hann unless a checkpoint brings its own.
        """
        pad = self.n_fft // 2 if self.centred else (self.n_fft - self.hop) // 2
        win = self.win or self.n_fft
        padded = F.pad(wav[:, None], (pad, pad), mode="reflect")[:, 0]
        spectrum = torch.stft(
            padded,
            self.n_fft,
            self.hop,
            win,
            torch.hann_window(win, device=wav.device) if window is None else window,
            center=False,
            return_complex=True,
        )
        return (spectrum.real.square() + spectrum.imag.square() + self.epsilon).sqrt()

    def log_mel(self, wav: Tensor) -> Tensor:
        """Natural logarithms of mels (B, n_mels, T) of samples (B, L), floored at 1e-5."""
        return self.log_mel_of(self.magnitude(wav))

    def log_mel_of(self, magnitude: Tensor) -> Tensor:
        """The same from magnitudes (B, n_fft/2+1, T)."""
        filters = mel_filters(self.sample_rate, self.n_fft, self.n_mels, self.fmin, self.fmax)
        return (filters.to(magnitude) @ magnitude).clamp(min=FLOOR).log()


@lru_cache(maxsize=32)
def mel_filters(
    sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float | None
) -> Tensor:
    """Slaney-scale, Slaney-normalised triangles (n_mels, n_fft/2+1), as librosa makes them by default.

    ``fmax`` None is half the sample rate.
    """
    top = sample_rate / 2 if fmax is None else fmax
    low, high = _to_slaney(torch.tensor([fmin, top], dtype=torch.float64)).tolist()
    edges = _from_slaney(torch.linspace(low, high, n_mels + 2, dtype=torch.float64))
    triangles = _triangles(edges, sample_rate, n_fft)
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).float()


@lru_cache(maxsize=32)
def htk_filters(sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> Tensor:
    """HTK-scale triangles of height 1 (n_mels, n_fft/2+1), as torchaudio makes them by default."""
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (fmin, fmax))
    edges = 700 * (10 ** (torch.linspace(low, high, n_mels + 2, dtype=torch.float64) / 2595) - 1)
    return _triangles(edges, sample_rate, n_fft).float()


def _triangles(edges: Tensor, sample_rate: int, n_fft: int) -> Tensor:
    """Triangles (n_mels, n_fft/2+1) of height 1 between ``edges`` (n_mels + 2) in Hz."""
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0)


LINEAR_HZ, LINEAR_MEL, STEP = 1000.0, 15.0, math.log(6.4) / 27


def _to_slaney(hz: Tensor) -> Tensor:
    """Linear to 1 kHz, logarithmic above (Slaney 1998)."""
    log_part = LINEAR_MEL + (hz / LINEAR_HZ).clamp(min=1e-9).log() / STEP
    return torch.where(hz < LINEAR_HZ, hz * 3 / 200, log_part)


def _from_slaney(mel: Tensor) -> Tensor:
    return torch.where(
        mel < LINEAR_MEL, mel * 200 / 3, LINEAR_HZ * (STEP * (mel - LINEAR_MEL)).exp()
    )


VOCODER_24K = MelRecipe(sample_rate=24000, n_fft=1024, hop=256, n_mels=100, fmax=12000)
VOCODER_22K = MelRecipe(sample_rate=22050, n_fft=1024, hop=256, n_mels=80, fmax=8000)
TACOTRON_22K = MelRecipe(
    sample_rate=22050, n_fft=1024, hop=256, n_mels=80, fmax=8000, centred=True, epsilon=0.0
)
VEVO_24K = MelRecipe(sample_rate=24000, n_fft=1920, hop=480, n_mels=128, fmax=12000)
