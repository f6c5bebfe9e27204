"""VevoSing: chromagram, both tokenisers, language model and flow."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.blocks.causal_llama import token_steps
from engines.networks.vevo.flow import FlowConfig, FlowTransformer
from engines.networks.vevo.sound import VocoderConfig
from engines.networks.vevosing.features import chromagram, stretched
from engines.networks.vevosing.language import SingingConfig, SingingLanguage
from engines.networks.vevosing.tokenizer import CocoConfig, CocoTokenizer
from engines.networks.weights import config_of
from tests.networks.cases.vevo import flow_settings, sampling
from tests.networks.parity import Draws, Fixture
from tests.networks.recording import last


def tokenizer(config: dict) -> CocoTokenizer:
    """A tokeniser of one of the fixture's or manifest's configurations."""
    sizes = config | config["encoder"]
    if config["coco_type"] == "style":
        sizes["whisper_dim"] = 0
    return CocoTokenizer(config_of(CocoConfig, sizes, what="VevoSing"))


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    chroma = chromagram(fixture["chroma.in.wav24k"])
    yield "chroma.out", chroma
    if "interp.out" in fixture:  # the ratio isn't described; it is one that gives this length
        frames = fixture["interp.out"].shape[1]
        yield "interp.out", stretched(chroma, (frames + 0.5) / chroma.shape[1])
    for name in ("contentstyle", "prosody"):
        network = tokenizer(fixture.configs[f"{name}_tokenizer"])
        fixture.load(network, f"{name}_tokenizer")
        given = [chroma] if name == "prosody" else [chroma, fixture["tok.in.whisper"]]
        downsampled = network.downsampled(*given)
        quantized, tokens = network.encode(*given)
        yield f"tok.{name}.out.downsampled", downsampled
        yield f"tok.{name}.out.encoder", network.encoder(downsampled)
        yield f"tok.{name}.out.tokens", tokens
        yield f"tok.{name}.out.quantized", quantized
    yield from language(fixture)
    yield from flow(fixture)


def language(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    network = SingingLanguage(config_of(SingingConfig, fixture.configs["ar"], what="VevoSing"))
    fixture.load(network, "ar")
    content, style, prompt = (fixture[f"ar.in.{key}"] for key in ("content", "style", "prompt"))
    for name, melody in (("style", style), ("nostyle", None)):
        given = network.sequence(content, melody, prompt)
        yield f"ar.{name}.llama_ids", given
        yield f"ar.{name}.logits", network.model(given)
    run = fixture.configs["ar.sample"]
    how, seed = sampling(run), run["seed"]
    given = network.sequence(content, style, prompt)
    seeded = [torch.Generator().manual_seed(seed)]
    steps = list(token_steps(network.model, given, how, network.output_end, seeded))
    yield "ar.sample.probs", torch.cat([step.probabilities for step in steps])
    yield "ar.sample.draws", torch.cat([step.drawn for step in steps])
    seeded = [torch.Generator().manual_seed(seed)]
    (tokens,) = network.generate(content, style, prompt, how, seeded, as_published=True)
    yield "ar.sample.tokens", tokens[None]


def flow(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    network = FlowTransformer(config_of(FlowConfig, fixture.configs["fm"], what="VevoSing"))
    fixture.load(network, "fm")
    condition = network.condition(fixture["fm.in.codes"])
    yield "fm.out.cond", condition
    steps = network.sample(
        condition,
        fixture["fm.in.prompt_mel"],
        flow_settings(fixture.configs["fm.run"]),
        Draws([fixture["fm.run.z"]]),
    )
    yield "fm.run.out", last(steps)


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    config = manifest["config"]
    model = config["ar_emilia101k_singnet7k"]["model"]
    yield "prosody_tokenizer", tokenizer(model["coco_style"])
    yield "contentstyle_tokenizer", tokenizer(model["coco_content_style"])
    sizes = model["autoregressive_transformer"]
    yield "ar", SingingLanguage(config_of(SingingConfig, sizes, what="VevoSing"))
    sizes = config["fm_emilia101k_singnet7k"]["model"]["flow_matching_transformer"]
    yield "fm", FlowTransformer(config_of(FlowConfig, sizes, what="VevoSing"))
    sizes = config["vocoder"]["vocos"]
    yield "vocoder", config_of(VocoderConfig, sizes, what="VevoSing").build()
