"""VitsSVC: conversion with and without the fault of its source, and a whole training step."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.blocks.adversarial import discriminator_loss
from engines.networks.blocks.draws import Draw
from engines.networks.blocks.lengths import segments
from engines.networks.svc.vits import DEFAULT_NOISE_SCALE, VitsSvc
from engines.networks.vits.discriminator import SAMPLE_LAYERS, VitsDiscriminator
from engines.networks.vits.losses import divergence, generator_loss, output_mel
from engines.networks.vocoders.nsf_hifigan import NsfHifiganGenerator
from engines.networks.weights import load_exactly
from tests.networks.discriminators import narrowed, period_channels
from tests.networks.parity import Draws, Fixture
from tests.networks.svc import features_of, gradient_norm

GENERATORS = ("nsfhifigan", "hifigan", "bigvgan", "melgan", "apnet")
UNUSED = ("enc_p.f0_emb",)


def tiny(fixture: Fixture) -> VitsSvc:
    """The fixture's generator."""
    given = fixture.configs["generator"]
    kind = next(name for name in GENERATORS if name in given)
    model = {**given, "generator": kind, "generator_config": given}
    network = VitsSvc.read(model, fixture.configs["preprocess"])
    load_exactly(network, fixture.weights("generator"), what="generator", optional=UNUSED)
    return network.eval()


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    network = tiny(fixture)
    yield from conversion(fixture, network)
    if isinstance(network.dec, NsfHifiganGenerator):
        network.dec.as_published = True
    with torch.enable_grad():
        yield from training(fixture, network)


def first(fixture: Fixture, items: int) -> Fixture:
    """The fixture with the first of its inputs only."""
    cut = {k: t[:items] if k.startswith("in.") else t for k, t in fixture.tensors.items()}
    return Fixture(fixture.name, fixture.about, cut)


def conversion(fixture: Fixture, network: VitsSvc) -> Iterator[tuple[str, Tensor]]:
    noise = fixture["infer.noise"]
    features = features_of(first(fixture, len(noise)), "in")
    mask = torch.ones(len(noise), 1, noise.shape[2])
    condition = network.condition_encoder(features)
    yield "infer.out.cond", condition.transpose(1, 2)
    mean, log_deviation = network.enc_p(condition, mask)
    yield "infer.out.m", mean
    yield "infer.out.logs", log_deviation
    yield "infer.out.z", network.latents(features, mask, noise, DEFAULT_NOISE_SCALE)
    phase, source_noise = (fixture[f"infer.draw.source_{key}"] for key in ("phase", "noise"))
    if isinstance(network.dec, NsfHifiganGenerator):
        drawn = network.dec.draw(features.f0, Draws([source_noise]), Draws([phase]))
        yield "infer.out.source", network.dec.m_source(features.f0, *drawn)
    for name, as_published in (("intended", False), ("upstream", True)):
        network.dec.as_published = as_published
        draws = Draws([noise, source_noise]), Draws([phase])
        yield f"infer.out.audio_{name}", network.convert(features, mask, *draws)


def recorded(*numbers: Tensor) -> Draw:
    """Recorded draws, then zeros: those of the source aren't recorded, as they had no effect."""
    left = list(numbers)
    return lambda shape: left.pop(0) if left else torch.zeros(shape)


def training(fixture: Fixture, network: VitsSvc) -> Iterator[tuple[str, Tensor]]:
    draw = recorded(fixture["train.draw.posterior"])
    draw_uniform = recorded(fixture["train.draw.slice"])
    linear, lengths = fixture["in.linear"].transpose(1, 2), fixture["in.target_len"]
    out = network(features_of(fixture, "in"), linear, lengths, draw, draw_uniform)
    mel = output_mel(fixture.configs["preprocess"])
    mel_hat = mel.log_mel(out.audio[:, 0])
    for key, value in (
        ("z", out.z),
        ("z_p", out.z_p),
        ("m_p", out.mean_p),
        ("logs_p", out.log_deviation_p),
        ("m_q", out.mean_q),
        ("logs_q", out.log_deviation_q),
        ("ids", out.starts),
        ("y_hat", out.audio),
        ("mel_hat", mel_hat),
    ):
        yield f"train.out.{key}", value.detach()
    size = network.config.segment_frames
    audio = segments(fixture["in.audio"][:, None], out.starts * mel.hop, size * mel.hop)
    critic = discriminator(fixture)
    real, fake = critic(audio), critic(out.audio)
    for name, judgements in (("real", real), ("fake", fake)):
        for place, judgement in enumerate(judgements):
            yield f"train.disc{place}.{name}", judgement.scores.flatten(1).detach()
    loss = generator_loss(
        mel=mel_hat,
        target_mel=segments(fixture["in.mel"].transpose(1, 2), out.starts, size),
        divergence=divergence(
            out.z_p, out.log_deviation_q, out.mean_p, out.log_deviation_p, out.mask
        ),
        fake=fake,
        real=real,
    )
    for key, value in (
        ("disc", discriminator_loss(real, fake)),
        ("mel", loss.mel),
        ("kl", loss.kl),
        ("fm", loss.features),
        ("gen", loss.adversarial),
        ("gen_all", loss.total),
    ):
        yield f"train.loss.{key}", value.detach()
    loss.total.backward()
    yield "train.out.grad_norm", gradient_norm(network)


def discriminator(fixture: Fixture) -> VitsDiscriminator:
    weights = fixture.weights("discriminator")
    layers = narrowed(weights, "discriminators.0", SAMPLE_LAYERS)
    channels = period_channels(weights, "discriminators.1")
    return fixture.load(VitsDiscriminator(layers, channels), "discriminator")


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    config = manifest["config"]
    for name in manifest["models"]:
        if name == "discriminator":
            yield name, VitsDiscriminator()
        else:
            yield name, VitsSvc.read(config, config["preprocess"])
