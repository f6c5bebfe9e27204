"""Voices and predicted opinions are those of the libraries; models to download say how."""

from __future__ import annotations

import numpy as np
import pytest

from engines.audio import resample
from engines.metrics.base import Reason
from engines.metrics.embeddings import clap_audio
from engines.metrics.sound import Sound
from engines.metrics.speaker import similarity_matrix

from .conftest import at_snr, tone
from .helpers import case, score, value

pytestmark = pytest.mark.speech
DNSMOS = {
    "dnsmos_ovrl": "ovrl_mos",
    "dnsmos_sig": "sig_mos",
    "dnsmos_bak": "bak_mos",
    "dnsmos_p808": "p808_mos",
}


def test_resemblyzer(speech):
    from resemblyzer import VoiceEncoder, preprocess_wav

    samples, rate = speech
    half = len(samples) // 2
    encoder = VoiceEncoder("cpu", verbose=False)
    one, other = (encoder.embed_utterance(preprocess_wav(s)) for s in (samples, samples[half:]))
    of = case(samples[half:], samples, rate)
    assert value("speaker_resemblyzer", of) == pytest.approx(float(one @ other), rel=1e-3)
    same = case(samples, samples, rate)
    assert value("speaker_resemblyzer", same) == pytest.approx(1, abs=1e-5)


def test_all_to_all(speech):
    samples, rate = speech
    higher = resample(samples, 16_000, 12_000)  # played at 16 kHz: another, smaller speaker
    matrix = similarity_matrix([Sound(samples, rate), Sound(higher, rate)])
    np.testing.assert_allclose(np.diag(matrix), 1, atol=1e-5)
    assert matrix[0, 1] == matrix[1, 0] < 0.9


def test_a_hum_is_no_voice():
    found = score("speaker_resemblyzer", case(np.full(48_000, 0.01, np.float32), tone(200, 2)))
    assert found.reason is Reason.SILENT


def test_dnsmos(speech):
    from speechmos import dnsmos

    samples, rate = speech
    expected = dnsmos.run(samples, rate)
    of, noisy = case(samples, rate=rate), case(at_snr(samples, 5), rate=rate)
    for metric, name in DNSMOS.items():
        assert value(metric, of) == pytest.approx(float(expected[name]), rel=1e-3)
    assert value("dnsmos_bak", noisy) < value("dnsmos_bak", of) - 0.5


@pytest.mark.parametrize("metric", ["speaker_wavlm", "clap_score"])
def test_models_that_are_not_here_say_how_to_get_them(metric):
    found = score(
        metric,
        case(
            tone(200),
            tone(200),
            text="a tone",
        ),
        model="nobody/nothing",
    )
    assert found.reason is Reason.NOT_READY
    assert "hf download nobody/nothing" in found.message


def test_wavlm_loads_and_compares(tmp_path):
    """The real code path on a tiny network with random weights."""
    import torch
    from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector

    torch.manual_seed(0)
    config = WavLMConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 3,
        conv_stride=(5, 8, 8),
        conv_kernel=(10, 8, 8),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        tdnn_dim=(8,) * 5,
        xvector_output_dim=12,
    )
    WavLMForXVector(config).save_pretrained(tmp_path)
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    found = value("speaker_wavlm", case(tone(200), tone(200)), model=str(tmp_path))
    assert found == pytest.approx(1, abs=1e-5)


def test_clap_loads_and_embeds(tmp_path):
    """The real code path on a tiny network with random weights."""
    clap = tiny_clap(tmp_path)
    of = case(tone(200, 12, 48_000), rate=48_000, text="a tone")
    assert -1 <= value("clap_score", of, model=clap) <= 1
    vectors = clap_audio(of.generated, clap)
    assert vectors.shape == (2, 8)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def tiny_clap(folder) -> str:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        ClapProcessor,
        PreTrainedTokenizerFast,
    )

    torch.manual_seed(0)
    config = ClapConfig(
        text_config={
            "vocab_size": 8,
            "hidden_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 8,
            "projection_dim": 8,
        },
        audio_config={
            "patch_embeds_hidden_size": 8,
            "depths": [1, 1],
            "num_attention_heads": [1, 2],
            "hidden_size": 16,
            "projection_dim": 8,
            "num_hidden_layers": 2,
        },
        projection_dim=8,
    )
    ClapModel(config).save_pretrained(folder)
    words = models.WordLevel({"<pad>": 1, "<unk>": 3, "a": 4, "tone": 5}, unk_token="<unk>")
    tokenizer = Tokenizer(words)
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", model_max_length=16
    )
    ClapProcessor(ClapFeatureExtractor(truncation="rand_trunc"), fast).save_pretrained(folder)
    return str(folder)
