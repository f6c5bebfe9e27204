"""Vocoders and the mels they are fed."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.blocks.mel import TACOTRON_22K, VOCODER_22K, VOCODER_24K
from engines.networks.vocoders.apnet import ApnetGenerator
from engines.networks.vocoders.bigvgan import BigvganGenerator
from engines.networks.vocoders.build import build_generator
from engines.networks.vocoders.diffwave import Diffwave, DiffwaveConfig, aligned_steps, sample
from engines.networks.vocoders.nsf_hifigan import NsfHifiganGenerator
from tests.networks.parity import Draws, Fixture


def build(kind: str, config: dict, preprocess: dict) -> nn.Module:
    """A vocoder of one of the fixture's or manifest's configurations."""
    if kind == "diffwave":
        return Diffwave(DiffwaveConfig(**config[kind]), preprocess["n_mel"])
    return build_generator(kind, config[kind], preprocess, preprocess["n_mel"])


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    """Every vocoder of the fixture."""
    preprocess, mel = fixture.configs["preprocess_tiny"], fixture["in.mel"]
    for name, config in fixture.configs.items():
        if not fixture.weights(name):  # settings of a run, not of a network
            continue
        kind = next(iter(config))
        network = fixture.load(build(kind, config, preprocess), name)
        if kind in ("hifigan", "melgan"):
            yield f"{name}.out.audio", network(mel)
        elif kind == "bigvgan":
            yield f"{name}.out.audio", network(mel)
            if name == "bigvgan_beta":
                yield from bigvgan_unit(fixture, network)
        elif kind == "nsfhifigan":
            yield from nsf(fixture, name, network, mel)
        elif kind == "apnet":
            yield from apnet(name, network, mel)
        else:
            yield from diffwave(fixture, name, network, mel)
    yield from features(fixture)


def bigvgan_unit(fixture: Fixture, network: BigvganGenerator) -> Iterator[tuple[str, Tensor]]:
    activation = network.resblocks[0].activations[0]
    given = fixture["bigvgan.unit.act.in"]
    yield "bigvgan.unit.act.up", activation.upsample(given)
    yield "bigvgan.unit.act.out", activation(given)


def nsf(
    fixture: Fixture, name: str, network: NsfHifiganGenerator, mel: Tensor
) -> Iterator[tuple[str, Tensor]]:
    f0, phase, noise = (fixture[f"{name}.{key}"] for key in ("in.f0", "rand_ini", "noise"))
    phase = phase.clone()
    phase[:, 0] = 0
    yield f"{name}.out.source", network.m_source(f0, phase, noise)
    yield f"{name}.out.audio_intended", network(mel, f0, phase, noise)
    network.as_published = True
    yield f"{name}.out.audio_upstream", network(mel, f0, phase, noise)


def apnet(name: str, network: ApnetGenerator, mel: Tensor) -> Iterator[tuple[str, Tensor]]:
    spectra = network(mel)
    yield f"{name}.out.logamp", spectra.log_amplitude
    yield f"{name}.out.phase", spectra.phase
    yield f"{name}.out.rea", spectra.real
    yield f"{name}.out.imag", spectra.imaginary
    yield f"{name}.out.audio", spectra.audio


def diffwave(
    fixture: Fixture, name: str, network: Diffwave, mel: Tensor
) -> Iterator[tuple[str, Tensor]]:
    audio, step = fixture[f"{name}.in.audio"], fixture[f"{name}.in.step_float"]
    yield f"{name}.out.step_embed", network.diffusion_embedding(step)
    yield f"{name}.out.upsampled_mel", network.spectrogram_upsampler(mel)
    yield f"{name}.out.eps_float", network(audio, step, mel)
    yield f"{name}.out.eps_int", network(audio, fixture[f"{name}.in.step_int"], mel)
    training = network.config.training_betas()
    for kind, betas in (("fast", network.config.fast_betas()), ("full", training)):
        yield f"{name}.schedule.{kind}_T", aligned_steps(training, betas)
        draws = Draws(list(fixture[f"{name}.{kind}.noise"]))
        *_, result = sample(network, mel[:1], betas, draws)
        yield f"{name}.{kind}.out.audio", result


def features(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    wav = fixture["mel24k.in.wav"]
    yield "mel24k.out.log_mel", VOCODER_24K.log_mel(wav)[0]
    yield "mel22k.out.log_mel", VOCODER_22K.log_mel(wav)[0]
    magnitude = TACOTRON_22K.magnitude(wav)
    yield "taco22k.out.log_mel", TACOTRON_22K.log_mel_of(magnitude)
    yield "taco22k.out.energy", torch.linalg.vector_norm(magnitude, dim=1)


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    """Full-size modules by their name in the manifest; built on the meta device."""
    for name, config in manifest["configs"].items():
        yield name, build(next(iter(config)), config, manifest["preprocess"])
