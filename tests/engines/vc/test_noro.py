"""Noro on tiny weights in a person's own folder, with HuBERT from a hub; Griffin-Lim on speech."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file
from transformers import HubertConfig, HubertModel

from engines.audio import resample
from engines.base import Availability, Cancelled, StudioError
from engines.networks.noro.features import MEL
from engines.networks.noro.network import Noro
from engines.parts.griffin_lim import griffin_lim, magnitudes
from engines.vc.noro import CENTRES, NORO, NoroConversion, contour
from tests.engines.fetched import Stopping, fetched, let_go
from tests.engines.sounding import note, spoken
from tests.small_hub import small_hub

WIDTH = 64
HUBERT = {
    "hidden_size": 16, "num_hidden_layers": 10, "num_attention_heads": 2, "intermediate_size": 24,
    "conv_dim": [8] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip
MODEL = {
    "reference_encoder": {
        "encoder_layer": 1, "encoder_hidden": WIDTH, "encoder_head": 2, "conv_filter_size": 32,
        "conv_kernel_size": 3, "encoder_dropout": 0.1, "ref_in_dim": 80, "num_query_emb": 4,
    },
    "diffusion": {
        "diff_wavenet": {
            "input_size": 80, "hidden_size": WIDTH, "out_size": 80, "num_layers": 2,
            "cross_attn_per_layer": 2, "dilation_cycle": 2, "attn_head": 2, "drop_out": 0.1,
        },
        "ode_solve_method": "euler", "beta_min": 0.05, "beta_max": 20,
    },
    "vc_feature": {"content_feature_dim": 16},
}  # fmt: skip
QUICK = {"steps": 3, "iterations": 3, "seed": 4}


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    root = tmp_path_factory.mktemp("noro")
    own, hubert = root / "data/models/own/noro", root / "hubert"
    torch.manual_seed(3)
    for folder in (own, hubert):
        folder.mkdir(parents=True)
    (hubert / "config.json").write_text(json.dumps(HUBERT | {"model_type": "hubert"}))
    torch.save(HubertModel(HubertConfig(**HUBERT)).state_dict(), hubert / "pytorch_model.bin")
    folders = {"facebook/hubert-base-ls960": hubert}
    with fetched(root, folders, [NoroConversion]) as running:
        assert running.engine("noro").availability() is Availability.TRAIN
        network = Noro.read(MODEL)
        (own / "args.json").write_text(json.dumps({"model": MODEL}))
        save_file(network.state_dict(), own / "model.safetensors")
        np.save(own / CENTRES, np.random.default_rng(0).standard_normal((20, 16)))
        assert running.engine("noro").availability() is Availability.DOWNLOAD
        with small_hub(folders):
            job = running.wait(running.download("noro", "noro").id, 60)
        assert job.state == "done", job.error
        assert running.engine("noro").availability() is Availability.READY
        yield running


@pytest.fixture(autouse=True)
def nothing_left(studio):
    yield
    let_go(studio)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    voice, rate = spoken()
    soundfile.write(folder / "source.wav", voice[: round(1.23 * rate)], rate)
    soundfile.write(folder / "reference.wav", voice[-round(1.2 * rate) :], rate)
    soundfile.write(
        folder / "noise.wav", 0.1 * np.random.default_rng(1).standard_normal(rate), rate
    )
    return {name: folder / f"{name}.wav" for name in ("source", "reference", "noise")}


def pair(files):
    return {"source": files["source"], "reference": files["reference"]}


def test_a_conversion_is_as_long_as_the_source_and_follows_its_seed(studio, files):
    def heard(**more) -> bytes:
        (clip,) = studio.make("noro", **pair(files), **(QUICK | more))
        assert clip.sample_rate == 16_000
        assert clip.duration_s == pytest.approx(1.23, abs=1e-3)
        return soundfile.read(clip.path, dtype="float32")[0].tobytes()

    assert heard() == heard() != heard(seed=5)


def test_a_cancelled_conversion_stops_within_a_step(studio, files):
    engine = studio.engine("noro")
    params = engine.Params(**pair(files), **QUICK)
    job = Stopping(after=1)
    with studio.runtime.lease(engine, params), pytest.raises(Cancelled):
        engine.run(params, job)
    assert len(job.notes) == 1 and job.late == 0


def test_long_sources_come_in_windows(studio, files, monkeypatch):
    monkeypatch.setattr("engines.vc.noro.WINDOW_S", 1.1)
    monkeypatch.setattr("engines.parts.windows.CONTEXT_S", 0.1)
    engine = studio.engine("noro")
    params = engine.Params(**pair(files), **QUICK)
    job = Stopping(after=1000)
    with studio.runtime.lease(engine, params):
        clip = engine.run(params, job)
    assert {note for *_, note in job.notes} == {"Part 1 of 2", "Part 2 of 2"}
    np.testing.assert_array_equal(np.concatenate(job.pieces), clip.samples)
    assert len(clip.samples) == pytest.approx(1.23 * 16_000, abs=16)


def test_centres_that_are_no_array_are_refused_with_their_name(studio, files):
    file = studio.hub.path(NORO) / CENTRES
    kept = file.read_bytes()
    file.write_bytes(kept[:100])
    try:
        with pytest.raises(StudioError, match=r"km500\.npy can't be read .*cluster_centers_"):
            studio.make("noro", **pair(files), **QUICK)
    finally:
        file.write_bytes(kept)


def test_missing_weights_are_named(studio, files):
    file = studio.hub.path(NORO) / "model.safetensors"
    kept = file.read_bytes()
    network = Noro.read(MODEL).state_dict()
    del network["content_f0_enc.2.bias"]
    file.unlink()
    save_file(network, file)
    try:
        with pytest.raises(StudioError, match=r"Noro can't be loaded.*content_f0_enc\.2\.bias"):
            studio.make("noro", **pair(files), **QUICK)
    finally:
        file.unlink()
        file.write_bytes(kept)


def test_the_contour_is_filled_between_voiced_frames():
    silence = np.zeros(8000, np.float32)
    f0 = contour(np.concatenate([note(200, 0.5, 16_000), silence, note(300, 0.5, 16_000)]))
    assert len(f0) == 1.5 * 80 + 1
    assert f0[20] == pytest.approx(200, abs=3) and f0[-20] == pytest.approx(300, abs=3)
    assert 220 < f0[60] < 280
    assert not contour(silence).any()


def test_griffin_lim_gives_speech_whose_mel_is_the_one_given():
    voice, rate = spoken()
    samples = torch.from_numpy(resample(voice, rate, 16_000)[: 16_000 // 200 * 200])[None]
    mel = MEL.log_mel(samples)
    found = magnitudes(mel, MEL)
    assert float((MEL.log_mel_of(found) - mel).abs().mean()) < 0.1
    made = griffin_lim(mel, MEL, 30, torch.Generator().manual_seed(1))
    assert made.shape == samples.shape
    loud = mel > mel.max() - 7
    assert float((MEL.log_mel(made) - mel)[loud].abs().mean()) < 0.35
    flat = griffin_lim(mel, MEL, 1, torch.Generator().manual_seed(1))
    worse = float((MEL.log_mel(flat) - mel)[loud].abs().mean())
    assert worse > float((MEL.log_mel(made) - mel)[loud].abs().mean())
