"""What MaskGCT's fixture doesn't reach: single equations, seeds, cancelling, and the published layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

from engines.networks.blocks.activations import Snake
from engines.networks.blocks.draws import uniform
from engines.networks.blocks.repcodec import RepCodec, RepCodecConfig
from engines.networks.blocks.unmasking import Unmasking, keep_top, masked_count
from engines.networks.blocks.w2v_bert import W2vBert
from engines.networks.maskgct.acoustic import AcousticConfig, AcousticGenerator
from engines.networks.maskgct.codec import AcousticDecoder, AcousticEncoder
from engines.networks.maskgct.pipeline import (
    AcousticSettings,
    MaskGct,
    MaskGctConfig,
    target_length,
)
from engines.networks.maskgct.semantic import SemanticConfig, SemanticGenerator
from engines.networks.weights import WeightsError, config_of
from tests.networks.cases import maskgct as case
from tests.networks.parity import Fixture
from tests.networks.recording import last
from tests.networks.test_parity import folder_of

SMALL = {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "cond_codebook_size": 64}
CONFIG = {
    "semantic": SMALL,
    "first": SMALL | {"num_quantizer": 1, "codebook_size": 32},
    "others": SMALL | {"num_quantizer": 3, "codebook_size": 32},
    "semantic_codec": {
        "codebook_size": 64,
        "hidden_size": 32,
        "vocos_dim": 16,
        "vocos_intermediate_dim": 24,
        "vocos_num_layers": 1,
    },
    "encoder": {"d_model": 2, "out_channels": 256},
    "decoder": {
        "num_quantizers": 3,
        "codebook_size": 32,
        "vocos_dim": 16,
        "vocos_intermediate_dim": 24,
        "vocos_num_layers": 1,
    },
    "speech": {"layers": 2},
}
W2V_BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "feature_projection_input_dim": 160,
}


def save(module: nn.Module, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(module.state_dict(), file)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Small random weights in the published layout, and w2v-BERT's."""
    torch.manual_seed(3)
    root, speech = tmp_path_factory.mktemp("maskgct"), tmp_path_factory.mktemp("w2v_bert")
    (root / "config.json").write_text(json.dumps(CONFIG))
    sizes = MaskGctConfig.of(root)
    save(SemanticGenerator(sizes.semantic), root / "t2s_model/model.safetensors")
    first, others = root / "s2a_model/s2a_model_1layer", root / "s2a_model/s2a_model_full"
    save(AcousticGenerator(sizes.first), first / "model.safetensors")
    save(AcousticGenerator(sizes.others), others / "model.safetensors")
    save(RepCodec(sizes.semantic_codec), root / "semantic_codec/model.safetensors")
    save(AcousticEncoder(sizes.encoder), root / "acoustic_codec/model.safetensors")
    save(AcousticDecoder(sizes.decoder), root / "acoustic_codec/model_1.safetensors")
    save(Wav2Vec2BertModel(Wav2Vec2BertConfig(**W2V_BERT)), speech / "model.safetensors")
    torch.save({"mean": torch.zeros(32), "var": torch.ones(32)}, root / "wav2vec2bert_stats.pt")
    (speech / "config.json").write_text(json.dumps(W2V_BERT))
    (speech / "preprocessor_config.json").write_text(json.dumps({"padding_value": 1, "stride": 2}))
    return root, speech


@pytest.fixture(scope="module")
def whole(folders: tuple[Path, Path]) -> MaskGct:
    return MaskGct.from_published(*folders)


SOUND = torch.randn(24000, generator=torch.Generator().manual_seed(1)) * 0.1


def speak(model: MaskGct, seed: int, length: int = 33, **more) -> Tensor:
    return model.speak(
        model.prompt(SOUND[:16000], SOUND),
        [5, 6, 7, 8, 9],
        length,
        generator=torch.Generator().manual_seed(seed),
        settings=Unmasking(steps=3),
        acoustic=AcousticSettings(steps=(25, 2, 1)),
        **more,
    )


def test_the_share_of_masked_tokens_is_computed_in_float32():
    assert masked_count(Unmasking(steps=40).times()[5], 1197) == 1174
    assert masked_count(Unmasking(steps=40).times()[15], 1252) == 1041
    assert masked_count(0.0, 500) == 0


@pytest.mark.parametrize(("size", "kept"), [(8192, 164), (1024, 21), (256, 6), (128, 3)])
def test_two_percent_of_the_vocabulary_stay(size: int, kept: int):
    logits = torch.randn(2, 3, size)
    best = keep_top(logits, 0.98)
    assert best.isfinite().sum(-1).eq(kept).all()
    assert torch.equal(best.argmax(-1), logits.argmax(-1))


def test_backbones_agree_closely_enough_to_tell_the_epsilon_of_their_norms():
    folder = folder_of("maskgct")
    fixture = Fixture.read("maskgct", folder / "fixture.json", folder / "fixture.safetensors")
    with torch.no_grad():
        ours = dict(case.codecs(fixture))
    for key in ("semantic_codec.out.encoder", "acoustic.out.backbone"):
        torch.testing.assert_close(ours[key], fixture[key], atol=5e-6, rtol=0)


def test_a_snake_may_have_a_negative_alpha():
    snake, x = Snake(1), torch.tensor([[[0.3, -2.0]]])
    with torch.no_grad():
        snake.alpha.fill_(-0.5)
    torch.testing.assert_close(snake(x), x - torch.sin(0.5 * x) ** 2 / 0.5)


def test_rows_of_a_batch_do_not_depend_on_their_neighbours_unless_as_published():
    torch.manual_seed(5)
    network = SemanticGenerator(config_of(SemanticConfig, SMALL, what="MaskGCT")).eval()
    prompt, phones = torch.randint(64, (2, 4)), torch.randint(1000, (2, 5))
    numbers = [torch.rand(shape) for shape in [(2, 9, 64), (2, 9)] * 3]

    def tokens(rows: slice, as_published: bool) -> Tensor:
        left = iter(numbers)
        settings = Unmasking(steps=3, as_published=as_published)
        with torch.no_grad():
            return last(
                network.sample(
                    prompt[rows],
                    9,
                    settings,
                    lambda shape: (
                        next(left)[rows].reshape(shape)
                        if len(shape) == 3
                        else next(n for n in left if n.ndim == 2)[rows].reshape(shape)
                    ),
                    phones=phones[rows],
                )
            )

    both = tokens(slice(0, 2), False)
    assert torch.equal(both[:1], tokens(slice(0, 1), False))
    assert torch.equal(both[1:], tokens(slice(1, 2), False))


def test_a_prompt_may_be_empty():
    network = AcousticGenerator(AcousticConfig(3, 32, 1, 4, 32, 64)).eval()
    draw = uniform(torch.Generator().manual_seed(1))
    none = torch.zeros(1, 0, 3, dtype=torch.long)
    with torch.no_grad():
        steps = network.sample(
            torch.zeros(1, 7, dtype=torch.long), none, [2, 1, 1], Unmasking(), draw
        )
        assert last(steps).shape == (1, 7, 3)


def test_a_seed_gives_the_same_sound_of_the_length_asked_for(whole: MaskGct):
    steps: list[tuple[int, int]] = []
    first = speak(whole, 7, progress=lambda done, total: steps.append((done, total)))
    assert torch.equal(first, speak(whole, 7))
    assert not torch.equal(first, speak(whole, 8))
    total = 3 + 25 + 2 + 1
    assert steps[0] == (1, total)
    assert steps[-1] == (total, total)
    prompt = whole.prompt(SOUND[:16000], SOUND)
    frames = prompt.tokens.shape[1] + 33 - prompt.codes.shape[1]
    assert first.shape == (1, frames * 480)


def test_length_goes_by_the_pace_of_the_prompt():
    assert target_length(16000 * 3, 10, 25) == int(3 * 2.5 * 50)


def test_what_a_step_raises_ends_the_generation(whole: MaskGct):
    class Cancelled(Exception):
        pass

    done = []

    def stop(step: int, total: int) -> None:
        done.append(step)
        if step == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        speak(whole, 7, progress=stop)
    assert done == [1, 2]


def test_only_the_layers_in_use_of_w2v_bert_are_loaded(folders: tuple[Path, Path]):
    full = Wav2Vec2BertModel(Wav2Vec2BertConfig(**W2V_BERT)).eval()
    full.load_state_dict(load_file(folders[1] / "model.safetensors"))
    cut = W2vBert.from_published(folders[1], layers=2)
    assert len(cut.network.encoder.layers) == 2
    sound = torch.randn(8000)
    with torch.no_grad():
        mels, mask = cut.filter_bank(sound)
        states = full(input_features=mels, attention_mask=mask, output_hidden_states=True)
        torch.testing.assert_close(cut(sound), states.hidden_states[2])


def test_a_file_without_the_window_is_read_and_one_that_lacks_a_key_is_refused(
    folders: tuple[Path, Path], tmp_path: Path
):
    file = folders[0] / "acoustic_codec/model_1.safetensors"
    sizes, state = MaskGctConfig.of(folders[0]).decoder, load_file(file)
    del state["model.head.istft.window"]
    save_file(state, tmp_path / "model.safetensors")
    decoder = AcousticDecoder.from_published(tmp_path / "model.safetensors", sizes)
    torch.testing.assert_close(decoder.model.head.istft.window, torch.hann_window(1920))
    del state["model.head.out.bias"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(
        WeightsError, match=r"acoustic codec's decoder.*1 missing: model\.head\.out\.bias"
    ):
        AcousticDecoder.from_published(tmp_path / "model.safetensors", sizes)


def test_the_tokeniser_leaves_out_the_decoder(folders: tuple[Path, Path]):
    file = folders[0] / "semantic_codec/model.safetensors"
    codec = RepCodec.from_published(
        file, config_of(RepCodecConfig, CONFIG["semantic_codec"], what="MaskGCT")
    )
    assert not any(key.startswith("decoder.") for key in codec.state_dict())
