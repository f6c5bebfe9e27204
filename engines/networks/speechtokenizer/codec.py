"""SpeechTokenizer's codec: samples to codes and back."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from torch import Tensor, nn

from engines.networks.blocks.convolutions import fold_weight_norm
from engines.networks.blocks.quantizers import EuclideanQuantizer, ResidualQuantizer
from engines.networks.speechtokenizer.seanet import (
    SpeechTokenizerConfig,
    seanet_decoder,
    seanet_encoder,
)
from engines.networks.weights import build_exactly, config_of, read_config, read_weights

CONFIG_FILE, WEIGHTS_FILE = "config.json", "SpeechTokenizer.pt"


class SpeechTokenizer(nn.Module):
    """Mono speech to ``n_q`` codes a frame: layer 0 carries content, the others timbre and detail.

    Codes are (K, B, T) with T = ceil(L / hop); samples are (B, 1, L).
    """

    def __init__(self, config: SpeechTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.ModuleDict({"model": seanet_encoder(config)})
        stack = [
            EuclideanQuantizer(config.dimension, config.codebook_size) for _ in range(config.n_q)
        ]
        self.quantizer = nn.ModuleDict({"vq": ResidualQuantizer(stack, key="layers")})
        self.transform = nn.Linear(config.dimension, config.semantic_dimension)
        self.decoder = nn.ModuleDict({"model": seanet_decoder(config)})

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The codec of a folder with ``config.json`` and ``SpeechTokenizer.pt``, its norms folded.

        Raises ``WeightsError`` naming the file, entry or key that is missing or doesn't fit.
        """
        given = read_config(folder / CONFIG_FILE)
        config = config_of(SpeechTokenizerConfig, given, what="SpeechTokenizer")
        state = read_weights(folder / WEIGHTS_FILE)
        codec = build_exactly(lambda: cls(config), state, what="SpeechTokenizer")
        fold_weight_norm(codec)
        return codec

    @property
    def layers(self) -> ResidualQuantizer:
        """The quantisers."""
        return self.quantizer["vq"]  # type: ignore[return-value]

    def latents(self, wav: Tensor) -> Tensor:
        """Samples (B, 1, L) before quantisation: (B, D, T)."""
        return self.encoder["model"](wav)

    def encode(self, wav: Tensor, n_q: int | None = None, *, st: int = 0) -> Tensor:
        """Codes of layers ``st`` to ``n_q`` - 1. Layer ``st`` is given the whole latents, also above 0."""
        return self.layers.encode(self.latents(wav), n_q, first=st)[1]

    def vectors(self, codes: Tensor, *, st: int = 0) -> Tensor:
        """Sum (B, D, T) of the rows of layers ``st``, ``st`` + 1, ..."""
        return self.layers.decode(codes, first=st)

    def decode(self, codes: Tensor, *, st: int = 0) -> Tensor:
        """Samples (B, 1, T * hop) of the codes of layers ``st``, ``st`` + 1, ..."""
        return self.decoder["model"](self.vectors(codes, st=st))

    def semantics(self, codes: Tensor) -> Tensor:
        """What was trained to resemble HuBERT: (B, T, ``semantic_dimension``), of layer 0 alone."""
        return self.transform(self.vectors(codes[:1]).transpose(1, 2))

    def forward(self, wav: Tensor) -> Tensor:
        """The samples (B, 1, T * hop) after all layers."""
        return self.decode(self.encode(wav))
