"""VITS and MMS through the real loading code, with a tiny random checkpoint on disk."""

import json
import string

import numpy as np
import pytest

from engines.base import Availability, Cancelled, NotReady, StudioError
from engines.tts.vits import Vits, VitsParams

from .conftest import FakeCache

LETTERS = ["<pad>", *string.ascii_lowercase, " ", "'", "-"]
IPA = ["_", *" ;:,.!?abcdefhijklmnoprstuvwzæðŋɐɑɔəɚɛɜɡɪɹɾʃʊʌʒʔˈˌːθᵻ"]


def save_checkpoint(folder, vocabulary, **tokenizer_settings):
    """A VITS of a few thousand random weights in the published format."""
    import torch
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    vocab = {token: index for index, token in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(vocab))
    pad = vocabulary[0]
    VitsTokenizer(
        folder / "vocab.json", pad_token=pad, unk_token="<unk>", **tokenizer_settings
    ).save_pretrained(folder)
    config = VitsConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        ffn_dim=16, flow_size=16, spectrogram_bins=9, upsample_initial_channel=32,
        upsample_rates=[4, 4], upsample_kernel_sizes=[8, 8], resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1]], prior_encoder_num_flows=1,
        posterior_encoder_num_wavenet_layers=1, prior_encoder_num_wavenet_layers=1,
        duration_predictor_num_flows=1, sampling_rate=8000,
        duration_predictor_filter_channels=16, wavenet_dilation_rate=1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = VitsModel(config)
    with torch.no_grad():
        for weight in model.decoder.parameters():
            weight.mul_(3)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def mms_folder(tmp_path_factory):
    return save_checkpoint(
        tmp_path_factory.mktemp("vits") / "mms", LETTERS, language="eng", phonemize=False
    )


@pytest.fixture
def vits(mms_folder, device):
    engine = Vits(FakeCache({"mms-tts-eng": mms_folder}))
    engine.load(device, params())
    return engine


def params(**settings) -> VitsParams:
    return VitsParams(**{"text": "Good morning to you.", "model": "mms-tts-eng", **settings})


def test_same_seed_same_samples_whatever_came_before(vits, new_job):
    import torch

    first = vits.run(params(), new_job(seed=1)).samples
    state = torch.random.get_rng_state()
    other = vits.run(params(), new_job(seed=2)).samples
    assert torch.equal(torch.random.get_rng_state(), state), "the process's generator is untouched"
    torch.manual_seed(99)
    again = vits.run(params(), new_job(seed=1)).samples
    np.testing.assert_array_equal(first, again)
    assert len(first) > 100
    assert len(other) != len(first) or np.abs(other - first).max() > 0


def test_the_clip_has_the_rate_and_commit_of_the_checkpoint(vits, new_job):
    clip = vits.run(params(), new_job())
    assert clip.sample_rate == 8000
    assert clip.revision == "c0ffee"
    assert clip.samples.dtype == np.float32


def test_noise_and_rate_reach_the_model(vits, new_job):
    quiet = {"noise_scale_duration": 0.0, "noise_scale": 0.0}
    plain = vits.run(params(**quiet), new_job(seed=1)).samples
    np.testing.assert_array_equal(plain, vits.run(params(**quiet), new_job(seed=2)).samples)
    slow = vits.run(params(**quiet, speaking_rate=0.5), new_job()).samples
    assert len(slow) > 1.4 * len(plain)


def test_pieces_are_the_clip_and_cancel_keeps_the_first(vits, new_job):
    job = new_job()
    clip = vits.run(params(text="One. Two.\n\nThree."), job)
    assert len(job.pieces) == 3
    np.testing.assert_array_equal(np.concatenate(job.pieces), clip.samples)
    cancelled = new_job(cancel_after=1)
    with pytest.raises(Cancelled):
        vits.run(params(text="One. Two.\n\nThree."), cancelled)
    np.testing.assert_array_equal(cancelled.pieces[0], job.pieces[0])


def test_numbers_become_words(vits):
    assert vits.prepare("I have 2 cats & $5.", params()) == "I have two cats and five dollars."


def test_letters_that_the_model_never_learnt_are_named(vits, new_job):
    with pytest.raises(StudioError, match=r"English – MMS cannot say “é” .*, “ж” .*ZHE") as error:
        vits.run(params(text="Café ж"), new_job())
    assert error.value.field == "text"


def test_a_model_of_phonemes_reads_through_espeak(tmp_path, device, new_job):
    folder = save_checkpoint(tmp_path / "ljs", IPA, language="en-us", phonemize=True)
    engine = Vits(FakeCache({"vits-ljs": folder}))
    settings = VitsParams(text="Dr. Lee has 3 dogs.", model="default")
    engine.load(device, settings)
    assert engine._tokenizer.phonemize is False
    seen = []
    tokenizer = engine._tokenizer
    engine._tokenizer = _Spy(tokenizer, seen)
    assert len(engine.run(settings, new_job()).samples) > 100
    assert seen == ["dˈɑːktɚ lˈiː hɐz θɹˈiː dˈɑːɡz."]
    ids = tokenizer(seen[0])["input_ids"]
    assert len(ids) == 2 * len(seen[0]) + 1
    assert [tokenizer.decoder[index] for index in ids[1::2]] == list(seen[0])


class _Spy:
    """Passes everything on to a tokenizer and keeps the texts."""

    def __init__(self, inner, seen):
        self._inner, self._seen = inner, seen

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def __call__(self, text, **options):
        self._seen.append(text)
        return self._inner(text, **options)


def test_a_checkpoint_of_ones_own_is_ready(mms_folder, device, new_job):
    engine = Vits(FakeCache(owned={"my-voice": mms_folder}))
    own = params(model="my-voice")
    assert engine.weights()[-1].title == "my-voice (your own)"
    engine.check(own)
    assert engine.state_of(engine.weights_for(own)) is Availability.READY
    engine.load(device, own)
    assert engine.language(own) == "eng"
    assert engine.run(own, new_job()).revision == ""


def test_models(vits):
    assert vits.weights()[0].id == "vits-ljs"
    assert vits.weights_for(params(model="default")).repo == "kakao-enterprise/vits-ljs"
    german = vits.weights_for(params(model="facebook/mms-tts-deu"))
    assert (german.repo, german.license) == ("facebook/mms-tts-deu", "CC-BY-NC-4.0")
    assert german.non_commercial
    assert vits.weights_for(params(model="mms-tts-abi")).repo == "facebook/mms-tts-abi"
    assert vits.weights()[-1].id == "mms-tts-abi"
    assert vits.state_of(german) is Availability.DOWNLOAD


def test_uroman_is_asked_for(tmp_path, device):
    folder = save_checkpoint(tmp_path, LETTERS, language="kor", phonemize=False, is_uroman=True)
    engine = Vits(FakeCache({"mms-tts-kor": folder}))
    with pytest.raises(NotReady, match=r"Korean – MMS needs .* Latin letters: pip install uroman"):
        engine.load(device, params(model="mms-tts-kor"))


def test_messages(vits, tmp_path, device, new_job):
    with pytest.raises(StudioError, match="'nothing' is neither a known model nor a folder"):
        vits.check(params(model="nothing"))
    vits.cache.owned["mine"] = tmp_path
    with pytest.raises(StudioError, match=r"put a folder with config.json, model.safetensors"):
        vits.check(params(model="mine"))
    with pytest.raises(StudioError, match="neither a known model nor a folder in models/own"):
        vits.check(params(model=str(tmp_path)))
    for name in ("model.safetensors", "vocab.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(StudioError, match="model of type 'bert', not 'vits'"):
        vits.check(params(model="mine"))
    with pytest.raises(NotReady, match="vits-ljs is not downloaded"):
        vits.load(device, params(model="vits-ljs"))
    vits.load(device, params())
    with pytest.raises(StudioError, match=r"1 speaker.s.: choose a number from 0 to 0") as error:
        vits.run(params(speaker=4), new_job())
    assert error.value.field == "speaker"
    with pytest.raises(StudioError, match="no text to read"):
        vits.check(params(text=" "))
