"""DualCodec: semantic codes from features, acoustic codes of what they leave over, and back to sound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.convolutions import Conv1d, fold_weight_norm
from engines.networks.blocks.dac import ZeroPadded, decoder_stack, encoder_stack
from engines.networks.blocks.quantizers import FactorizedQuantizer, ResidualQuantizer
from engines.networks.weights import build_exactly, read_weights, sizes_in

SAMPLE_RATE = 24000
KERNEL, EPS = 7, 1e-6


class Variant(StrEnum):
    """The published codecs, by frames a second."""

    HZ_12 = "12hz_v1"
    HZ_25 = "25hz_v1"


@dataclass(frozen=True)
class DualCodecConfig:
    """Sizes under the published names; the defaults are those of the 12.5 Hz codec.

    ``n_codebooks`` are the acoustic ones, beside which there is one semantic. ``latent_dim`` None is what
    the encoder's last block has. ``semantic_downsample_factor`` is how many 50 Hz features a frame has.
    """

    encoder_rates: Sequence[int] = (4, 5, 6, 8, 2)
    decoder_rates: Sequence[int] = (2, 8, 6, 5, 4)
    encoder_dim: int = 32
    decoder_dim: int = 1536
    n_codebooks: int = 7
    codebook_size: int = 4096
    semantic_codebook_size: int = 16384
    codebook_dim: int = 8
    semantic_codebook_dim: int = 8
    convnext_dim: int = 768
    convnext_layers: int = 4
    convnext_intermediate: int = 2048
    semantic_channels: int = 1024
    semantic_downsample_factor: int = 4
    latent_dim: int | None = None
    is_causal: bool = True
    sample_rate: int = SAMPLE_RATE

    @property
    def hop(self) -> int:
        """Samples for each frame."""
        return math.prod(self.encoder_rates)

    @property
    def latent(self) -> int:
        """Channels that are quantised."""
        return self.latent_dim or self.encoder_dim * 2 ** len(self.encoder_rates)


PUBLISHED: dict[Variant, tuple[str, DualCodecConfig]] = {
    Variant.HZ_12: ("dualcodec_12hz_16384_4096.safetensors", DualCodecConfig()),
    Variant.HZ_25: (
        "dualcodec_25hz_16384_1024.safetensors",
        DualCodecConfig(
            encoder_rates=(4, 5, 6, 8),
            decoder_rates=(8, 6, 5, 4),
            encoder_dim=64,
            n_codebooks=11,
            codebook_size=1024,
            semantic_downsample_factor=2,
        ),
    ),
}


class UnscaledConvNeXtBlock(nn.Module):
    """Depthwise convolution, causal or not, and two linear layers: (B, C, T) to (B, C, T)."""

    def __init__(self, dim: int, inner: int, *, causal: bool) -> None:
        super().__init__()
        self.dwconv = nn.Conv1d(dim, dim, KERNEL, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=EPS)
        self.pwconv1 = nn.Linear(dim, inner)
        self.pwconv2 = nn.Linear(inner, dim)
        right = 0 if causal else KERNEL // 2
        self._padding = (KERNEL - 1 - right, right)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.dwconv(F.pad(x, self._padding)).transpose(1, 2))
        return x + self.pwconv2(F.gelu(self.pwconv1(y))).transpose(1, 2)


class AcousticCodec(nn.Module):
    """DAC around a residual quantiser. Keys ``encoder.block, quantizer, decoder.model``."""

    def __init__(self, config: DualCodecConfig) -> None:
        super().__init__()
        encoder = encoder_stack(
            ZeroPadded(),
            width=config.encoder_dim,
            strides=config.encoder_rates,
            outputs=config.latent,
        )
        decoder = decoder_stack(
            ZeroPadded(),
            inputs=config.latent,
            width=config.decoder_dim,
            strides=config.decoder_rates,
        )
        self.encoder = nn.ModuleDict({"block": encoder})
        self.quantizer = ResidualQuantizer(
            [
                factorized(config.latent, config.codebook_size, config.codebook_dim)
                for _ in range(config.n_codebooks)
            ]
        )
        self.decoder = nn.ModuleDict({"model": decoder})


def factorized(dim: int, size: int, codebook_dim: int) -> FactorizedQuantizer:
    """One quantiser under DAC's keys."""
    return FactorizedQuantizer(dim, size, codebook_dim, names=("in_proj", "out_proj"))


class DualCodec(nn.Module):
    """24 kHz sound (B, 1, L) and its 50 Hz features to codes (K, B, T), the first of them semantic."""

    def __init__(self, config: DualCodecConfig) -> None:
        super().__init__()
        self.config = config
        dim, wide = config.convnext_dim, config.semantic_channels
        self.dac = AcousticCodec(config)
        self.convnext_encoder = nn.Sequential(Conv1d(wide, dim, 1), *self._blocks())
        self.semantic_vq = ResidualQuantizer(
            [factorized(dim, config.semantic_codebook_size, config.semantic_codebook_dim)]
        )
        self.convnext_decoder = nn.Sequential(*self._blocks(), Conv1d(dim, wide, 1))

    def _blocks(self) -> list[nn.Module]:
        config = self.config
        return [
            UnscaledConvNeXtBlock(
                config.convnext_dim, config.convnext_intermediate, causal=config.is_causal
            )
            for _ in range(config.convnext_layers)
        ]

    @classmethod
    def from_published(cls, folder: Path, variant: Variant = Variant.HZ_12) -> DualCodec:
        """The codec of a folder laid out as ``amphion/dualcodec``, its norms folded.

        Raises ``WeightsError`` naming the file or keys that don't fit.
        """
        file, default = PUBLISHED[variant]
        config = sizes_in(folder, f"dualcodec_{variant}", default)
        codec = build_exactly(lambda: cls(config), read_weights(folder / file), what=file)
        fold_weight_norm(codec)
        return codec

    def pool(self, features: Tensor) -> Tensor:
        """50 Hz features (B, C, T50) to the codec's frames (B, C, T); a tail of a frame is dropped."""
        return F.avg_pool1d(features, self.config.semantic_downsample_factor)

    def semantics(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features (B, C, T) to quantised vectors (B, D, T) and codes (1, B, T)."""
        return self.semantic_vq.encode(self.convnext_encoder(features))

    def latents(self, wav: Tensor) -> Tensor:
        """Samples (B, 1, L), filled up to whole frames, before quantisation: (B, C, ceil(L / hop))."""
        return self.dac.encoder["block"](F.pad(wav, (0, -wav.shape[-1] % self.config.hop)))

    def encode(self, wav: Tensor, features: Tensor, count: int | None = None) -> Tensor:
        """The first ``count`` codes (K, B, T) of samples (B, 1, L) with normalised features (B, C, T50)."""
        vectors, codes = self.semantics(self.pool(features))
        if count == 1:
            return codes
        return self.with_acoustics(codes, self.convnext_decoder(vectors), self.latents(wav), count)

    def with_acoustics(
        self, codes: Tensor, semantic: Tensor, latents: Tensor, count: int | None = None
    ) -> Tensor:
        """``codes`` (1, B, T) and those of what ``semantic`` (B, C, T) leaves of ``latents``."""
        frames = min(semantic.shape[-1], latents.shape[-1])
        rest = latents[..., :frames] - semantic[..., :frames]
        acoustic = self.dac.quantizer.encode(rest, None if count is None else count - 1)[1]
        return torch.cat([codes[..., :frames], acoustic])

    def decode(self, codes: Tensor) -> Tensor:
        """Samples (B, 1, about T * hop) of the first K codes (K, B, T).

        The odd stride costs four samples at the published sizes.
        """
        vectors = self.convnext_decoder(self.semantic_vq.decode(codes[:1]))
        if len(codes) > 1:
            vectors = vectors + self.dac.quantizer.decode(codes[1:])
        return self.dac.decoder["model"](vectors)
