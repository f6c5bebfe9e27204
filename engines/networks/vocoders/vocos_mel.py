"""Vocos for mels (Siuzdak 2023) as charactr publishes it: centred frames, mels on HTK's scale."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engines.networks.blocks.convnext import IstftHead, Vocos
from engines.networks.blocks.mel import htk_filters
from engines.networks.weights import build_exactly, read_weights

WEIGHTS_FILE = "pytorch_model.bin"
LOG_FLOOR = 1e-7


@dataclass(frozen=True)
class VocosMelConfig:
    """Sizes; the defaults are those of ``charactr/vocos-mel-24khz``."""

    sample_rate: int = 24000
    n_fft: int = 1024
    hop_length: int = 256
    n_mels: int = 100
    dim: int = 512
    intermediate_dim: int = 1536
    num_layers: int = 8

    def log_mel(self, wav: Tensor) -> Tensor:
        """Natural logarithms (B, n_mels, L // hop + 1) of samples (B, L), of centred frames."""
        window = torch.hann_window(self.n_fft, device=wav.device)
        spectrum = torch.stft(
            wav, self.n_fft, self.hop_length, self.n_fft, window, center=True, return_complex=True
        )
        top = self.sample_rate / 2
        filters = htk_filters(self.sample_rate, self.n_fft, self.n_mels, 0.0, top).to(wav)
        return (filters @ spectrum.abs()).clamp(min=LOG_FLOOR).log()


class CentredHead(IstftHead):
    """(B, T, C) to samples (B, (T - 1) * hop)."""

    def forward(self, x: Tensor) -> Tensor:
        magnitude, phase = self.out(x).transpose(1, 2).chunk(2, dim=1)
        magnitude = magnitude.exp().clamp(max=self.MAX_MAGNITUDE)
        spectrum = torch.polar(magnitude.float(), phase.float())
        return torch.istft(
            spectrum, self.istft.n_fft, self.istft.hop, window=self.istft.window, center=True
        )


class VocosMel(Vocos):
    """Mel (B, n_mels, T) to samples (B, 1, (T - 1) * hop). Keys ``backbone, head``."""

    def __init__(self, config: VocosMelConfig) -> None:
        super().__init__(
            inputs=config.n_mels, dim=config.dim, inner=config.intermediate_dim,
            layers=config.num_layers, n_fft=config.n_fft, hop=config.hop_length,
        )  # fmt: skip
        self.head = CentredHead(config.dim, config.n_fft, config.hop_length)

    @classmethod
    def from_published(cls, folder: Path, config: VocosMelConfig) -> VocosMel:
        """The network of ``pytorch_model.bin``; ``WeightsError`` names what doesn't fit."""
        state = read_weights(folder / WEIGHTS_FILE)
        return build_exactly(
            lambda: cls(config), state, what=WEIGHTS_FILE, ignore=("feature_extractor.",)
        )
