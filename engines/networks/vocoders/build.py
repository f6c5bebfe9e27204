"""The generator that a configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from engines.networks.vocoders.apnet import ApnetConfig, ApnetGenerator
from engines.networks.vocoders.bigvgan import BigvganConfig, BigvganGenerator
from engines.networks.vocoders.hifigan import HifiganConfig, HifiganGenerator
from engines.networks.vocoders.melgan import MelganGenerator
from engines.networks.vocoders.nsf_hifigan import NsfHifiganConfig, NsfHifiganGenerator
from engines.networks.weights import WeightsError

MELGAN_SIZES = ("ratios", "ngf", "n_residual_layers")


def build_generator(
    kind: str,
    sizes: Mapping[str, Any],
    preprocess: Mapping[str, Any],
    inputs: int,
    *,
    as_published: bool = False,
) -> nn.Module:
    """The generator ``kind`` ("hifigan", "bigvgan", "nsfhifigan", "apnet" or "melgan") of ``sizes``.

    ``preprocess`` is that of ``args.json``; ``inputs`` are the channels that the generator is fed.
    ``as_published`` repeats the fault of NSF-HiFiGAN. ``WeightsError`` for another ``kind``.
    """
    if kind == "hifigan":
        return HifiganGenerator(HifiganConfig.read(sizes), inputs)
    if kind == "bigvgan":
        return BigvganGenerator(BigvganConfig.read(sizes), inputs)
    if kind == "nsfhifigan":
        rate = {"sample_rate": preprocess["sample_rate"]}
        config = NsfHifiganConfig.read({**sizes, **rate})
        return NsfHifiganGenerator(config, inputs, as_published=as_published)
    if kind == "apnet":
        return ApnetGenerator(
            ApnetConfig(**sizes), inputs, preprocess["n_fft"], preprocess["hop_size"]
        )
    if kind == "melgan":
        return MelganGenerator(inputs=inputs, **{name: sizes[name] for name in MELGAN_SIZES})
    raise WeightsError(f"The generator “{kind}” isn't one of those that are known here.")
