"""Sizes of VITS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from engines.networks.vocoders.hifigan import HifiganConfig
from engines.networks.weights import config_of, section


@dataclass(frozen=True)
class VitsConfig:
    """Sizes under the names of the published ``args.json``.

    ``text_token_num`` bounds the symbols; ``spec_channels`` are the bins of the linear spectrogram;
    ``segment_size`` is in frames. Without speakers (``n_speakers`` 0) the layers for them exist but
    aren't used. ``flow_layers`` are the convolutions of each coupling.
    """

    text_token_num: int
    spec_channels: int
    segment_size: int
    inter_channels: int
    hidden_channels: int
    filter_channels: int
    n_heads: int
    n_layers: int
    kernel_size: int
    decoder: HifiganConfig
    p_dropout: float = 0.1
    gin_channels: int = 256
    n_speakers: int = 0
    use_sdp: bool = True
    posterior_layers: int = 16
    flow_layers: int = 4

    @classmethod
    def read(cls, args: Mapping[str, Any]) -> Self:
        """The configuration from ``args.json``; ``WeightsError`` names what it lacks."""
        model, preprocess = section(args, "model"), section(args, "preprocess")
        derived = {
            "spec_channels": preprocess["n_fft"] // 2 + 1,
            "segment_size": preprocess["segment_size"] // preprocess["hop_size"],
            "decoder": HifiganConfig.read(model),
        }
        return config_of(cls, {**model, **derived}, what="VITS")
