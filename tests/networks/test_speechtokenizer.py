"""SpeechTokenizer beyond its fixture: short sounds, its folder, the Snake variant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from engines.networks.speechtokenizer.codec import SpeechTokenizer
from engines.networks.speechtokenizer.seanet import SpeechTokenizerConfig
from engines.networks.weights import WeightsError

TINY = {
    "n_filters": 2,
    "strides": [8, 5, 4, 2],
    "dimension": 8,
    "semantic_dimension": 6,
    "codebook_size": 16,
    "n_q": 3,
}


@pytest.fixture(scope="module")
def codec() -> SpeechTokenizer:
    torch.manual_seed(1)
    return SpeechTokenizer(SpeechTokenizerConfig(**TINY)).eval()


def publish(codec: SpeechTokenizer, folder: Path, **changes) -> Path:
    """The codec in the published layout; the configuration has the entries of training too."""
    config = TINY | {"batch_size": 6} | changes
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    torch.save(codec.state_dict(), folder / "SpeechTokenizer.pt")
    return folder


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (100, 1), (320, 1), (321, 2), (3650, 12)])
@torch.no_grad()
def test_any_length_has_a_frame_for_each_320_samples_begun(codec, samples, frames):
    codes = codec.encode(torch.randn(2, 1, samples))
    assert codes.shape == (3, 2, frames)
    assert codec.decode(codes).shape == (2, 1, 320 * frames)


@torch.no_grad()
def test_layers_from_one_on_are_given_all_of_the_latents(codec):
    wav = torch.randn(1, 1, 1600)
    rows = codec.layers.stack[1].rows
    wanted = torch.cdist(codec.latents(wav).transpose(1, 2), rows[None]).argmin(-1)
    assert torch.equal(codec.encode(wav, 2, st=1), wanted[None])


@torch.no_grad()
def test_a_published_folder_gives_the_same_codec(codec, tmp_path):
    again = SpeechTokenizer.from_published(publish(codec, tmp_path))
    wav = torch.randn(1, 1, 700)
    assert torch.equal(again(wav), codec(wav))


def test_a_folder_that_does_not_fit_is_refused_by_name(codec, tmp_path):
    publish(codec, tmp_path, semantic_dimension=7)
    with pytest.raises(WeightsError, match=r"transform\.weight is \(6, 8\) and should be \(7, 8\)"):
        SpeechTokenizer.from_published(tmp_path)
    (tmp_path / "config.json").write_text('{"n_filters": 2}', encoding="utf-8")
    with pytest.raises(WeightsError, match=r"SpeechTokenizer lacks strides, dimension"):
        SpeechTokenizer.from_published(tmp_path)


def test_the_snake_variant_has_a_parameter_for_each_channel():
    keys = SpeechTokenizer(SpeechTokenizerConfig(**TINY, activation="Snake")).state_dict()
    assert keys["encoder.model.2.alpha"].shape == (1, 2, 1)
    assert keys["encoder.model.14.alpha"].shape == (1, 64, 1)  # after both directions of the LSTM
    assert keys["decoder.model.14.alpha"].shape == (1, 2, 1)
