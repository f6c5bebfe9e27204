"""Sizes of FastSpeech2 and of the parts that Jets takes over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from engines.networks.fastspeech2.symbols import SYMBOLS
from engines.networks.weights import config_of, section


@dataclass(frozen=True)
class TransformerConfig:
    """Layers, heads and channels of encoder and decoder; ``conv_kernel_size`` is of both convolutions."""

    encoder_layer: int
    encoder_head: int
    encoder_hidden: int
    decoder_layer: int
    decoder_head: int
    decoder_hidden: int
    conv_filter_size: int
    conv_kernel_size: Sequence[int]
    encoder_dropout: float = 0.2
    decoder_dropout: float = 0.2


@dataclass(frozen=True)
class PredictorConfig:
    """Sizes of the predictors of duration, pitch and energy."""

    filter_size: int
    kernel_size: int
    dropout: float = 0.5


@dataclass(frozen=True)
class FastSpeech2Config:
    """Sizes; ``symbols`` doesn't count the padding, ``bins`` are those of pitch and energy.

    ``max_seq_len`` is the length of the stored table of positions, not a limit.
    """

    transformer: TransformerConfig
    predictor: PredictorConfig
    bins: int
    max_seq_len: int
    n_mel: int
    symbols: int = len(SYMBOLS)
    speakers: int = 0
    postnet: int = 512

    @classmethod
    def read(cls, args: Mapping[str, Any], **others: int) -> Self:
        """The configuration from ``args.json``; ``WeightsError`` names what it lacks."""
        model = section(args, "model")
        sizes = {
            "transformer": config_of(
                TransformerConfig, section(model, "transformer"), what="the transformer"
            ),
            "predictor": config_of(
                PredictorConfig, section(model, "variance_predictor"), what="the predictors"
            ),
            "bins": section(model, "variance_embedding")["n_bins"],
            "n_mel": section(args, "preprocess")["n_mel"],
        }
        return config_of(cls, {**model, **sizes, **others}, what="FastSpeech2")
