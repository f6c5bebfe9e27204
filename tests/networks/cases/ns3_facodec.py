"""FACodec of NaturalSpeech 3: version 1, its redecoder, version 2."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from engines.networks.ns3_facodec.decoder import (
    FacodecDecoder,
    FacodecDecoderConfig,
    FacodecDecoderV2,
    FacodecRedecoder,
)
from engines.networks.ns3_facodec.encoder import (
    FacodecEncoder,
    FacodecEncoderConfig,
    FacodecEncoderV2,
)
from engines.networks.ns3_facodec.transformer import FacodecTransformerSizes
from engines.networks.weights import config_of
from tests.networks.parity import Fixture


def build(name: str, config: dict, sizes: FacodecTransformerSizes | None = None) -> nn.Module:
    """One of the five modules with all that its file holds."""
    if name.startswith("encoder"):
        kind = FacodecEncoderV2 if name == "encoder_v2" else FacodecEncoder
        return kind(config_of(FacodecEncoderConfig, config, what=name))
    sized = config_of(FacodecDecoderConfig, config, what=name)
    if name == "redecoder":
        return FacodecRedecoder(sized, sizes, as_published=True)
    kind = FacodecDecoderV2 if name == "decoder_v2" else FacodecDecoder
    return kind(sized, sizes, heads=True, as_published=True)


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    """A reconstruction in a batch, and conversions both ways."""
    sizes = FacodecTransformerSizes(**fixture.configs["transformer_tiny"])
    names = ("encoder", "decoder", "redecoder", "encoder_v2", "decoder_v2")
    encoder, decoder, redecoder, encoder_v2, decoder_v2 = (
        fixture.load(build(name, fixture.configs[name], sizes), name) for name in names
    )
    wav_a, wav_b = fixture["in.wav_a"], fixture["in.wav_b"]
    yield from unit(fixture, encoder)
    yield from version_1(encoder, decoder, wav_a, wav_b)

    codes = decoder.quantize(encoder(wav_a)).codes[:, :1]
    speaker = decoder.speaker(encoder(wav_b))
    embedding = redecoder.vq2emb(codes, speaker)
    yield "vc.re.emb", embedding
    yield "vc.re.wav", redecoder.inference(embedding, speaker)
    yield "vc.re.emb_res", redecoder.vq2emb(codes, speaker, residual=True)

    frames = fixture["v2.out.prosody_a"].shape[-1]
    cut = wav_a[:1, :, : frames * encoder_v2.config.hop]
    yield from version_2(encoder_v2, decoder_v2, cut, wav_b)


def unit(fixture: Fixture, encoder: FacodecEncoder) -> Iterator[tuple[str, Tensor]]:
    activation = encoder.get_submodule("block.1.block.0.block.0")
    given = fixture["unit.act.in"]
    yield "unit.act.up", activation.upsample(given)
    yield "unit.act.out", activation(given)


def version_1(
    encoder: FacodecEncoder, decoder: FacodecDecoder, wav_a: Tensor, wav_b: Tensor
) -> Iterator[tuple[str, Tensor]]:
    z_a, z_b = encoder(wav_a), encoder(wav_b)
    yield "out.enc_a", z_a
    yield "out.enc_b", z_b
    parts = decoder.quantize(z_a)
    yield "out.codes_a", parts.codes
    yield "out.codes_b", decoder.quantize(z_b).codes
    yield "out.vq_post_a", parts.embedding
    groups = (parts.prosody, parts.content, parts.residual)
    yield from ((f"out.group{place}_a", group) for place, group in enumerate(groups))
    speaker = decoder.speaker(z_a)
    yield "out.timbre_seq_a", decoder.timbre(z_a)
    yield "out.spk_a", speaker
    yield "out.spk_b", decoder.speaker(z_b)
    yield "out.recon_a", decoder.inference(parts.embedding, speaker)
    yield "out.vq2emb_a", decoder.vq2emb(parts.codes)
    yield "out.vq2emb_nores_a", decoder.vq2emb(parts.codes, residual=False)
    f0, voiced = decoder.f0_predictor(parts.prosody)
    yield "out.f0_a", f0
    yield "out.uv_a", voiced


def version_2(
    encoder: FacodecEncoderV2, decoder: FacodecDecoderV2, wav_a: Tensor, wav_b: Tensor
) -> Iterator[tuple[str, Tensor]]:
    mel = encoder.prosody(wav_a)
    parts = decoder.quantize(encoder(wav_a), mel)
    speaker = decoder.speaker(encoder(wav_b))
    embedding = decoder.vq2emb(parts.codes, residual=False)
    yield "v2.out.prosody_a", mel
    yield "v2.out.codes_a", parts.codes
    yield "v2.out.vq_post_a", parts.embedding
    yield "v2.out.spk_b", speaker
    yield "v2.vc.emb", embedding
    yield "v2.vc.wav", decoder.inference(embedding, speaker)


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    """Full-size modules by their name in the manifest."""
    for name, config in manifest["config"].items():
        yield name, build(name, config)
