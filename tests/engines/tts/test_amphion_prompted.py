"""NaturalSpeech 2 and VALL-E from published folders: one EnCodec, variations, continuation, cancelling."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engines.base import Cancelled, StudioError
from engines.networks.naturalspeech2.network import NaturalSpeech2 as NaturalSpeech2Network
from engines.networks.valle.network import Valle as ValleNetwork
from engines.networks.valle.network import ValleConfig
from engines.parameters import parse
from engines.sharing import held
from engines.tts.naturalspeech2 import NaturalSpeech2
from engines.tts.valle import Valle
from tests.engines.checkpoints import samples, save_checkpoint
from tests.engines.encodec import HOP, LATENTS, RATE, save_encodec
from tests.engines.published import StopAt, sound_file, studio_of
from tests.networks.test_naturalspeech2 import MODEL
from tests.networks.test_valle import SIZES

SYMBOLS = sorted({*"abcdefhijklmnoprstuvwzæðŋɐɑɔəɚɛɜɡɪɹʃʊʌʒθ", "_", ",", ".", "iː", "aɪ", "oʊ"})


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    torch.manual_seed(1)
    assert MODEL["latent_dim"] == LATENTS
    network = NaturalSpeech2Network.read(MODEL)
    with torch.no_grad():
        network.prior_encoder.duration_predictor.linear.weight.mul_(0.05)
        network.prior_encoder.duration_predictor.linear.bias.fill_(float(np.log(5)))
    args = {"model_type": "NaturalSpeech2", "model": MODEL}
    naturalspeech2 = save_checkpoint(root / "naturalspeech2", network, args)
    sizes = {**SIZES, "text_token_num": 60}
    valle = ValleNetwork(ValleConfig.read(sizes))
    with torch.no_grad():
        valle.ar_decoder.norm.bias.fill_(1.0)  # whose sum makes the end unlikely
        valle.ar_predict_layer.weight[valle.config.eos] = -10
    folder = save_checkpoint(root / "valle", valle, {"model_type": "VALLE", "model": sizes})
    lines = "".join(f"{phone} {place}\n" for place, phone in enumerate(SYMBOLS))
    (folder / "symbols.dict").write_text(lines, encoding="utf-8")
    return {
        "amphion/naturalspeech2_libritts": naturalspeech2,
        "amphion/valle-libritts": folder,
        "amphion/valle_librilight_6k": folder,
        "facebook/encodec_24khz": save_encodec(root / "encodec"),
    }


@pytest.fixture(scope="module")
def studio(tmp_path_factory, repositories):
    folder = tmp_path_factory.mktemp("studio")
    with studio_of(folder, repositories, NaturalSpeech2, Valle) as studio:
        yield studio


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return sound_file(tmp_path_factory.mktemp("sounds") / "voice.wav", 1.0)


def prompted(reference, **others):
    return {"text": "Good day.", "reference": str(reference), "reference_text": "A test.", **others}


def test_variations_are_what_their_seeds_give_alone(studio, reference):
    for engine in ("naturalspeech2", "valle"):
        given = prompted(reference, seed=3)
        if engine == "valle":
            given["frames_per_phone"] = 4
        else:
            del given["reference_text"]
            given["steps"] = 10
        both = studio.make(engine, **given, variations=2)
        assert [clip.sample_rate for clip in both] == [RATE, RATE]
        first, second = (samples(studio, clip) for clip in both)
        assert first.shape[1] > 10 * HOP
        assert not np.array_equal(first[:, :1000], second[:, :1000])
        alone = studio.make(engine, **{**given, "seed": both[1].settings["seed"]})[0]
        np.testing.assert_allclose(samples(studio, alone), second, atol=1e-4)
        again = studio.make(engine, **given)[0]
        np.testing.assert_allclose(samples(studio, again), first, atol=1e-4)


def test_a_continuation_begins_with_the_reference(studio, reference):
    given = prompted(reference, seed=3, frames_per_phone=4)
    plain = samples(studio, studio.make("valle", **given)[0])
    whole = samples(studio, studio.make("valle", **given, mode="continue")[0])
    assert whole.shape[1] - plain.shape[1] == pytest.approx(RATE, abs=0.1 * RATE)


def test_rate_and_steps_reach_naturalspeech2(studio, reference):
    given = {"text": "Good day to you.", "reference": str(reference), "steps": 10, "seed": 1}
    plain = studio.make("naturalspeech2", **given)[0]
    slow = studio.make("naturalspeech2", **given, speaking_rate=0.5)[0]
    assert slow.duration_s > 1.5 * plain.duration_s
    finer = studio.make("naturalspeech2", **{**given, "steps": 12})[0]
    assert not np.array_equal(samples(studio, finer), samples(studio, plain))


def test_every_step_can_be_cancelled(studio, reference):
    engine = studio.engine("naturalspeech2")
    params = parse(engine.Params, {"text": "Good day.", "reference": str(reference), "steps": 50})
    with studio.runtime.lease(engine, params):
        job = StopAt(10)
        with pytest.raises(Cancelled):
            list(engine.run(params, job))
    assert not job.pieces and 5 < len(job.notes) < 12


def test_encodec_is_held_once_and_goes_with_the_last(studio, reference):
    studio.make("naturalspeech2", text="Hi there.", reference=str(reference), steps=10)
    studio.make("valle", **prompted(reference, frames_per_phone=4))
    assert len(held()) == 1 and "encodec_24khz" in held()[0]
    engines = [studio.engine(name) for name in ("naturalspeech2", "valle")]
    assert engines[0]._codec is engines[1]._codec
    for name in ("naturalspeech2", "valle"):
        assert studio.unload(name)
    del engines
    assert held() == []


def test_what_cannot_be_spoken_is_said_at_its_field(studio, reference, tmp_path):
    with pytest.raises(StudioError, match="words of the reference are missing") as error:
        studio.make("valle", text="Hi.", reference=str(reference))
    assert error.value.field == "reference_text"
    with pytest.raises(StudioError, match=r"12\.0 s; the model hears at most 10 s") as error:
        studio.make("valle", **prompted(sound_file(tmp_path / "long.wav", 12.0)))
    assert error.value.field == "reference"
    with pytest.raises(StudioError, match=r"at least 0\.5 s are needed"):
        studio.make(
            "naturalspeech2", text="Hi.", reference=str(sound_file(tmp_path / "s.wav", 0.2))
        )
