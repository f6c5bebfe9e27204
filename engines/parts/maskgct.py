"""The published parts of MaskGCT, which Metis has too: each in memory once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engines.base import Device, Weights, WeightsCache
from engines.parts.published import Part, file_bytes, folder_of

if TYPE_CHECKING:
    from engines.networks.maskgct.pipeline import AcousticStage, SpeechTokens

RATE = 24_000
HEARD = 16_000  # rate that w2v-BERT hears
TOKENS_PER_SECOND = 50
FRAME_S = 1 / TOKENS_PER_SECOND

ENCODED = 411_000_000  # parameters of w2v-BERT's first 17 layers
CODEC, ENCODER, DECODER = 22_000_000, 42_540_224, 128_196_162
FIRST, ALL, SEMANTIC = 330_348_544, 353_439_744, 746_399_744

W2V_BERT = Weights(
    id="w2v-bert-2.0",
    title="w2v-BERT 2.0",
    repo="facebook/w2v-bert-2.0",
    files=("config.json", "preprocessor_config.json", "model.safetensors"),
    size_bytes=file_bytes(580_493_120),
    license="MIT",
)
CODECS = Weights(
    id="maskgct-acoustic",
    title="MaskGCT: codecs and acoustic stage",
    repo="amphion/MaskGCT",
    files=(
        "semantic_codec/model.safetensors",
        "acoustic_codec/model.safetensors",
        "acoustic_codec/model_1.safetensors",
        "s2a_model/s2a_model_1layer/model.safetensors",
        "s2a_model/s2a_model_full/model.safetensors",
    ),
    optional=("config.json", "wav2vec2bert_stats.pt"),
    size_bytes=file_bytes(44_289_808, ENCODER, DECODER, FIRST, ALL),
    license="CC-BY-NC-4.0",
    non_commercial=True,
)
MASKGCT = Weights(
    id="maskgct",
    title="MaskGCT",
    repo="amphion/MaskGCT",
    files=("t2s_model/model.safetensors",),
    size_bytes=file_bytes(SEMANTIC),
    license="CC-BY-NC-4.0",
    non_commercial=True,
    languages=("zh", "en", "ja", "ko", "fr", "de"),
    parts=(CODECS, W2V_BERT),
)

SPEECH_PART = Part(W2V_BERT, "17 layers", ENCODED)
CODEC_PART = Part(CODECS, "semantic_codec", CODEC)
ENCODER_PART = Part(CODECS, "acoustic_codec encoder", ENCODER)
DECODER_PART = Part(CODECS, "acoustic_codec decoder", DECODER)
FIRST_PART = Part(CODECS, "s2a_model_1layer", FIRST, exact=False)
ALL_PART = Part(CODECS, "s2a_model_full", ALL, exact=False)
SEMANTIC_PART = Part(MASKGCT, "t2s_model", SEMANTIC, exact=False)
COMMON = (SPEECH_PART, CODEC_PART, ENCODER_PART, DECODER_PART, FIRST_PART, ALL_PART)
"""What MaskGCT, Metis and their kin hold alike."""


def speech_encoder(cache: WeightsCache, device: Device, layers: int = 17) -> Any:
    """w2v-BERT's first layers."""
    from engines.networks.blocks.w2v_bert import W2vBert

    return SPEECH_PART.load(cache, device, lambda at: W2vBert.from_published(at, layers))


def speech_tokens(cache: WeightsCache, device: Device) -> SpeechTokens:
    """Sound to semantic tokens, of shared parts."""
    from engines.networks.blocks.normalisation import Normalisation
    from engines.networks.blocks.repcodec import RepCodec
    from engines.networks.maskgct.pipeline import (
        CODEC_FILE,
        STATISTICS_FILE,
        MaskGctConfig,
        SpeechTokens,
    )

    folder = folder_of(cache, CODECS)
    sizes = MaskGctConfig.of(folder)
    codec = CODEC_PART.load(
        cache, device, lambda at: RepCodec.from_published(at / CODEC_FILE, sizes.semantic_codec)
    )
    return SpeechTokens(
        speech_encoder(cache, device, sizes.speech.layers),
        codec,
        Normalisation.of(folder / STATISTICS_FILE, "w2v_bert_layer17"),
    )


def acoustic_stage(cache: WeightsCache, device: Device) -> AcousticStage:
    """Semantic tokens to sound, of shared parts."""
    from engines.networks.maskgct.acoustic import AcousticGenerator
    from engines.networks.maskgct.codec import AcousticDecoder, AcousticEncoder
    from engines.networks.maskgct.pipeline import (
        ALL_FILE,
        DECODER_FILE,
        ENCODER_FILE,
        FIRST_FILE,
        AcousticStage,
        MaskGctConfig,
    )

    sizes = MaskGctConfig.of(folder_of(cache, CODECS))
    return AcousticStage(
        FIRST_PART.load(
            cache, device, lambda at: AcousticGenerator.from_published(at / FIRST_FILE, sizes.first)
        ),
        ALL_PART.load(
            cache, device, lambda at: AcousticGenerator.from_published(at / ALL_FILE, sizes.others)
        ),
        ENCODER_PART.load(
            cache,
            device,
            lambda at: AcousticEncoder.from_published(at / ENCODER_FILE, sizes.encoder),
        ),
        DECODER_PART.load(
            cache,
            device,
            lambda at: AcousticDecoder.from_published(at / DECODER_FILE, sizes.decoder),
        ),
    )
