"""Amphion's VITS, FastSpeech2 and Jets from published folders: downloaded, run, refused, unloaded."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from engines.base import Availability, NotReady, StudioError
from engines.networks.fastspeech2.config import FastSpeech2Config
from engines.networks.fastspeech2.network import FastSpeech2 as FastSpeech2Network
from engines.networks.jets.config import JetsConfig
from engines.networks.jets.network import Jets as JetsNetwork
from engines.networks.vits.config import VitsConfig
from engines.networks.vits.network import Vits as VitsNetwork
from engines.networks.vocoders.build import build_generator
from engines.sharing import held
from engines.tts.amphion_vits import AmphionVits
from engines.tts.fastspeech2 import FastSpeech2, Jets
from tests.engines.checkpoints import samples, save_checkpoint
from tests.engines.published import studio_of
from tests.networks.test_fastspeech2 import ARGS
from tests.networks.test_vits import MODEL

RATE, HOP = 8000, 32
VITS_ARGS = {
    "model_type": "VITS",
    "model": {**MODEL, "text_token_num": 60, "upsample_rates": [8, 4],
              "upsample_kernel_sizes": [16, 8], "n_speakers": 0},
    "preprocess": {"n_fft": 64, "hop_size": HOP, "segment_size": 96, "sample_rate": RATE,
                   "add_blank": True},
}  # fmt: skip
SPOKEN = {**ARGS, "preprocess": {"n_mel": 4, "sample_rate": RATE, "hop_size": HOP}}
VOCODER = {
    "model": {"generator": "hifigan", "hifigan": ARGS["hifigan"]},
    "preprocess": SPOKEN["preprocess"],
}


def lasting(network, frames: float):
    """Predicted durations of so many frames; sounds that are heard."""
    with torch.no_grad():
        predictor = network.variance_adaptor.duration_predictor.linear_layer
        predictor.weight.mul_(0.1)
        predictor.bias.fill_(float(np.log(frames + 1)))
    return network


def louder(network):
    with torch.no_grad():
        network.conv_post.weight_g.mul_(20)
    return network


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    torch.manual_seed(1)
    vits = save_checkpoint(root / "vits", VitsNetwork(VitsConfig.read(VITS_ARGS)), VITS_ARGS)
    phones = sorted({*"abcdefhijklmnoprstuvwzæðŋɐɑɔəɚɛɜɡɪɹʃʊʌʒθ", "_", ",", ".", "iː", "aɪ", "oʊ"})
    lines = "".join(f"{phone} {place}\n" for place, phone in enumerate(phones))
    (vits / "symbols.dict").write_text(lines, encoding="utf-8")
    spoken = lasting(FastSpeech2Network(FastSpeech2Config.read(SPOKEN)), 6)
    adaptor = spoken.variance_adaptor
    adaptor.spread_bins((-2.0, 2.0), (-2.0, 2.0))
    with torch.no_grad():
        for predictor in (adaptor.pitch_predictor, adaptor.energy_predictor):
            predictor.linear_layer.bias.fill_(0.6)
    args = {**SPOKEN, "model_type": "FastSpeech2"}
    fastspeech2 = save_checkpoint(root / "fastspeech2", spoken, args)
    generator = louder(build_generator("hifigan", ARGS["hifigan"], VOCODER["preprocess"], 4))
    vocoder = root / "hifigan"
    (vocoder / "checkpoints").mkdir(parents=True)
    (vocoder / "args.json").write_text(json.dumps(VOCODER))
    state = {f"module.{key}": value for key, value in generator.state_dict().items()}
    torch.save({"generator_state_dict": state}, vocoder / "checkpoints" / "000200.pt")
    jets = lasting(JetsNetwork(JetsConfig.read(SPOKEN)), 6)
    louder(jets.generator)
    save_checkpoint(root / "jets", jets, {**SPOKEN, "model_type": "Jets"})
    return {
        "amphion/vits-ljspeech": vits,
        "amphion/fastspeech2_ljspeech": fastspeech2,
        "amphion/hifigan_ljspeech": vocoder,
        "own/jets": root / "jets",
    }


@pytest.fixture(scope="module")
def studio(tmp_path_factory, repositories):
    folder = tmp_path_factory.mktemp("studio")
    with studio_of(folder, repositories, AmphionVits, FastSpeech2, Jets) as studio:
        yield studio


def own(studio, name: str, folder) -> None:
    shutil.copytree(folder, studio.settings.data / "models" / "own" / name)


def test_vits_is_downloaded_and_speaks_by_seed(studio):
    first, again, other = (
        studio.make("amphion-vits", text="Hello there.", seed=seed)[0] for seed in (1, 1, 2)
    )
    assert first.sample_rate == RATE
    assert np.array_equal(samples(studio, first), samples(studio, again))
    assert not np.array_equal(samples(studio, first), samples(studio, other))
    quiet = {"noise_scale": 0, "noise_scale_duration": 0, "text": "Hello there."}
    plain = studio.make("amphion-vits", **quiet)[0]
    slow = studio.make("amphion-vits", **quiet, speaking_rate=0.5)[0]
    assert slow.duration_s > 1.4 * plain.duration_s
    assert studio.unload("amphion-vits")
    assert studio.engine("amphion-vits")._network is None


def test_vits_of_several_speakers_is_found_in_own_and_speakers_are_named(studio, repositories):
    torch.manual_seed(2)
    args = {**VITS_ARGS, "model": {**VITS_ARGS["model"], "n_speakers": 3}}
    network = VitsNetwork(VitsConfig.read(args))
    folder = save_checkpoint(studio.settings.data / "models" / "own" / "trio", network, args)
    shutil.copy(repositories["amphion/vits-ljspeech"] / "symbols.dict", folder)
    (folder / "spk2id.json").write_text('{"anna": 0, "ben": 2}')
    given = {"model": "trio", "text": "Hello.", "seed": 1}
    by_name, by_number, first = (
        samples(studio, studio.make("amphion-vits", **given, speaker=speaker)[0])
        for speaker in ("ben", "2", "anna")
    )
    assert np.array_equal(by_name, by_number)
    assert not np.array_equal(by_name, first)
    with pytest.raises(StudioError, match="no speaker 'cleo': choose a number from 0 to 2, or"):
        studio.make("amphion-vits", **given, speaker="cleo")


def test_fastspeech2_speaks_through_its_vocoder_and_follows_its_controls(studio):
    text = "Hello there, this is a test."
    plain = studio.make("fastspeech2", text=text)[0]
    assert plain.sample_rate == RATE
    assert np.array_equal(
        samples(studio, plain), samples(studio, studio.make("fastspeech2", text=text)[0])
    )
    slow = studio.make("fastspeech2", text=text, duration_control=2)[0]
    assert slow.duration_s == pytest.approx(2 * plain.duration_s, rel=0.1)
    for control in ("pitch_control", "energy_control"):
        other = studio.make("fastspeech2", text=text, **{control: 2})[0]
        assert not np.array_equal(samples(studio, plain), samples(studio, other)), control
    assert any("hifigan" in name for name in held())
    assert studio.unload("fastspeech2")
    assert held() == []


def test_jets_is_to_train_until_there_is_a_checkpoint(studio, repositories):
    engine = studio.engine("jets")
    assert engine.availability() is Availability.TRAIN
    with pytest.raises(NotReady):
        studio.make("jets", text="Hello.")
    own(studio, "my-jets", repositories["own/jets"])
    assert engine.availability() is Availability.READY
    plain = studio.make("jets", text="Hello there.")[0]
    slow = studio.make("jets", text="Hello there.", duration_control=2)[0]
    assert plain.settings["model"] == "my-jets"
    assert slow.duration_s > 1.6 * plain.duration_s


def test_files_that_do_not_fit_are_refused_by_name(studio, repositories):
    own(studio, "short", repositories["own/jets"])
    file = next((studio.settings.data / "models/own/short").glob("checkpoint/*/*.bin"))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StudioError, match=r"short .*pytorch_model\.bin can't be read"):
        studio.make("jets", text="Hello.", model="short")
    state = torch.load(repositories["own/jets"] / file.relative_to(file.parents[2]))
    del state["encoder.src_word_emb.weight"]
    torch.save(state, file)
    with pytest.raises(StudioError, match=r"missing: encoder\.src_word_emb\.weight"):
        studio.make("jets", text="Hello.", model="short")


def test_what_cannot_be_asked_is_said_at_its_field(studio):
    for engine in ("amphion-vits", "fastspeech2"):
        with pytest.raises(StudioError, match="There is no checkpoint 'nobody'") as error:
            studio.make(engine, text="Hello.", model="nobody")
        assert error.value.field == "model"
