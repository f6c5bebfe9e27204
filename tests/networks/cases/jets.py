"""Jets: the whole of a training step, once as published and once with embeddings, and inference."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.blocks.lengths import length_mask, segments
from engines.networks.jets.alignment import gaussian_upsampling
from engines.networks.jets.config import JetsConfig, Variance
from engines.networks.jets.discriminator import SAMPLE_LAYERS, JetsDiscriminator
from engines.networks.jets.losses import discriminator_loss, generator_loss
from engines.networks.jets.network import Jets, Training
from engines.networks.weights import load_exactly
from tests.networks.cases.fastspeech2 import MINUS_INFINITY, NOT_STORED
from tests.networks.discriminators import narrowed, period_channels
from tests.networks.parity import Draws, Fixture
from tests.networks.svc import gradient_norm

POSITIONS = ("encoder.position_enc", "decoder.position_enc")


def tiny(fixture: Fixture) -> Jets:
    """The fixture's generator."""
    config = fixture.configs["model"]
    args = {
        "model": config["model"],
        "hifigan": config["hifigan"],
        "preprocess": {"n_mel": config["n_mel"]},
        "train": {"segment_size": config["segment_frames"]},
    }
    rows = len(fixture.weights("generator")["encoder.src_word_emb.weight"])
    network = Jets(JetsConfig.read(args, symbols=rows - 1)).eval()
    left_out = (*POSITIONS, *NOT_STORED)
    load_exactly(network, fixture.weights("generator"), what="jets", optional=left_out)
    return network


def discriminator(fixture: Fixture) -> JetsDiscriminator:
    weights = fixture.weights("discriminator")
    layers = narrowed(weights, "msd.discriminators.1", SAMPLE_LAYERS)
    channels = period_channels(weights, "mpd.discriminators.0")
    return fixture.load(JetsDiscriminator(layers, channels), "discriminator")


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    network, critic = tiny(fixture), discriminator(fixture)
    for run, variance in (("train", Variance.AS_PUBLISHED), ("train_fixed", Variance.EMBEDDED)):
        network.zero_grad()
        with torch.enable_grad():
            yield from training(fixture, network, critic, run, variance)
    speech = network.synthesise(fixture["in.texts"], fixture["in.text_len"])
    yield "infer.out.wav", speech.audio
    yield "infer.out.durations", speech.durations
    about = fixture.about["tensors"]["gauss.out"]["meaning"]
    frames, tokens = (
        torch.tensor([int(length) for length in found.split("/")])
        for found in re.findall(r"\d+(?:/\d+)*(?= (?:frames|tokens))", about)
    )
    yield (
        "gauss.out",
        gaussian_upsampling(
            fixture["gauss.in.h"],
            fixture["gauss.in.d"],
            length_mask(tokens, fixture["gauss.in.h"].shape[1]),
            length_mask(frames, fixture["gauss.out"].shape[1]),
        ),
    )


def training(
    fixture: Fixture, network: Jets, critic: JetsDiscriminator, run: str, variance: Variance
) -> Iterator[tuple[str, Tensor]]:
    out = network(
        fixture["in.texts"],
        fixture["in.text_len"],
        fixture["in.mel"],
        fixture["in.target_len"],
        fixture["in.pitch"],
        fixture["in.energy"],
        Draws([fixture["train.draw.segment"]]),
        variance=variance,
    )
    yield from forward(run, out)
    hop = network.config.generator.hop
    size = network.config.segment_frames * hop
    target = segments(fixture["in.audio"][:, None], out.starts * hop, size)
    real, fake = critic(target), critic(out.audio)
    loss = generator_loss(out, target, fake=fake, real=real)
    judged = discriminator_loss(real, fake)
    for key, value in (
        ("mel_loss", loss.mel),
        ("adv_loss", loss.adversarial),
        ("feat_match_loss", loss.features),
        ("g_loss", loss.sound),
        ("var_loss", loss.variance),
        ("align_loss", loss.alignment),
        ("g_total_loss", loss.total),
        ("disc_real", judged.real),
        ("disc_fake", judged.fake),
        ("dur", loss.duration),
        ("pitch", loss.pitch),
        ("energy", loss.energy),
        ("bin", loss.binarisation),
        ("forwardsum", loss.forward_sum),
    ):
        yield f"{run}.loss.{key}", value.detach()
    for place, judgement in enumerate(fake):
        yield (
            f"{run}.disc{place}.last_fake",
            judgement.features[-1].detach().reshape(judgement.scores.shape),
        )
    loss.total.backward()
    yield f"{run}.out.grad_norm", gradient_norm(network)


def forward(run: str, out: Training) -> Iterator[tuple[str, Tensor]]:
    for key, value in (
        ("encoder", out.encoded),
        ("log_p_attn", out.alignment.log_probability.clamp(min=MINUS_INFINITY)),
        ("ds", out.alignment.durations),
        ("ps", out.token_pitch[:, :, None]),
        ("es", out.token_energy[:, :, None]),
        ("start", out.starts),
        ("log_d", out.log_durations),
        ("p", out.pitch),
        ("e", out.energy),
        ("decoder", out.decoded),
        ("wav", out.audio),
    ):
        yield f"{run}.out.{key}", value.detach()


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    yield "generator", Jets(JetsConfig.read(manifest["config"]))
    yield "discriminator", JetsDiscriminator()
