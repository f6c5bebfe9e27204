"""FACodec of NaturalSpeech 3 beyond its fixture: batches, lengths, files, silence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engines.networks.blocks.mel import mel_filters
from engines.networks.ns3_facodec.codec import Facodec, convert
from engines.networks.ns3_facodec.decoder import (
    FacodecDecoder,
    FacodecDecoderConfig,
    FacodecDecoderV2,
    FacodecRedecoder,
)
from engines.networks.ns3_facodec.encoder import (
    FacodecEncoder,
    FacodecEncoderConfig,
    FacodecEncoderV2,
)
from engines.networks.ns3_facodec.transformer import FacodecTransformer, FacodecTransformerSizes
from engines.networks.weights import WeightsError

ENCODER = {"ngf": 2, "up_ratios": [2, 4, 5, 5], "out_channels": 16}
DECODER = {
    "in_channels": 16,
    "upsample_initial_channel": 32,
    "vq_dim": 16,
    "codebook_size_prosody": 4,
    "codebook_size_content": 4,
    "codebook_size_residual": 4,
    "use_gr_x_timbre": False,
}
SIZES = {"encoder_layer": 2, "encoder_hidden": 16, "encoder_head": 2, "conv_filter_size": 24}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All five files in the published layout, the decoders with the heads of training."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("facodec")
    config = {"encoder": ENCODER, "decoder": DECODER, "redecoder": DECODER, "transformer": SIZES}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    encoder, decoder, sizes = (
        FacodecEncoderConfig(**ENCODER),
        FacodecDecoderConfig(**DECODER),
        FacodecTransformerSizes(**SIZES),
    )
    for module in (
        FacodecEncoder(encoder),
        FacodecEncoderV2(encoder),
        FacodecDecoder(decoder, sizes, heads=True),
        FacodecDecoderV2(decoder, sizes, heads=True),
        FacodecRedecoder(decoder, sizes),
    ):
        torch.save(module.state_dict(), folder / module.FILE)
    return folder


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("samples", "frames"), [(1800, 9), (1801, 10), (2399, 12)])
@torch.no_grad()
def test_any_length_has_a_frame_for_each_200_samples_begun(folder, version, samples, frames):
    codec = Facodec.from_published(folder, version=version)
    encoded = codec.encode(torch.randn(1, 1, samples))
    assert encoded.codes.shape == (6, 1, frames)
    assert encoded.speaker.shape == (1, 16)
    assert codec.decode(encoded.codes, encoded.speaker).shape == (1, 1, 200 * frames)


@pytest.mark.parametrize("version", [1, 2])
@torch.no_grad()
def test_a_sound_gives_the_same_in_a_batch_and_alone(folder, version):
    codec = Facodec.from_published(folder, version=version)
    wav = torch.randn(3, 1, 1400, generator=torch.Generator().manual_seed(2))
    together = codec.encode(wav)
    alone = [codec.encode(row[None]) for row in wav]
    assert torch.equal(together.codes, torch.cat([one.codes for one in alone], 1))
    torch.testing.assert_close(together.speaker, torch.cat([one.speaker for one in alone]))


def test_as_published_the_row_of_a_batch_is_taken_for_a_position():
    sizes = FacodecTransformerSizes(**SIZES)
    ours, theirs = FacodecTransformer(sizes), FacodecTransformer(sizes, as_published=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(1, 5, 16).expand(2, -1, -1)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0])
    torch.testing.assert_close(ours(x)[1], ours(x)[0])
    assert not torch.allclose(theirs(x)[1], theirs(x)[0], atol=1e-3)


@torch.no_grad()
def test_conversion_has_the_length_of_its_source_and_follows_the_speaker(folder):
    first, second = (Facodec.from_published(folder, version=version) for version in (1, 2))
    redecoder = FacodecRedecoder.from_published(folder)
    source, speakers = torch.randn(1, 1, 1500), torch.randn(2, 1, 16)
    for codec, other in ((first, redecoder), (second, None)):
        one, two = (convert(codec, source, speaker, other) for speaker in speakers)
        assert one.shape == (1, 1, 1600)
        assert not torch.allclose(one, two, atol=1e-4)


def test_heads_of_training_are_left_out_and_other_keys_are_not(folder, tmp_path):
    decoder = FacodecDecoder.from_published(folder)
    assert not any("predictor" in key for key in decoder.state_dict())
    state = torch.load(folder / decoder.FILE, weights_only=True)
    state["quantizer.3.layers.0._codebook.weight"] = state.pop("timbre_linear.bias")
    torch.save(state, tmp_path / decoder.FILE)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(WeightsError) as refused:
        FacodecDecoder.from_published(tmp_path)
    assert "ns3_facodec_decoder.bin" in str(refused.value)
    assert "1 missing: timbre_linear.bias" in str(refused.value)
    assert "1 unexpected: quantizer.3.layers.0._codebook.weight" in str(refused.value)


def test_silence_has_the_root_of_1e_9_in_every_bin():
    mel = FacodecEncoderV2(FacodecEncoderConfig(**ENCODER)).prosody(torch.zeros(1, 1, 800))
    filters = mel_filters(16000, 1024, 80, 0.0, 8000)[:20]
    wanted = (filters.sum(1) * 1e-9**0.5).clamp(min=1e-5).log()
    assert mel.shape == (1, 20, 4)
    torch.testing.assert_close(mel, wanted[None, :, None].expand_as(mel))


def test_a_codebook_size_is_a_power_of_two_and_groups_have_their_layers():
    config = replace(FacodecDecoderConfig(**DECODER), vq_num_q_c=4, codebook_size_content=6)
    assert config.groups == [(1, 16), (4, 64), (3, 16)]
    assert [len(part) for part in config.split(torch.zeros(8, 1, 2))] == [1, 4, 3]
