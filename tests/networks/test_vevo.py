"""What Vevo's fixture doesn't reach: the modes from end to end, published files, rates and levels."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import HubertModel

from engines.networks.blocks.causal_llama import TokenSampling
from engines.networks.blocks.hubert import Hubert, normalised, sized, torchaudio_key
from engines.networks.blocks.resampling import resample
from engines.networks.vevo.content import ContentCodec, deduplicated
from engines.networks.vevo.flow import FlowSampling
from engines.networks.vevo.pipeline import (
    StyleTokens,
    Vevo,
    VevoConfig,
    Voicing,
    content_from_published,
    language_from_published,
)
from engines.networks.vevo.sound import levelled, normalised_mel
from engines.networks.weights import WeightsError, weight_file
from tests import tiny_vevo
from tests.networks.recording import last
from tests.tiny_vevo import HUBERT

DRAWING = TokenSampling(max_length=200, min_new_tokens=12)
FLOWING = FlowSampling(steps=3)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Small random weights in the published layout, and HuBERT's in that of transformers."""
    root, speech = tmp_path_factory.mktemp("vevo"), tmp_path_factory.mktemp("hubert")
    tiny_vevo.make(root, speech)
    return root, speech


@pytest.fixture(scope="module")
def vevo(folders: tuple[Path, Path]) -> Vevo:
    root, speech = folders
    return Vevo(
        StyleTokens.from_published(root, speech),
        Voicing.from_published(root),
        language_from_published(root, phones=False),
        content_from_published(root),
    )


def sound(seed: int, seconds: float = 0.6) -> Tensor:
    noise = torch.randn(1, int(24000 * seconds), generator=torch.Generator().manual_seed(seed))
    return 0.1 * noise


def seeds(*numbers: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(number) for number in numbers]


def test_timbre_keeps_the_pace_of_the_source(vevo: Vevo):
    source, reference = sound(1), vevo.reference(sound(2))
    tokens = vevo.style.tokens(source).shape[1]
    heard = []

    def convert(seed: int, **how) -> Tensor:
        return vevo.timbre(
            source,
            reference,
            generator=torch.Generator().manual_seed(seed),
            settings=FLOWING,
            progress=lambda done, total: heard.append((done, total)),
            **how,
        )

    first = convert(1)
    assert heard == [(1, 3), (2, 3), (3, 3)]
    assert first.shape == (1, 480 * tokens)
    assert torch.equal(first, convert(1))
    assert not torch.equal(first, convert(2))
    assert reference.mel.shape[1] == reference.tokens.shape[1] + 1
    assert convert(1, as_published=True).shape == (1, 480 * (tokens - 1))


def test_content_is_heard_in_one_and_each_token_once(vevo: Vevo):
    inputs = vevo.content_tokens(sound(1), sound(2))
    assert inputs.min() >= 1024
    assert (inputs[:, 1:] != inputs[:, :-1]).all()
    heard = torch.cat([sound(1), sound(2)], dim=1)
    tokens = vevo.content.encode(vevo.style.features(heard))
    assert torch.equal(inputs[0] - 1024, deduplicated(tokens[0]))


def test_voice_and_style_differ_in_whose_timbre_speaks(vevo: Vevo):
    source, other = sound(1), sound(2)
    style, timbre = vevo.reference(other), vevo.reference(source)
    inputs = vevo.content_tokens(other, source)

    def spoken(whose, *numbers: int) -> list[Tensor]:
        return vevo.spoken(
            inputs, style, whose, generators=seeds(*numbers), drawing=DRAWING, flowing=FLOWING
        )

    voice = spoken(style, 5, 6)
    assert all(row.shape[1] >= 12 * 480 for row in voice)
    assert torch.equal(voice[0], spoken(style, 5)[0])
    assert torch.equal(voice[1], spoken(style, 6)[0])
    (converted,) = spoken(timbre, 5)
    assert converted.shape == voice[0].shape
    assert not torch.equal(converted, voice[0])


def test_text_is_spoken_by_the_language_model_of_phones(folders, vevo: Vevo):
    speaking = replace(vevo, language=language_from_published(folders[0], phones=True))
    reference, heard = vevo.reference(sound(2)), []
    (speech,) = speaking.spoken(
        torch.tensor([[3, 4, 5, 6]]),
        reference,
        reference,
        generators=seeds(1),
        drawing=DRAWING,
        flowing=FLOWING,
        progress=lambda done, total: heard.append((done, total)),
    )
    room = 200 - (4 + 3 + reference.tokens.shape[1])
    assert heard[0] == (1, room + 3)
    assert heard[-1] == (room + 3, room + 3)
    assert speech.shape[1] % 480 == 0


def test_what_a_step_raises_ends_the_generation(vevo: Vevo):
    reference = vevo.reference(sound(2))
    for stop in (3, 195):  # among the tokens, and in the flow
        heard = []

        def progress(done: int, total: int, stop: int = stop, heard: list = heard) -> None:
            heard.append(done)
            if done >= min(stop, total - 1):
                raise InterruptedError

        with pytest.raises(InterruptedError):
            vevo.spoken(
                torch.tensor([[1030, 1031]]),
                reference,
                reference,
                generators=seeds(1),
                drawing=DRAWING,
                flowing=FLOWING,
                progress=progress,
            )
        assert sum(done >= stop for done in heard) <= 1


def test_nothing_but_style_tokens_is_drawn_unless_as_published(vevo: Vevo):
    hot = TokenSampling(max_length=120, min_new_tokens=80, temperature=50.0, top_k=0, top_p=1.0)
    inputs, style = torch.tensor([[1, 2]]), torch.tensor([[3, 4]])
    (tokens,) = vevo.language.generate(inputs, style, hot, seeds(1))
    assert int(tokens.max()) < 64
    (free,) = vevo.language.generate(inputs, style, hot, seeds(1), as_published=True)
    assert int(free.max()) >= 64


def test_rows_of_a_batch_flow_as_if_alone(vevo: Vevo):
    flow = vevo.voicing.flow
    tokens, prompt = torch.randint(64, (2, 9)), torch.randn(2, 4, 128)
    noise = torch.randn(2, 5, 128)

    def mels(rows: slice) -> Tensor:
        with torch.no_grad():
            condition = flow.condition(tokens[rows])
            return last(flow.sample(condition, prompt[rows], FLOWING, lambda shape: noise[rows]))

    torch.testing.assert_close(mels(slice(0, 2))[1:], mels(slice(1, 2)), atol=1e-5, rtol=0)


def test_only_the_layers_in_use_of_hubert_are_loaded_from_either_publisher(folders, tmp_path: Path):
    state = load_file(folders[1] / "model.safetensors")
    full = HubertModel(sized(folders[1] / "config.json")).eval()
    full.load_state_dict(state)
    with torch.no_grad():
        given = normalised(sound(4)[:, :8000])
        expected = full(given, output_hidden_states=True).hidden_states[2]
    (tmp_path / "config.json").write_text(json.dumps(HUBERT))
    torch.save(
        {torchaudio_key(key): tensor for key, tensor in state.items()},
        tmp_path / "hubert_fairseq_large_ll60k.pth",
    )
    for folder in (folders[1], tmp_path):
        cut = Hubert.from_published(folder, layers=2)
        assert len(cut.network.encoder.layers) == 2
        with torch.no_grad():
            torch.testing.assert_close(cut(sound(4)[:, :8000]), expected)


def test_the_content_tokeniser_needs_no_decoder_and_says_what_a_file_lacks(folders, tmp_path: Path):
    codec = content_from_published(folders[0])
    assert not any(key.startswith("decoder.") for key in codec.state_dict())
    torch.save({"model": {}}, tmp_path / "some.pkl")
    with pytest.raises(WeightsError, match=r"some\.pkl has no weights under model\.repcodec"):
        ContentCodec.from_published(tmp_path / "some.pkl")


def test_content_tokens_decode_to_features_of_the_same_length(folders):
    codec = ContentCodec(VevoConfig.of(folders[0]).content)
    assert codec.decode(torch.tensor([[1, 2, 3]])).shape == (1, 3, 32)


def test_the_one_weight_file_of_a_folder_is_found(tmp_path: Path):
    with pytest.raises(WeightsError, match="no weights"):
        weight_file(tmp_path)
    (tmp_path / "some.pt").touch()
    assert weight_file(tmp_path).name == "some.pt"
    (tmp_path / "other.bin").touch()
    with pytest.raises(WeightsError, match=r"has 2: other\.bin, some\.pt"):
        weight_file(tmp_path)
    (tmp_path / "pytorch_model.bin").touch()
    assert weight_file(tmp_path).name == "pytorch_model.bin"


@pytest.mark.parametrize("samples", [24000, 24001, 24002])
def test_a_tone_stays_the_tone_at_another_rate(samples: int):
    def tone(rate: int, length: int) -> Tensor:
        return torch.sin(2 * math.pi * 440 * torch.arange(length) / rate)[None]

    lower = resample(tone(24000, samples), 24000, 16000)
    assert lower.shape == (1, math.ceil(samples * 2 / 3))
    middle = slice(200, -200)
    expected = tone(16000, lower.shape[1])
    torch.testing.assert_close(lower[:, middle], expected[:, middle], atol=2e-3, rtol=0)
    assert torch.equal(resample(expected, 16000, 16000), expected)


def test_sound_is_brought_to_the_published_level():
    loud = levelled(torch.randn(1, 24000))
    assert 20 * math.log10(float(loud.square().mean().sqrt())) == pytest.approx(-25, abs=1e-3)
    assert levelled(torch.zeros(1, 100)).eq(0).all()


def test_mels_are_normalised_by_the_published_numbers():
    silence = normalised_mel(torch.zeros(1, 4800))
    assert silence.shape == (1, 10, 128)
    floor = (math.log(1e-5) + 4.92) / math.sqrt(8.14)
    assert float(silence.min()) == pytest.approx(floor, abs=1e-4)
