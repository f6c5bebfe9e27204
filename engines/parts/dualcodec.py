"""DualCodec's published parts: the 12.5 Hz codec and its features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engines.base import Device, Weights, WeightsCache
from engines.parts.maskgct import SPEECH_PART, W2V_BERT, speech_encoder
from engines.parts.published import Part, file_bytes, folder_of

if TYPE_CHECKING:
    from engines.networks.dualcodec.codec import DualCodec
    from engines.networks.dualcodec.features import DualCodecFeatures

RATE = 24_000
FRAMES_PER_SECOND = 12.5
PARAMETERS = 84_014_578

CODEC = Weights(
    id="dualcodec-12hz",
    title="DualCodec, 12.5 Hz",
    repo="amphion/dualcodec",
    files=("dualcodec_12hz_16384_4096.safetensors", "w2vbert2_mean_var_stats_emilia.pt"),
    optional=("config.json",),
    size_bytes=file_bytes(PARAMETERS),
    license="MIT",
    parts=(W2V_BERT,),
)
CODEC_PART = Part(CODEC, "12hz_v1", PARAMETERS)
PARTS = (SPEECH_PART, CODEC_PART)


def codec(cache: WeightsCache, device: Device) -> DualCodec:
    """The codec of 12.5 Hz, shared."""
    from engines.networks.dualcodec.codec import DualCodec

    return CODEC_PART.load(cache, device, lambda at: DualCodec.from_published(at))


def features(cache: WeightsCache, device: Device) -> DualCodecFeatures:
    """What the semantic codes are made from; w2v-BERT is shared."""
    from engines.networks.blocks.normalisation import Normalisation
    from engines.networks.blocks.w2v_bert import SpeechConfig
    from engines.networks.dualcodec.features import STATISTICS_FILE, DualCodecFeatures
    from engines.networks.weights import sizes_in

    folder = folder_of(cache, CODEC)
    layers = sizes_in(folder, "speech", SpeechConfig()).layers
    return DualCodecFeatures(
        speech_encoder(cache, device, layers), Normalisation.read(folder / STATISTICS_FILE)
    )
