"""VALL-E: drawing the first codebook, filling the others, both training losses."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.valle.losses import fill_loss, first_loss
from engines.networks.valle.network import Valle, ValleConfig
from engines.networks.valle.sampling import (
    ValleSampling,
    fill_steps,
    first_steps,
    refill,
    shown_phones,
)
from engines.networks.weights import load_exactly
from tests.networks.parity import Fixture


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    config = ValleConfig.read(fixture.configs["valle"])
    network = Valle(config)
    state = config.with_shared(fixture.weights("valle"))
    load_exactly(network.eval(), state, what="VALL-E")
    for name, run in fixture.configs.items():
        if f"{name}.draws" in fixture:
            yield from generation(fixture, name, run, network)
    phones, prompt = fixture["in.phone_id"], fixture["in.prompt_codes"]
    yield "continual.out.codes", refill(network, phones, torch.cat([prompt, prompt.flip(1)], 1))
    yield from losses(fixture, network)


def generation(
    fixture: Fixture, name: str, run: dict, network: Valle
) -> Iterator[tuple[str, Tensor]]:
    phones, prompt = fixture["in.phone_id"], fixture["in.prompt_codes"]
    how = ValleSampling(temperature=run["temperature"], top_k=run["top_k"])
    generator = torch.Generator().manual_seed(run["seed"])
    steps = list(first_steps(network, phones, prompt[..., 0], how, [generator]))
    yield f"{name}.ar_logits", torch.cat([step.logits for step in steps])
    yield f"{name}.probs", torch.cat([step.probabilities for step in steps])
    drawn = torch.cat([step.drawn for step in steps])
    yield f"{name}.draws", drawn

    named = re.search(r"prefix(?:_mode)?(\d)", name)
    mode = int(named.group(1)) if named else network.config.prefix_mode
    shown = shown_phones(phones, int(fixture["in.enroll_len"]), mode)
    first = torch.cat([prompt[..., 0], drawn[None, :-1]], 1)
    books = [first[:, prompt.shape[1] :]]
    for stage, logits in enumerate(fill_steps(network, shown, first, prompt, mode)):
        yield f"{name}.nar_logits{stage}", logits
        books.append(logits.argmax(-1))
    yield f"{name}.out.codes", torch.stack(books, -1)


def losses(fixture: Fixture, network: Valle) -> Iterator[tuple[str, Tensor]]:
    given = [fixture[f"train.in.{key}"] for key in ("phone_id", "phone_len", "codes", "codes_len")]
    yield "train.out.ar_loss_sum", first_loss(network, *given)[None]
    for key in fixture.expected:
        named = re.fullmatch(r"train\.out\.nar_loss_sum_stage(\d)_prefix0", key)
        if named:
            yield key, fill_loss(network, *given, stage=int(named.group(1)), prefix=0)[None]


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    yield "valle", Valle(ValleConfig.read(manifest["config"]["model"]))
