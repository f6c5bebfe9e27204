"""EnCodec, DAC and Mimi: tiny checkpoints of the real classes, fetched from a hub and run."""

import numpy as np
import pytest
import torch

from engines import sharing
from engines.base import Cancelled, StudioError
from engines.codec.dac import Dac, DacModelName
from engines.codec.encodec import Encodec, EncodecModelName, StudioTinyCodec
from engines.codec.frames import FrameCodec
from engines.codec.mimi import Mimi
from engines.codec.wavtokenizer import WavTokenizer
from engines.parts import token_file
from tests.engines.conftest import FakeCache, FakeDevice, FakeJob
from tests.engines.publishing import done, heard, kept_tokens, studio_with, voice, written


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    from transformers import (
        DacConfig,
        DacModel,
        EncodecConfig,
        EncodecModel,
        MimiConfig,
        MimiModel,
        WavTokenizerConfig,
        WavTokenizerModel,
    )

    torch.manual_seed(5)
    root = tmp_path_factory.mktemp("hub")
    small = {
        "hidden_size": 16, "num_filters": 2, "codebook_size": 64, "codebook_dim": 16,
        "num_lstm_layers": 1, "upsampling_ratios": [5, 4, 2],
    }  # fmt: skip
    made = {
        "facebook/encodec_24khz": EncodecModel(
            EncodecConfig(**small, target_bandwidths=[3.6, 14.4])  # 600 frames/s of 6 bits
        ),
        "facebook/encodec_48khz": EncodecModel(
            EncodecConfig(
                **small, sampling_rate=48_000, audio_channels=2, normalize=True,
                chunk_length_s=0.1, overlap=0.01, use_causal_conv=False,
                norm_type="time_group_norm", target_bandwidths=[14.4],
            )
        ),
        "descript/dac_44khz": DacModel(
            DacConfig(
                encoder_hidden_size=4, decoder_hidden_size=64, downsampling_ratios=[2, 4, 8],
                upsampling_ratios=[8, 4, 2], n_codebooks=3, codebook_size=64, codebook_dim=4,
                sampling_rate=44_100, hidden_size=32, hop_length=64,
            )
        ),
        "kyutai/mimi": MimiModel(
            MimiConfig(
                hidden_size=32, num_filters=2, codebook_size=64, codebook_dim=16,
                num_quantizers=4, vector_quantization_hidden_dimension=16, num_hidden_layers=2,
                intermediate_size=32, num_attention_heads=2, num_key_value_heads=2,
                upsample_groups=32, head_dim=16,
            )
        ),
    }  # fmt: skip
    made["swiss-ai/wavtokenizer-large-unify-40token"] = WavTokenizerModel(
        WavTokenizerConfig(
            num_filters=2, hidden_size=16, codebook_dim=16, codebook_size=64, num_lstm_layers=1,
            decoder_hidden_size=32, decoder_intermediate_size=32, decoder_num_layers=1,
        )
    )  # fmt: skip
    for name, model in made.items():
        model.eval().save_pretrained(root / name)
    return {name: root / name for name in made}


@pytest.fixture(scope="module")
def studio(tmp_path_factory, repositories):
    folder = tmp_path_factory.mktemp("studio")
    with studio_with(
        folder, repositories, Encodec, Dac, Mimi, WavTokenizer, StudioTinyCodec
    ) as running:
        yield running


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return written(tmp_path_factory.mktemp("sounds") / "a.wav", voice(0.61234, 22_050), 22_050)


@pytest.mark.parametrize(
    ("engine", "model", "rate", "codebooks", "bits"),
    [
        ("encodec", EncodecModelName.KHZ_24, 24_000, 4, 24_000 / 40 * 6 * 4),
        ("encodec", EncodecModelName.KHZ_48, 48_000, 2, 48_000 / 40 * 6 * 2),
        ("dac", DacModelName.KHZ_44, 44_100, 3, 44_100 / 64 * 6 * 3),
        ("mimi", None, 24_000, 4, 12.5 * 6 * 4),
        ("wavtokenizer", None, 24_000, 1, 40 * 6),
        ("studio-tiny-codec", None, 16_000, 4, 50 * 12 * 4),
    ],
)
def test_a_round_trip_is_exact_to_the_sample_and_tells_its_tokens(
    studio, source, tmp_path, engine, model, rate, codebooks, bits
):
    given = {"source": str(source)} | ({"model": model} if model else {})
    job, clip = done(studio, engine, **given)
    out = heard(clip)
    length = round(len(voice(0.61234, 22_050)) * rate / 22_050)
    assert (clip.sample_rate, len(out)) == (rate, length)
    assert np.isfinite(out).all() and np.abs(out).max() > 0
    values = job.report["values"]
    assert values["bitrate, bit/s"] == pytest.approx(bits, rel=1e-3)
    assert values["codebooks"] == codebooks == len(job.report["rows"])
    assert all(0 < row["used"] <= row["entries"] for row in job.report["rows"])
    assert 0 <= values["entropy, bit/s"] <= values["bitrate, bit/s"]
    # the same again, from the sound and from its tokens
    assert done(studio, engine, **given)[1].hash == clip.hash
    kept = kept_tokens(clip)
    assert kept.samples == length
    path = tmp_path / "a.tokens"
    path.write_bytes(token_file.to_bytes(kept))
    from_tokens = given | {"source": None, "tokens": str(path)}
    np.testing.assert_array_equal(heard(done(studio, engine, **from_tokens)[1]), out)
    # fewer codebooks are the first ones of the same codes
    few = kept_tokens(done(studio, engine, **given, codebooks=1)[1])
    np.testing.assert_array_equal(few.codes, kept.codes[:1])


def test_the_studios_codec_returns_music_much_as_it_was(studio, tmp_path):
    samples = voice(3, 16_000, 220.0)
    path = written(tmp_path / "b.wav", samples, 16_000)
    loud = {}
    for codebooks in (1, 4):
        out = heard(done(studio, "studio-tiny-codec", source=str(path), codebooks=codebooks)[1])
        spectra = [np.log(np.abs(np.fft.rfft(x[: 16_000 * 3])) + 1e-2) for x in (samples, out)]
        loud[codebooks] = np.corrcoef(*spectra)[0, 1]
    assert loud[4] > loud[1]
    assert loud[4] > 0.6


def loaded(engine_type, folder, weights):
    engine = engine_type(FakeCache({weights: folder}))
    engine.load(FakeDevice(), engine.Params(model=weights))
    return engine


@pytest.mark.parametrize(
    ("engine_type", "weights", "repository", "same"),
    [
        (Dac, DacModelName.KHZ_44, "descript/dac_44khz", 1.0),
        (Encodec, EncodecModelName.KHZ_24, "facebook/encodec_24khz", 0.98),
    ],
)
def test_codes_do_not_depend_on_the_windows_and_no_click_sits_between(
    repositories, monkeypatch, engine_type, weights, repository, same
):
    codec = loaded(engine_type, repositories[repository], weights)._codec
    samples = voice(6, codec.rate)[None]
    longest = []
    encode = codec.encode
    monkeypatch.setattr(
        codec, "encode", lambda wave, count: (longest.append(wave.shape[1]), encode(wave, count))[1]
    )
    whole, _extra = codec.encoded(samples, 3, lambda *_: None)
    before = np.concatenate([*codec.decoded(whole, {}, samples.shape[1], lambda *_: None)], 1)
    monkeypatch.setattr(type(codec), "window_s", 0.7)
    monkeypatch.setattr(type(codec), "context_s", 0.5)
    longest.clear()
    parts, _extra = codec.encoded(samples, 3, lambda *_: None)
    assert max(longest) <= 1.71 * codec.rate
    assert (parts == whole).mean() >= same
    pieces = [*codec.decoded(whole, {}, samples.shape[1], lambda *_: None)]
    assert len(pieces) > 5
    after = np.concatenate(pieces, 1)
    assert after.shape == before.shape == samples.shape
    assert np.abs(after - before).max() < 0.02 * np.abs(before).max()


def test_chunks_at_their_own_level_are_those_of_transformers(repositories):
    codec = loaded(Encodec, repositories["facebook/encodec_48khz"], EncodecModelName.KHZ_48)._codec
    samples = np.stack([voice(0.5, 48_000), voice(0.5, 48_000, 200.0)])
    codes, extra = codec.encoded(samples, 2, lambda *_: None)
    made = np.concatenate([*codec.decoded(codes, extra, 24_000, lambda *_: None)], 1)
    with torch.inference_mode():
        wanted = (
            codec.model(torch.from_numpy(samples)[None], bandwidth=14.4).audio_values[0].numpy()
        )
    np.testing.assert_allclose(made, wanted[:, :24_000], atol=1e-5)


def test_a_cancelled_job_stops_at_the_next_window(repositories, source, monkeypatch):
    monkeypatch.setattr(FrameCodec, "window_s", 0.2)
    engine = loaded(Encodec, repositories["facebook/encodec_24khz"], EncodecModelName.KHZ_24)
    job = FakeJob(cancel_after=2)
    with pytest.raises(Cancelled):
        list(engine.run(engine.Params(source=source), job))
    assert len(job.pieces) == 2
    engine.unload()
    assert engine._codec is None
    assert sharing.held() == []


def test_inputs_that_cannot_be_used_are_refused_before_the_job(studio, source, tmp_path):
    wrong = tmp_path / "c.wav"
    wrong.write_bytes(b"no sound")
    tokens = tmp_path / "other.tokens"
    codes = np.zeros((1, 4), np.int64)
    tokens.write_bytes(
        token_file.to_bytes(token_file.Tokens("mimi", "mimi", codes, (64,), 24_000, 1920, 99))
    )
    for settings, reason in (
        ({}, "Nothing is given"),
        ({"source": str(source), "tokens": str(tokens)}, "Both are given"),
        ({"source": str(wrong)}, "not a sound"),
        ({"source": str(source), "codebooks": 10}, "has 9 codebooks, and 10"),
        ({"tokens": str(tokens)}, r"holds tokens of mimi \(mimi\)"),
        ({"tokens": str(source)}, "no tokens that can be used"),
    ):
        with pytest.raises(StudioError, match=reason):
            studio.submit("dac", settings)


def test_a_damaged_checkpoint_is_named(repositories, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = repositories["descript/dac_44khz"]
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes((folder / "config.json").read_bytes())
    content = (folder / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(StudioError, match=r"model\.safetensors can't be read"):
        loaded(Dac, broken, DacModelName.KHZ_44)
    state = load_file(folder / "model.safetensors")
    gone = next(key for key in state if key.startswith("decoder"))
    del state[gone]
    save_file(state, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(StudioError, match=rf"lacks 1 weights \({gone}"):
        loaded(Dac, broken, DacModelName.KHZ_44)
