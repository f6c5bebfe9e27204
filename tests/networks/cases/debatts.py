"""DebaTTS's language model: sequence, drawing step by step, training batch and loss."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.blocks.causal_llama import TokenSampling, token_steps
from engines.networks.debatts.network import DebateConfig, DebateLm
from engines.networks.weights import config_of
from tests.networks.parity import Fixture

LOWEST = -1e30  # how the fixture stores minus infinity


def build(sizes: dict) -> DebateLm:
    return DebateLm(config_of(DebateConfig, sizes["t2s"], what="t2s"))


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    network = fixture.load(build(fixture.configs), "t2s")
    yield from sampling(fixture, network)
    yield from training(fixture, network)


def sampling(fixture: Fixture, network: DebateLm) -> Iterator[tuple[str, Tensor]]:
    run = fixture.configs["sample"]
    parts = [fixture[f"in.{key}"] for key in ("prompt0", "phones", "prompt")]
    given = network.sequence(*parts)
    yield "sample.out.input_ids", given
    how = TokenSampling(
        max_length=given.shape[1] + run["max_new_tokens"],
        min_new_tokens=run["min_new_tokens"],
        temperature=run["temperature"],
        top_k=run["top_k"],
        top_p=run["top_p"],
        repetition_penalty=run["repetition_penalty"],
    )
    end, seed = network.config.eos_target_id, run["seed"]
    generator = torch.Generator().manual_seed(seed)
    steps = list(token_steps(network.model, given, how, end, [generator]))
    drawn = torch.stack([step.drawn for step in steps], 1)
    yield "sample.out.sequence", torch.cat([given, drawn], 1)
    yield "sample.out.logits", torch.stack([step.logits for step in steps], 1)
    scores = torch.stack([step.scores for step in steps], 1)
    yield "sample.out.scores", scores.clamp(min=LOWEST)
    yield "sample.out.codes", drawn[:, :-1]


def training(fixture: Fixture, network: DebateLm) -> Iterator[tuple[str, Tensor]]:
    parts = [
        (fixture[f"train.in.{ids}"], fixture[f"train.in.{mask}"])
        for ids, mask in (
            ("prompt0", "prompt0_mask"),
            ("phones", "phone_mask"),
            ("target", "target_mask"),
        )
    ]
    batch = network.segments(*parts)
    yield "train.out.input_ids", batch.ids
    yield "train.out.attention_mask", batch.mask
    yield "train.out.labels", batch.labels
    loss, logits = network.loss(batch)
    yield "train.out.loss", loss
    padding = ~batch.mask[..., None]  # not compared
    yield "train.out.logits", torch.where(padding, fixture["train.out.logits"], logits)


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    yield "t2s", build(manifest["config"])
