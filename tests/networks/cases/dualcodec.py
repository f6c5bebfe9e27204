"""DualCodec and the two models of its VALL-E."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.blocks.causal_llama import TokenSampling
from engines.networks.dualcodec.codec import DualCodec, DualCodecConfig
from engines.networks.dualcodec.fill import AcousticFiller, AcousticFillerConfig
from engines.networks.dualcodec.first import SemanticWriter, SemanticWriterConfig
from engines.networks.weights import config_of
from tests.networks.parity import Fixture


def build(name: str, config: dict) -> nn.Module:
    """The codec or one of the models."""
    if name.startswith("valle_ar"):
        return SemanticWriter(config_of(SemanticWriterConfig, config, what=name))
    if name.startswith("valle_nar"):
        return AcousticFiller(config_of(AcousticFillerConfig, config, what=name))
    return DualCodec(config_of(DualCodecConfig, config, what=name))


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    """The codec, and both models one after the other."""
    yield from codec(fixture, _loaded(fixture, "dualcodec"))
    yield from first(fixture, _loaded(fixture, "valle_ar"))
    yield from fill(fixture, _loaded(fixture, "valle_nar"))


def _loaded(fixture: Fixture, name: str) -> nn.Module:
    return fixture.load(build(name, fixture.configs[name]), name)


def codec(fixture: Fixture, network: DualCodec) -> Iterator[tuple[str, Tensor]]:
    wav, features = fixture["codec.in.wav"], fixture["codec.in.feat50"]
    pooled = network.pool(features)
    vectors, semantic = network.semantics(pooled)
    codes = network.encode(wav, features)
    yield "codec.out.feat_pooled", pooled
    yield "codec.out.convnext_encoder", network.convnext_encoder(pooled)
    yield "codec.out.dac_encoder", network.latents(wav)
    yield "codec.out.semantic_codes", semantic.transpose(0, 1)
    yield "codec.out.acoustic_codes", codes[1:].transpose(0, 1)
    yield "codec.out.semantic_vq", vectors
    yield "codec.out.semantic_latent", network.convnext_decoder(vectors)
    yield "codec.out.audio", network.decode(codes)
    yield "codec.out.audio_semantic_only", network.decode(codes[:1])
    yield "codec.out.audio_2q", network.decode(codes[:2])


def first(fixture: Fixture, network: SemanticWriter) -> Iterator[tuple[str, Tensor]]:
    text, prompt = fixture["ar.in.text"], fixture["ar.in.prompt_semantic"]
    ids = network.prompt(text, prompt)
    yield "ar.out.llama_input_ids", ids
    yield "ar.out.logits", network.llm(ids)
    for name in (name for name in fixture.configs if name.startswith("ar.")):
        settings = fixture.configs[name]
        how = TokenSampling(
            max_length=settings["max_length"],
            min_new_tokens=0,
            temperature=settings["temperature"],
            top_k=settings["top_k"],
            top_p=settings["top_p"],
            repetition_penalty=settings["repeat_penalty"],
        )
        seeded = [torch.Generator().manual_seed(settings["seed"]) for _ in range(2)]
        steps = list(network.steps(text, prompt, how, seeded[:1], as_published=True))
        yield f"{name}.probs", torch.cat([step.probabilities for step in steps])
        yield f"{name}.draws", torch.cat([step.drawn for step in steps])
        (tokens,) = network.write(text, prompt, seeded[1:], how, as_published=True)
        yield f"{name}.out.tokens", tokens[None]


def fill(fixture: Fixture, network: AcousticFiller) -> Iterator[tuple[str, Tensor]]:
    prompt, semantic = fixture["nar.in.prompt_ids"], fixture["nar.in.first_stage_ids"]
    for level, step in enumerate(network.steps(prompt, semantic), 1):
        yield f"nar.level{level}.input_embeds", step.inputs
        yield f"nar.level{level}.logits", network.logits(step.inputs, level)
    yield "nar.out.codes", network.fill(prompt, semantic)


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    """Full-size modules by their name in the manifest."""
    given = manifest["config"]
    defaults = dict(given["dualcodec_defaults"])
    del defaults["latent_dim"]  # a formula
    for name in ("dualcodec_12hz_v1", "dualcodec_25hz_v1"):
        yield name, build(name, defaults | given[name])
    yield "valle_ar_12hzv1", build("valle_ar", given["valle_ar"])
    yield "valle_nar_12hzv1", build("valle_nar", given["valle_nar"])
