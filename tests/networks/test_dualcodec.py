"""DualCodec and its VALL-E beyond the fixture: lengths, files, draws, cancelling, text in chunks."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel

from engines.networks.blocks.causal_llama import TokenSampling
from engines.networks.blocks.resampling import resample
from engines.networks.dualcodec.codec import PUBLISHED, DualCodec, DualCodecConfig, Variant
from engines.networks.dualcodec.features import STATISTICS_FILE
from engines.networks.dualcodec.fill import FILE as FILLER_FILE
from engines.networks.dualcodec.fill import AcousticFiller, AcousticFillerConfig
from engines.networks.dualcodec.first import FILE as WRITER_FILE
from engines.networks.dualcodec.first import SemanticWriter, SemanticWriterConfig
from engines.networks.dualcodec.speech import (
    DualCodecSpeech,
    chunks_of,
    cross_faded,
    longest_chunk,
    raise_to_rms,
)
from engines.networks.weights import WeightsError, config_of

CODEC = {
    "encoder_dim": 1,
    "decoder_dim": 32,
    "latent_dim": 16,
    "n_codebooks": 3,
    "codebook_size": 16,
    "semantic_codebook_size": 32,
    "convnext_dim": 8,
    "convnext_layers": 1,
    "convnext_intermediate": 12,
    "semantic_channels": 16,
}
LLAMA = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
CONFIG = {
    "dualcodec_12hz_v1": CODEC,
    "dualcodec_25hz_v1": CODEC
    | {
        "encoder_rates": [4, 5, 6, 8],
        "decoder_rates": [8, 6, 5, 4],
        "semantic_downsample_factor": 2,
    },
    "valle_ar": LLAMA | {"vocab_size": 32 + 10 + 50, "speech_vocab_size": 32},
    "valle_nar": LLAMA
    | {"first_layer_vocab_size": 32, "target_vocab_size": 16, "num_quantizers": 4},
    "speech": {"layers": 2},
}
W2V_BERT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "feature_projection_input_dim": 160,
}
HOW = TokenSampling(max_length=40, min_new_tokens=0, top_k=15, top_p=0.85, repetition_penalty=1.1)


def config(kind: type, name: str):
    return config_of(kind, CONFIG[name], what=name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both codecs, both models and w2v-BERT in the published layout."""
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("dualcodec")
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    for variant, (file, _) in PUBLISHED.items():
        codec = DualCodec(config(DualCodecConfig, f"dualcodec_{variant}"))
        save_file(codec.state_dict(), folder / file)
    writer = SemanticWriter(config(SemanticWriterConfig, "valle_ar"))
    save_file(writer.state_dict(), folder / WRITER_FILE)
    filler = AcousticFiller(config(AcousticFillerConfig, "valle_nar"))
    save_file(filler.state_dict(), folder / FILLER_FILE)
    torch.save({"mean": torch.zeros(16), "var": torch.full((16,), 4.0)}, folder / STATISTICS_FILE)
    speech = folder / "w2v-bert-2.0"
    speech.mkdir()
    network = Wav2Vec2BertModel(Wav2Vec2BertConfig(**W2V_BERT))
    save_file(network.state_dict(), speech / "model.safetensors")
    (speech / "config.json").write_text(json.dumps(W2V_BERT))
    (speech / "preprocessor_config.json").write_text(json.dumps({"padding_value": 1, "stride": 2}))
    return folder


@pytest.fixture(scope="module")
def writer(folder: Path) -> SemanticWriter:
    return SemanticWriter.from_published(folder)


@pytest.fixture(scope="module")
def filler(folder: Path) -> AcousticFiller:
    return AcousticFiller.from_published(folder)


@pytest.fixture(scope="module")
def speech(folder: Path) -> DualCodecSpeech:
    return DualCodecSpeech.from_published(folder, folder, folder / "w2v-bert-2.0")


def seeds(*numbers: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(number) for number in numbers]


TEXT, PROMPT = torch.tensor([[7, 3, 11]]), torch.tensor([[4, 31, 0, 9]])


@pytest.mark.parametrize(("variant", "hop", "pooled"), [("12hz_v1", 1920, 4), ("25hz_v1", 960, 2)])
@torch.no_grad()
def test_codes_and_samples_have_the_codecs_lengths(folder, variant, hop, pooled):
    codec = DualCodec.from_published(folder, Variant(variant))
    wav, features = torch.randn(2, 1, 5 * hop - 7), torch.randn(2, 16, 5 * pooled - 1)
    codes = codec.encode(wav, features)
    assert codes.shape == (4, 2, 4)
    assert torch.equal(codec.encode(wav, features, 1), codes[:1])
    assert torch.equal(codec.encode(wav, features, 3), codes[:3])
    for count in (1, 2, 4):
        assert codec.decode(codes[:count]).shape == (2, 1, 4 * hop - 4)


@torch.no_grad()
def test_where_the_sound_is_shorter_than_its_features_both_are_cut(folder):
    codec = DualCodec.from_published(folder)
    codes = codec.encode(torch.randn(1, 1, 1920), torch.randn(1, 16, 40))
    assert codes.shape == (4, 1, 1)


def test_files_that_do_not_fit_are_refused_by_name(folder, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    with pytest.raises(WeightsError, match=r"dualcodec_25hz_16384_1024\.safetensors is missing"):
        DualCodec.from_published(tmp_path, Variant.HZ_25)
    save_file({"llm.lm_head.weight": torch.zeros(92, 15)}, tmp_path / WRITER_FILE)
    with pytest.raises(WeightsError, match=r"valle_ar_12hzv1.* is \(92, 15\) and should be \(92"):
        SemanticWriter.from_published(tmp_path)


def test_only_semantic_codes_are_drawn_unless_as_published(writer):
    ours = writer.write(TEXT, PROMPT, seeds(*range(8)), HOW)
    theirs = writer.write(TEXT, PROMPT, seeds(*range(8)), HOW, as_published=True)
    assert all(((row >= 0) & (row < 32)).all() for row in ours)
    assert any(((row < 0) | (row >= 32)).any() for row in theirs)
    room = HOW.max_length - 8
    assert max(map(len, ours)) == room
    assert max(map(len, theirs)) == room - 1  # the last is lost


def test_text_that_is_not_drawn_has_no_logits_and_changes_no_draw(writer):
    spoken = writer.semantic_ids()
    drawn = []
    for step in writer.steps(TEXT, PROMPT, HOW, seeds(1)):
        assert step.logits.shape == (1, 32 + 10)
        seen = torch.cat([writer.prompt(TEXT, PROMPT)[0], torch.tensor(drawn, dtype=torch.long)])
        with torch.no_grad():
            whole = writer.llm(seen[None])[:, -1]
        barred = ~spoken
        barred[writer.config.eos_token_id] = False
        wanted = HOW.scores(whole.masked_fill(barred, -torch.inf), seen[None]).softmax(-1)
        torch.testing.assert_close(step.probabilities, wanted[:, :42])
        drawn.append(int(step.drawn))


def test_a_variation_is_the_same_alone(writer):
    together = writer.write(TEXT, PROMPT, seeds(3, 4), HOW)
    alone = [writer.write(TEXT, PROMPT, [seed], HOW)[0] for seed in seeds(3, 4)]
    assert [row.tolist() for row in together] == [row.tolist() for row in alone]
    assert together[0].tolist() != together[1].tolist()


@torch.no_grad()
def test_drawing_with_a_cache_is_drawing_without(writer):
    taken = TokenSampling(max_length=20, min_new_tokens=0, temperature=0, repetition_penalty=1.1)
    (codes,) = writer.write(TEXT, PROMPT, seeds(1), taken, as_published=True)
    ids = writer.prompt(TEXT, PROMPT)
    for code in codes:
        likeliest = taken.scores(writer.llm(ids)[:, -1], ids).argmax(-1, keepdim=True)
        assert int(likeliest) == int(code) + 10
        ids = torch.cat([ids, likeliest], 1)


class Cancelled(Exception):
    pass


def test_cancelling_stops_at_the_step(writer, filler):
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        writer.write(TEXT, PROMPT, seeds(1), HOW, progress=stop)
    assert seen == [(1, 32), (2, 32)]
    seen.clear()
    with pytest.raises(Cancelled):
        filler.fill(torch.randint(16, (4, 1, 3)), torch.randint(32, (1, 5)), stop)
    assert seen == [(1, 3), (2, 3)]


def test_levels_are_the_same_in_a_batch_and_alone(filler):
    generator = torch.Generator().manual_seed(2)
    prompt = torch.randint(16, (4, 2, 5), generator=generator)
    semantic = torch.randint(32, (2, 9), generator=generator)
    together = filler.fill(prompt, semantic)
    alone = [filler.fill(prompt[:, row : row + 1], semantic[row : row + 1]) for row in range(2)]
    assert torch.equal(together, torch.cat(alone, 1))
    assert torch.equal(together[0], semantic)


def test_speech_has_the_length_of_its_codes_and_follows_its_seed(speech):
    reference = speech.reference(0.05 * torch.randn(24000, generator=seeds(1)[0]))
    assert reference.shape[:2] == (4, 1)
    told: list[tuple[int, int]] = []
    texts = [torch.tensor([1, 2, 3]), torch.tensor([4, 5])]

    def say(seed: int) -> Tensor:
        return speech.speak(reference, texts, seeds(seed)[0], HOW, lambda *step: told.append(step))

    first = say(5)
    frames, cut = divmod(len(first) + 3600 + 8, 1920)
    assert (frames > 1, cut) == (True, 0)
    steps = [done for done, _ in told]
    assert steps == sorted(steps)
    assert len({total for _, total in told}) == 1
    assert steps[-1] <= told[-1][1]
    assert torch.equal(say(5), first)
    assert not torch.equal(say(6)[:1000], first[:1000])


@torch.no_grad()
def test_features_are_normalised_by_the_statistics_of_the_codec(folder, speech):
    wav = 0.1 * torch.randn(12000)
    hidden = speech.features.speech(resample(wav, 24000, 16000))
    torch.testing.assert_close(speech.features(wav), hidden.transpose(1, 2) / 2)


def test_quiet_references_are_raised_and_loud_ones_left():
    loud = torch.tensor([0.5, -0.5])
    assert torch.equal(raise_to_rms(loud), loud)
    torch.testing.assert_close(raise_to_rms(loud / 50), loud / 5)
    assert torch.equal(raise_to_rms(torch.zeros(4)), torch.zeros(4))


def test_text_is_broken_behind_punctuation_and_packed_by_bytes():
    assert longest_chunk("Twenty bytes of text", 5.0) == 68
    text = "One, two. Three! Four? Five."
    assert chunks_of(text, 100) == ["One, two. Three! Four? Five."]
    assert chunks_of(text, 16) == ["One, two. Three!", "Four? Five."]
    assert chunks_of(text, 1) == ["One,", "two.", "Three!", "Four?", "Five."]
    assert chunks_of("你好，世界。再见！", 18) == ["你好，世界。", "再见！"]
    assert chunks_of("3.5 is a number", 1) == ["3.5 is a number"]
    assert chunks_of("  ", 10) == []


def test_sounds_fade_into_one_another():
    torch.testing.assert_close(
        cross_faded([torch.ones(10), torch.zeros(10)], 5),
        torch.tensor([1.0] * 6 + [0.75, 0.5, 0.25] + [0.0] * 6),
    )
    assert cross_faded([torch.ones(3), torch.zeros(1)], 5).tolist() == [1, 1, 1]


@pytest.mark.parametrize(("given", "wanted"), [(24000, 16000), (16000, 24000), (44100, 16000)])
def test_a_tone_is_the_same_tone_at_another_rate(given, wanted):
    def tone(rate: int) -> Tensor:
        return torch.sin(2 * math.pi * 440 * torch.arange(rate // 2 + 1) / rate)

    moved = resample(torch.stack([tone(given), 2 * tone(given)]), given, wanted)
    length = math.ceil((given // 2 + 1) * wanted / given)
    assert moved.shape == (2, length)
    middle = slice(200, length - 200)
    torch.testing.assert_close(moved[0, middle], tone(wanted)[:length][middle], atol=2e-3, rtol=0)
    torch.testing.assert_close(moved[1], 2 * moved[0])
