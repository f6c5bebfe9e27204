"""AudioLDM beyond its fixture: variations, cancelling, published files."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from engines.networks.audioldm.network import AudioLdm, AudioLdmUnetConfig
from engines.networks.audioldm.pipeline import FOLDERS, AudioLdmModel
from engines.networks.blocks.autoencoder import Autoencoder, AutoencoderConfig
from engines.networks.blocks.diffusion import NoiseSchedule
from engines.networks.vocoders.hifigan import HifiganConfig, HifiganGenerator
from engines.networks.weights import WeightsError

UNET = AudioLdmUnetConfig(
    in_channels=4,
    out_channels=4,
    model_channels=32,
    attention_resolutions=(2, 1),
    num_res_blocks=1,
    channel_mult=(1, 2),
    num_heads=2,
    context_dim=8,
)
AUTOENCODER = AutoencoderConfig(ch=32, ch_mult=(1, 1, 1, 1, 1), num_res_blocks=1, z_channels=4)
VOCODER = {
    "resblock": "2",
    "upsample_rates": [4, 4],
    "upsample_kernel_sizes": [8, 8],
    "upsample_initial_channel": 8,
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3]],
    "num_mels": 80,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model in the published layout."""
    torch.manual_seed(5)
    tta = tmp_path_factory.mktemp("tta")
    parts = (AudioLdm(UNET), Autoencoder(AUTOENCODER))
    for name, part in zip(FOLDERS, parts, strict=True):
        inside = tta / name / "checkpoints"
        inside.mkdir(parents=True)
        torch.save({"model": part.state_dict()}, inside / "step-0570000_loss-0.2521.pt")
        torch.save({"model": {}}, inside / "step-0070000_loss-0.1.pt")
    voice = tta / "hifigan_checkpoints"
    voice.mkdir()
    sizes = {"unet": asdict(UNET), "autoencoder": asdict(AUTOENCODER)}
    (tta / "config.json").write_text(json.dumps(sizes))
    (voice / "config.json").write_text(json.dumps(VOCODER))
    vocoder = HifiganGenerator(HifiganConfig.read(VOCODER), 80)
    torch.save({"generator": vocoder.state_dict()}, voice / "g_01250000")
    return tta


@pytest.fixture(scope="module")
def model(folder: Path) -> AudioLdmModel:
    return AudioLdmModel.from_published(folder)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def context() -> torch.Tensor:
    return torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1))


def test_variations_are_what_each_seed_gives_alone(model: AudioLdmModel):
    how = {"frames": 40, "steps": 3}
    together = model.generate(context(), generators=generators(7, 8), **how)
    assert together.shape == (2, 48 * 16)  # whole places of the latent
    for seed, wav in zip((7, 8), together, strict=True):
        alone = model.generate(context(), generators=generators(seed), **how)
        torch.testing.assert_close(alone[0], wav, atol=1e-4, rtol=0)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_guidance_of_1_is_the_text_alone(model: AudioLdmModel):
    both = context()
    z = torch.randn(1, 4, 5, 3, generator=generators(2)[0])
    with torch.no_grad():
        *_, guided = model.latents(both, z, steps=2, guidance=1.0)
        *_, alone = model.latents(both[[1, 1]], z, steps=2, guidance=4.0)
    torch.testing.assert_close(guided, alone, atol=1e-4, rtol=0)


def test_a_caller_hears_of_each_step_and_can_stop_before_the_next(model: AudioLdmModel):
    seen = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        model.generate(context(), generators=generators(0), frames=16, steps=5, progress=stop)
    assert seen == [(1, 6), (2, 6)]


def test_latents_stay_float32_where_the_network_computes_in_bfloat16(folder: Path):
    model, z = AudioLdmModel.from_published(folder), torch.randn(1, 4, 5, 3)
    with torch.no_grad():
        *_, whole = model.latents(context(), z, steps=3)
        for part in (model.diffusion, model.autoencoder, model.vocoder):
            part.bfloat16()
        *_, half = model.latents(context().bfloat16(), z, steps=3)
    assert half.dtype == torch.float32
    assert (half - whole).abs().mean() < 0.05 * whole.abs().mean()
    wav = model.generate(context().bfloat16(), generators=generators(1), frames=16, steps=1)
    assert wav.dtype == torch.float32


@pytest.mark.parametrize("steps", [0, 1000])
def test_steps_outside_of_the_schedule_are_refused(steps: int):
    with pytest.raises(ValueError, match="1 to 999"):
        NoiseSchedule.scaled_linear().timesteps(steps)


def test_files_that_do_not_fit_are_named(folder: Path, tmp_path: Path):
    tta = tmp_path / "tta"
    shutil.copytree(folder, tta)
    sizes = {"unet": asdict(replace(UNET, num_res_blocks=2))}
    (tta / "config.json").write_text(json.dumps(sizes))
    with pytest.raises(WeightsError, match=r"audioldm_debug.* missing: unet\."):
        AudioLdmModel.from_published(tta)
    torch.save({"state": {}}, tta / FOLDERS[0] / "checkpoints" / "step-0900000.pt")
    with pytest.raises(WeightsError, match=r"step-0900000\.pt holds no weights under “model”"):
        AudioLdmModel.from_published(tta)
    shutil.rmtree(tta / FOLDERS[0])
    with pytest.raises(WeightsError, match="There is no checkpoint in"):
        AudioLdmModel.from_published(tta)
