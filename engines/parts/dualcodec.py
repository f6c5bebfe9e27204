"""DualCodec's published parts: both codecs and their features."""

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
HZ_12, HZ_25 = "dualcodec-12hz", "dualcodec-25hz"
STATISTICS = "w2vbert2_mean_var_stats_emilia.pt"

# by the id of the weights: the network's variant, title, file, parameters and codebooks
VARIANTS = {
    HZ_12: (
        "12hz_v1", "DualCodec, 12.5 Hz", "dualcodec_12hz_16384_4096.safetensors", 84_014_578, 8,
    ),
    HZ_25: (
        "25hz_v1", "DualCodec, 25 Hz", "dualcodec_25hz_16384_1024.safetensors", 102_291_874, 12,
    ),
}  # fmt: skip
CODECS = {
    name: Weights(
        id=name,
        title=title,
        repo="amphion/dualcodec",
        files=(file, STATISTICS),
        optional=("config.json",),
        size_bytes=file_bytes(parameters),
        license="MIT",
        parts=(W2V_BERT,),
    )
    for name, (_, title, file, parameters, _) in VARIANTS.items()
}
CODEC_PARTS = {
    name: Part(weights, VARIANTS[name][0], VARIANTS[name][3]) for name, weights in CODECS.items()
}
PARTS = (SPEECH_PART, CODEC_PARTS[HZ_12])


def codec(cache: WeightsCache, device: Device, name: str = HZ_12) -> DualCodec:
    """The codec of one of the weights, shared."""
    from engines.networks.dualcodec.codec import DualCodec, Variant

    variant = Variant(VARIANTS[name][0])
    return CODEC_PARTS[name].load(cache, device, lambda at: DualCodec.from_published(at, variant))


def features(cache: WeightsCache, device: Device, name: str = HZ_12) -> DualCodecFeatures:
    """What the semantic codes are made from; w2v-BERT is shared."""
    from engines.networks.blocks.normalisation import Normalisation
    from engines.networks.blocks.w2v_bert import SpeechConfig
    from engines.networks.dualcodec.features import DualCodecFeatures
    from engines.networks.weights import sizes_in

    folder = folder_of(cache, CODECS[name])
    layers = sizes_in(folder, "speech", SpeechConfig()).layers
    return DualCodecFeatures(
        speech_encoder(cache, device, layers), Normalisation.read(folder / STATISTICS)
    )
