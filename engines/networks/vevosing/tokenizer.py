"""Coco tokens of VevoSing: what is sung and how, or the melody alone, at few tokens a second."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from engines.networks.blocks.convnext import ConvNeXtBackbone
from engines.networks.blocks.quantizers import FactorizedQuantizer, ResidualQuantizer
from engines.networks.vevo.flow import upsampling
from engines.networks.weights import build_exactly, read_weights


@dataclass(frozen=True)
class CocoConfig:
    """Sizes under the published names, those of the encoder beside the others.

    ``whisper_dim`` 0 hears the melody alone. ``downsample_rate`` is a power of 2, in frames a token.
    """

    downsample_rate: int
    codebook_size: int
    whisper_dim: int = 0
    chromagram_dim: int = 24
    hidden_size: int = 1024
    codebook_dim: int = 8
    vocos_dim: int = 384
    vocos_intermediate_dim: int = 2048
    vocos_num_layers: int = 12


CONTENT_STYLE = CocoConfig(downsample_rate=4, codebook_size=16384, whisper_dim=1024)
PROSODY = CocoConfig(downsample_rate=8, codebook_size=512)


class CocoTokenizer(nn.Module):
    """Features at 50 frames a second to tokens. ``upsamples`` adds layers that tokens don't need."""

    def __init__(self, config: CocoConfig, *, upsamples: bool = True) -> None:
        super().__init__()
        dim, rate = config.hidden_size, config.downsample_rate
        if config.whisper_dim:
            self.whisper_input_layer = nn.Linear(config.whisper_dim, dim)
        self.chromagram_input_layer = nn.Linear(config.chromagram_dim, dim)
        self.downsample_layers = downsampling(dim, rate)
        if upsamples:
            self.upsample_layers = upsampling(dim, rate)
        self.encoder = nn.Sequential(
            ConvNeXtBackbone(
                dim, config.vocos_dim, config.vocos_intermediate_dim, config.vocos_num_layers
            ),
            nn.Linear(config.vocos_dim, dim),
        )
        self.quantizer = ResidualQuantizer(
            [FactorizedQuantizer(dim, config.codebook_size, config.codebook_dim)]
        )

    @classmethod
    def from_published(cls, file: Path, config: CocoConfig) -> CocoTokenizer:
        """The tokeniser of a published file, without what gives features back."""
        return build_exactly(
            lambda: cls(config, upsamples=False),
            read_weights(file),
            what="the Coco tokeniser",
            ignore=("decoder.", "upsample_layers."),
        )

    def downsampled(self, chroma: Tensor, whisper: Tensor | None = None) -> Tensor:
        """Features (B, T, 24) and (B, T, C) to what the encoder is given (B, D, T / rate)."""
        x = self.chromagram_input_layer(chroma)
        if whisper is not None:
            x = x + self.whisper_input_layer(whisper)
        return self.downsample_layers(x.transpose(1, 2))

    def encode(self, chroma: Tensor, whisper: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Quantised vectors (B, T', D) and tokens (B, T'); T halves, rounded up, for each factor of 2."""
        hidden = self.encoder(self.downsampled(chroma, whisper))
        quantized, codes = self.quantizer.encode(hidden.transpose(1, 2))
        return quantized.transpose(1, 2), codes[0]


def downsampling(dim: int, factor: int) -> nn.Sequential:
    """Convolutions, each with a GELU, for a frame out of ``factor`` of (B, ``dim``, T)."""
    layers: list[nn.Module] = []
    for _ in range(int(math.log2(factor))):
        layers += [nn.Conv1d(dim, dim, 3, stride=2, padding=1), nn.GELU()]
    return nn.Sequential(*layers)
