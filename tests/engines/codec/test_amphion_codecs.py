"""DualCodec, SpeechTokenizer and both FACodecs as published, fetched from a hub; conversion by FACodecs."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engines import sharing
from engines.base import StudioError
from engines.codec.dualcodec import DualCodec
from engines.codec.facodec import FAcodec, Ns3Facodec
from engines.codec.speechtokenizer import FOLDER, SpeechTokenizer
from engines.networks.dualcodec.codec import PUBLISHED, DualCodecConfig, Variant
from engines.networks.dualcodec.codec import DualCodec as DualCodecNetwork
from engines.networks.dualcodec.features import STATISTICS_FILE
from engines.networks.facodec.codec import PlachtaFacodec
from engines.networks.facodec.parts import FacodecSizes
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
from engines.networks.ns3_facodec.transformer import FacodecTransformerSizes
from engines.networks.speechtokenizer.codec import SpeechTokenizer as SpeechTokenizerNetwork
from engines.networks.speechtokenizer.seanet import SpeechTokenizerConfig
from engines.networks.weights import config_of
from engines.vc.facodec import FacodecConversion, Ns3Conversion
from tests.engines.publishing import done, heard, kept_tokens, studio_with, voice, written
from tests.networks import test_dualcodec, test_facodec, test_ns3_facodec, test_speechtokenizer


def dualcodec(folder):
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertModel

    codec, speech = folder / "dualcodec", folder / "w2v"
    speech.mkdir(parents=True)
    codec.mkdir()
    (codec / "config.json").write_text(json.dumps(test_dualcodec.CONFIG))
    for variant in Variant:
        config = test_dualcodec.CONFIG[f"dualcodec_{variant}"]
        network = DualCodecNetwork(config_of(DualCodecConfig, config, what="codec"))
        save_file(network.state_dict(), codec / PUBLISHED[variant][0])
    width = test_dualcodec.W2V_BERT["hidden_size"]
    torch.save({"mean": torch.zeros(width), "var": torch.ones(width)}, codec / STATISTICS_FILE)
    Wav2Vec2BertModel(Wav2Vec2BertConfig(**test_dualcodec.W2V_BERT)).save_pretrained(speech)
    SeamlessM4TFeatureExtractor().save_pretrained(speech)
    return {"amphion/dualcodec": codec, "facebook/w2v-bert-2.0": speech}


def facodecs(folder):
    plachta, ns3 = folder / "plachta", folder / "ns3"
    plachta.mkdir(parents=True)
    ns3.mkdir()
    test_facodec.publish(PlachtaFacodec(FacodecSizes(**test_facodec.TINY)), plachta)
    given = test_ns3_facodec
    config = {
        "encoder": given.ENCODER, "decoder": given.DECODER, "redecoder": given.DECODER,
        "transformer": given.SIZES,
    }  # fmt: skip
    (ns3 / "config.json").write_text(json.dumps(config))
    encoder, decoder = FacodecEncoderConfig(**given.ENCODER), FacodecDecoderConfig(**given.DECODER)
    sizes = FacodecTransformerSizes(**given.SIZES)
    for module in (
        FacodecEncoder(encoder), FacodecEncoderV2(encoder),
        FacodecDecoder(decoder, sizes, heads=True), FacodecDecoderV2(decoder, sizes, heads=True),
        FacodecRedecoder(decoder, sizes),
    ):  # fmt: skip
        torch.save(module.state_dict(), ns3 / module.FILE)
    return {"Plachta/FAcodec": plachta, "amphion/naturalspeech3_facodec": ns3}


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    torch.manual_seed(2)
    root = tmp_path_factory.mktemp("hub")
    repositories = dualcodec(root) | facodecs(root)
    network = SpeechTokenizerNetwork(SpeechTokenizerConfig(**test_speechtokenizer.TINY))
    (root / "speech" / FOLDER).mkdir(parents=True)
    test_speechtokenizer.publish(network, root / "speech" / FOLDER)
    repositories["fnlp/SpeechTokenizer"] = root / "speech"
    engines = (DualCodec, SpeechTokenizer, FAcodec, Ns3Facodec, FacodecConversion, Ns3Conversion)
    with studio_with(tmp_path_factory.mktemp("studio"), repositories, *engines) as running:
        yield running


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return written(tmp_path_factory.mktemp("sounds") / "a.wav", voice(1.12345, 24_000), 24_000)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return written(tmp_path_factory.mktemp("sounds") / "b.wav", voice(2, 16_000, 200), 16_000)


@pytest.mark.parametrize(
    ("engine", "model", "rate", "codebooks", "few"),
    [
        ("dualcodec", "dualcodec-12hz", 24_000, 4, 1),
        ("dualcodec", "dualcodec-25hz", 24_000, 4, 2),
        ("speechtokenizer", "", 16_000, 3, 1),
        ("facodec", "", 24_000, 6, 3),
        ("ns3-facodec", "ns3-facodec-v1", 16_000, 6, 3),
        ("ns3-facodec", "ns3-facodec-v2", 16_000, 6, 3),
    ],
)
def test_a_round_trip_is_exact_to_the_sample(studio, source, engine, model, rate, codebooks, few):
    given = {"source": str(source)} | ({"model": model} if model else {})
    job, clip = done(studio, engine, **given)
    out = heard(clip)
    assert (clip.sample_rate, len(out)) == (rate, round(1.12345 * rate))
    assert np.abs(out).max() > 0
    kept = kept_tokens(clip)
    assert job.report["values"]["codebooks"] == codebooks == len(kept.codes)
    assert done(studio, engine, **given)[1].hash == clip.hash
    fewer = done(studio, engine, **given, codebooks=few)[1]
    np.testing.assert_array_equal(kept_tokens(fewer).codes, kept.codes[:few])
    assert np.abs(heard(fewer) - out).max() > 0


@pytest.mark.parametrize(
    ("engine", "model", "rate"),
    [
        ("facodec-conversion", "", 24_000),
        ("ns3-facodec-conversion", "redecoder", 16_000),
        ("ns3-facodec-conversion", "version-2", 16_000),
    ],
)
def test_conversion_is_as_long_as_the_source_and_follows_the_reference(
    studio, source, reference, engine, model, rate
):
    given = {"source": str(source), "reference": str(reference)}
    given |= {"model": model} if model else {}
    _job, clip = done(studio, engine, **given)
    out = heard(clip)
    assert (clip.sample_rate, len(out)) == (rate, round(1.12345 * rate))
    assert done(studio, engine, **given)[1].hash == clip.hash
    other = done(studio, engine, **given | {"reference": str(source)})[1]
    assert np.abs(heard(other) - out).max() > 0


def test_codec_and_conversion_hold_one_network_and_free_it(studio, source, reference):
    studio.runtime.unload_all()
    assert sharing.held() == []
    done(studio, "facodec", source=str(source))
    held = sharing.held()
    done(studio, "facodec-conversion", source=str(source), reference=str(reference))
    assert len(held) == 1
    assert sharing.held() == held
    studio.runtime.unload("facodec")
    assert sharing.held() == held
    studio.runtime.unload_all()
    assert sharing.held() == []


def test_what_belongs_together_stays_together(studio, source, tmp_path):
    with pytest.raises(StudioError, match=r"take 3 \(prosody and content\) or all 6"):
        studio.submit("facodec", {"source": str(source), "codebooks": 4})
    short = written(tmp_path / "c.wav", voice(0.5, 16_000), 16_000)
    with pytest.raises(StudioError, match=r"0\.50 s; at least 1 s"):
        studio.submit("facodec-conversion", {"source": str(source), "reference": str(short)})
