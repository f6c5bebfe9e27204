"""PicoAudio: the grid, the U-Net with its levels, the sampling loop, loss, first stage and features."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from engines.networks.blocks.autoencoder import AutoencoderConfig
from engines.networks.blocks.diffusion import NoiseSchedule
from engines.networks.blocks.unet import prepare
from engines.networks.picoaudio.events import as_channels, grid, read_timeline
from engines.networks.picoaudio.network import PicoAudio, PicoUnetConfig
from engines.networks.picoaudio.pipeline import FirstStage, PicoAudioModel
from engines.networks.picoaudio.training import log_mel, normalise, velocity_loss
from engines.networks.vocoders.hifigan import HifiganConfig
from engines.networks.weights import config_of
from tests.networks.parity import Draws, Fixture
from tests.networks.recording import outputs_of

SCHEDULE = NoiseSchedule.scaled_linear()


def unet(sizes: dict) -> PicoAudio:
    return PicoAudio(config_of(PicoUnetConfig, sizes["unet"], what="unet"))


def first_stage(sizes: dict) -> FirstStage:
    vae = config_of(AutoencoderConfig, sizes["vae"], what="vae")
    vocoder = HifiganConfig.read({"resblock": "1"} | sizes["vocoder"])
    return FirstStage(replace(vae, attention=True), vocoder, sizes["vocoder"]["num_mels"])


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    sizes = fixture.configs
    network = fixture.load(unet(sizes), "diffusion")
    stage = fixture.load(first_stage(sizes), "vae")
    stage.scale_factor = sizes["vae"]["scale_factor"]
    timelines = [read_timeline(text) for text in sizes["grid"]["strings"]]
    assert [events[0].row for events in timelines] == sizes["grid"]["class_id"]
    grids = torch.stack([grid(events, as_published=True) for events in timelines])
    yield "grid.out", grids
    yield "grid.out.channels", as_channels(grids[:1])

    yield from levels(fixture, network)
    yield from loop(fixture, PicoAudioModel(network, stage, SCHEDULE), as_channels(grids))
    yield "train.out.loss", loss(fixture, network, as_channels(grids))

    posterior = stage.encode(fixture["vae.in.mel"])
    yield "vae.out.mean", posterior.mean
    yield "vae.out.logvar", posterior.logvar
    mel = stage.mel(fixture["vae.in.z"])
    yield "vae.out.mel", mel
    wav = stage.samples(mel)
    yield "vocoder.out.wav", wav
    yield "vocoder.out.int16", (wav[:, 0] * 32768).to(torch.int16)

    wav = normalise(fixture["fbank.in.wav"], fixture["fbank.out.wav"].shape[1])
    yield "fbank.out.wav", wav
    yield "fbank.out.mel", log_mel(wav, fixture["fbank.out.mel"].shape[1])


def levels(fixture: Fixture, network: PicoAudio) -> Iterator[tuple[str, Tensor]]:
    x, steps, context = (fixture[f"unet.in.{key}"] for key in ("x", "t", "context"))
    model = network.unet
    yield "unet.out.time", model.embedded(steps)
    named = {f"down{place}": level for place, level in enumerate(model.down_blocks)}
    named["mid"] = model.mid_block
    named |= {f"up{place}": level for place, level in enumerate(model.up_blocks)}
    with outputs_of(named.values()) as outputs:
        yield "unet.out", model(x, steps, prepare(model, context))
    for name, output in zip(named, outputs, strict=True):
        yield f"unet.out.{name}", output


def loop(fixture: Fixture, model: PicoAudioModel, channels: Tensor) -> Iterator[tuple[str, Tensor]]:
    for key in fixture.expected:
        if key.startswith("schedule."):
            yield key, torch.tensor(SCHEDULE.timesteps(int(key.removeprefix("schedule."))))
    run = fixture.configs["loop"]
    steps, place = run["steps"], run["grid"]
    yield "loop.timesteps", torch.tensor(SCHEDULE.timesteps(steps))
    noise = list(fixture["loop.noise"].unsqueeze(1))
    given = (
        channels[place : place + 1],
        model.diffusion.event_context(run["class_id"]),
        fixture["loop.z"],
    )
    unused = [torch.zeros_like(noise[0])] * (steps - len(noise))
    draws = Draws(noise + unused)
    states = list(model.latents(*given, draws, steps=steps, guidance=run["guidance"]))
    for call, state in enumerate(states):
        yield f"loop.trace{call}", state
    yield "loop.out", states[-1]
    for key in fixture.expected:
        if named := re.fullmatch(r"loop\.cfg(\d+)\.out0", key):
            draws = Draws(noise + unused)
            guided = next(model.latents(*given, draws, steps=steps, guidance=int(named.group(1))))
            yield key, guided[:, :, : fixture[key].shape[2]]


def loss(fixture: Fixture, network: PicoAudio, channels: Tensor) -> Tensor:
    run, latent = fixture.configs["train"], fixture["train.in.latent"]
    generator = torch.Generator().manual_seed(int(fixture["train.in.noise_seed"]))
    steps = torch.randint(0, 1000, (len(latent),), generator=generator)
    assert torch.equal(steps, fixture["train.in.t"])
    noise = torch.randn(latent.shape, generator=generator)
    context = torch.cat([network.event_context(row) for row in run["class_id"]])
    return velocity_loss(
        network,
        SCHEDULE,
        latent,
        steps,
        noise,
        channels[: len(latent)],
        prepare(network, context),
        snr_gamma=run["snr_gamma"],
    )


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    yield "diffusion", unet(manifest["config"])
    yield "vae_and_vocoder", first_stage(manifest["config"])
