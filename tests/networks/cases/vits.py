"""VITS: inference with one and several speakers, voice conversion, and the loss of its durations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from engines.networks.vits.config import VitsConfig
from engines.networks.vits.network import Vits
from engines.networks.vocoders.hifigan import HifiganConfig
from engines.networks.weights import config_of
from tests.networks.parity import Draws, Fixture

SCALES = ("noise_scale", "noise_scale_w", "length_scale")


def tiny(config: dict) -> Vits:
    """The network of one of the fixture's configurations."""
    sizes = {**config, "text_token_num": config["n_vocab"], "decoder": HifiganConfig.read(config)}
    return Vits(config_of(VitsConfig, sizes, what="VITS"))


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    network = fixture.load(tiny(fixture.configs["model"]), "vits")
    yield from encoders(fixture, network)
    yield from units(fixture, network)
    for run in ("infer", "infer_slow"):
        yield from inference(fixture, network, run)
    several = fixture.load(tiny(fixture.configs["model_ms"]), "vits_ms")
    yield from inference(fixture, several, "infer_ms", fixture["in.sid"][:, 0])
    yield from conversion(fixture, several)


def encoders(fixture: Fixture, network: Vits) -> Iterator[tuple[str, Tensor]]:
    symbols, lengths = fixture["in.phone_id"], fixture["in.phone_len"]
    mask = (torch.arange(symbols.shape[1]) < lengths[:, None])[:, None].float()
    x, mean, log_scale = network.enc_p(symbols, mask)
    yield "enc_p.out.x", x
    yield "enc_p.out.m", mean
    yield "enc_p.out.logs", log_scale
    noise = fixture["dp.train.noise"]
    yield "dp.train.out.nll", network.dp.loss(x, mask, fixture["dp.train.in.w"], None, noise)
    plain = nn.ModuleDict({"dp": tiny(fixture.configs["model_dp"]).dp})
    fixture.load(plain, "vits_dp")
    yield "dp_plain.out.logw", plain["dp"](x, mask, None)
    linear, lengths = fixture["in.linear"], fixture["in.linear_len"]
    mask = (torch.arange(linear.shape[2]) < lengths[:, None])[:, None].float()
    z, mean, log_scale = network.posterior(linear, mask, None, Draws([fixture["enc_q.noise"]]))
    yield "enc_q.out.z", z
    yield "enc_q.out.m", mean
    yield "enc_q.out.logs", log_scale


def units(fixture: Fixture, network: Vits) -> Iterator[tuple[str, Tensor]]:
    x = fixture["unit.flow.in"]
    mask = torch.ones(x.shape[0], 1, x.shape[2])
    yield "unit.flow.out_forward", network.flow(x, mask)
    yield "unit.flow.out_reverse", network.flow.inverse(x, mask)
    x, condition = fixture["unit.convflow.in"], fixture["unit.convflow.g"]
    mask = torch.ones(x.shape[0], 1, x.shape[2])
    coupling = network.dp.flows["1"]
    y, log_determinant = coupling(x, mask, condition)
    yield "unit.convflow.out_forward", y
    yield "unit.convflow.logdet", log_determinant
    yield "unit.convflow.out_reverse", coupling.inverse(x, mask, condition)


def inference(
    fixture: Fixture, network: Vits, run: str, speaker: Tensor | None = None
) -> Iterator[tuple[str, Tensor]]:
    noise = [fixture[f"{run}.noise_dp"], fixture[f"{run}.noise_z"]]
    items = len(noise[0])
    speech = network.synthesise(
        fixture["in.phone_id"][:items, : noise[0].shape[-1]],
        fixture["in.phone_len"][:items],
        Draws(noise),
        speaker=speaker,
        **{name: fixture.configs[run][name] for name in SCALES},
    )
    yield f"{run}.out.logw", speech.log_durations
    yield f"{run}.out.durations", speech.durations
    yield f"{run}.out.mask", speech.mask
    yield f"{run}.out.m_p", speech.mean
    yield f"{run}.out.logs_p", speech.log_scale
    yield f"{run}.out.z_p", speech.z_p
    yield f"{run}.out.z", speech.z
    yield f"{run}.out.y_hat", speech.audio


def conversion(fixture: Fixture, network: Vits) -> Iterator[tuple[str, Tensor]]:
    """The fixture says in words who is converted to whom: "sources 0,1 -> target 2"."""
    about = fixture.about["tensors"]["vc.out.audio"]["meaning"]
    *sources, target = (int(number) for number in re.findall(r"\d+", about))
    audio, z_hat = network.convert(
        fixture["in.linear"],
        fixture["in.linear_len"],
        torch.tensor(sources),
        torch.full((len(sources),), target),
        Draws([fixture["vc.noise"]]),
    )
    yield "vc.out.audio", audio
    yield "vc.out.z_hat", z_hat


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    config = VitsConfig.read(manifest["config"])
    for name in manifest["models"]:
        speakers = re.search(r"extra keys with n_speakers=(\d+)", name)
        if speakers:
            several = Vits(replace(config, n_speakers=int(speakers[1])))
            yield name, nn.ModuleDict({"emb_g": several.emb_g})
        else:
            yield name, Vits(config)
