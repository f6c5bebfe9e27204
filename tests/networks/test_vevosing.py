"""What VevoSing's fixture doesn't reach: modes from end to end, published files, keys and melodies."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import WhisperConfig, WhisperForConditionalGeneration

from engines.networks.blocks.causal_llama import TokenSampling
from engines.networks.blocks.whisper import WhisperFeatures, fitted
from engines.networks.vevo.flow import FlowSampling
from engines.networks.vevosing.features import (
    chromagram,
    frame_count,
    semitones_between,
    shifted,
    stretched,
)
from engines.networks.vevosing.pipeline import VevoSing, VevoSingConfig
from engines.networks.vevosing.tokenizer import CocoTokenizer
from engines.networks.weights import WeightsError
from tests import tiny_vevosing
from tests.tiny_vevosing import WHISPER

DRAWING = TokenSampling(max_length=90, min_new_tokens=6)
FLOWING = FlowSampling(steps=3)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Small random weights in the published layout, and Whisper's."""
    root, whisper = tmp_path_factory.mktemp("vevosing"), tmp_path_factory.mktemp("whisper")
    tiny_vevosing.make(root, whisper)
    return root, whisper


@pytest.fixture(scope="module")
def singer(folders: tuple[Path, Path]) -> VevoSing:
    return VevoSing.from_published(*folders, data="sing0.4k")


def tone(hz: float, seconds: float = 0.5) -> Tensor:
    time = torch.arange(int(24000 * seconds)) / 24000
    return 0.3 * torch.sin(2 * math.pi * hz * time)


def seeds(*numbers: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(number) for number in numbers]


def test_timbre_keeps_the_length_of_the_source(singer: VevoSing):
    source, reference = tone(220, 0.61), singer.reference(tone(330, 0.47))
    heard = []

    def convert(seed: int, **how) -> Tensor:
        return singer.timbre(
            source,
            reference,
            generator=torch.Generator().manual_seed(seed),
            settings=FLOWING,
            progress=lambda done, total: heard.append((done, total)),
            **how,
        )

    first = convert(1)
    assert heard == [(1, 3), (2, 3), (3, 3)]
    assert first.shape == (1, 480 * frame_count(source))
    assert torch.equal(first, convert(1))
    assert not torch.equal(first, convert(2))
    published = convert(1, as_published=True)
    assert published.shape == first.shape
    assert not torch.equal(published, first)


def test_song_follows_its_melody_and_its_seed(singer: VevoSing):
    style, timbre = singer.reference(tone(220)), singer.reference(tone(330))
    melody = singer.melody_tokens([tone(220), tone(440)])
    assert melody.shape == (1, math.ceil(50 / 8))
    phones = torch.tensor([[3, 4, 5]])

    def sing(*numbers: int, tune: Tensor | None = melody, **how) -> list[Tensor]:
        return singer.sung(
            phones,
            style,
            timbre,
            generators=seeds(*numbers),
            melody=tune,
            drawing=DRAWING,
            flowing=FLOWING,
            **how,
        )

    both = sing(4, 5)
    assert torch.equal(both[0], sing(4)[0])
    assert torch.equal(both[1], sing(5)[0])
    assert all(row.shape[1] % (4 * 480) == 0 and row.shape[1] >= 6 * 4 * 480 for row in both)
    assert not torch.equal(both[0][:, :9600], sing(4, tune=None)[0][:, :9600])
    spare = 4 * timbre.tokens.shape[1] - timbre.mel.shape[1]
    assert spare == 3
    limited = singer.language.generate(phones, melody, style.tokens, DRAWING, seeds(4))[0]
    assert both[0].shape[1] == 480 * 4 * len(limited)


def test_published_alignment_leaves_the_spare_frames_of_the_reference(singer: VevoSing):
    timbre, tokens = singer.reference(tone(330)), torch.tensor([[1, 2, 3]])
    frames = {}
    for as_published in (False, True):
        sound = singer.voice(
            tokens,
            timbre,
            generator=torch.Generator().manual_seed(1),
            settings=FLOWING,
            as_published=as_published,
        )
        frames[as_published] = sound.shape[1] // 480
    assert frames == {False: 12, True: 12 + 3}


def test_what_a_step_raises_ends_the_generation(singer: VevoSing):
    reference = singer.reference(tone(220))

    def stop(done: int, total: int) -> None:
        assert total > 10
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        singer.sung(
            torch.tensor([[3]]),
            reference,
            reference,
            generators=seeds(1),
            drawing=DRAWING,
            flowing=FLOWING,
            progress=stop,
        )


def test_a_tone_stands_in_its_pitch_class_and_moves_with_a_shift():
    a = chromagram(tone(440))
    assert a.shape == (1, 25, 24)
    assert int(a[0, 12].argmax()) == 2 * 9
    higher = chromagram(shifted(tone(440), 3))
    assert int(higher[0, 12].argmax()) == 2 * (9 + 3) % 24


def test_a_shifted_melody_gives_other_tokens(singer: VevoSing):
    plain = singer.content_style_tokens(tone(220))
    assert torch.equal(plain, singer.content_style_tokens(tone(220), 0))
    assert plain.shape == singer.content_style_tokens(tone(220), 5).shape == (1, 7)


def test_the_shift_goes_from_median_to_median():
    source, higher = torch.tensor([200.0, 220.0, 900.0]), torch.tensor([440.0])
    assert semitones_between(source, higher) == 12
    assert semitones_between(higher, source) == -12
    assert semitones_between(source, torch.tensor([247.0])) == 2


def test_a_duration_ratio_stretches_the_melody(singer: VevoSing):
    assert stretched(chromagram(tone(220, 0.9)), 0.7).shape == (1, int(45 * 0.7), 24)
    long = singer.melody_tokens([tone(220)], 2.0)
    assert long.shape[1] == math.ceil(50 / 8)


def test_nothing_but_content_style_tokens_is_drawn_unless_as_published(singer: VevoSing):
    hot = TokenSampling(max_length=80, min_new_tokens=60, temperature=50.0, top_k=0, top_p=1.0)
    given = (torch.tensor([[1]]), None, torch.tensor([[2]]))
    (tokens,) = singer.language.generate(*given, hot, seeds(1))
    assert int(tokens.max()) < 64
    (free,) = singer.language.generate(*given, hot, seeds(1), as_published=True)
    assert int(free.max()) >= 64


def test_whisper_is_its_encoder_alone_and_hears_30_seconds(folders: tuple[Path, Path]):
    full = WhisperForConditionalGeneration(WhisperConfig(**WHISPER)).eval()
    full.load_state_dict(load_file(folders[1] / "model.safetensors"), strict=False)
    ours = WhisperFeatures.from_published(folders[1])
    assert not any("decoder" in key for key in ours.state_dict())
    sound = torch.randn(16000)
    mel = ours.extractor(sound.numpy(), sampling_rate=16000, return_tensors="pt")["input_features"]
    with torch.no_grad():
        expected = full.model.encoder(mel).last_hidden_state
        torch.testing.assert_close(ours(sound, 50), expected[:, :50])
        long = ours(torch.randn(16000 * 31), 1550)
    assert long.shape == (1, 1550, 32)
    assert torch.equal(long[:, 1500:], long[:, 1499:1500].expand(-1, 50, -1))


def test_frames_are_cut_or_the_last_repeated():
    x = torch.arange(3.0)[None, :, None]
    assert fitted(x, 2).flatten().tolist() == [0, 1]
    assert fitted(x, 5).flatten().tolist() == [0, 1, 2, 2, 2]


def test_a_tokeniser_needs_no_upsampling_and_refuses_what_it_does_not_know(
    folders: tuple[Path, Path], tmp_path: Path
):
    sizes = VevoSingConfig.of(folders[0]).prosody
    state = load_file(folders[0] / "tokenizer/prosody_fvq512_6.25hz/model.safetensors")
    state["decoder.0.embed.bias"] = torch.zeros(3)
    save_file(state, tmp_path / "model.safetensors")
    tokenizer = CocoTokenizer.from_published(tmp_path / "model.safetensors", sizes)
    assert not any(key.startswith("upsample_layers.") for key in tokenizer.state_dict())
    state["extra.weight"] = torch.zeros(3)
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"Coco tokeniser.*1 unexpected: extra\.weight"):
        CocoTokenizer.from_published(tmp_path / "model.safetensors", sizes)


def test_timbre_alone_loads_no_language_model(folders: tuple[Path, Path]):
    alone = VevoSing.from_published(*folders, data="sing0.4k", timbre_only=True)
    assert alone.language is None
    assert alone.prosody is None
