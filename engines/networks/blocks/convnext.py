"""The ConvNeXt backbone of Vocos and its inverse-STFT head (Siuzdak 2023)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-6


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, two linear layers, a scale a channel, residual: (B, C, T) to (B, C, T)."""

    def __init__(self, dim: int, inner: int, *, scale: float) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.pwconv1 = nn.Linear(dim, inner)
        self.pwconv2 = nn.Linear(inner, dim)
        self.gamma = nn.Parameter(torch.full((dim,), scale))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(x).transpose(1, 2))
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + y.transpose(1, 2)


class ConvNeXtBackbone(nn.Module):
    """(B, ``inputs``, T) to (B, T, ``dim``). Keys ``embed, norm, convnext, final_layer_norm``."""

    def __init__(self, inputs: int, dim: int, inner: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Conv1d(inputs, dim, 7, padding=3)
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.convnext = nn.ModuleList(
            ConvNeXtBlock(dim, inner, scale=1 / layers) for _ in range(layers)
        )
        self.final_layer_norm = nn.LayerNorm(dim, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.embed(x).transpose(1, 2)).transpose(1, 2)
        for block in self.convnext:
            x = block(x)
        return self.final_layer_norm(x.transpose(1, 2))


class InverseStft(nn.Module):
    """Overlap-add of windowed frames with "same" padding: T frames to T * hop samples."""

    window: Tensor

    def __init__(self, n_fft: int, hop: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("window", torch.hann_window(n_fft))

    def forward(self, spectrum: Tensor) -> Tensor:
        """Complex ``spectrum`` (B, n_fft/2+1, T) to samples (B, T * hop)."""
        frames = torch.fft.irfft(spectrum, self.n_fft, dim=1) * self.window[:, None]
        total = self._overlap(frames)
        squares = self.window.square()[None, :, None].expand(1, -1, spectrum.shape[-1])
        return total / self._overlap(squares)

    def _overlap(self, frames: Tensor) -> Tensor:
        length = (frames.shape[-1] - 1) * self.hop + self.n_fft
        whole = F.fold(
            frames.contiguous(), (1, length), kernel_size=(1, self.n_fft), stride=(1, self.hop)
        )
        cut = (self.n_fft - self.hop) // 2
        return whole[:, 0, 0, cut : length - cut]


class IstftHead(nn.Module):
    """(B, T, ``dim``) to samples (B, T * hop), by log magnitude and phase. Keys ``out, istft.window``."""

    MAX_MAGNITUDE = 100.0

    def __init__(self, dim: int, n_fft: int, hop: int) -> None:
        super().__init__()
        self.out = nn.Linear(dim, n_fft + 2)
        self.istft = InverseStft(n_fft, hop)

    def forward(self, x: Tensor) -> Tensor:
        magnitude, phase = self.out(x).transpose(1, 2).chunk(2, dim=1)
        magnitude = magnitude.exp().clamp(max=self.MAX_MAGNITUDE)
        return self.istft(torch.polar(magnitude.float(), phase.float()))


class Vocos(nn.Module):
    """A vocoder: features (B, ``inputs``, T) to samples (B, 1, T * hop). Keys ``backbone, head``."""

    def __init__(
        self, *, inputs: int, dim: int, inner: int, layers: int, n_fft: int, hop: int
    ) -> None:
        super().__init__()
        self.backbone = ConvNeXtBackbone(inputs, dim, inner, layers)
        self.head = IstftHead(dim, n_fft, hop)

    def forward(self, features: Tensor) -> Tensor:
        return self.head(self.backbone(features))[:, None]
