"""FAcodec's sizes, its mel, and the networks over the mel: prosody's WaveNet and the style encoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.convolutions import pad_reflect, same_padding
from engines.networks.blocks.mel import htk_filters
from engines.networks.blocks.padded import PaddedConv1d

SAMPLE_RATE = 24000
N_FFT, WIN, HOP, MELS = 2048, 1200, 300, 80
LOG_FLOOR, LOG_MEAN, LOG_SPREAD = 1e-5, -4.0, 4.0
PROSODY_BINS = 20
STYLE_HEADS = 2


@dataclass(frozen=True)
class FacodecSizes:
    """Sizes of encoder, quantisers and decoder; the published weights have these.

    ``n_p``, ``n_c``, ``n_r`` are the codebooks of prosody, content and residual; ``latent`` the channels
    between encoder and decoder; ``mel_*`` the WaveNet's and ``timbre_hidden`` the style encoder's.
    """

    encoder_dim: int = 64
    encoder_rates: Sequence[int] = (2, 5, 5, 6)
    latent: int = 1024
    decoder_dim: int = 1536
    decoder_rates: Sequence[int] = (6, 5, 5, 2)
    lstm: int = 2
    causal: bool = True
    codebook_size: int = 1024
    codebook_dim: int = 8
    n_p: int = 1
    n_c: int = 2
    n_r: int = 3
    timbre_hidden: int = 512
    mel_hidden: int = 256
    mel_layers: int = 8

    @property
    def hop(self) -> int:
        """Samples for each frame."""
        return math.prod(self.encoder_rates)

    @property
    def groups(self) -> tuple[int, int, int]:
        """Codebooks of prosody, content and residual."""
        return self.n_p, self.n_c, self.n_r


class NormalizedMel(nn.Module):
    """Log mels (B, 80, L / 300) of samples (B, L), about -1 to 1. Its buffers are constants."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrogram, self.mel_scale = nn.Module(), nn.Module()
        self.spectrogram.register_buffer("window", torch.hann_window(WIN))
        filters = htk_filters(SAMPLE_RATE, N_FFT, MELS, 0.0, SAMPLE_RATE / 2)
        self.mel_scale.register_buffer("fb", filters.transpose(0, 1).contiguous())

    def forward(self, wav: Tensor) -> Tensor:
        padded = pad_reflect(wav[:, None], N_FFT // 2, N_FFT // 2)[:, 0]
        window = self.spectrogram.get_buffer("window")
        spectrum = torch.stft(
            padded, N_FFT, HOP, WIN, window, center=False, return_complex=True
        ).abs()
        filters = self.mel_scale.get_buffer("fb").transpose(0, 1)
        mel = (filters @ spectrum.square())[..., : wav.shape[-1] // HOP]
        return ((LOG_FLOOR + mel).log() - LOG_MEAN) / LOG_SPREAD


class ProsodyWaveNet(nn.Module):
    """Gated layers without dilation or condition: (B, C, T) to (B, C, T), the sum of their skips."""

    def __init__(self, channels: int, layers: int, *, causal: bool, kernel: int = 5) -> None:
        super().__init__()
        self.channels = channels
        self.in_layers = nn.ModuleList(
            PaddedConv1d(channels, 2 * channels, kernel, causal=causal) for _ in range(layers)
        )
        self.res_skip_layers = nn.ModuleList(
            PaddedConv1d(channels, channels * (1 if last else 2), 1, causal=causal)
            for last in [False] * (layers - 1) + [True]
        )

    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        for gated, split in zip(self.in_layers, self.res_skip_layers, strict=True):
            value, gate = gated(x).chunk(2, 1)
            *residual, skip = split(value.tanh() * gate.sigmoid()).split(self.channels, 1)
            x = x + residual[0] if residual else x
            total = total + skip
        return total


class ProsodyEncoder(nn.Module):
    """The lowest mels (B, 20, T) to the latents (B, ``latent``, T) that are quantised as prosody."""

    def __init__(self, sizes: FacodecSizes) -> None:
        super().__init__()
        hidden, causal = sizes.mel_hidden, sizes.causal
        self.melspec_linear = PaddedConv1d(PROSODY_BINS, hidden, 1, causal=causal, normed=False)
        self.melspec_encoder = ProsodyWaveNet(hidden, sizes.mel_layers, causal=causal)
        self.melspec_linear2 = PaddedConv1d(hidden, sizes.latent, 1, causal=causal, normed=False)

    def prosody(self, mel: Tensor) -> Tensor:
        """Latents (B, ``latent``, T) of all mels (B, 80, T)."""
        x = self.melspec_linear(mel[:, :PROSODY_BINS])
        return self.melspec_linear2(self.melspec_encoder(x))


class GatedConv(nn.Module):
    """A convolution of two halves, one gating the other, and the input: (B, C, T) to (B, C, T)."""

    def __init__(self, channels: int, kernel: int = 5) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, 2 * channels, kernel, padding=same_padding(kernel))

    def forward(self, x: Tensor) -> Tensor:
        return x + F.glu(self.conv1(x), dim=1)


class StyleAttention(nn.Module):
    """Attention over all frames without positions: (B, C, T) to (B, C, T)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        for name in ("conv_q", "conv_k", "conv_v", "conv_o"):
            self.add_module(name, nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            self.get_submodule(name)(x).unflatten(1, (self.heads, -1)).transpose(2, 3)
            for name in ("conv_q", "conv_k", "conv_v")
        )
        y = F.scaled_dot_product_attention(query, key, value)
        return self.get_submodule("conv_o")(y.transpose(2, 3).flatten(1, 2))


class StyleEncoder(nn.Module):
    """Mels (B, 80, T) to one timbre (B, ``latent``) (Min et al. 2021, Meta-StyleSpeech)."""

    def __init__(self, sizes: FacodecSizes) -> None:
        super().__init__()
        hidden = sizes.timbre_hidden
        self.spectral = nn.Sequential(
            nn.Conv1d(MELS, hidden, 1),
            nn.Mish(),
            nn.Identity(),  # dropout in training
            nn.Conv1d(hidden, hidden, 1),
            nn.Mish(),
        )
        self.temporal = nn.Sequential(GatedConv(hidden), GatedConv(hidden))
        self.slf_attn = StyleAttention(hidden, STYLE_HEADS)
        self.fc = nn.Conv1d(hidden, sizes.latent, 1)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.temporal(self.spectral(mel))
        return self.fc(x + self.slf_attn(x)).mean(-1)
