"""Metis: the first stage along features, and the merge of its low-rank adapters."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.maskgct.semantic import SemanticConfig, SemanticGenerator
from engines.networks.metis.lora import Lora
from engines.networks.metis.stage1 import MetisConfig, MetisGenerator
from engines.networks.weights import config_of
from tests.networks.cases.maskgct import settings
from tests.networks.parity import Fixture
from tests.networks.recording import last, listening, numbered, recorded


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    network = MetisGenerator(config_of(MetisConfig, fixture.configs["stage1"], what="Metis"))
    fixture.load(network, "stage1")
    features = fixture["in.cond"]
    yield "out.adapter", network.cond_adapter(features)
    for run, config in fixture.configs.items():
        if "n_timesteps" not in config:
            continue
        prompt = fixture["in.prompt"]
        if config["target_len"] == features.shape[1]:  # enhancement has no prompt
            prompt = prompt[:, :0]
        outputs: list[Tensor] = []
        logits: list[Tensor] = []
        with (
            listening(network.diff_estimator, outputs.extend),
            listening(network.to_logit, logits.append),
        ):
            steps = network.convert(features, prompt, settings(config), recorded(fixture, run))
            yield f"{run}.out.tokens", last(steps)
        yield from numbered(f"{run}.est", outputs)
        yield from numbered(f"{run}.logits", logits)
    yield "lora.out.merged_weight", merged(fixture, network)


def merged(fixture: Fixture, network: MetisGenerator) -> Tensor:
    """The weight that the fixture's factors adapt; those of the other layers are 0."""
    config = fixture.configs["lora"]
    given = {
        key.removeprefix("lora."): fixture[key] for key in fixture.expected if ".lora_A." in key
    } | {key.removeprefix("lora."): fixture[key] for key in fixture.expected if ".lora_B." in key}
    blank = {k: torch.zeros_like(v) for k, v in Lora(network, config["r"]).state_dict().items()}
    Lora.of(network, blank | given).merge_into(network, config["alpha"])
    path = next(iter(given)).partition(".lora_")[0].removeprefix("model.")
    return network.get_submodule(path).get_parameter("weight")


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    config = manifest["config"]

    def stage(name: str, **more: bool) -> MetisGenerator:
        return MetisGenerator(config_of(MetisConfig, config[name], what="Metis"), **more)

    def plain(name: str) -> SemanticGenerator:
        return SemanticGenerator(config_of(SemanticConfig, config[name], what="Metis"))

    whole = stage("vc")
    adapter = nn.ModuleDict({"model": nn.ModuleDict({"cond_adapter": whole.cond_adapter})})
    yield "metis_base (no adapter)", plain("base")
    yield "stage1 for vc/tse/se (base + cond_adapter)", whole
    yield "stage1 for tts (same as MaskGCT t2s_model)", plain("tts")
    yield "l2s (plain adapter, cond_dim 768)", stage("l2s", gated=False)
    yield "adapter file (expected keys)", adapter
    for name in ("vc", "tse"):
        rank = config[name]["lora_r"]
        yield f"lora r={rank} (expected keys)", Lora(whole, rank)
