"""FastSpeech2 with its controls and losses, and Jets' inference and alignment."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from engines.networks.blocks.lengths import length_mask
from engines.networks.fastspeech2.config import FastSpeech2Config
from engines.networks.fastspeech2.losses import fastspeech2_loss
from engines.networks.fastspeech2.network import FastSpeech2, Mels, Targets
from engines.networks.jets.alignment import gaussian_upsampling
from engines.networks.jets.config import JetsConfig
from engines.networks.jets.losses import mel_difference
from engines.networks.jets.network import Jets
from engines.networks.weights import load_exactly
from tests.networks.parity import Fixture

UNUSED_BY_JETS = ("pitch_bins", "energy_bins", "pitch_embedding", "energy_embedding")
NOT_STORED = ("mel_linear", "postnet", *(f"variance_adaptor.{name}" for name in UNUSED_BY_JETS))
MINUS_INFINITY = -1e30  # as the fixtures write it


def sizes(fixture: Fixture, model: str, config: dict) -> dict:
    """The blocks of an ``args.json`` for a tiny model of the fixture."""
    rows = len(fixture.weights(model)["encoder.src_word_emb.weight"])
    args = {"model": config, "preprocess": {"n_mel": config["n_mel"]}}
    if "hifigan" in config:
        args["hifigan"] = config["hifigan"]
    return {"args": args, "symbols": rows - 1, "postnet": config.get("postnet_dim", 8)}


def compute(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    given = sizes(fixture, "fs2", fixture.configs["fastspeech2"])
    network = fixture.load(FastSpeech2(FastSpeech2Config.read(**given)), "fs2")
    symbols, lengths = fixture["in.texts"], fixture["in.text_len"]
    for run in ("infer", "control"):
        yield from results(run, network.synthesise(symbols, lengths, **controls(fixture, run)))
    symbols_long = fixture["in.texts_long"]
    whole = torch.full((len(symbols_long),), symbols_long.shape[1])
    yield from results("long", network.synthesise(symbols_long, whole, **controls(fixture, "long")))
    targets = Targets(*(fixture[f"train.in.{key}"] for key in ("pitch", "energy", "durations")))
    mels = network(symbols, lengths, targets)
    yield from results("teacher", mels)
    loss = fastspeech2_loss(mels, targets, fixture["train.in.mel"])
    for key, value in (
        ("loss", loss.total),
        ("mel_loss", loss.coarse_mel),
        ("postnet_mel_loss", loss.mel),
        ("pitch_loss", loss.pitch),
        ("energy_loss", loss.energy),
        ("duration_loss", loss.duration),
    ):
        yield f"train.loss.{key}", value.reshape(1)
    yield from jets(fixture)


def controls(fixture: Fixture, run: str) -> dict[str, float]:
    names = {"p": "pitch_control", "e": "energy_control", "d": "duration_control"}
    given = fixture.configs.get(run, {})
    return {ours: given[f"{n}_control"] for n, ours in names.items() if f"{n}_control" in given}


def results(run: str, mels: Mels) -> Iterator[tuple[str, Tensor]]:
    yield f"{run}.out.encoder", mels.encoded
    yield f"{run}.out.output", mels.coarse_mel
    yield f"{run}.out.postnet_output", mels.mel
    yield f"{run}.out.p_predictions", mels.pitch
    yield f"{run}.out.e_predictions", mels.energy
    yield f"{run}.out.log_d_predictions", mels.log_durations
    yield f"{run}.out.d_rounded", mels.durations
    yield f"{run}.out.mel_lens", mels.frame_mask.sum(1)


def jets(fixture: Fixture) -> Iterator[tuple[str, Tensor]]:
    given = sizes(fixture, "jets", fixture.configs["jets"])
    network = Jets(JetsConfig.read(**given)).eval()
    load_exactly(network, fixture.weights("jets"), what="jets", optional=NOT_STORED)
    symbols, tokens = fixture["jets.in.texts"], fixture["jets.in.text_len"]
    speech = network.synthesise(symbols, tokens)
    yield "jets.out.wav", speech.audio
    yield "jets.out.durations", speech.durations
    mask = length_mask(tokens, symbols.shape[1])
    encoded = network.encoder(symbols, mask)
    yield "jets.out.encoder", encoded
    frames = fixture["jets.in.mel_len"]
    alignment = network.alignment_module(encoded, fixture["jets.in.mel"], tokens, frames)
    yield "jets.out.log_p_attn", alignment.log_probability.clamp(min=MINUS_INFINITY)
    yield "jets.out.ds", alignment.durations
    yield "jets.out.bin_loss", alignment.binarisation_loss().reshape(1)
    yield "jets.out.token_average", alignment.token_means(fixture["jets.in.frame_feature"])
    yield "jets.out.forwardsum_loss", alignment.forward_sum_loss(tokens, frames).reshape(1)
    # the original gives each item as many frames as the whole batch has, and masks nothing
    channels = fixture["jets.out.gaussian_upsampling"].shape[2]
    durations = alignment.durations
    yield (
        "jets.out.gaussian_upsampling",
        gaussian_upsampling(
            encoded[..., :channels],
            durations,
            torch.ones_like(mask),
            torch.ones(len(mask), int(durations.sum())),
        ),
    )
    audio, target = fixture["jets.in.wav_a"], fixture["jets.in.wav_b"]
    yield "jets.out.mel_loss", mel_difference(audio, target).reshape(1)


def published(manifest: dict) -> Iterator[tuple[str, nn.Module]]:
    symbols = manifest["text"]["n_symbols"]
    configs = manifest["config"]
    yield (
        "fastspeech2",
        FastSpeech2(FastSpeech2Config.read(configs["fastspeech2"], symbols=symbols)),
    )
    yield "jets", Jets(JetsConfig.read(configs["jets"], symbols=symbols))
