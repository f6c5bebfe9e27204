"""MaskGCT: both stages, both codecs and the features of w2v-BERT."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

from engines.networks.blocks.adaptive_llama import step_sinusoid
from engines.networks.blocks.normalisation import CONSTANTS, Normalisation
from engines.networks.blocks.repcodec import RepCodec, RepCodecConfig
from engines.networks.blocks.unmasking import Unmasking, masked_count
from engines.networks.blocks.w2v_bert import W2vBert
from engines.networks.maskgct.acoustic import AcousticConfig, AcousticGenerator
from engines.networks.maskgct.codec import (
    AcousticDecoder,
    AcousticEncoder,
    DecoderConfig,
    EncoderConfig,
)
from engines.networks.maskgct.semantic import SemanticConfig, SemanticGenerator
from engines.networks.weights import config_of
from tests.networks.parity import Fixture
from tests.networks.recording import last, listening, numbered, recorded


def settings(run: dict) -> Unmasking:
    """The settings of one of the fixture's runs."""
    steps = run["n_timesteps"]
    return Unmasking(
        steps=steps if isinstance(steps, int) else steps[0],
        temperature=run["temp"],
        filter_threshold=run["filter_thres"],
        guidance=run["cfg"],
        rescale=run["rescale_cfg"],
        as_published=True,
    )


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    yield from semantic(fixture)
    yield from acoustic(fixture)
    yield from codecs(fixture)
    yield from w2v_bert(fixture)
    normalised = Normalisation.read(CONSTANTS / "w2v_bert_layer17.safetensors")
    yield "norm.out.feat", normalised(fixture["norm.in.feat"])
    yield from schedules(fixture)


def runs(fixture: Fixture, prefix: str) -> list[str]:
    """Names of the runs ``<prefix>.<name>`` in the fixture's configurations."""
    return [name for name in fixture.configs if name.startswith(f"{prefix}.")]


def semantic(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    network = SemanticGenerator(config_of(SemanticConfig, fixture.configs["t2s"], what="MaskGCT"))
    fixture.load(network, "t2s")
    yield from estimator(fixture, network)
    prompt, phones = fixture["t2s.in.prompt"], fixture["t2s.in.phone_id"]
    length = fixture.configs["t2s_target_len"]
    for run in runs(fixture, "t2s"):
        outputs: list[Tensor] = []
        logits: list[Tensor] = []

        def hear(parts: list[Tensor], outputs: list[Tensor] = outputs) -> None:
            outputs.append(parts[0][:, phones.shape[1] :])
            outputs.extend(parts[1:])

        with listening(network.diff_estimator, hear), listening(network.to_logit, logits.append):
            steps = network.sample(
                prompt,
                length,
                settings(fixture.configs[run]),
                recorded(fixture, run),
                phones=phones,
            )
            yield f"{run}.out.tokens", last(steps)
        yield from numbered(f"{run}.est", outputs)
        yield from numbered(f"{run}.logits", logits)


def estimator(fixture: Fixture, network: SemanticGenerator) -> Iterator[tuple[str, Tensor]]:
    llama = network.diff_estimator
    x, t, mask, phones = (
        fixture[f"t2s.est.in.{key}"] for key in ("x", "t", "x_mask", "phone_embedding")
    )
    sinusoid = step_sinusoid(t, llama.dim)
    yield "t2s.est.out.step_sinusoid", sinusoid
    yield "t2s.est.out.step_embed", llama.diff_step_mlp(sinusoid)
    layers: list[Tensor] = []
    joined = torch.cat([llama.cond_mlp(phones), x], dim=1)
    whole = torch.cat([torch.ones(phones.shape[:2]), mask], dim=1)
    with ExitStack() as hooks:
        for layer in llama.layers:
            hooks.enter_context(listening(layer, layers.append))
        (given,) = llama([joined], llama.scales(t), [whole])
    for place, output in enumerate(layers):
        yield f"t2s.est.out.layer{place}", output
    yield "t2s.est.out.cond", given[:, phones.shape[1] :]
    yield "t2s.est.out.uncond", llama([x], llama.scales(t), [mask])[0]


def acoustic(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    networks = {
        name: fixture.load(
            AcousticGenerator(config_of(AcousticConfig, fixture.configs[name], what="MaskGCT")),
            name,
        )
        for name in ("s2a_1layer", "s2a_full")
    }
    first: Tensor | None = None
    for run in ("s2a.layer1", "s2a.full", "s2a.nogt"):
        network = networks["s2a_1layer" if run == "s2a.layer1" else "s2a_full"]
        outputs: list[Tensor] = []
        with ExitStack() as hooks:
            hooks.enter_context(listening(network.diff_estimator, outputs.extend))
            logits: list[list[Tensor]] = [[] for _ in network.to_logits]
            for head, kept in zip(network.to_logits, logits, strict=True):
                hooks.enter_context(listening(head, kept.append))
            steps = network.sample(
                fixture["s2a.in.semantic"],
                fixture["s2a.in.acoustic_prompt"],
                fixture.configs[run]["n_timesteps"],
                settings(fixture.configs[run]),
                recorded(fixture, run),
                known=first if run == "s2a.full" else None,
            )
            codes = last(steps)
        first = codes if run == "s2a.layer1" else first
        yield f"{run}.out.codes", codes
        yield from numbered(f"{run}.est", outputs)
        for layer, kept in enumerate(logits):
            yield from numbered(f"{run}.logits_q{layer}_", kept)


def codecs(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    codec = RepCodec(config_of(RepCodecConfig, fixture.configs["semantic_codec"], what="MaskGCT"))
    fixture.load(codec, "semantic_codec")
    features = fixture["semantic_codec.in.feat"]
    quantized, tokens = codec.encode(features)
    yield "semantic_codec.out.encoder", codec.encoder(features.transpose(1, 2))
    yield "semantic_codec.out.indices", tokens
    yield "semantic_codec.out.quantized", quantized
    yield "semantic_codec.out.vq2emb", codec.quantizer.decode(tokens[None])
    yield "semantic_codec.out.x_rec", codec.decode(tokens)
    yield from acoustic_codec(fixture)


def acoustic_codec(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    encoder = AcousticEncoder(
        config_of(EncoderConfig, fixture.configs["acoustic_encoder"], what="MaskGCT")
    )
    decoder = AcousticDecoder(
        config_of(DecoderConfig, fixture.configs["acoustic_decoder"], what="MaskGCT")
    )
    fixture.load(encoder, "acoustic_encoder")
    fixture.load(decoder, "acoustic_decoder")
    latents = encoder(fixture["acoustic.in.wav"][:, None])
    codes = decoder.encode(latents)
    stacked = codes.permute(2, 0, 1)
    quantizers = decoder.quantizer
    summed = quantizers.encode(latents)[0]
    each = zip(quantizers.quantizers, stacked, strict=True)
    yield "acoustic.out.z", latents
    yield "acoustic.out.codes", stacked
    yield "acoustic.out.quantized", summed
    yield "acoustic.out.all_quantized", torch.stack([part.decode(row) for part, row in each])
    yield "acoustic.out.vq2emb", quantizers.decode(stacked)
    yield "acoustic.out.vq2emb_n2", quantizers.decode(stacked[:2])
    yield "acoustic.out.backbone", decoder.model.backbone(summed)
    yield "acoustic.out.audio", decoder.decode(codes)


def w2v_bert(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    network = Wav2Vec2BertModel(Wav2Vec2BertConfig(**fixture.configs["w2v_bert"]))
    speech = W2vBert(
        fixture.load(network, "w2v_bert"), SeamlessM4TFeatureExtractor(padding_value=1)
    )
    mels, mask = speech.filter_bank(fixture["w2v_bert.in.speech16k"])
    yield "w2v_bert.out.input_features", mels
    yield "w2v_bert.out.attention_mask", mask
    states = network(input_features=mels, attention_mask=mask, output_hidden_states=True)
    for place, hidden in enumerate(states.hidden_states):
        yield f"w2v_bert.out.hidden_states{place}", hidden


def schedules(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    for key in fixture.expected:
        if key.startswith("schedule."):
            steps, length = (int(part) for part in key.removeprefix("schedule.steps").split("_len"))
            times = [*Unmasking(steps=steps).times()[1:], 0.0]
            yield key, torch.tensor([masked_count(t, length) for t in times])


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    config = manifest["config"]["model"]
    yield (
        "t2s_model",
        SemanticGenerator(config_of(SemanticConfig, config["t2s_model"], what="MaskGCT")),
    )
    for name, entry in config["s2a_model"].items():
        yield name, AcousticGenerator(config_of(AcousticConfig, entry, what="MaskGCT"))
    yield (
        "semantic_codec",
        RepCodec(config_of(RepCodecConfig, config["semantic_codec"], what="MaskGCT")),
    )
    codec = config["acoustic_codec"]
    yield (
        "acoustic_codec_encoder",
        AcousticEncoder(config_of(EncoderConfig, codec["encoder"], what="MaskGCT")),
    )
    yield (
        "acoustic_codec_decoder",
        AcousticDecoder(config_of(DecoderConfig, codec["decoder"], what="MaskGCT")),
    )
    yield "w2v_bert_2", Wav2Vec2BertModel(Wav2Vec2BertConfig())
