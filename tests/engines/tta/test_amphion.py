"""Amphion's AudioLDM and PicoAudio on tiny checkpoints in the published layout."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engines.base import Availability, Cancelled, StudioError
from engines.parameters import parse
from engines.sharing import held
from engines.tta.amphion import AmphionAudioLdm
from engines.tta.picoaudio import PicoAudio, events_of
from tests.engines.checkpoints import samples
from tests.engines.published import StopAt, studio_of
from tests.networks.test_audioldm import folder as audioldm_folder  # noqa: F401
from tests.networks.test_picoaudio import folder as picoaudio_folder  # noqa: F401

RATE = 16_000


def t5(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import T5Config, T5EncoderModel

    config = T5Config(vocab_size=8, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    config.save_pretrained(folder)
    torch.manual_seed(1)
    state = T5EncoderModel(config).state_dict()
    state = {key: value.clone() for key, value in state.items() if "embed_tokens" not in key}
    save_file(
        {**state, "decoder.final_layer_norm.weight": torch.ones(8)}, folder / "model.safetensors"
    )
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2, "rain": 3, "a": 4, "dog": 5}
    tokens = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokens.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="module")
def studio(tmp_path_factory, audioldm_folder, picoaudio_folder):  # noqa: F811
    root, home = tmp_path_factory.mktemp("published"), tmp_path_factory.mktemp("studio")
    shutil.copytree(audioldm_folder, root / "tta" / "tta")
    (root / "t5").mkdir()
    repositories = {"amphion/text_to_audio": root / "tta", "google-t5/t5-base": t5(root / "t5")}
    with studio_of(home, repositories, AmphionAudioLdm, PicoAudio) as studio:
        assert studio.engine("picoaudio").availability() is Availability.TRAIN
        shutil.copytree(picoaudio_folder, home / "data" / "models" / "own" / "picoaudio")
        yield studio


@pytest.mark.parametrize(
    ("engine", "given"),
    [
        ("audioldm", {"prompt": "rain", "duration_s": 1.0, "steps": 10}),
        ("picoaudio", {"prompt": "dog barking at 1.0-2.0", "steps": 10}),
    ],
)
def test_variations_are_what_their_seeds_give_alone(studio, engine, given):
    both = studio.make(engine, **given, seed=4, variations=2)
    first, second = (samples(studio, clip) for clip in both)
    assert [clip.sample_rate for clip in both] == [RATE, RATE]
    assert not np.array_equal(first, second)
    alone = samples(studio, studio.make(engine, **given, seed=both[1].settings["seed"])[0])
    np.testing.assert_allclose(alone, second, atol=1e-3)
    again = samples(studio, studio.make(engine, **given, seed=both[1].settings["seed"])[0])
    assert np.array_equal(again, alone)


def test_lengths(studio):
    # the tiny vocoder makes 16 samples of a frame where the published one makes 256
    clip = studio.make("audioldm", prompt="a dog", duration_s=2, steps=10, seed=1)[0]
    assert clip.duration_s == pytest.approx(2 * 16 / 256, rel=0.05)
    clip = studio.make("picoaudio", prompt="a dog barks", steps=10, seed=1)[0]
    assert clip.duration_s == pytest.approx(10)
    assert clip.text.startswith("dog_barking__0.0-")


def test_the_description_and_guidance_reach_the_model(studio):
    given = {"duration_s": 1.0, "steps": 10, "seed": 1}
    rain = samples(studio, studio.make("audioldm", prompt="rain", **given)[0])
    for change in ({"prompt": "a dog"}, {"prompt": "rain", "guidance": 8}):
        other = samples(studio, studio.make("audioldm", **{**given, **change})[0])
        assert not np.array_equal(rain, other)


def test_every_step_can_be_cancelled(studio):
    for name, prompt in (("audioldm", "rain"), ("picoaudio", "a dog barks")):
        engine = studio.engine(name)
        params = parse(engine.Params, {"prompt": prompt, "steps": 100})
        with studio.runtime.lease(engine, params):
            job = StopAt(5)
            with pytest.raises(Cancelled):
                list(engine.run(params, job))
        assert len(job.notes) == 5


def test_unloading_frees_the_text_encoder(studio):
    studio.make("audioldm", prompt="rain", duration_s=1, steps=10)
    assert len(held()) == 1
    assert studio.unload("audioldm")
    assert held() == []


def test_free_texts_are_placed_on_the_timeline():
    (dog, cat) = events_of("a dog barks twice, then a cat meows")
    assert (dog.kind, cat.kind, len(dog.intervals)) == ("dog_barking", "cat_meowing", 2)
    assert cat.intervals[0][0] > dog.intervals[1][1] - 1e-6
    (exact,) = events_of("cat meowing at 0.5-2.0, 3.0-4.5")
    assert list(exact.intervals) == [(0.5, 2.0), (3.0, 4.5)]
    assert events_of("whistling__5.0-6.5")[0].kind == "whistling"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rain", "The sound designer makes more kinds"),
        ("dog barking at 12-13", "begin before 10 s"),
        ("dog barking at 3-2", "must end after it begins"),
    ],
)
def test_events_that_cannot_be_made_are_said_at_their_field(text, said):
    with pytest.raises(StudioError, match=said) as error:
        events_of(text)
    assert error.value.field == "prompt"
