"""MultipleContentsSVC, and what the other three singing conversions add to it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.svc.conditions import ConditionConfig, ConditionEncoder
from engines.networks.svc.conformer import Conformer
from engines.networks.svc.denoiser import Denoiser, DenoiserConfig
from engines.networks.svc.diffcomo import Como, DiffComoSvc
from engines.networks.svc.edm import sample_student
from engines.networks.svc.features import align_content, denormalise_mel, interpolate_f0
from engines.networks.svc.multiplecontents import MultipleContentsSvc, sample
from engines.networks.svc.schedulers import SAMPLERS, Diffusion, SamplerKind
from engines.networks.svc.transformer import PlainTransformer, TransformerSvc
from engines.networks.svc.vits import DEFAULT_NOISE_SCALE, VitsSvc, VitsSvcConfig
from engines.networks.vocoders.hifigan import HifiganConfig, HifiganGenerator
from engines.networks.vocoders.nsf_hifigan import NsfHifiganConfig, NsfHifiganGenerator
from engines.networks.weights import load_exactly
from tests.networks.parity import Draws, Fixture
from tests.networks.svc import features_of, number_in

CONTENT_HOP, MEL_HOP, RATE = 480, 256, 24000


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    """Conditions, diffusion with two samplers, features, and one pass of each other model."""
    configs = fixture.configs
    conditions = ConditionEncoder(ConditionConfig.read(configs["condition_encoder"]))
    fixture.load(conditions, "cond")
    features = features_of(fixture, "cond.in")
    condition = conditions(features)
    yield "cond.out.f0_coarse", conditions.pitch(features.f0)
    yield "cond.out", condition.transpose(1, 2)
    yield from diffusion(fixture, condition)
    yield from clip_features(fixture)
    yield from regression(fixture, condition)
    yield from como(fixture, condition)
    yield from vits(fixture)


def diffusion(fixture: Fixture, condition: Tensor) -> Iterator[tuple[str, Tensor]]:
    given = fixture.configs["diffusion"]
    denoiser = fixture.load(Denoiser(DenoiserConfig.read(given, given["n_mel"])), "diff")
    step = fixture["diff.in.t"]
    yield "diff.out.step_embed", denoiser.diff_encoder(step)
    noise = denoiser(fixture["diff.in.x"].transpose(1, 2), step, condition)
    yield "diff.out.eps", noise.transpose(1, 2)
    for name in ("pndm", "ddpm", "ddim"):
        if name in fixture.configs:
            yield from sampled(fixture, name, denoiser, condition)


def sampled(
    fixture: Fixture, name: str, denoiser: Denoiser, condition: Tensor
) -> Iterator[tuple[str, Tensor]]:
    given = fixture.configs[name]
    noise = Diffusion(given["num_train_timesteps"], given["beta_start"], given["beta_end"])
    sampler = SAMPLERS[SamplerKind(given["scheduler"])](noise, given["steps"])
    yield f"{name}.timesteps", torch.tensor(sampler.timesteps)
    z = fixture[f"{name}.z"].transpose(1, 2)
    draw = Draws([])
    if f"{name}.noise" in fixture:
        recorded = fixture[f"{name}.noise"]
        shape = (sampler.draws, len(z), *recorded.shape[-2:])
        draw = Draws(list(recorded.reshape(shape).transpose(2, 3)))
    states = [x.transpose(1, 2) for x in sample(denoiser, condition, z, sampler, draw)]
    yield f"{name}.trace", torch.stack(states).reshape(fixture[f"{name}.trace"].shape)
    yield f"{name}.out", states[-1]


def clip_features(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    mel = fixture["ddpm.out"].transpose(1, 2)
    low, high = (fixture[f"denorm.in.mel_{end}"] for end in ("min", "max"))
    yield "denorm.out", denormalise_mel(mel, low, high).transpose(1, 2)
    f0, unvoiced = interpolate_f0(fixture["cond.in.frame_pitch"][0])
    yield "interp.out.f0", f0
    yield "interp.out.uv", unvoiced
    for key in fixture.expected:
        if key.startswith("align.out.len"):
            length = int(key.removeprefix("align.out.len"))
            yield key, align_content(fixture["align.in"], length, CONTENT_HOP, MEL_HOP)


def regression(fixture: Fixture, condition: Tensor) -> Iterator[tuple[str, Tensor]]:
    both = torch.cat([condition, condition.flip(2)])
    mask = torch.ones(len(both), 1, both.shape[2])
    end = int(number_in(fixture, "conformer.out", r"second item masked from frame (\d+)", 15))
    mask[1, :, end:] = 0
    conformer = fixture.load(Conformer.read(fixture.configs["conformer"]), "conformer")
    yield "conformer.out", conformer(both, mask).transpose(1, 2)
    plain = PlainTransformer.read(fixture.configs["transformer"])
    load_exactly(
        plain, fixture.weights("transformer"), what="transformer", optional=["pos_encoder"]
    )
    yield "transformer.out", plain.eval()(condition, mask[:1]).transpose(1, 2)


def como(fixture: Fixture, condition: Tensor) -> Iterator[tuple[str, Tensor]]:
    given = fixture.configs["comosvc"]
    model = fixture.load(Como.read(given, fixture.configs["comosvc_diffusion"]), "como")
    mu = model.encoder(condition, torch.ones(len(condition), 1, condition.shape[2]))
    yield "como.out.encoder", mu.transpose(1, 2)
    steps = int(number_in(fixture, "como.out.decoder", r"(\d+) steps", 5))
    *_, mel = model.sample(mu, fixture["como.z"], steps, Draws([]))
    yield "como.out.decoder", mel.transpose(1, 2)
    edm, denoiser = model.config.edm, model.decoder.denoise_fn
    sigma = number_in(fixture, "como.unit.out", r"sigma ([\d.]+\d)", 1.7)
    contexts, x = denoiser.contexts(mu), fixture["como.unit.in"]
    yield "como.unit.out", edm.denoise(denoiser, x, torch.full((len(x),), sigma), contexts)
    *_, mel = sample_student(edm, denoiser, mu, fixture["como.student.z"], 1, Draws([]))
    yield "como.student.out", mel.transpose(1, 2)


def vits(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    given = fixture.configs["vitssvc"]
    sizes = VitsSvcConfig.read(given["vits"])
    generator = HifiganGenerator(HifiganConfig.read(given["hifigan"]), sizes.latents)
    network = VitsSvc(sizes, ConditionConfig.read(given["condition_encoder"]), generator)
    load_exactly(network, fixture.weights("vitssvc"), what="vitssvc", optional=["enc_q"])
    features, noise = features_of(fixture, "cond.in"), fixture["vitssvc.noise"]
    scale = number_in(fixture, "vitssvc.out.audio", r"noise_scale ([\d.]+\d)", DEFAULT_NOISE_SCALE)
    mask = torch.ones(len(noise), 1, noise.shape[2])
    yield "vitssvc.out.audio", network.eval().dec(network.latents(features, mask, noise, scale))


STUDENT_ONLY = ("1.decoder.denoise_fn_ema.", "1.decoder.denoise_fn_pretrained.")


class StudentKeys(nn.Module):
    """Of a student the parts that a teacher lacks."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def state_dict(self, *args, **kwargs):
        whole = self.network.state_dict()
        return {key: value for key, value in whole.items() if key.startswith(STUDENT_ONLY)}


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    """Full-size modules by their name in the manifest; built on the meta device."""
    for name in manifest["models"]:
        kind = name.split()[0]
        given = manifest["config"][kind]
        if kind == "MultipleContentsSVC":
            yield name, MultipleContentsSvc.read(given)
        elif kind == "DiffComoSVC":
            network = DiffComoSvc.read(given, student="distill=true" in name)
            yield name, StudentKeys(network) if "extra keys" in name else network
        elif kind == "TransformerSVC":
            type_ = name.split("type ")[1].rstrip(")")
            changed = given | {"transformer": given["transformer"] | {"type": type_}}
            yield name, TransformerSvc.read(changed)
        else:
            sizes = VitsSvcConfig.read(given["vits"])
            generator = NsfHifiganGenerator(
                NsfHifiganConfig.read(given["generator_config"] | {"sample_rate": RATE}),
                sizes.latents,
            )
            yield name, VitsSvc(sizes, ConditionConfig.read(given["condition_encoder"]), generator)
