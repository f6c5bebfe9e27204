"""VitsSVC where the fixture doesn't reach: its files, its source, its other generators."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from engines.networks.blocks.draws import normal, uniform
from engines.networks.svc.features import SingingFeatures
from engines.networks.svc.vits import VitsSvc
from engines.networks.weights import WeightsError

HIFIGAN = {
    "resblock": "1",
    "upsample_rates": [4, 4],
    "upsample_kernel_sizes": [8, 8],
    "upsample_initial_channel": 8,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
}
BRANCH = {
    "channel": 8,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
    "input_conv_kernel_size": 7,
}
APNET = {
    **{f"{branch}_{name}": value for branch in ("ASP", "PSP") for name, value in BRANCH.items()},
    "ASP_output_conv_kernel_size": 7,
    "PSP_output_R_conv_kernel_size": 7,
    "PSP_output_I_conv_kernel_size": 7,
}
GENERATORS = {
    "nsfhifigan": {**HIFIGAN, "harmonic_num": 2},
    "hifigan": HIFIGAN,
    "bigvgan": {**HIFIGAN, "activation": "snakebeta", "snake_logscale": True},
    "melgan": {"ratios": [4, 4], "ngf": 4, "n_residual_layers": 1},
    "apnet": APNET,
}
MODEL = {
    "generator": "nsfhifigan",
    "generator_config": GENERATORS,
    "vits": {
        "hidden_channels": 8,
        "inter_channels": 6,
        "filter_channels": 12,
        "n_heads": 2,
        "n_layers": 1,
        "kernel_size": 3,
        "n_flow_layer": 2,
        "gin_channels": 4,
        "n_speakers": 3,
        "p_dropout": 0.1,
    },
    "condition_encoder": {
        "merge_mode": "add",
        "use_whisper": True,
        "whisper_dim": 5,
        "output_melody_dim": 8,
        "n_bins_melody": 16,
        "n_bins_loudness": 16,
        "singer_table_size": 3,
    },
}
PREPROCESS = {
    "sample_rate": 24000,
    "n_fft": 64,
    "hop_size": 16,
    "segment_size": 128,
    "f0_min": 50,
    "f0_max": 1100,
}
FRAMES = 20


def network(kind: str = "nsfhifigan", *, as_published: bool = False) -> VitsSvc:
    torch.manual_seed(0)
    return VitsSvc.read({**MODEL, "generator": kind}, PREPROCESS, as_published=as_published).eval()


def features(f0: float = 220.0, singer: int = 0) -> SingingFeatures:
    generator = torch.Generator().manual_seed(1)
    return SingingFeatures(
        f0=torch.full((1, FRAMES), f0),
        unvoiced=torch.zeros(1, FRAMES, dtype=torch.long),
        energy=torch.rand(1, FRAMES, generator=generator),
        contents={"whisper": torch.randn(1, FRAMES, 5, generator=generator)},
        singer=torch.tensor([singer]),
    )


@torch.no_grad()
def sing(model: VitsSvc, given: SingingFeatures, seed: int = 3) -> torch.Tensor:
    draws = (kind(torch.Generator().manual_seed(seed)) for kind in (normal, uniform))
    return model.convert(given, torch.ones(1, 1, FRAMES), *draws)


@pytest.mark.parametrize("kind", list(GENERATORS))
def test_every_generator_sings_and_learns(kind: str):
    model = network(kind)
    assert sing(model, features()).shape == (1, 1, FRAMES * 16)
    linear = torch.rand(1, 33, FRAMES)
    draws = (kind(torch.Generator().manual_seed(3)) for kind in (normal, uniform))
    out = model.train()(features(), linear, torch.tensor([FRAMES]), *draws)
    assert out.audio.shape == (1, 1, 128)
    (out.audio.square().sum() + out.z_p.square().sum() + out.mean_p.square().sum()).backward()
    still = {name for name, value in model.named_parameters() if value.grad is None}
    assert still == {"enc_p.f0_emb.weight", "condition_encoder.loudness_encoder.energy_bins"}


def test_a_seed_gives_the_same_sound_and_a_singer_another():
    model = network()
    assert torch.equal(sing(model, features()), sing(model, features()))
    assert not torch.equal(sing(model, features()), sing(model, features(), seed=4))
    assert not torch.equal(sing(model, features()), sing(model, features(singer=1)))


@pytest.mark.parametrize(("as_published", "hears"), [(False, True), (True, False)])
def test_the_source_sounds_unless_the_fault_is_asked_for(as_published: bool, hears: bool):
    """1200 and 1300 Hz share a bin of pitch, so only the source tells them apart."""
    model = network(as_published=as_published)
    low, high = (sing(model, features(f0)) for f0 in (1200.0, 1300.0))
    assert torch.equal(low, high) is not hears


def test_a_trained_folder_sings_what_was_trained(tmp_path: Path):
    model = network()
    (tmp_path / "args.json").write_text(json.dumps({"model": MODEL, "preprocess": PREPROCESS}))
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    again = VitsSvc.from_published(tmp_path)
    torch.testing.assert_close(sing(again, features()), sing(model, features()))


def test_a_folder_of_another_generator_is_refused(tmp_path: Path):
    torch.save(network("hifigan").state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "args.json").write_text(json.dumps({"model": MODEL, "preprocess": PREPROCESS}))
    with pytest.raises(WeightsError, match=r"missing: dec\.m_source\.l_linear\.weight"):
        VitsSvc.from_published(tmp_path)
    other = {**MODEL, "generator": "wavenet", "generator_config": {"wavenet": {}}}
    (tmp_path / "args.json").write_text(json.dumps({"model": other, "preprocess": PREPROCESS}))
    with pytest.raises(WeightsError, match="“wavenet”"):
        VitsSvc.from_published(tmp_path)
