"""PicoAudio beyond its fixture: timelines, variations, cancelling, published files."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from engines.networks.blocks.autoencoder import AutoencoderConfig
from engines.networks.blocks.convolutions import without_weight_norm
from engines.networks.picoaudio.events import (
    Event,
    TimelineError,
    grid,
    read_caption,
    read_counts,
    read_timeline,
    scatter,
    spoken,
    write_timeline,
)
from engines.networks.picoaudio.network import PicoAudio, PicoUnetConfig
from engines.networks.picoaudio.pipeline import FirstStage, PicoAudioModel
from engines.networks.vocoders.hifigan import HifiganConfig, HifiganGenerator
from engines.networks.weights import WeightsError

UNET = PicoUnetConfig(
    in_channels=10,
    out_channels=8,
    block_out_channels=(8, 8),
    layers_per_block=1,
    attention_head_dim=(2, 2),
    cross_attention_dim=6,
    down_block_types=("CrossAttnDown", "Down"),
    up_block_types=("Up", "CrossAttnUp"),
    norm_num_groups=4,
)
VAE = AutoencoderConfig(
    ch=32, ch_mult=(1, 1, 1), num_res_blocks=1, z_channels=8, embed_dim=8, attention=True
)
VOCODER = HifiganConfig(
    resblock="1",
    upsample_rates=(16, 10),
    upsample_kernel_sizes=(32, 20),
    upsample_initial_channel=4,
    resblock_kernel_sizes=(3,),
    resblock_dilation_sizes=((1,),),
)
EVENTS = [Event("dog_barking", [(0.5, 2.0)]), Event("whistling", [(5.0, 6.5)])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model in the published layout."""
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("picoaudio")
    sizes = {"unet": UNET, "vae": VAE, "vocoder": VOCODER}
    (path / "config.json").write_text(
        json.dumps({name: asdict(config) for name, config in sizes.items()})
    )
    torch.save(PicoAudio(UNET).state_dict(), path / "best.pt")
    stage = FirstStage(VAE, VOCODER, 64).state_dict()
    state = {  # weights so large that the sound depends on the mel
        f"first_stage_model.{key}": tensor * (6 if key.startswith("vocoder.") else 1)
        for key, tensor in stage.items()
    }
    state |= {"scale_factor": torch.tensor(0.5), "cond_stage_model.x": torch.zeros(2)}
    torch.save({"state_dict": state}, path / "audioldm-s-full.ckpt")
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> PicoAudioModel:
    return PicoAudioModel.from_published(folder)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_captions_and_timelines_say_the_same():
    events = read_caption("Cat meowing at 0.5-2.0, 3.0-4.5 and whistling at 5.0-6.5.")
    assert events == read_timeline("cat_meowing__0.5-2.0_3.0-4.5--whistling__5.0-6.5")
    assert write_timeline(events) == "cat_meowing__0.5-2.0_3.0-4.5--whistling__5.0-6.5"
    assert spoken(events) == "cat_meowing and whistling"
    assert [event.row for event in events] == [2, 17]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cat meowing at 1-2 and unicorn singing at 3-4", "unicorn singing.*whistling"),
        ("a cat meows twice", "should look like"),
        ("", "no event"),
    ],
)
def test_captions_that_cannot_be_read_are_refused_in_words(text: str, said: str):
    with pytest.raises(TimelineError, match=said):
        read_caption(text)
    with pytest.raises(TimelineError, match="should look like"):
        read_timeline(text.replace(" ", "_"))


def test_counted_events_are_placed_without_overlap():
    assert read_counts("Cat meowing two times, gunshot 4 times and whistling once.") == [
        ("cat_meowing", 2),
        ("gunshot", 4),
        ("whistling", 1),
    ]
    with pytest.raises(TimelineError, match="should look like"):
        read_counts("cat meowing at 1-2")
    event = scatter("gunshot", 9, 1.0, generators(3)[0])
    assert all(end <= after for (_, end), (after, _) in pairwise(event.intervals))
    assert all(start >= 0 and end <= 10 for start, end in event.intervals)
    assert event != scatter("gunshot", 9, 1.0, generators(4)[0])
    with pytest.raises(TimelineError, match="more than 10 s"):
        scatter("gunshot", 11, 1.0, generators(3)[0])


def test_an_interval_over_the_end_is_cut_and_the_next_one_kept():
    events = [Event("gunshot", [(1.0, 10.5), (0.2, 0.4)])]
    assert grid(events)[8].nonzero().flatten().tolist() == [*range(5, 10), *range(25, 255)]
    assert grid(events, as_published=True).sum() == 0


def test_a_variation_is_what_its_seed_gives_alone(model: PicoAudioModel):
    how = {"steps": 2, "guidance": 3.0}
    together = model.generate(EVENTS, generators=generators(7, 8), **how)
    assert together.shape == (2, 160000)
    alone = model.generate(EVENTS, generators=generators(8), **how)
    torch.testing.assert_close(alone[0], together[1], atol=1e-3, rtol=0)
    assert (together[0] - together[1]).abs().max() > 0.02


def test_the_scale_of_the_latents_is_the_files(model: PicoAudioModel):
    z = torch.randn(1, 8, 2, 2)
    with torch.no_grad():
        assert torch.equal(model.first_stage.mel(z), model.first_stage.decode(z * 2))


def test_a_caller_hears_of_each_step_and_can_stop_before_the_next(model: PicoAudioModel):
    seen = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        model.generate(
            EVENTS,
            generators=generators(0),
            embedding=torch.ones(1, 3),
            steps=5,
            progress=stop,
        )
    assert seen == [(1, 5), (2, 5)]


def test_it_computes_in_bfloat16(folder: Path, model: PicoAudioModel):
    half = PicoAudioModel.from_published(folder)
    half.diffusion.bfloat16()
    half.first_stage.bfloat16()
    wav = half.generate(EVENTS, generators=generators(7), steps=2)
    whole = model.generate(EVENTS, generators=generators(7), steps=2)
    assert wav.dtype == torch.float32
    assert (wav - whole).abs().mean() < 0.1 * whole.abs().mean()


def test_convolutions_whose_norm_was_removed_give_the_same():
    normed, mel = HifiganGenerator(VOCODER, 5), torch.randn(1, 5, 7)
    before = normed(mel)
    without_weight_norm(normed)
    torch.testing.assert_close(normed(mel), before)
    assert "ups.0.weight" in normed.state_dict()


def test_files_that_do_not_fit_are_named(folder: Path, tmp_path: Path):
    copied = tmp_path / "copy"
    shutil.copytree(folder, copied)
    (copied / "best.pt").rename(copied / "other.pt")
    PicoAudioModel.from_published(copied)  # the one other weight file
    shutil.copy(copied / "other.pt", copied / "more.pt")
    with pytest.raises(WeightsError, match=r"best\.pt.*more\.pt, other\.pt"):
        PicoAudioModel.from_published(copied)
    (copied / "more.pt").rename(copied / "best.pt")
    torch.save({"state_dict": {}}, copied / "audioldm-s-full.ckpt")
    with pytest.raises(WeightsError, match="scale_factor"):
        PicoAudioModel.from_published(copied)
