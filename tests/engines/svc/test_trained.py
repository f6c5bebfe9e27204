"""The singing conversions of trained singers on tiny checkpoints: key, singers, variations, windows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engines.base import Availability, Cancelled, StudioError
from engines.networks.svc.diffcomo import DiffComoSvc as DiffComoNetwork
from engines.networks.svc.multiplecontents import MultipleContentsSvc as MultipleContentsNetwork
from engines.networks.svc.transformer import TransformerSvc as TransformerNetwork
from engines.networks.svc.vits import VitsSvc as VitsNetwork
from engines.networks.vocoders.build import build_generator
from engines.parameters import parse
from engines.parts.f0 import track
from engines.parts.references import Sound, read_sound
from engines.parts.windows import windows
from engines.sharing import held
from engines.svc.amphion import INSIDE, MultipleContentsSvc
from engines.svc.amphion_own import DiffComoSvc, TransformerSvc, VitsSvc
from engines.svc.following import melody_contours
from engines.svc.melody import MelodyNote
from engines.svc.midi import to_midi
from tests.engines.checkpoints import samples, save_checkpoint
from tests.engines.published import StopAt, sound_file, studio_of
from tests.networks import test_svc
from tests.networks.test_svc import DIFFUSION, REGRESSION

RATE, HOP, MELS = 24_000, 256, 6
PREPROCESS = {"sample_rate": RATE, "n_fft": 1024, "hop_size": HOP, "n_mel": MELS, "fmin": 0,
              "fmax": 12000, "segment_size": 8192}  # fmt: skip
GENERATOR = {"resblock": "2", "upsample_rates": [16, 16], "upsample_kernel_sizes": [32, 32],
             "upsample_initial_channel": 8, "resblock_kernel_sizes": [3],
             "resblock_dilation_sizes": [[1, 2]]}  # fmt: skip
COMO = {"distill": False, "input_dim": 8, "output_dim": MELS, "n_heads": 2, "n_layers": 1,
        "filter_channels": 8, "dropout": 0.1, "P_mean": -1.2, "P_std": 1.2, "sigma_data": 0.5,
        "sigma_min": 0.002, "sigma_max": 80, "rho": 7, "n_timesteps": 40}  # fmt: skip
VITS = {"filter_channels": 8, "gin_channels": 4, "hidden_channels": 8, "inter_channels": 8,
        "kernel_size": 3, "n_flow_layer": 2, "n_heads": 2, "n_layers": 1, "n_speakers": 3,
        "p_dropout": 0.1}  # fmt: skip
CONDITIONS = {**test_svc.CONDITIONS, "whisper_dim": 6}
SINGERS = {"choir_Anna": 0, "choir_Ben": 2}


def whisper(folder: Path) -> Path:
    from safetensors.torch import save_file
    from transformers import WhisperConfig, WhisperFeatureExtractor
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = WhisperConfig(
        d_model=6, encoder_layers=1, encoder_attention_heads=1, encoder_ffn_dim=8,
        decoder_layers=1, decoder_attention_heads=1, decoder_ffn_dim=8, num_mel_bins=80,
    )  # fmt: skip
    config.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    state = WhisperEncoder(config).state_dict()
    save_file(
        {f"model.encoder.{k}": v.clone() for k, v in state.items()}, folder / "model.safetensors"
    )
    return folder


def contentvec(folder: Path) -> Path:
    from transformers import HubertConfig

    from engines.networks.blocks.contentvec import ContentVec

    config = HubertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        conv_dim=[8] * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        classifier_proj_size=4,
    )  # fmt: skip
    folder.mkdir()
    config.save_pretrained(folder)
    state = {k.removeprefix("network."): v for k, v in ContentVec(config).state_dict().items()}
    torch.save({**state, "masked_spec_embed": torch.zeros(8)}, folder / "pytorch_model.bin")
    return folder


def bigvgan(folder: Path) -> Path:
    folder.mkdir(parents=True)
    args = {"model": {"generator": "hifigan", "hifigan": GENERATOR}, "preprocess": PREPROCESS}
    (folder / "args.json").write_text(json.dumps(args))
    state = build_generator("hifigan", GENERATOR, PREPROCESS, MELS).state_dict()
    torch.save({"generator_state_dict": state}, folder / "400000.pt")
    return folder.parent


def checkpoint(folder: Path, network, kind: str, model: dict) -> Path:
    args = {"model_type": kind, "model": model, "preprocess": PREPROCESS}
    save_checkpoint(folder, network, args)
    (folder / "singers.json").write_text(json.dumps(SINGERS))
    return folder


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    root, folder = tmp_path_factory.mktemp("published"), tmp_path_factory.mktemp("studio")
    torch.manual_seed(2)
    base = {"condition_encoder": CONDITIONS, "diffusion": DIFFUSION}
    checkpoint(
        root / "svc" / INSIDE, MultipleContentsNetwork.read(base, MELS), "DiffWaveNetSVC", base
    )
    repositories = {
        "amphion/singing_voice_conversion": root / "svc",
        "openai/whisper-medium": whisper(root / "whisper"),
        "lengyue233/content-vec-best": contentvec(root / "contentvec"),
        "amphion/BigVGAN_singing_bigdata": bigvgan(root / "vocoder" / "bigvgan_singing"),
    }
    own = folder / "data" / "models" / "own"
    bidil = {**DIFFUSION, "bidilconv": {**DIFFUSION["bidilconv"], "conditioner_size": MELS}}
    como = {**base, "diffusion": bidil, "comosvc": COMO}
    checkpoint(own / "como", DiffComoNetwork.read(como), "DiffComoSVC", como)
    plain = {**base, "transformer": REGRESSION}
    checkpoint(own / "conformer", TransformerNetwork.read(plain), "TransformerSVC", plain)
    nsf = {**GENERATOR, "harmonic_num": 2}
    vits = {
        **base,
        "vits": VITS,
        "generator": "nsfhifigan",
        "generator_config": {"nsfhifigan": nsf},
    }
    folder_of_vits = checkpoint(own / "vits", VitsNetwork.read(vits, PREPROCESS), "VitsSVC", vits)
    about = {"choir_Anna": {"voiced_positions": {"median": 360.0}}}
    (folder_of_vits / "statistics.json").write_text(json.dumps(about))
    engines = (MultipleContentsSvc, DiffComoSvc, TransformerSvc, VitsSvc)
    with studio_of(folder, repositories, *engines) as studio:
        yield studio


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return str(sound_file(tmp_path_factory.mktemp("sounds") / "song.wav", 2.0))


@pytest.mark.parametrize(
    "engine", ["multiplecontents-svc", "diffcomo-svc", "transformer-svc", "vits-svc"]
)
def test_a_song_keeps_its_length_and_follows_singer_and_key(studio, source, engine):
    steps = {} if engine in ("transformer-svc", "vits-svc") else {"steps": 4}
    given = {"source": source, **steps}
    if engine != "transformer-svc":
        given["seed"] = 1
    first = studio.make(engine, **given, singer="Anna")[0]
    assert (first.sample_rate, first.duration_s) == (RATE, pytest.approx(2.0, abs=1e-3))
    made = samples(studio, first)
    assert np.abs(made).max() > 0
    assert np.array_equal(
        made, samples(studio, studio.make(engine, **given, singer="choir_Anna")[0])
    )
    for change in ({"singer": "Ben"}, {"singer": "Anna", "key_shift_st": 7}):
        other = samples(studio, studio.make(engine, **{**given, **change})[0])
        assert not np.array_equal(made, other), change


@pytest.mark.parametrize("engine", ["multiplecontents-svc", "vits-svc"])
def test_variations_are_what_their_seeds_give_alone(studio, source, engine):
    steps = {"steps": 4} if engine == "multiplecontents-svc" else {}
    both = studio.make(engine, source=source, seed=5, variations=2, **steps)
    alone = studio.make(engine, source=source, seed=both[1].settings["seed"], **steps)[0]
    np.testing.assert_allclose(samples(studio, both[1]), samples(studio, alone), atol=1e-4)
    assert not np.array_equal(samples(studio, both[0]), samples(studio, both[1]))


def test_the_automatic_key_is_the_singers_median(studio, source):
    engine = studio.engine("vits-svc")
    given = {"source": source, "model": "vits", "singer": "Anna", "key": "automatic"}
    params = parse(engine.Params, given)
    with studio.runtime.lease(engine, params):
        recipe = type("Recipe", (), {"sample_rate": RATE, "hop": HOP})
        assert engine._shift(params, np.array([0.0, 180.0, 180.0]), recipe) == pytest.approx(12)
    with pytest.raises(StudioError, match="no pitch statistics of choir_Ben") as error:
        studio.make("vits-svc", source=source, singer="Ben", key="automatic")
    assert error.value.field == "key"
    with pytest.raises(StudioError, match=r"no singer 'Cleo'\. It has choir_Anna, choir_Ben"):
        studio.make("vits-svc", source=source, singer="Cleo")


def test_every_step_can_be_cancelled(studio, source):
    engine = studio.engine("multiplecontents-svc")
    params = parse(engine.Params, {"source": source, "steps": 100})
    with studio.runtime.lease(engine, params):
        job = StopAt(8)
        with pytest.raises(Cancelled):
            list(engine.run(params, job))
    assert len(job.notes) < 10


def test_parts_are_held_once_and_go_with_the_last(studio, source):
    names = ("multiplecontents-svc", "diffcomo-svc", "transformer-svc", "vits-svc")
    for name in names:
        studio.make(name, source=source, **({"steps": 4} if name in names[:2] else {}))
    assert len(held()) == 3
    assert studio.engine("diffcomo-svc").availability() is Availability.READY
    for name in names:
        assert studio.unload(name)
    assert held() == []


def test_f0_of_a_tone_is_found_at_the_models_frames():
    times = np.arange(RATE) / RATE
    tone = sum(np.sin(2 * np.pi * 220 * k * times) / k for k in range(1, 8)).astype(np.float32)
    f0 = track(tone, RATE, HOP, 93)
    assert f0.shape == (93,)
    np.testing.assert_allclose(f0[10:80], 220, rtol=0.01)


def test_a_midi_melody_is_sung_in_the_sources_timing(studio, source, tmp_path):
    notes = [MelodyNote(0.0, 1.0, 60.0), MelodyNote(1.0, 2.0, 64.0)]
    midi = tmp_path / "melody.mid"
    midi.write_bytes(to_midi(notes))
    plain = samples(studio, studio.make("transformer-svc", source=source)[0])
    sung = studio.make("transformer-svc", source=source, melody=str(midi))[0]
    assert sung.duration_s == pytest.approx(2.0, abs=1e-3)
    assert not np.array_equal(plain, samples(studio, sung))
    sound = read_sound(Path(source), "source")
    sound = Sound(sound.at(RATE), RATE)
    cut = windows(sound, 12.0)
    heard = track(sound.samples, RATE, HOP, len(sound.samples) // HOP)
    (asked,) = melody_contours(sound, midi, cut, [heard], HOP)
    assert np.array_equal(asked > 0, heard > 0)
    first, second = asked[10:60], asked[120:160]
    assert np.median(first[first > 0]) == pytest.approx(261.6, rel=0.02)
    assert np.median(second[second > 0]) == pytest.approx(329.6, rel=0.02)
