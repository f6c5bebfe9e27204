"""DiffComoSVC: the teacher's losses and samples, and the student's."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.svc.diffcomo import DiffComoSvc
from engines.networks.svc.diffcomo_losses import distillation_loss, teacher_losses, update_average
from tests.networks.parity import Draws, Fixture
from tests.networks.svc import features_of, gradient_norm, mask_of


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    """Encoder, training of both stages, and every sampler."""
    given = fixture.configs["teacher"]
    teacher = fixture.load(DiffComoSvc.read(given, student=False), "teacher")
    features, mask = features_of(fixture, "in"), mask_of(fixture, "in.mask")
    mel = fixture["in.mel"].transpose(1, 2)
    mu = teacher(features, mask)
    yield "out.cond", teacher.conditions(features).transpose(1, 2)
    yield "out.mu", mu.transpose(1, 2)
    for key in fixture.expected:
        if found := re.fullmatch(r"teacher\.sample(\d+)\.out", key):
            z = fixture[f"teacher.sample{found[1]}.z"]
            *_, sampled = teacher.como.sample(mu, z, int(found[1]), Draws([]))
            yield key, sampled.transpose(1, 2)
    with torch.enable_grad():
        log_sigma = fixture["train.draw.sigma_normal"][:, 0, 0]
        mu_learned = teacher(features, mask)
        terms = teacher_losses(
            teacher.como, mel, mu_learned, mask, log_sigma, fixture["train.draw.noise"]
        )
        sum(terms.values()).backward()
    for name, value in terms.items():
        yield f"train.out.{name}_loss", value.detach()
    yield "train.out.grad_norm_condition", gradient_norm(teacher.conditions)
    yield "train.out.grad_norm_encoder", gradient_norm(teacher.como.encoder)
    yield "train.out.grad_norm_decoder", gradient_norm(teacher.como.decoder)
    yield from student(fixture, mel, mu, mask)


def student(
    fixture: Fixture, mel: Tensor, mu: Tensor, mask: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """A step of the distillation, then samples with the average that it moved."""
    network = DiffComoSvc.read(fixture.configs["teacher"], student=True)
    taught = fixture.weights("teacher")
    state = taught | fixture.weights("student")
    for key, value in taught.items():
        for copy in ("denoise_fn_ema", "denoise_fn_pretrained"):
            state[key.replace(".denoise_fn.", f".{copy}.")] = value
    network.load_state_dict(state)
    como = network.eval().como
    yield "student.t_steps", como.config.edm.rising(como.config.levels)
    update_average(como.decoder)
    level, z = fixture["student.draw.n"], fixture["student.draw.z"]
    yield "student.out.loss", distillation_loss(como, mel, mu, mask, level, z)
    yield "student.out.ema_after", como.decoder.denoise_fn_ema.neural_network.out_proj[2].weight
    *_, sampled = como.sample(mu, fixture["student.sample.z"], 1, Draws([]))
    yield "student.sample.out", sampled.transpose(1, 2)
    noise = fixture["student.multi.noise"]
    draw = Draws(list(noise))
    *_, sampled = como.sample(mu, fixture["student.multi.z"], len(noise) + 1, draw)
    yield "student.multi.out", sampled.transpose(1, 2)


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    """Full-size modules by their name in the manifest; built on the meta device."""
    for name in manifest["models"]:
        yield name, DiffComoSvc.read(manifest["config"], student=name.startswith("student"))
