"""NaturalSpeech 2 from the prompt to the latents."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.naturalspeech2.network import DEFAULT_SIGMA, NaturalSpeech2
from tests.networks.parity import Fixture
from tests.networks.svc import number_in


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    """Prompt, prior, one call of the denoiser, and the sampling."""
    network = fixture.load(NaturalSpeech2.read(fixture.configs["naturalspeech2"]), "ns2")
    prompt, voice = network.hear(fixture["in.ref_latent"])
    yield "out.prompt", prompt
    yield "out.query", voice
    prior = network.prior_encoder(fixture["in.phone_id"], prompt)
    yield "unit.prior_encoder", prior.encoded
    yield "out.dur_pred_log", prior.log_durations
    yield "out.dur_pred_round", prior.durations
    yield "out.pitch_pred_log", prior.log_f0
    yield "out.pitch_token", prior.pitch_tokens
    yield "out.prior_out", prior.condition
    x, time = fixture["unit.xt"], number_in(fixture, "unit.x0", r"t=([\d.]+\d)", 0.4)
    times = torch.full((len(x),), time)
    yield "unit.x0", network.diffusion.diff_estimator(x, times, prior.condition, voice)
    run = fixture.configs["run"]
    *_, latents = network.sample(
        prior.condition,
        voice,
        fixture["z"],
        steps=run["inference_steps"],
        sigma=run.get("sigma", DEFAULT_SIGMA),
    )
    yield "out.latent", latents


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    """The full-size module; built on the meta device."""
    (name,) = manifest["models"]
    yield name, NaturalSpeech2.read(manifest["config"])
