"""AudioLDM: the U-Net with its first blocks, the autoencoder, the guided sampling loop."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.audioldm.network import AudioLdm, AudioLdmUnetConfig
from engines.networks.audioldm.pipeline import AudioLdmModel
from engines.networks.blocks.autoencoder import Autoencoder, AutoencoderConfig
from engines.networks.blocks.diffusion import NoiseSchedule, plms_timesteps
from engines.networks.weights import config_of
from tests.networks.parity import Fixture
from tests.networks.recording import outputs_of


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    sizes = fixture.configs
    diffusion = fixture.load(
        AudioLdm(config_of(AudioLdmUnetConfig, sizes["unet"], what="unet")), "unet"
    )
    vae = fixture.load(
        Autoencoder(config_of(AutoencoderConfig, sizes["autoencoderkl"], what="vae")), "vae"
    )
    context = fixture["unet.in.context"]
    with outputs_of(diffusion.unet.input_blocks) as blocks:
        yield "unet.out", diffusion(fixture["unet.in.x"], fixture["unet.in.t"], context)
    for place, block in enumerate(blocks):
        yield f"unet.out.input_block{place}", block

    posterior = vae.encode(fixture["vae.in.mel"])
    yield "vae.out.mean", posterior.mean
    yield "vae.out.logvar", posterior.logvar
    yield "vae.out.mel", vae.decode(fixture["vae.in.z"])

    steps, schedule = sizes["loop"]["steps"], NoiseSchedule.scaled_linear()
    yield "loop.timesteps", torch.tensor(plms_timesteps(schedule, steps))
    model = AudioLdmModel(diffusion, vae, nn.Identity(), schedule)
    states = list(
        model.latents(context, fixture["loop.z"], steps=steps, guidance=sizes["loop"]["guidance"])
    )
    yield "loop.trace", torch.cat(states)
    yield "loop.out.mel", vae.decode(states[-1])


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    sizes = manifest["config"]
    yield "unet", AudioLdm(config_of(AudioLdmUnetConfig, sizes["audioldm"], what="unet"))
    yield (
        "autoencoderkl",
        Autoencoder(config_of(AutoencoderConfig, sizes["autoencoderkl"], what="vae")),
    )
