"""The published FACodecs, which are codecs and convert voices: their weights, and their parts in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engines.base import Device, Weights, WeightsCache
from engines.parts.published import Part

if TYPE_CHECKING:
    from engines.networks.facodec.codec import PlachtaFacodec
    from engines.networks.ns3_facodec.codec import Facodec
    from engines.networks.ns3_facodec.decoder import FacodecRedecoder

LARGEST_TIMBRE_S = 20.0  # a timbre is the mean of stretches so long

FACODEC = Weights(
    "facodec",
    "FAcodec",
    repo="Plachta/FAcodec",
    files=("pytorch_model.bin",),
    optional=("config.json",),
    size_bytes=869_000_000,
    license="MIT",
    advice="Trained on speech at 24 kHz.",
)
NS3 = "amphion/naturalspeech3_facodec"


def _ns3(version: str, title: str, *files: str, size_bytes: int) -> Weights:
    return Weights(
        version,
        title,
        repo=NS3,
        files=files,
        optional=("config.json",),
        size_bytes=size_bytes,
        license="Apache-2.0",
        advice="Trained on English speech at 16 kHz.",
    )


NS3_V1 = _ns3(
    "ns3-facodec-v1", "NS3 FACodec, version 1", "ns3_facodec_encoder.bin", "ns3_facodec_decoder.bin",
    size_bytes=4 * (4_211_224 + 99_402_188),
)  # fmt: skip
NS3_V2 = _ns3(
    "ns3-facodec-v2", "NS3 FACodec, version 2", "ns3_facodec_encoder_v2.bin",
    "ns3_facodec_decoder_v2.bin", size_bytes=4 * (4_253_064 + 108_041_420),
)  # fmt: skip
NS3_REDECODER = _ns3(
    "ns3-facodec-redecoder", "NS3 FACodec, redecoder", "ns3_facodec_redecoder.bin",
    size_bytes=4 * 37_609_690,
)  # fmt: skip

# what stays in memory; the heads of training are left out
FACODEC_PART = Part(FACODEC, "facodec", 137_797_954)
NS3_V1_PART = Part(NS3_V1, "v1", 40_000_000)
NS3_V2_PART = Part(NS3_V2, "v2", 48_000_000)
NS3_REDECODER_PART = Part(NS3_REDECODER, "redecoder", 37_609_690)


def facodec(cache: WeightsCache, device: Device) -> PlachtaFacodec:
    """FAcodec, shared."""
    from engines.networks.facodec.codec import PlachtaFacodec

    return FACODEC_PART.load(cache, device, PlachtaFacodec.from_published)


def ns3_facodec(cache: WeightsCache, device: Device, version: int) -> Facodec:
    """NS3 FACodec of ``version`` 1 or 2, shared."""
    from engines.networks.ns3_facodec.codec import Facodec

    def read(folder: Path) -> Facodec:
        return Facodec.from_published(folder, version=version)

    return (NS3_V1_PART if version == 1 else NS3_V2_PART).load(cache, device, read)


def redecoder(cache: WeightsCache, device: Device) -> FacodecRedecoder:
    """The decoder that version 1 needs for conversion, shared."""
    from engines.networks.ns3_facodec.decoder import FacodecRedecoder

    return NS3_REDECODER_PART.load(cache, device, FacodecRedecoder.from_published)
