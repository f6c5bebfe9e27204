"""The singing conversions beyond what their fixtures reach: batches, samplers, files, features."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from engines.networks.svc.diffcomo import DiffComoSvc
from engines.networks.svc.edm import Edm
from engines.networks.svc.features import (
    SingingFeatures,
    align_content,
    automatic_shift,
    denormalise_mel,
    frame_energy,
    interpolate_f0,
    normalise_mel,
    shift_key,
)
from engines.networks.svc.multiplecontents import MultipleContentsSvc
from engines.networks.svc.published import read_singers
from engines.networks.svc.schedulers import SAMPLERS, Ddim, Ddpm, Diffusion, Pndm
from engines.networks.svc.transformer import TransformerSvc
from engines.networks.weights import WeightsError
from tests.networks.parity import Draws

MELS = 6
CONDITIONS = {
    "merge_mode": "add",
    "use_whisper": True,
    "use_contentvec": True,
    "whisper_dim": 5,
    "contentvec_dim": 4,
    "output_melody_dim": 8,
    "n_bins_melody": 256,
    "n_bins_loudness": 256,
    "singer_table_size": 3,
    "f0_min": 50,
    "f0_max": 1100,
}
DIFFUSION = {
    "bidilconv": {
        "base_channel": 8,
        "n_res_block": 3,
        "conv_kernel_size": 3,
        "dilation_cycle_length": 2,
        "conditioner_size": 8,
    },
    "step_encoder": {
        "dim_raw_embedding": 8,
        "dim_hidden_layer": 8,
        "num_layer": 2,
        "max_period": 10000,
    },
}
REGRESSION = {
    "type": "conformer",
    "input_dim": 8,
    "output_dim": MELS,
    "n_heads": 2,
    "n_layers": 2,
    "filter_channels": 8,
    "dropout": 0.1,
}
MODEL = {"condition_encoder": CONDITIONS, "diffusion": DIFFUSION, "transformer": REGRESSION}


def features(frames: int = 12, batch: int = 1) -> SingingFeatures:
    generator = torch.Generator().manual_seed(5)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    f0 = draw(batch, frames).abs() * 200
    f0[:, 3:5] = 0
    return SingingFeatures(
        f0=f0,
        unvoiced=(f0 == 0).long(),
        energy=draw(batch, frames).abs(),
        contents={"whisper": draw(batch, frames, 5), "contentvec": draw(batch, frames, 4)},
        singer=torch.full((batch,), 2),
    )


@pytest.fixture(scope="module")
def network() -> MultipleContentsSvc:
    torch.manual_seed(1)
    return MultipleContentsSvc.read(MODEL, MELS).eval()


@torch.no_grad()
def test_one_clip_leads_a_batch_of_variations(network: MultipleContentsSvc):
    z = torch.randn(3, MELS, 12)
    together = list(network.sample(features(), z, Pndm(network.diffusion, 5), Draws([])))
    for place in range(3):
        alone = list(
            network.sample(features(), z[place : place + 1], Pndm(network.diffusion, 5), Draws([]))
        )
        torch.testing.assert_close(together[-1][place], alone[-1][0], atol=1e-5, rtol=0)
    assert len(together) == 5 + 9
    assert together[-1].abs().max() <= 1


@torch.no_grad()
def test_a_caller_can_stop_between_two_steps(network: MultipleContentsSvc):
    calls = []
    watch = network.denoiser.diff_encoder.register_forward_hook(lambda *_: calls.append(1))
    steps = network.sample(
        features(), torch.randn(1, MELS, 12), Ddim(network.diffusion, 50), Draws([])
    )
    next(steps)
    next(steps)
    steps.close()
    watch.remove()
    assert len(calls) == 2


@torch.no_grad()
def test_the_condition_is_projected_once(network: MultipleContentsSvc):
    calls = []
    block = network.denoiser.neural_network.residual_blocks[0]
    watch = block.gau.context_proj.register_forward_hook(lambda *_: calls.append(1))
    list(
        network.sample(features(), torch.randn(1, MELS, 12), Ddim(network.diffusion, 4), Draws([]))
    )
    watch.remove()
    assert len(calls) == 1


@pytest.mark.parametrize("kind", SAMPLERS.values())
@pytest.mark.parametrize("steps", [7, 40])
def test_a_sampler_fed_the_true_noise_finds_the_mel(kind, steps: int):
    diffusion = Diffusion()
    mel = torch.rand(2, 3, 4) * 1.8 - 0.9
    sampler = kind(diffusion, steps)
    kept = diffusion.kept()[sampler.timesteps[0]]
    x = kept.sqrt() * mel + (1 - kept).sqrt() * torch.randn(2, 3, 4)
    for place, step in enumerate(sampler.timesteps):
        kept = diffusion.kept()[step]
        noise = (x - kept.sqrt() * mel) / (1 - kept).sqrt()
        fresh = torch.randn_like(x) if place < sampler.draws else None
        x = sampler.move(place, x, noise, fresh)
    torch.testing.assert_close(x, mel, atol=0.06, rtol=0)


def test_steps_that_no_sampler_has_are_refused():
    with pytest.raises(ValueError, match="between 4 and 1000, not 3"):
        Pndm(Diffusion(), 3)
    with pytest.raises(ValueError, match="between 1 and 1000, not 1001"):
        Ddpm(Diffusion(), 1001)


@torch.no_grad()
def test_the_loss_is_the_error_of_the_noise_inside_the_mask(network: MultipleContentsSvc):
    given, mel, noise = features(batch=2), torch.randn(2, MELS, 12), torch.randn(2, MELS, 12)
    step, mask = torch.tensor([3, 900]), torch.ones(2, 1, 12)
    mask[1, :, 7:] = 0
    error = (network(network.diffusion.noisy(mel, noise, step), step, given) - noise).square()
    inside = torch.cat([error[0].flatten(), error[1, :, :7].flatten()])
    torch.testing.assert_close(network.loss(mel, mask, given, step, noise), inside.mean())


@torch.no_grad()
def test_padding_does_not_reach_a_shorter_clip():
    network = TransformerSvc.read(MODEL).eval()
    given, mask = features(12), torch.ones(1, 1, 12)
    alone = network(given, mask)
    padded = SingingFeatures(
        f0=torch.nn.functional.pad(given.f0, (0, 5)),
        unvoiced=torch.nn.functional.pad(given.unvoiced, (0, 5)),
        energy=torch.nn.functional.pad(given.energy, (0, 5)),
        contents={
            kind: torch.nn.functional.pad(frames, (0, 0, 0, 5))
            for kind, frames in given.contents.items()
        },
        singer=given.singer,
    )
    longer = network(padded, torch.nn.functional.pad(mask, (0, 5)))
    torch.testing.assert_close(longer[..., :12], alone, atol=1e-5, rtol=0)


def test_a_plain_transformer_refuses_more_frames_than_it_has_positions():
    plain = {**MODEL, "transformer": REGRESSION | {"type": "transformer"}}
    network = TransformerSvc.read(plain, length=10).eval()
    with pytest.raises(ValueError, match="may have 10 frames, not 12"):
        network(features(12), torch.ones(1, 1, 12))


@torch.no_grad()
def test_a_student_starts_as_its_teacher_and_takes_one_step():
    como = {
        **REGRESSION,
        "distill": True,
        "P_mean": -1.2,
        "P_std": 1.2,
        "sigma_data": 0.5,
        "sigma_min": 0.002,
        "sigma_max": 80,
        "rho": 7,
        "n_timesteps": 8,
    }
    led = DIFFUSION | {"bidilconv": DIFFUSION["bidilconv"] | {"conditioner_size": MELS}}
    network = DiffComoSvc.read({**MODEL, "comosvc": como, "diffusion": led}).eval()
    decoder = network.como.decoder
    decoder.begin_student()
    mask, z = torch.ones(1, 1, 12), torch.randn(2, MELS, 12)
    (mel,) = network.sample(features(), mask, z, 1, Draws([]))
    mu = network(features(), mask)
    denoiser, edm = decoder.denoise_fn, Edm()
    noisy = (z + mu) * 80
    expected = edm.denoise(denoiser, noisy, torch.full((2,), 80.0), denoiser.contexts(mu))
    torch.testing.assert_close(mel, expected)
    assert not any(p.requires_grad for p in decoder.denoise_fn_pretrained.parameters())


def test_noise_levels_rise_from_nothing_and_fall_to_nothing():
    rising, falling = Edm().rising(4), Edm().falling(4)
    assert rising[0] == 0
    assert falling[-1] == 0
    torch.testing.assert_close(rising[[1, -1]], torch.tensor([0.002, 80.0]))
    torch.testing.assert_close(falling[[0, -2]], torch.tensor([80.0, 0.002]))
    assert (rising.diff() > 0).all()
    assert (falling.diff() < 0).all()


def test_only_frames_between_unvoiced_ones_stay_unvoiced():
    f0, unvoiced = interpolate_f0(torch.tensor([0.0, 0, 100, 0, 0, 0, 180, 0, 0]))
    assert f0.tolist() == [100, 100, 100, 120, 140, 160, 180, 180, 180]
    assert unvoiced.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0]
    silent, unvoiced = interpolate_f0(torch.zeros(4))
    assert silent.tolist() == [0, 0, 0, 0]
    assert unvoiced.tolist() == [1, 1, 1, 1]


def test_content_frames_of_50_hz_become_mel_frames():
    content = torch.arange(4.0)[:, None]
    aligned = align_content(content, 9, 480, 256)[:, 0].tolist()
    assert aligned[:4] == [0.0, 0.125, 1.0, 1.0 + 0.25]
    assert aligned[-1] == aligned[-2]
    assert len(aligned) == 9


def test_the_key_follows_the_singers_median():
    f0 = torch.tensor([0.0, 100, 200, 400])
    assert automatic_shift(f0, 400.0) == pytest.approx(12)
    assert shift_key(f0, 12).tolist() == [0, 200, 400, 800]
    assert automatic_shift(torch.zeros(3), 400.0) == 0


def test_mels_come_back_from_their_range():
    mel = torch.randn(2, 3, 5)
    low, high = torch.tensor([-4.0, -3, -2]), torch.tensor([1.0, 2, 3])
    torch.testing.assert_close(denormalise_mel(normalise_mel(mel, low, high), low, high), mel)
    torch.testing.assert_close(normalise_mel(low[None, :, None], low, high), -torch.ones(1, 3, 1))
    loud = torch.tensor([[3.0, 4.0]]).log()[..., None]
    torch.testing.assert_close(frame_energy(loud), torch.tensor([[5.0]]))


def write_published(folder: Path, network: MultipleContentsSvc) -> Path:
    newest = folder / "checkpoint" / "epoch-0012_step-0000300_loss-0.1"
    newest.mkdir(parents=True)
    config = {"model": MODEL, "preprocess": {"n_mel": MELS}}
    (folder / "args.json").write_text(json.dumps(config))
    (folder / "singers.json").write_text(json.dumps({"vocalist_l1_Adele": 0, "opencpop_1": 2}))
    save_file(network.state_dict(), newest / "model.safetensors")
    return newest / "model.safetensors"


@torch.no_grad()
def test_a_published_folder_gives_the_same_network(tmp_path: Path, network: MultipleContentsSvc):
    write_published(tmp_path, network)
    loaded = MultipleContentsSvc.from_published(tmp_path)
    mel, step = torch.randn(1, MELS, 12), torch.tensor([5])
    assert torch.equal(loaded(mel, step, features()), network(mel, step, features()))
    assert read_singers(tmp_path) == {"vocalist_l1_Adele": 0, "opencpop_1": 2}


def test_a_published_folder_that_does_not_fit_is_refused(
    tmp_path: Path, network: MultipleContentsSvc
):
    weights = write_published(tmp_path, network)
    state = network.state_dict()
    state.pop("1.neural_network.out_proj.2.bias")
    save_file(state, weights)
    with pytest.raises(WeightsError, match=r"1 missing: 1\.neural_network\.out_proj\.2\.bias"):
        MultipleContentsSvc.from_published(tmp_path)
    weights.unlink()
    with pytest.raises(WeightsError, match="no checkpoint"):
        MultipleContentsSvc.from_published(tmp_path)
    other = {"model": {**MODEL, "condition_encoder": CONDITIONS | {"use_mert": True}}}
    (tmp_path / "args.json").write_text(json.dumps(other))
    save_file(network.state_dict(), weights)
    with pytest.raises(WeightsError, match="use_mert"):
        MultipleContentsSvc.from_published(tmp_path)
