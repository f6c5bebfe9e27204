"""RepCodec (Huang et al. 2024) with ConvNeXt networks: features of speech to tokens and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from engines.networks.blocks.convnext import ConvNeXtBackbone
from engines.networks.blocks.quantizers import FactorizedQuantizer, ResidualQuantizer
from engines.networks.weights import build_exactly, read_weights


@dataclass(frozen=True)
class RepCodecConfig:
    """Sizes under the published names; the defaults are MaskGCT's and Vevo's."""

    codebook_size: int = 8192
    hidden_size: int = 1024
    codebook_dim: int = 8
    vocos_dim: int = 384
    vocos_intermediate_dim: int = 2048
    vocos_num_layers: int = 12


class RepCodec(nn.Module):
    """One factorised quantiser between two networks. Keys ``encoder, quantizer`` and ``decoder``.

    ``decoder`` False leaves out what only gives features back.
    """

    def __init__(self, config: RepCodecConfig, *, decoder: bool = True) -> None:
        super().__init__()
        self.encoder = self._network(config)
        if decoder:
            self.decoder = self._network(config)
        self.quantizer = ResidualQuantizer(
            [FactorizedQuantizer(config.hidden_size, config.codebook_size, config.codebook_dim)]
        )

    @staticmethod
    def _network(config: RepCodecConfig) -> nn.Sequential:
        backbone = ConvNeXtBackbone(
            config.hidden_size,
            config.vocos_dim,
            config.vocos_intermediate_dim,
            config.vocos_num_layers,
        )
        return nn.Sequential(backbone, nn.Linear(config.vocos_dim, config.hidden_size))

    @classmethod
    def from_published(cls, file: Path, config: RepCodecConfig | None = None) -> RepCodec:
        """The tokeniser of a published file, without the decoder."""
        return build_exactly(
            lambda: cls(config or RepCodecConfig(), decoder=False),
            read_weights(file),
            what="the semantic codec",
            ignore=("decoder.",),
        )

    def encode(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, T, C) to quantised features (B, T, C) and tokens (B, T)."""
        hidden = self.encoder(features.transpose(1, 2))
        quantized, codes = self.quantizer.encode(hidden.transpose(1, 2))
        return quantized.transpose(1, 2), codes[0]

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) to features (B, T, C)."""
        return self.decoder(self.quantizer.decode(tokens[None]))
