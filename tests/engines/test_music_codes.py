"""Codes, text states and sound against the Transformers model itself, on tiny random weights."""

import base64
import dataclasses
import io
import json
import zlib

import numpy as np
import pytest
import torch

from engines.base import StudioError
from engines.music.musicgen import checkpoint, codes, melody
from engines.music.musicgen.sound import SoundStream, bake
from tests.tiny_musicgen import PAD, make

KINDS = {
    "mono": {},
    "stereo": {"stereo": True},
    "melody": {"melody": True},
    "stereo melody": {"melody": True, "stereo": True},
}


@pytest.fixture(scope="module", params=list(KINDS))
def loaded(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / request.param.replace(" ", "-")
    return checkpoint.load(make(folder, **KINDS[request.param]))


def _generated(loaded, texts, frames, guidance, monkeypatch, **inputs):
    """The model's own greedy codes ``(B, K, frames)``, caught on their way to EnCodec."""
    caught = []
    encodec = loaded.model.audio_encoder
    decode = encodec.decode
    monkeypatch.setattr(
        encodec,
        "decode",
        lambda values, **kwargs: (caught.append(values[0]), decode(values, **kwargs))[1],
    )
    tokens = loaded.tokenizer(texts, padding=True, return_tensors="pt")
    channels, codebooks = loaded.checkpoint.channels, loaded.checkpoint.codebooks
    loaded.model.generate(
        **tokens, **inputs, do_sample=False, guidance_scale=guidance,
        max_new_tokens=frames + codebooks // channels - 1,
    )  # fmt: skip
    return torch.stack(caught, dim=2).flatten(1, 2) if channels == 2 else caught[0]


def test_argmax_of_delayed_codes_is_what_the_model_generates(loaded, monkeypatch):
    facts = loaded.checkpoint
    texts = ["slow piano theme", "loud rock guitar with drums"]
    if facts.melody:  # whose generate attends to padding, so that a batch is not comparable
        texts = texts[:1]
    frames, channels = 24, facts.channels
    made = _generated(loaded, texts, frames, 1.0, monkeypatch)
    assert made.shape == (len(texts), facts.codebooks, frames)
    target = codes.delay(made, facts.pad, channels)
    assert target.shape[-1] == frames + facts.codebooks // channels - 1
    read = torch.cat([torch.full_like(target[..., :1], PAD), target[..., :-1]], dim=-1)
    text = codes.encode_text(loaded, texts)
    with torch.no_grad():
        if facts.melody:
            given = {
                "encoder_hidden_states": codes.melody_conditioning(loaded, text.states, text.mask)
            }
        else:
            states = codes.conditioning(loaded, text.states, text.mask)
            given = {"encoder_hidden_states": states, "encoder_attention_mask": text.mask}
        logits = loaded.model.decoder(read.flatten(0, 1), **given).logits
    steps = target.shape[-1]
    best = logits[:, -steps:].argmax(-1).view(len(texts), facts.codebooks, steps)
    valid = target != PAD
    assert valid.sum() == made.numel()
    assert torch.equal(best[valid], target[valid])
    assert torch.equal(codes.undelay(best, frames, channels), made)


def test_delay_is_the_library_s_pattern(loaded):
    facts = loaded.checkpoint
    values = torch.arange(facts.codebooks * 9).view(1, facts.codebooks, 9)
    width = 9 + facts.codebooks // facts.channels
    with_start = torch.cat([torch.full_like(values[..., :1], PAD), values], dim=-1)
    _, pattern = loaded.model.decoder.build_delay_pattern_mask(
        with_start.flatten(0, 1), pad_token_id=PAD, max_length=width
    )
    delayed = codes.delay(values, PAD, facts.channels)
    assert torch.equal(pattern.view(1, facts.codebooks, width)[..., 1:], delayed)
    assert torch.equal(codes.undelay(delayed, 9, facts.channels), values)


def test_stereo_pairs_share_a_delay():
    values = torch.tensor([[[1, 2], [3, 4], [5, 6], [7, 8]]])
    assert codes.delay(values, 0, 2).tolist() == [[[1, 2, 0], [3, 4, 0], [0, 5, 6], [0, 7, 8]]]
    assert codes.delay(values, 0).tolist() == [
        [[1, 2, 0, 0, 0], [0, 3, 4, 0, 0], [0, 0, 5, 6, 0], [0, 0, 0, 7, 8]]
    ]


def test_codes_of_a_sound_are_the_library_s(loaded):
    facts = loaded.checkpoint
    rng = np.random.default_rng(0)
    wave = rng.uniform(-0.5, 0.5, (facts.channels, 30 * facts.hop_length + 5)).astype(np.float32)
    found = codes.encode_audio(loaded, wave, facts.sample_rate)
    assert found.dtype == torch.int64 and found.shape == (facts.codebooks, 31)
    if facts.melody:
        sides = [
            loaded.model.audio_encoder.encode(torch.from_numpy(side[None, None])).audio_codes[0, 0]
            for side in wave
        ]
        expected = torch.stack(sides, dim=1).flatten(0, 1)
    else:
        inputs = {"input_values": torch.from_numpy(wave[None])}
        kwargs = loaded.model._prepare_audio_encoder_kwargs_for_generation(
            inputs["input_values"], inputs
        )
        expected = kwargs["decoder_input_ids"]
    assert torch.equal(found, expected)
    sound = codes.decode_codes(loaded, found)
    assert sound.shape == (facts.channels, 31 * facts.hop_length) and sound.dtype == np.float32


def test_sound_of_codes_is_what_the_model_returns(loaded, monkeypatch):
    caught = []
    tokens = loaded.tokenizer(["jazz"], return_tensors="pt")
    encodec = loaded.model.audio_encoder
    decode = encodec.decode
    monkeypatch.setattr(
        encodec,
        "decode",
        lambda values, **kwargs: (caught.append(values[0, 0]), decode(values, **kwargs))[1],
    )
    sound = loaded.model.generate(**tokens, do_sample=False, guidance_scale=1, max_new_tokens=16)
    monkeypatch.undo()
    made = torch.stack(caught, dim=1).flatten(0, 1)
    np.testing.assert_allclose(codes.decode_codes(loaded, made), sound[0].numpy(), atol=1e-6)


def test_a_mono_sound_is_heard_on_both_sides_and_resampled(loaded):
    facts = loaded.checkpoint
    time = np.arange(16_000) / 16_000
    tone = (0.3 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)
    found = codes.encode_audio(loaded, tone, 16_000)
    assert found.shape == (facts.codebooks, facts.frame_rate)
    if facts.channels == 2:
        assert torch.equal(found[::2], found[1::2])


def test_too_short_a_sound_is_refused(loaded):
    with pytest.raises(StudioError, match="shorter than one frame"):
        codes.encode_audio(loaded, np.zeros(10, np.float32), loaded.checkpoint.sample_rate)


@pytest.mark.parametrize("step", [1, 7, 25, 200])
def test_pieces_joined_are_the_sound_decoded_at_once(loaded, step):
    facts = loaded.checkpoint
    made = torch.randint(0, 2048, (facts.codebooks, 90), generator=torch.Generator().manual_seed(3))
    stream = SoundStream(loaded)
    pieces = [stream.push(made[:, i : i + step]) for i in range(0, 90, step)]
    heard = sum(piece.shape[1] for piece in pieces)
    assert heard == (90 - stream.lag) * facts.hop_length
    whole = np.concatenate([*pieces, stream.finish()], axis=1)
    np.testing.assert_allclose(whole, codes.decode_codes(loaded, made), atol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 5, 12])
def test_a_short_sound_in_one_piece(loaded, frames):
    made = torch.arange(loaded.checkpoint.codebooks * frames).view(-1, frames)
    whole = SoundStream(loaded).finish(made)
    np.testing.assert_allclose(whole, codes.decode_codes(loaded, made), atol=1e-6)


def test_baked_weights_sound_the_same(tiny_musicgen):
    loaded = checkpoint.load(tiny_musicgen)
    made = torch.arange(160).view(4, 40)
    before, encodec = codes.decode_codes(loaded, made), loaded.model.audio_encoder
    assert hasattr(encodec.decoder.layers[0].conv, "parametrizations")
    bake(encodec)
    assert not any(hasattr(module, "parametrizations") for module in encodec.modules())
    assert np.array_equal(codes.decode_codes(loaded, made), before)


def test_a_codec_that_normalises_over_time_comes_whole(loaded, monkeypatch):
    monkeypatch.setattr(loaded.model.audio_encoder.config, "norm_type", "time_group_norm")
    made = torch.zeros(loaded.checkpoint.codebooks, 40, dtype=torch.int64)
    stream = SoundStream(loaded)
    assert stream.push(made[:, :20]).shape == (loaded.checkpoint.channels, 0)
    assert np.array_equal(stream.finish(made[:, 20:]), codes.decode_codes(loaded, made))


# --- text and melody ------------------------------------------------------------------------


def test_text_states_are_those_of_the_library_and_padding_is_zero(loaded):
    text = codes.encode_text(loaded, ["jazz", "slow quiet piano theme"])
    assert text.states.dtype == torch.float32 and text.states.shape[:2] == text.mask.shape
    alone = codes.encode_text(loaded, ["jazz"])
    length = alone.mask.shape[1]
    torch.testing.assert_close(text.states[0, :length], alone.states[0], atol=1e-6, rtol=1e-5)
    with torch.no_grad():
        states = codes.conditioning(loaded, text.states, text.mask)
    assert states.shape == (*text.mask.shape, loaded.checkpoint.hidden_size)
    assert not states[0, length:].any() and states[0, :length].any()


def test_melody_prefix_is_what_the_library_builds(tmp_path):
    loaded = checkpoint.load(make(tmp_path / "melody", melody=True))
    text = codes.encode_text(loaded, ["slow piano"])
    notes = torch.eye(12)[torch.arange(100) % 12][None]
    seen = {}

    def catch(**kwargs):
        seen.update(kwargs)
        raise StopIteration

    loaded.model.decoder.forward = catch
    for chroma in (notes, None):
        with pytest.raises(StopIteration):
            loaded.model(
                input_ids=loaded.tokenizer(["slow piano"], return_tensors="pt").input_ids,
                attention_mask=text.mask, input_features=chroma, decoder_input_ids=torch.zeros(4, 1),
            )  # fmt: skip
        ours = codes.melody_conditioning(loaded, text.states, text.mask, chroma)
        assert ours.shape[1] == 235 + text.mask.shape[1]
        torch.testing.assert_close(ours, seen["encoder_hidden_states"])


def test_chroma_is_the_library_s():
    """Transformers' own code, with librosa's spectrogram in the place of torchaudio's."""
    import librosa
    from transformers.audio_utils import chroma_filter_bank
    from transformers.models.musicgen_melody.feature_extraction_musicgen_melody import (
        MusicgenMelodyFeatureExtractor as Extractor,
    )

    how = melody.Analysis()
    extractor = object.__new__(Extractor)
    extractor.n_fft = how.n_fft
    bank = chroma_filter_bank(
        sampling_rate=how.sample_rate, num_frequency_bins=how.n_fft, tuning=0, num_chroma=12
    )
    extractor.chroma_filters = torch.from_numpy(bank).float()
    extractor.spectrogram = lambda wave: torch.from_numpy(
        np.abs(
            librosa.stft(
                wave.numpy(), n_fft=how.n_fft, hop_length=how.hop_length, pad_mode="reflect"
            )
        )
        ** 2
        / np.sum(np.hanning(how.n_fft + 1)[:-1] ** 2)
    ).float()
    rng = np.random.default_rng(1)
    for seconds in (0.2, 1.7, 6):
        wave = rng.standard_normal(int(seconds * how.sample_rate)).astype(np.float32) * 0.1
        expected = extractor._torch_extract_fbank_features(torch.from_numpy(wave)[None])[0]
        found = melody.chroma(wave, how.sample_rate)
        assert found.shape == expected.shape
        assert (found == expected.numpy()).all(axis=1).mean() > 0.99


@pytest.mark.parametrize("sample_rate", [32_000, 44_100])
@pytest.mark.parametrize(("note", "pitch_hz"), [("A", 440.0), ("C", 261.63), ("F♯", 369.99)])
def test_chroma_names_the_note_that_is_played(sample_rate, note, pitch_hz):
    time = np.arange(2 * sample_rate) / sample_rate
    tone = np.stack([np.sin(2 * np.pi * pitch_hz * time)] * 2).astype(np.float32)
    found = melody.chroma(tone, sample_rate)
    assert found.shape == (16, 12) and found.dtype == np.float32
    assert {melody.NOTES[i] for i in found.argmax(axis=1)} == {note}


def test_long_melodies_are_cut_where_the_model_s_hearing_ends():
    assert melody.chroma(np.zeros(40 * 8000, np.float32), 8000).shape == (235, 12)


def test_picture_of_a_melody_is_a_png_with_a_mark_for_each_note():
    from PIL import Image

    notes = np.eye(12, dtype=np.float32)[[0, 4, 7, 0]]
    image = Image.open(io.BytesIO(melody.picture(notes)))
    assert image.format == "PNG" and image.width == 800
    other = melody.picture(np.eye(12, dtype=np.float32)[[0, 4, 7, 11]])
    assert other != melody.picture(notes) == melody.picture(notes)


def test_analysis_is_read_from_the_checkpoint(tmp_path):
    assert melody.analysis(tmp_path) == melody.Analysis()
    stated = {"sampling_rate": 16_000, "n_fft": 4096, "hop_length": 1024, "chunk_length": 10}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stated))
    how = melody.analysis(tmp_path)
    assert (how.sample_rate, how.n_fft, how.hop_length, how.max_s) == (16_000, 4096, 1024, 10)
    assert how.frame_s == 0.064


# --- checkpoints ----------------------------------------------------------------------------


def test_facts_of_a_checkpoint(tiny_musicgen):
    facts = checkpoint.describe(tiny_musicgen)
    assert (facts.kind, facts.sample_rate, facts.frame_rate, facts.hop_length) == (
        "musicgen", 3200, 50, 64,
    )  # fmt: skip
    assert (facts.codebooks, facts.channels, facts.hidden_size, facts.pad) == (4, 1, 32, 2048)
    assert facts.max_s == 30 and facts.frames(1.5) == 75 and not facts.melody
    assert facts.shapes["decoder.lm_heads.0.weight"] == (2048, 32)


def test_a_checkpoint_s_own_limit_is_its_longest_window(tmp_path, tiny_musicgen):
    config = json.loads((tiny_musicgen / "config.json").read_text())
    config["decoder"]["max_position_embeddings"] = 500
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert checkpoint.describe(tmp_path).max_s == 10
    (tmp_path / "generation_config.json").write_text('{"max_length": 250}')
    assert checkpoint.describe(tmp_path).max_s == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no config.json"),
        ("{", "is not JSON"),
        ("[]", "holds no settings"),
        ('{"model_type": "vits"}', "of type 'vits', not a MusicGen"),
        ('{"model_type": "musicgen", "audio_encoder": {"model_type": "dac"}}', "only EnCodec"),
        (
            '{"model_type": "musicgen", "audio_encoder": {"target_bandwidths": [2.2]}}',
            "predicts 4 codebooks and its EnCodec has 2",
        ),
    ],
)
def test_folders_without_a_musicgen_are_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(StudioError, match=message):
        checkpoint.describe(tmp_path)


@pytest.fixture
def copy(tmp_path, tiny_musicgen):
    import shutil

    return shutil.copytree(tiny_musicgen, tmp_path / "copy")


def test_a_checkpoint_without_safetensors_is_refused(copy):
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(StudioError, match=r"has no model\.safetensors.*must be safetensors"):
        checkpoint.load(copy)


def test_a_checkpoint_that_lacks_weights_is_refused(copy):
    from safetensors.torch import load_file, save_file

    path = copy / "model.safetensors"
    tensors = load_file(path)
    del tensors["decoder.lm_heads.2.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(StudioError, match=r"lacks weights.*decoder\.lm_heads\.2\.weight"):
        checkpoint.load(copy)


def test_a_damaged_checkpoint_is_refused(copy):
    (copy / "model.safetensors").write_bytes(b"not a model")
    with pytest.raises(StudioError, match="cannot be loaded"):
        checkpoint.load(copy)
    with pytest.raises(StudioError, match="not a readable safetensors file"):
        _ = checkpoint.describe(copy).shapes


def test_a_missing_shard_is_named(copy):
    (copy / "model.safetensors").unlink()
    shards = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(shards))
    (copy / "model-1.safetensors").touch()
    with pytest.raises(StudioError, match=r"lacks model-2\.safetensors"):
        checkpoint.load(copy)


def test_only_the_decoder_changes_its_dtype(tiny_musicgen):
    loaded = checkpoint.load(tiny_musicgen, dtype="bfloat16")
    assert loaded.model.decoder.lm_heads[0].weight.dtype == torch.bfloat16
    assert loaded.model.audio_encoder.dtype == loaded.model.text_encoder.dtype == torch.float32
    assert dataclasses.replace(loaded.checkpoint) == checkpoint.describe(tiny_musicgen)


# --- codes that stay with their sound -----------------------------------------------------------


def drawn(loaded, frames=30, seed=0):
    facts = loaded.checkpoint
    return np.random.default_rng(seed).integers(0, 2048, (facts.codebooks, frames))


def test_codes_are_text_and_codes_again():
    found = np.random.default_rng(1).integers(0, 2048, (4, 77))
    text = codes.as_text(found)
    assert text.isascii() and len(text) < 4 * 77 * 3
    assert np.array_equal(codes.from_text(text), found)


def bomb():
    return base64.b64encode(zlib.compress(bytes(codes.LONGEST_BYTES * 4))).decode()


@pytest.mark.parametrize(
    "text", ["", "4", "4 !", "0 eJwDAAAAAAE=", "-1 eJwDAAAAAAE=", "x eJwDAAAAAAE=", "4 YWJj", f"4 {bomb()}"]
)  # fmt: skip
def test_what_is_no_codes_is_none(text):
    assert codes.from_text(text) is None


def test_the_codes_of_a_sound_are_known_by_how_they_sound(loaded):
    found, rate = drawn(loaded), loaded.checkpoint.sample_rate
    text, hop = codes.as_text(found), loaded.checkpoint.hop_length
    sound = codes.decode_codes(loaded, torch.from_numpy(found))
    assert np.array_equal(codes.known(loaded, text, sound, rate), found)
    short = codes.known(loaded, text, sound[:, : 10 * hop + 1], rate)
    assert np.array_equal(short, found[:, :11])
    other = codes.as_text(drawn(loaded, seed=1))
    longer = np.concatenate([sound, sound], axis=1)
    for wrong, samples, at in (
        ("", sound, rate), (other, sound, rate), (text, sound[:, ::-1], rate), (text, longer, rate),
        (text, sound, rate // 2), (codes.as_text(found[1:]), sound, rate),
        (codes.as_text(found + 30_000), sound, rate),
    ):  # fmt: skip
        assert codes.known(loaded, wrong, np.ascontiguousarray(samples), at) is None
