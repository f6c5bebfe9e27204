"""Sizes of Jets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from engines.networks.fastspeech2.config import FastSpeech2Config
from engines.networks.vocoders.hifigan import HifiganConfig

RECIPE = HifiganConfig(
    resblock="2",
    upsample_rates=(8, 8, 4),
    upsample_kernel_sizes=(16, 16, 8),
    upsample_initial_channel=256,
    resblock_kernel_sizes=(3, 5, 7),
    resblock_dilation_sizes=((1, 2), (2, 6), (3, 12)),
)


class Variance(StrEnum):
    """How training adds pitch and energy to the text, and what predicts them.

    ``AS_PUBLISHED`` adds the bare numbers to every channel, so the embeddings that inference uses are
    never trained. ``EMBEDDED`` adds the embeddings. In both the predictors see the sum, which holds what
    they shall predict; in ``CONSISTENT`` they see the text alone, as at inference.
    """

    AS_PUBLISHED = "as published"
    EMBEDDED = "embedded"
    CONSISTENT = "consistent"


class Upsampling(StrEnum):
    """Whether a frame takes its own token, or a mean of the tokens around it (Donahue et al. 2020)."""

    REPEAT = "repeat"
    GAUSSIAN = "gaussian"


@dataclass(frozen=True)
class JetsConfig(FastSpeech2Config):
    """``segment_frames`` are decoded in a training step. The recipe repeats, the paper is Gaussian."""

    generator: HifiganConfig = field(default=RECIPE)
    segment_frames: int = 64
    upsampling: Upsampling = Upsampling.REPEAT

    @classmethod
    def read(cls, args: Mapping[str, Any], **others: Any) -> Self:
        """The configuration from ``args.json``; without a block ``hifigan`` the recipe's generator."""
        if "hifigan" in args:
            others["generator"] = HifiganConfig.read(args["hifigan"])
        if "segment_size" in args.get("train", {}):
            others["segment_frames"] = args["train"]["segment_size"]
        return super().read(args, **others)
