"""DebaTTS beyond its fixture: what may be drawn, the length, and the published layout from sound to sound."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

from engines.networks.blocks.causal_llama import TokenSampling
from engines.networks.blocks.repcodec import RepCodec
from engines.networks.debatts.network import DebateConfig, DebateLm
from engines.networks.debatts.pipeline import (
    ALL_FILE,
    CODEC_FILE,
    DECODER_FILE,
    DRAWING,
    ENCODER_FILE,
    FIRST_FILE,
    LM_FILE,
    Debatts,
)
from engines.networks.maskgct.acoustic import AcousticGenerator
from engines.networks.maskgct.codec import AcousticDecoder, AcousticEncoder
from engines.networks.maskgct.pipeline import AcousticSettings, MaskGctConfig
from engines.networks.weights import WeightsError
from tests.networks.test_maskgct import CONFIG, W2V_BERT, save

SIZES = DebateConfig(
    phone_vocab_size=20,
    target_vocab_size=64,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    pad_token_id=84,
    bos_target_id=85,
    eos_target_id=86,
    bos_phone_id=87,
    eos_phone_id=88,
    bos_prompt0_id=89,
    eos_prompt0_id=90,
)
HOW = TokenSampling(max_length=40, min_new_tokens=5, temperature=1.0, top_k=0, top_p=1.0)
FAST = AcousticSettings(
    first=replace(DRAWING, steps=2), others=replace(DRAWING, steps=2), steps=(2, 2, 1)
)


def tokens(*numbers: int) -> Tensor:
    return torch.tensor([numbers])


def seeds(*numbers: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(number) for number in numbers]


@pytest.fixture(scope="module")
def network() -> DebateLm:
    torch.manual_seed(2)
    return DebateLm(SIZES).eval()


def answer(network: DebateLm, how: TokenSampling = HOW, **more) -> list[Tensor]:
    given = (tokens(1, 2, 3), tokens(4, 5), tokens(6, 7))
    return network.generate(*given, generators=seeds(1, 2, 3), how=how, **more)


def test_only_semantic_tokens_are_drawn(network: DebateLm):
    rows = answer(network)
    assert all(5 <= len(row) <= 40 - 12 for row in rows)
    assert all(bool((row < 64).all()) for row in rows)


def test_the_original_also_draws_others_and_loses_the_last_token(network: DebateLm):
    rows = answer(network, replace(HOW, min_new_tokens=100), as_published=True)
    assert all(bool((row < 64).all()) for row in rows)
    assert {len(row) for row in rows} != {28}  # others were drawn, and left out
    whole = answer(network, replace(HOW, min_new_tokens=100))
    assert [len(row) for row in whole] == [28, 28, 28]


def test_padding_in_the_middle_changes_no_loss(network: DebateLm):
    def pair(ids: list[int], length: int) -> tuple[Tensor, Tensor]:
        padding = [0] * (length - len(ids))
        return torch.tensor([ids + padding]), torch.tensor([[1] * len(ids) + padding])

    batch = network.segments(pair([1, 2], 4), pair([3], 1), pair([5, 6], 3))
    assert batch.ids.tolist() == [[89, 1, 2, 90, 84, 84, 87, 67, 88, 85, 5, 6, 86, 84]]
    assert batch.labels.tolist() == [[-100] * 9 + [85, 5, 6, 86, -100]]
    assert batch.mask.tolist() == [[True] * 4 + [False] * 2 + [True] * 7 + [False]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Small random weights in the published layout, and w2v-BERT's."""
    torch.manual_seed(3)
    root, speech = tmp_path_factory.mktemp("debatts"), tmp_path_factory.mktemp("w2v_bert")
    t2s = {key: value for key, value in vars(SIZES).items() if key != "num_hidden_layers"}
    (root / "config.json").write_text(json.dumps(CONFIG | {"t2s": t2s}))
    sizes = MaskGctConfig.of(root)
    save(DebateLm(SIZES), root / LM_FILE)
    save(AcousticGenerator(sizes.first), root / FIRST_FILE)
    save(AcousticGenerator(sizes.others), root / ALL_FILE)
    save(RepCodec(sizes.semantic_codec), root / CODEC_FILE)
    save(AcousticEncoder(sizes.encoder), root / ENCODER_FILE)
    save(AcousticDecoder(sizes.decoder), root / DECODER_FILE)
    (root / "stat_ckpt").mkdir()
    statistics = {"mean": torch.zeros(32), "var": torch.ones(32)}
    torch.save(statistics, root / "stat_ckpt/emilia_wav2vec2bert_stats_10k.pt")
    save(Wav2Vec2BertModel(Wav2Vec2BertConfig(**W2V_BERT)), speech / "model.safetensors")
    (speech / "config.json").write_text(json.dumps(W2V_BERT))
    (speech / "preprocessor_config.json").write_text(json.dumps({"padding_value": 1, "stride": 2}))
    return root, speech


def speak(model: Debatts, seed: int, **more) -> Tensor:
    sound = torch.randn(24000, generator=torch.Generator().manual_seed(1)) * 0.1
    how = TokenSampling(max_length=140, min_new_tokens=5, temperature=1.0)
    return model.speak(
        sound[:16000],
        sound,
        sound[8000:],
        [5, 6],
        [8, 9],
        generator=seeds(seed)[0],
        how=how,
        acoustic=FAST,
        **more,
    )


def test_from_sound_to_sound_with_seeds_and_progress(folders: tuple[Path, Path]):
    model = Debatts.from_published(*folders)
    assert len(model.model.model.model.layers) == 2  # as many as the file holds
    seen = []
    wav = speak(model, 4, progress=lambda done, total: seen.append((done, total)))
    assert wav.shape[0] == 1 and wav.shape[1] % 480 == 0 and wav.shape[1] >= 5 * 480
    assert seen[-1] == (seen[-1][1],) * 2
    assert len({total for _, total in seen}) == 1
    assert torch.equal(speak(model, 4), wav)
    other = speak(model, 5)
    assert other.shape != wav.shape or not torch.equal(other, wav)

    def stop(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        speak(model, 4, progress=stop)


def test_a_file_that_does_not_fit_is_named(folders: tuple[Path, Path], tmp_path: Path):
    state = DebateLm(SIZES).state_dict()
    del state["model.lm_head.weight"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"DebaTTS.*1 missing: model\.lm_head\.weight"):
        DebateLm.from_published(tmp_path / "model.safetensors", SIZES)
