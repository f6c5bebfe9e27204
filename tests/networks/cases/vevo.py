"""Vevo: features, tokenisers, language model, flow and vocoder."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from transformers import HubertConfig, HubertModel

from engines.networks.blocks.causal_llama import TokenSampling, token_steps
from engines.networks.blocks.hubert import LARGE, from_torchaudio, normalised, torchaudio_key
from engines.networks.blocks.repcodec import RepCodec, RepCodecConfig
from engines.networks.vevo.content import ContentCodec, ContentConfig, deduplicated
from engines.networks.vevo.flow import FlowConfig, FlowSampling, FlowTransformer
from engines.networks.vevo.language import ContentStyleLanguage, LanguageConfig
from engines.networks.vevo.sound import VocoderConfig, for_speech, log_mel, normalised_mel
from engines.networks.weights import config_of, load_exactly
from tests.networks.parity import Draws, Fixture
from tests.networks.recording import last, listening, numbered


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    wav = fixture["audio.in.wav24k"]
    speech = for_speech(wav)
    yield "audio.out.wav16k", speech
    yield "mel.out.log_mel", log_mel(wav)
    yield "mel.out.normalised", normalised_mel(wav)
    yield from hubert(fixture, speech)
    yield from content(fixture)
    yield from language(fixture)
    yield from flow(fixture)
    vocoder = config_of(VocoderConfig, fixture.configs["vocoder"], what="Vevo").build()
    fixture.load(vocoder, "vocoder")
    mel = fixture["vocoder.in.mel"]
    yield "vocoder.out.backbone", vocoder.backbone(mel)
    yield "vocoder.out.audio", vocoder(mel)


def hubert_config(config: dict) -> HubertConfig:
    """Torchaudio's names of the sizes to those of transformers."""
    layers = config["extractor_conv_layer_config"]
    return HubertConfig(
        **LARGE.to_dict()
        | {
            "conv_dim": [channels for channels, _, _ in layers],
            "conv_kernel": [kernel for _, kernel, _ in layers],
            "conv_stride": [stride for _, _, stride in layers],
            "num_feat_extract_layers": len(layers),
            "hidden_size": config["encoder_embed_dim"],
            "num_hidden_layers": config["encoder_num_layers"],
            "num_attention_heads": config["encoder_num_heads"],
            "intermediate_size": config["encoder_ff_interm_features"],
            "num_conv_pos_embeddings": config["encoder_pos_conv_kernel"],
            "num_conv_pos_embedding_groups": config["encoder_pos_conv_groups"],
        }
    )


def hubert(fixture: Fixture, speech: Tensor) -> Iterator[tuple[str, Tensor]]:
    network = HubertModel(hubert_config(fixture.configs["hubert"])).eval()
    load_exactly(network, from_torchaudio(fixture.weights("hubert")), what="HuBERT")
    given = normalised(speech)
    states = network(given, output_hidden_states=True).hidden_states
    yield "hubert.out.wave_norm", given
    for place, hidden in enumerate(states):
        yield f"hubert.out.layer{place}", hidden
    yield "hubert.out.length", torch.tensor([states[0].shape[1]])


def content(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    codec = ContentCodec(config_of(ContentConfig, fixture.configs["vq32"], what="Vevo"))
    fixture.load(codec, "vq32")
    features = fixture["vq32.in.feat"]
    tokens = codec.encode(features)
    yield "vq32.out.encoder", codec.encoder(features.transpose(1, 2))
    yield "vq32.out.z", codec.latents(features)
    yield "vq32.out.tokens", tokens
    yield "vq32.out.tokens_reduced", deduplicated(tokens[0])
    yield "dedup.out", deduplicated(fixture["dedup.in"])


def sampling(run: dict) -> TokenSampling:
    """The settings of one of the fixture's runs."""
    return TokenSampling(
        max_length=run["max_length"],
        min_new_tokens=run["min_new_tokens"],
        temperature=run["temperature"],
        top_k=run["top_k"],
        top_p=run["top_p"],
        repetition_penalty=run.get("repeat_penalty", 1.0),
    )


def language(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    network = ContentStyleLanguage(config_of(LanguageConfig, fixture.configs["ar"], what="Vevo"))
    fixture.load(network, "ar")
    inputs, style = fixture["ar.in.input_ids"], fixture["ar.in.prompt_output_ids"]
    given = network.sequence(inputs, style)
    yield "ar.out.llama_input_ids", given
    yield "ar.out.logits", network.model(given)
    greedy = TokenSampling(
        max_length=fixture["ar.greedy.out.sequence"].shape[1], min_new_tokens=5, temperature=0
    )
    steps = token_steps(network.model, given, greedy, network.output_end, [torch.Generator()])
    drawn = torch.stack([step.drawn for step in steps], dim=1)
    yield "ar.greedy.out.sequence", torch.cat([given, drawn], dim=1)
    for run in (name for name in fixture.configs if name.startswith("ar.")):
        config = fixture.configs[run]
        how, end = sampling(config), network.output_end
        seeded = [torch.Generator().manual_seed(config["seed"])]
        steps = list(token_steps(network.model, given, how, end, seeded))
        yield f"{run}.probs", torch.cat([step.probabilities for step in steps])
        yield f"{run}.draws", torch.cat([step.drawn for step in steps])
        seeded = [torch.Generator().manual_seed(config["seed"])]
        (tokens,) = network.generate(inputs, style, how, seeded, as_published=True)
        yield f"{run}.out.tokens", tokens[None]


def flow_settings(run: dict) -> FlowSampling:
    """The settings of one of the fixture's runs."""
    return FlowSampling(
        steps=run["n_timesteps"],
        guidance=run["cfg"],
        rescale=run["rescale_cfg"],
        as_published=True,
    )


def flow(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    network = FlowTransformer(config_of(FlowConfig, fixture.configs["fmt"], what="Vevo"))
    fixture.load(network, "fmt")
    estimator = network.diff_estimator
    x, t, condition, mask = (fixture[f"fmt.est.in.{key}"] for key in ("x", "t", "cond", "x_mask"))
    embedded = estimator.mel_mlp(x) + estimator.cond_mlp(condition)
    yield "fmt.est.out", estimator([embedded], estimator.scales(t), [mask])[0]
    for run in (name for name in fixture.configs if name.startswith("fmt.")):
        outputs: list[Tensor] = []
        with listening(estimator, outputs.extend):
            steps = network.sample(
                network.condition(fixture["fmt.in.codes"]),
                fixture["fmt.in.prompt_mel"],
                flow_settings(fixture.configs[run]),
                Draws([fixture[f"{run}.z"]]),
            )
            yield f"{run}.out", last(steps)
        yield from numbered(f"{run}.est", outputs)


class UnderTorchaudiosNames(nn.Module):
    """A network of transformers that says torchaudio's keys."""

    def __init__(self, network: HubertModel) -> None:
        super().__init__()
        self.network = network

    def state_dict(self, *args, **kwargs):
        return {torchaudio_key(key): t for key, t in self.network.state_dict().items()}


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    config = manifest["config"]
    for name, entry in (
        ("ar_phone_to_vq8192", "PhoneToVq8192"),
        ("ar_vq32_to_vq8192", "Vq32ToVq8192"),
    ):
        sizes = config[entry]["model"]["autoregressive_transformer"]
        yield name, ContentStyleLanguage(config_of(LanguageConfig, sizes, what="Vevo"))
    style = config["Vq8192ToMels"]["model"]
    sizes = style["flow_matching_transformer"]
    yield "fmt_vq8192_to_mels", FlowTransformer(config_of(FlowConfig, sizes, what="Vevo"))
    sizes = config["Vocoder"]["model"]["vocos"]
    yield "vocoder", config_of(VocoderConfig, sizes, what="Vevo").build()
    sizes = config_of(RepCodecConfig, style["repcodec"], what="Vevo")
    yield "tokenizer_vq8192", RepCodec(sizes)
    sizes = config_of(ContentConfig, config["hubert_large_l18_c32"], what="Vevo")
    yield "tokenizer_vq32", ContentCodec(sizes)
    network = HubertModel(hubert_config(config["hubert_large"]))
    yield "hubert_large_torchaudio", UnderTorchaudiosNames(network)
