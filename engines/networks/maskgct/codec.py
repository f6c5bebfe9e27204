"""The acoustic codec of MaskGCT: 24 kHz sound as 12 layers of codes, 50 frames a second, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.networks.blocks.convnext import Vocos
from engines.networks.blocks.convolutions import fold_weight_norm
from engines.networks.blocks.dac import ZeroPadded, encoder_stack
from engines.networks.blocks.quantizers import FactorizedQuantizer, ResidualQuantizer
from engines.networks.weights import build_exactly, read_weights

WINDOW = "head.istft.window"
SAMPLE_RATE = 24000


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the encoder under the published names."""

    d_model: int = 96
    up_ratios: Sequence[int] = (3, 4, 5, 8)
    out_channels: int = 256


@dataclass(frozen=True)
class DecoderConfig:
    """Sizes of quantisers and decoder under the published names."""

    in_channels: int = 256
    num_quantizers: int = 12
    codebook_size: int = 1024
    codebook_dim: int = 8
    vocos_dim: int = 512
    vocos_intermediate_dim: int = 4096
    vocos_num_layers: int = 30
    n_fft: int = 1920
    hop_size: int = 480


class AcousticEncoder(nn.Module):
    """Samples (B, 1, L) to latents (B, C, T). Key ``block``."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.block = encoder_stack(
            ZeroPadded(),
            width=config.d_model,
            strides=config.up_ratios,
            outputs=config.out_channels,
        )

    @classmethod
    def from_published(cls, file: Path, config: EncoderConfig | None = None) -> AcousticEncoder:
        """The encoder of a published file, its norms folded for inference."""
        encoder = build_exactly(
            lambda: cls(config or EncoderConfig()),
            read_weights(file),
            what="the acoustic codec's encoder",
        )
        fold_weight_norm(encoder)
        return encoder

    def forward(self, samples: Tensor) -> Tensor:
        return self.block(samples)


class AcousticDecoder(nn.Module):
    """Quantisers and the network that turns their sum into samples. Keys ``quantizer, model``."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.quantizer = ResidualQuantizer(
            [
                FactorizedQuantizer(config.in_channels, config.codebook_size, config.codebook_dim)
                for _ in range(config.num_quantizers)
            ]
        )
        self.model = Vocos(
            inputs=config.in_channels,
            dim=config.vocos_dim,
            inner=config.vocos_intermediate_dim,
            layers=config.vocos_num_layers,
            n_fft=config.n_fft,
            hop=config.hop_size,
        )

    @classmethod
    def from_published(cls, file: Path, config: DecoderConfig | None = None) -> AcousticDecoder:
        """The decoder of a published file, its norms folded; the file's window may be missing."""
        sizes, state = config or DecoderConfig(), read_weights(file)
        state.setdefault(f"model.{WINDOW}", torch.hann_window(sizes.n_fft))
        decoder = build_exactly(lambda: cls(sizes), state, what="the acoustic codec's decoder")
        fold_weight_norm(decoder)
        return decoder

    def encode(self, latents: Tensor) -> Tensor:
        """Latents (B, C, T) of the encoder to codes (B, T, K)."""
        return self.quantizer.encode(latents)[1].permute(1, 2, 0)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, T, K) to samples (B, 1, T * hop)."""
        return self.model(self.quantizer.decode(codes.permute(2, 0, 1)))
