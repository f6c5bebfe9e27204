"""Sizes of NaturalSpeech 2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from engines.networks.blocks.prompt_encoder import EncoderConfig


@dataclass(frozen=True)
class PredictorConfig:
    """Sizes of a predictor under the published names.

    Every ``cross_attn_per_layer``-th of the ``conv_layers`` layers, from the first, attends to the prompt.
    """

    input_size: int = 512
    filter_size: int = 512
    kernel_size: int = 3
    conv_layers: int = 30
    cross_attn_per_layer: int = 3
    attn_head: int = 8
    drop_out: float = 0.5

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From a mapping that may hold other entries too."""
        return cls(**{name: given[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class PriorConfig:
    """Sizes of the prior; F0 in Hz. The defaults are the published ones."""

    symbols: int = 100
    pitch_bins: int = 512
    pitch_min: float = 50.0
    pitch_max: float = 1100.0
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    duration: PredictorConfig = field(default_factory=PredictorConfig)
    pitch: PredictorConfig = field(default_factory=lambda: PredictorConfig(kernel_size=5))

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From the published ``prior_encoder``."""
        return cls(
            symbols=given["vocab_size"],
            pitch_bins=given["pitch_bins_num"],
            pitch_min=given["pitch_min"],
            pitch_max=given["pitch_max"],
            encoder=EncoderConfig.read(given["encoder"]),
            duration=PredictorConfig.read(given["duration_predictor"]),
            pitch=PredictorConfig.read(given["pitch_predictor"]),
        )


@dataclass(frozen=True)
class PromptConfig:
    """Sizes of what hears the prompt: its encoder, and the ``queries`` that gather the voice."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    queries: int = 32
    query_heads: int = 8

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From the published model, its parts ``prompt_encoder`` and ``query_emb``."""
        query = given["query_emb"]
        encoder = EncoderConfig.read(given["prompt_encoder"])
        return cls(encoder, query["query_token_num"], query["head_num"])
