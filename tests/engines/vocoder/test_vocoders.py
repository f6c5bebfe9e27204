"""Vocoders: embedded ones by what comes out, published ones by tiny checkpoints fetched from a hub."""

import json

import numpy as np
import pytest
import torch
import yaml

from engines.base import Cancelled, StudioError
from engines.networks.blocks.mel import VOCODER_24K
from engines.networks.vevo.sound import VocoderConfig
from engines.networks.vocoders.bigvgan_v2 import BigvganV2Config, BigvganV2Generator
from engines.networks.vocoders.build import build_generator
from engines.networks.vocoders.diffwave import Diffwave, DiffwaveConfig
from engines.networks.vocoders.vocos_mel import VocosMel, VocosMelConfig
from engines.vocoder import base
from engines.vocoder.amphion import BigVgan, DiffWave, HifiGan, MelGan, NsfHifiGan
from engines.vocoder.published import BigVganV2, SpeechT5HifiGan, UnivNet, VocosVocoder
from tests.engines.conftest import FakeCache, FakeDevice, FakeJob
from tests.engines.publishing import done, heard, studio_with, voice, written

GAN = {
    "resblock": "1", "upsample_rates": [16, 16], "upsample_kernel_sizes": [32, 32],
    "upsample_initial_channel": 16, "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
}  # fmt: skip
PERIODIC = GAN | {"activation": "snakebeta", "snake_logscale": True}
BLOCKS = {"resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1, 3, 5]]}
APNET = {
    f"{branch}_{name}": value
    for branch in ("ASP", "PSP")
    for name, value in ({"channel": 16, "input_conv_kernel_size": 7} | BLOCKS).items()
} | {
    "ASP_output_conv_kernel_size": 7,
    "PSP_output_R_conv_kernel_size": 7,
    "PSP_output_I_conv_kernel_size": 7,
}
DIFFWAVE = {
    "residual_channels": 8, "residual_layers": 4, "dilation_cycle_length": 2,
    "noise_schedule_factors": [1e-4, 0.05, 50],
    "inference_noise_schedule": [1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5], "upsample_factors": [16, 16],
}  # fmt: skip
MEL_24K = {
    "sample_rate": 24_000, "n_fft": 1024, "win_size": 1024, "hop_size": 256, "n_mel": 100,
    "fmin": 0, "fmax": 12_000,
}  # fmt: skip


def amphion(folder, kind, sizes, rate=24_000, bands=100):
    """A folder as Amphion's trainers leave it."""
    preprocess = MEL_24K | {"sample_rate": rate, "n_mel": bands}
    checkpoint = folder / "checkpoint" / "epoch-0001_step-0000010_loss-1.0"
    checkpoint.mkdir(parents=True)
    (folder / "args.json").write_text(
        json.dumps({"preprocess": preprocess, "model": {"generator": kind, kind: sizes}})
    )
    if kind == "diffwave":
        network = Diffwave(DiffwaveConfig(**sizes), bands)
    else:
        network = build_generator(kind, sizes, preprocess, bands)
    torch.save(network.state_dict(), checkpoint / "pytorch_model.bin")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """All published vocoders, tiny, by their repository."""
    from transformers import SpeechT5HifiGan as Network
    from transformers import SpeechT5HifiGanConfig, UnivNetConfig, UnivNetModel

    torch.manual_seed(4)
    root = tmp_path_factory.mktemp("hub")
    amphion(root / "speech" / "hifigan_speech", "hifigan", GAN)
    amphion(root / "diffwave" / "diffwave" / "diffwave_speech", "diffwave", DIFFWAVE)
    singing = root / "singing" / "bigvgan_singing"
    amphion(singing, "bigvgan", PERIODIC)
    network = build_generator("bigvgan", PERIODIC, MEL_24K, 100)
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"generator_state_dict": state}, singing / "400000.pt")
    v2 = root / "v2"
    v2.mkdir()
    sizes = PERIODIC | {"use_tanh_at_final": False, "use_bias_at_final": False}
    mel = {
        "sampling_rate": 24_000, "n_fft": 1024, "win_size": 1024, "hop_size": 256,
        "num_mels": 100, "fmin": 0, "fmax": None,
    }  # fmt: skip
    (v2 / "config.json").write_text(json.dumps(sizes | mel))
    generator = BigvganV2Generator(BigvganV2Config.read(sizes), 100)
    torch.save({"generator": generator.state_dict()}, v2 / "bigvgan_generator.pt")
    vocos = root / "vocos"
    vocos.mkdir()
    small = {"dim": 16, "intermediate_dim": 24, "num_layers": 2}
    config = {
        "feature_extractor": {
            "init_args": {"sample_rate": 24_000, "n_fft": 1024, "hop_length": 256, "n_mels": 100}
        },
        "backbone": {"init_args": small | {"input_channels": 100}},
        "head": {"init_args": {"dim": 16, "n_fft": 1024, "hop_length": 256}},
    }
    (vocos / "config.yaml").write_text(yaml.safe_dump(config))
    state = VocosMel(VocosMelConfig(**small)).state_dict()
    torch.save(
        state | {"feature_extractor.mel_spec.x": torch.zeros(1)}, vocos / "pytorch_model.bin"
    )
    Network(
        SpeechT5HifiGanConfig(upsample_initial_channel=16, resblock_kernel_sizes=[3],
                              resblock_dilation_sizes=[[1, 3]])
    ).save_pretrained(root / "t5")  # fmt: skip
    torch.save(Network.from_pretrained(root / "t5").state_dict(), root / "t5" / "pytorch_model.bin")
    (root / "t5" / "model.safetensors").unlink()
    UnivNetModel(
        UnivNetConfig(model_in_channels=8, model_hidden_channels=8,
                      kernel_predictor_hidden_channels=8, kernel_predictor_num_blocks=1)
    ).save_pretrained(root / "univnet")  # fmt: skip
    return {
        "amphion/hifigan_speech_bigdata": root / "speech",
        "amphion/BigVGAN_singing_bigdata": root / "singing",
        "amphion/diffwave": root / "diffwave",
        "nvidia/bigvgan_v2_24khz_100band_256x": v2,
        "charactr/vocos-mel-24khz": vocos,
        "microsoft/speecht5_hifigan": root / "t5",
        "dg845/univnet-dev": root / "univnet",
    }


@pytest.fixture(scope="module")
def studio(tmp_path_factory, hub):
    folder = tmp_path_factory.mktemp("studio")
    own = folder / "data" / "models" / "own"
    amphion(own / "nsf-hifigan", "nsfhifigan", GAN | {"harmonic_num": 3})
    amphion(own / "apnet", "apnet", APNET)
    amphion(own / "melgan", "melgan", {"ratios": [16, 16], "ngf": 4, "n_residual_layers": 1})
    engines = (HifiGan, BigVgan, DiffWave, BigVganV2, VocosVocoder, SpeechT5HifiGan, UnivNet)
    with studio_with(folder, hub, *engines) as running:
        yield running


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return written(tmp_path_factory.mktemp("sounds") / "a.wav", voice(0.7123, 24_000), 24_000)


@pytest.mark.parametrize(
    ("engine", "rate"),
    [
        ("hifigan", 24_000), ("bigvgan", 24_000), ("nsf-hifigan", 24_000), ("apnet", 24_000),
        ("melgan", 24_000), ("diffwave", 24_000), ("vocos", 24_000), ("bigvgan-v2", 24_000),
        ("speecht5-hifigan", 16_000), ("univnet", 24_000), ("griffin-lim", 24_000),
        ("world", 24_000),
    ],
)  # fmt: skip
def test_a_sound_comes_back_as_long_as_it_was(studio, source, engine, rate):
    seed = {"seed": 5} if engine in ("nsf-hifigan", "diffwave", "univnet", "griffin-lim") else {}
    fast = {"fast": True} if engine == "diffwave" else {}
    job, clip = done(studio, engine, source=str(source), **seed, **fast)
    out = heard(clip)
    assert (clip.sample_rate, len(out)) == (rate, round(0.7123 * rate))
    assert np.isfinite(out).all() and np.abs(out).max() > 0
    assert job.report["values"]["x real time"] > 0
    assert done(studio, engine, source=str(source), **seed, **fast)[1].hash == clip.hash
    if seed:
        assert done(studio, engine, source=str(source), seed=6, **fast)[1].hash != clip.hash


def mel_of(samples):
    return VOCODER_24K.log_mel(torch.from_numpy(samples)[None])[0].numpy()


def test_griffin_lim_finds_phases_for_the_mel(studio, tmp_path):
    samples = voice(1.024, 24_000)
    np.save(tmp_path / "a.npy", mel_of(samples))
    near = {}
    for iterations in (1, 60):
        out = heard(
            done(studio, "griffin-lim", mel=str(tmp_path / "a.npy"), iterations=iterations, seed=1)[
                1
            ]
        )
        assert len(out) == 96 * 256
        near[iterations] = np.abs(np.exp(mel_of(out)) - np.exp(mel_of(samples)[:, :96])).mean()
    assert near[60] < 0.35 * near[1]


def test_world_gives_the_voice_back(studio, source):
    from engines.world.frames import harvest

    before, after = voice(0.7123, 24_000), heard(done(studio, "world", source=str(source))[1])
    f0 = [harvest(x.astype(np.float64), 24_000) for x in (before, after)]
    both = (f0[0] > 0) & (f0[1] > 0)
    assert both.mean() > 0.5
    assert np.abs(12 * np.log2(f0[1][both] / f0[0][both])).mean() < 0.3


def loaded(engine_type, folder, weights):
    engine = engine_type(FakeCache({weights: folder}))
    engine.load(FakeDevice())
    return engine


def made(engine, source, job, **settings):
    return next(iter(engine.run(engine.Params(source=source, **settings), job))).samples


@pytest.mark.parametrize(
    ("engine_type", "repository", "weights", "close"),
    [
        (HifiGan, "amphion/hifigan_speech_bigdata", "hifigan-speech", 1e-4),
        (VocosVocoder, "charactr/vocos-mel-24khz", "vocos-mel-24khz", 1e-4),
        (UnivNet, "dg845/univnet-dev", "univnet", 1e-4),
        (BigVganV2, "nvidia/bigvgan_v2_24khz_100band_256x",
         "bigvgan_v2_24khz_100band_256x", 1e-4),
    ],
)  # fmt: skip
def test_windows_change_nothing(hub, source, monkeypatch, engine_type, repository, weights, close):
    engine = loaded(engine_type, hub[repository], weights)
    whole = made(engine, source, FakeJob())
    monkeypatch.setattr(base, "WINDOW_FRAMES", 20)
    monkeypatch.setattr(engine_type, "context", 24)
    job = FakeJob()
    parts = made(engine, source, job)
    assert len(job.pieces) == 4
    np.testing.assert_array_equal(np.concatenate(job.pieces), parts)
    np.testing.assert_allclose(parts, whole, atol=close)


def test_the_harmonic_source_goes_on_across_windows(studio, source, monkeypatch):
    settings = {"source": str(source), "seed": 5}
    whole = heard(done(studio, "nsf-hifigan", **settings)[1])
    monkeypatch.setattr(base, "WINDOW_FRAMES", 20)
    monkeypatch.setattr(NsfHifiGan, "context", 24)
    parts = heard(done(studio, "nsf-hifigan", **settings)[1])
    assert np.abs(parts - whole).max() < 0.02 * np.abs(whole).max()


def test_a_cancelled_job_stops_at_the_next_window_and_unload_frees(hub, source, monkeypatch):
    monkeypatch.setattr(base, "WINDOW_FRAMES", 10)
    engine = loaded(HifiGan, hub["amphion/hifigan_speech_bigdata"], "hifigan-speech")
    job = FakeJob(cancel_after=2)
    with pytest.raises(Cancelled):
        list(engine.run(engine.Params(source=source), job))
    assert len(job.pieces) == 2
    engine.unload()
    assert engine._network is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda mel: mel[:80], "has 100 bands"),
        (lambda mel: np.exp(mel), "magnitudes without a logarithm"),
        (lambda mel: np.maximum(20 * mel / np.log(10), -80), "decibels"),
        (lambda mel: np.maximum(mel / np.log(10), -5), "a decimal logarithm"),
        (lambda mel: mel / 12, "scaled to -1 to 1"),
        (lambda mel: mel + 5, "above what a sound can have"),
        (lambda mel: np.where(mel > -5, np.nan, mel), "no numbers"),
        (lambda mel: (mel * 10).astype(np.int32), "no floating-point numbers"),
        (lambda mel: mel[0], r"its shape is \(\d+,\)"),
        (lambda mel: np.array([{"a": 1}]), r"no \.npy file of numbers.*Python objects"),
    ],
)
def test_a_mel_of_another_recipe_is_refused_with_the_reason(studio, tmp_path, change, reason):
    mel = mel_of(np.concatenate([voice(0.5, 24_000), np.zeros(4096, np.float32)]))
    np.save(tmp_path / "a.npy", change(mel), allow_pickle=True)
    with pytest.raises(StudioError, match=reason) as error:
        studio.submit("griffin-lim", {"mel": str(tmp_path / "a.npy")})
    assert error.value.field == "mel"


def test_a_mel_file_sounds_like_the_sound_it_was_taken_from(studio, source, tmp_path):
    samples = voice(0.7123, 24_000)
    samples = np.pad(samples, (0, -len(samples) % 256))
    np.save(tmp_path / "a.npy", mel_of(samples).T)
    from_mel = heard(done(studio, "hifigan", mel=str(tmp_path / "a.npy"))[1])
    from_sound = heard(done(studio, "hifigan", source=str(source))[1])
    np.testing.assert_allclose(from_mel[: len(from_sound)], from_sound, atol=1e-4)


def test_inputs_and_checkpoints_that_cannot_be_used_are_named(studio, hub, source, tmp_path):
    np.save(tmp_path / "a.npy", mel_of(voice(0.5, 24_000)))
    mel = {"mel": str(tmp_path / "a.npy")}
    for engine, settings, reason in (
        ("hifigan", {}, "Nothing is given"),
        ("hifigan", mel | {"source": str(source)}, "Both are given"),
        ("world", mel, "WORLD works on pitch"),
        ("nsf-hifigan", mel, "needs the pitch"),
        ("speecht5-hifigan", mel, "has 80 bands"),
    ):
        with pytest.raises(StudioError, match=reason):
            studio.submit(engine, settings)
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "config.json").write_bytes(
        (hub["nvidia/bigvgan_v2_24khz_100band_256x"] / "config.json").read_bytes()
    )
    (cut / "bigvgan_generator.pt").write_bytes(b"PK\3\4 cut short")
    with pytest.raises(StudioError, match=r"bigvgan_generator\.pt can't be read"):
        loaded(BigVganV2, cut, "bigvgan_v2_24khz_100band_256x")
    with pytest.raises(StudioError, match="generator “hifigan”, not “melgan”"):
        loaded(MelGan, hub["amphion/hifigan_speech_bigdata"] / "hifigan_speech", "melgan")


def test_vevos_vocos_takes_its_own_mels(tmp_path, source):
    from safetensors.torch import save_file

    inside = tmp_path / "acoustic_modeling" / "Vocoder"
    inside.mkdir(parents=True)
    small = {"dim": 16, "intermediate_dim": 24, "num_layers": 2}
    (inside / "config.json").write_text(json.dumps({"vocoder": small}))
    save_file(VocoderConfig(**small).build().state_dict(), inside / "model.safetensors")
    engine = VocosVocoder(FakeCache({"vocos-vevo": tmp_path}))
    params = engine.Params(source=source, model="vocos-vevo")
    engine.load(FakeDevice(), params)
    clip = next(iter(engine.run(params, FakeJob())))
    assert (clip.sample_rate, len(clip.samples)) == (24_000, round(0.7123 * 24_000))
