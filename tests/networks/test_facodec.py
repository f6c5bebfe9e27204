"""FAcodec beyond its fixture: lengths, the past, causality, its file."""

from __future__ import annotations

import json
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from engines.networks.blocks.mel import htk_filters
from engines.networks.facodec.codec import FILE, PlachtaFacodec
from engines.networks.facodec.parts import FacodecSizes
from engines.networks.weights import WeightsError

TINY = {
    "encoder_dim": 2,
    "latent": 16,
    "decoder_dim": 16,
    "lstm": 1,
    "codebook_size": 16,
    "timbre_hidden": 8,
    "mel_hidden": 8,
    "mel_layers": 2,
}


@pytest.fixture(scope="module")
def codec() -> PlachtaFacodec:
    torch.manual_seed(1)
    return PlachtaFacodec(FacodecSizes(**TINY)).eval()


def publish(codec: PlachtaFacodec, folder: Path, *, without: str = "") -> Path:
    """The codec in the published layout, with a network of training beside it."""
    (folder / "config.json").write_text(json.dumps({"facodec": TINY}), encoding="utf-8")
    net = {
        name: {f"module.{key}": tensor for key, tensor in part.state_dict().items()}
        for name, part in codec.named_children()
        if name != without
    }
    net["discriminator"] = {"module.weight": torch.zeros(1)}
    torch.save({"net": net}, folder / FILE)
    return folder


@pytest.mark.parametrize(("samples", "frames"), [(299, 1), (300, 1), (301, 2), (3430, 12)])
@torch.no_grad()
def test_any_length_has_a_frame_for_each_300_samples_begun(codec, samples, frames):
    encoded = codec.encode(torch.randn(2, 1, samples))
    assert encoded.codes.shape == (6, 2, frames)
    assert encoded.timbre.shape == (2, 16)
    assert codec.decode(encoded.codes, encoded.timbre).shape == (2, 1, 300 * frames)


@torch.no_grad()
def test_what_was_computed_before_does_not_matter(codec):
    wav = torch.randn(1, 1, 1800)
    first = codec.encode(wav)
    codec.encode(torch.randn(3, 1, 900))
    again = codec.encode(wav)
    assert torch.equal(first.codes, again.codes)
    assert torch.equal(first.timbre, again.timbre)


@torch.no_grad()
def test_latents_and_samples_do_not_know_the_future(codec):
    """Far from the start, where the reflected padding looks ahead."""
    wav = torch.randn(1, 1, 12000)
    other = wav.clone()
    other[..., 9000:] = torch.randn(3000)
    torch.testing.assert_close(codec.latents(other)[..., :30], codec.latents(wav)[..., :30])
    codes = torch.randint(16, (6, 1, 40))
    later = codes.clone()
    later[..., 30:] = (codes[..., 30:] + 1) % 16
    before, after = (codec.decode(given, torch.zeros(1, 16)) for given in (codes, later))
    torch.testing.assert_close(before[..., :9000], after[..., :9000])
    assert not torch.allclose(before[..., 9000:], after[..., 9000:])


@torch.no_grad()
def test_a_conversion_leaves_the_residual_and_follows_the_reference(codec):
    source, reference = torch.randn(1, 1, 1500), 0.01 * torch.randn(1, 1, 2100)
    converted = codec.convert(source, reference)
    codes = codec.encode(source).codes
    codes[3:] = (codes[3:] + 1) % 16
    wanted = codec.decode(codes, codec.timbre(reference), residual=False)
    assert torch.equal(converted, wanted)
    assert not torch.allclose(converted, codec.convert(source, source), atol=1e-4)


@torch.no_grad()
def test_a_published_file_gives_the_same_codec(codec, tmp_path):
    again = PlachtaFacodec.from_published(publish(codec, tmp_path))
    wav = torch.randn(1, 1, 1200)
    assert torch.equal(again.encode(wav).codes, codec.encode(wav).codes)


def test_a_file_without_a_network_or_key_is_refused_by_name(codec, tmp_path):
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin is missing"):
        PlachtaFacodec.from_published(tmp_path)
    publish(codec, tmp_path, without="decoder")
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin holds no decoder"):
        PlachtaFacodec.from_published(tmp_path)
    stored = torch.load(publish(codec, tmp_path) / FILE, weights_only=True)
    del stored["net"]["quantizer"]["module.timbre_linear.bias"]
    torch.save(stored, tmp_path / FILE)
    with pytest.raises(WeightsError, match=r"quantizer don't fit.*1 missing: timbre_linear\.bias"):
        PlachtaFacodec.from_published(tmp_path)


def test_mel_filters_are_those_of_htk():
    theirs = librosa.filters.mel(
        sr=24000, n_fft=2048, n_mels=80, fmax=12000, htk=True, norm=None, dtype=np.float64
    )
    np.testing.assert_allclose(htk_filters(24000, 2048, 80, 0.0, 12000).numpy(), theirs, atol=1e-6)
