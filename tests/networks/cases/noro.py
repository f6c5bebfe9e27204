"""Noro from reference and source to the mel."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.noro.network import Noro
from tests.networks.parity import Fixture
from tests.networks.svc import number_in


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    """Reference, condition, one call of the denoiser, and the sampling."""
    network = fixture.load(Noro.read(fixture.configs["noro"]), "noro")
    encoded = network.reference_encoder.encode(fixture["in.ref_mel"].transpose(1, 2))
    yield "out.encoded", encoded
    voice = network.reference_encoder.gather(encoded)
    yield "out.reference", voice
    condition = network.condition(fixture["in.content"], fixture["in.pitch"])
    yield "out.condition", condition
    x = fixture["unit.xt"].transpose(1, 2)
    time = number_in(fixture, "unit.x0", r"t=([\d.]+\d)", 0.4)
    times = torch.full((len(x),), time)
    predicted = network.diffusion.diff_estimator(x, times, condition, voice)
    yield "unit.x0", predicted.transpose(1, 2)
    run, z = fixture.configs["run"], fixture["z"].transpose(1, 2)
    *_, mel = network.sample(condition, voice, z, steps=run["inference_steps"], sigma=run["sigma"])
    yield "out.mel", mel.transpose(1, 2)


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    """The full-size module; built on the meta device."""
    yield "noro", Noro.read(manifest["config"]["model"])
