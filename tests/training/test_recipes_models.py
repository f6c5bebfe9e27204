"""Codec and language model from scratch, on tones, and the whole pipeline in seconds."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from engines.base import StudioError
from engines.music import checkpoint, codes
from engines.music.decoding import Decoder
from training.config import Precision
from training.recipes import codec as codecs
from training.recipes import model as models
from training.recipes.captions import caption
from training.recipes.codec import Codebook, CodecShape, SpectralLoss, TrainableCodec
from training.recipes.codec_task import CodecTask, si_sdr
from training.recipes.composer import draw_brief
from training.recipes.corpus import SCALE, Corpus, CorpusPlan
from training.recipes.music_task import MusicTask, Pieces
from training.recipes.pipeline import Pipeline, Stage
from training.recipes.polish_task import PolishTask, Split
from training.recipes.recipe import Recipe, WordsRecipe
from training.recipes.text import learn_tokenizer
from training.recipes.words_task import WordsTask
from training.record import State, read_metrics

RATE = 3200
SHAPE = {
    "sample_rate": RATE, "ratios": [8, 8], "filters": 4, "dimension": 16, "lstm_layers": 1,
    "codebooks": 4, "entries": 32,
}  # fmt: skip
SCHEDULE = {"epochs": 1, "batch_size": 4, "learning_rate": 3e-3}
RECIPE = Recipe(
    name="tiny",
    corpus={"items": 8, "validation_items": 4, "seconds": 1.0},
    codec={
        "shape": SHAPE, "crop_s": 0.8, "steps_per_epoch": 6, "validation_crops": 4,
        "schedule": SCHEDULE,
    },
    polish={"crop_s": 0.5, "steps_per_epoch": 6, "schedule": SCHEDULE},
    words={"steps_per_epoch": 6, "schedule": SCHEDULE},
    music={
        "text": {"vocabulary": 128, "dimension": 16, "inner": 32, "layers": 1, "heads": 2},
        "decoder": {"hidden": 32, "inner": 64, "layers": 1, "heads": 2},
        "crop_s": 1.0,
        "schedule": SCHEDULE,
    },
    recall={"pieces_per_style": 1, "schedule": SCHEDULE},
)  # fmt: skip


def tones(items, split="train"):
    """Pieces of one second: the tempo of the brief is heard as the pitch."""
    plan = CorpusPlan(items, 1.0, RATE, 1, split)
    briefs = tuple(draw_brief(plan.rng(n)) for n in range(items))
    times = np.arange(RATE) / RATE
    sounds = [0.3 * np.sin(2 * np.pi * 3 * brief.tempo * times) for brief in briefs]
    return Corpus(plan, (np.round(np.stack(sounds) * SCALE).astype(np.int16),), briefs)


def write(corpus, folder):
    """As ``training.recipes.corpus.write`` leaves it."""
    folder.mkdir(parents=True)
    (folder / "corpus.json").write_text(json.dumps(asdict(corpus.plan)), encoding="utf-8")
    np.save(folder / "shard-00000.npy", corpus.samples[0])
    lines = "\n".join(json.dumps(asdict(brief)) for brief in corpus.briefs)
    (folder / "shard-00000.jsonl").write_text(lines, encoding="utf-8")


def means(task):
    """Validation loss and metrics."""
    found = []
    for batch in task.validation():
        with torch.no_grad():
            loss = task.loss(batch, False)
        found.append({"loss": loss.value, **loss.metrics})
    return {name: float(np.mean([float(one[name]) for one in found])) for name in found[0]}


def learn(task, epochs, rate=3e-3):
    optimizer = torch.optim.AdamW(task.parameters(), rate)
    for epoch in range(epochs):
        for batch in task.batches(epoch):
            task.loss(batch, True).value.backward()
            optimizer.step()
            optimizer.zero_grad()
            task.stepped()


# --- the codec's parts ------------------------------------------------------------------------


def test_a_codebook_finds_the_centres_of_what_it_is_given():
    torch.manual_seed(0)
    centres = 5 * torch.randn(8, 4)
    book = Codebook(16, 4, decay=0.9).train()
    for _ in range(60):
        book(centres[torch.randint(8, (256,))] + 0.05 * torch.randn(256, 4))
    book.eval()
    found, entries = book(centres)
    assert (entries - centres).norm(dim=1).max() < 0.3
    assert len(set(found.tolist())) == 8
    before = book.embed.clone()
    book(torch.randn(64, 4))
    assert torch.equal(book.embed, before)  # only training moves it


def test_codes_that_die_are_set_anew():
    torch.manual_seed(0)
    book = Codebook(8, 2, decay=0.5).train()
    book(torch.randn(64, 2))
    for _ in range(12):
        book(100 + torch.randn(64, 2))
    assert (book.embed > 90).all()


@torch.no_grad()
def test_a_levelled_codec_lets_sound_through():
    """Every layer says something of a size, and what comes out is as loud as what goes in."""
    torch.manual_seed(0)
    sound = 0.1 * torch.randn(2, 1, RATE)
    model = codecs.build(CodecShape(**SHAPE))
    assert float(model.encoder(sound).std()) < 0.5
    codecs.level(model, sound)
    latents = model.encoder(sound)
    assert float(latents.std()) == pytest.approx(1.0, rel=1e-3)
    assert float(model.decoder(latents).std()) == pytest.approx(float(sound.std()), rel=1e-3)


def test_the_decoder_first_hears_latents_as_they_are():
    torch.manual_seed(0)
    codec = TrainableCodec(CodecShape(**SHAPE), free_steps=1).train()
    sound = 0.1 * torch.randn(2, 1, RATE)
    made, codes, commitment = codec(sound)
    assert torch.equal(made, codec.model.decoder(codec.model.encoder(sound)))
    assert (int(codes.max()), float(commitment), bool(codec.books[0].ready)) == (0, 0.0, False)
    later, codes, commitment = codec(sound)
    assert not torch.equal(made, later)
    assert int(codes.max()) > 0
    assert float(commitment.detach()) > 0


def test_the_spectral_loss_grows_with_the_difference():
    loss = SpectralLoss(RATE)
    torch.manual_seed(0)
    sound = 0.3 * torch.sin(torch.arange(RATE) * 0.3)[None, None]
    noise = torch.randn(1, 1, RATE)
    found = [float(loss(sound + level * noise, sound)) for level in (0, 0.01, 0.1)]
    assert found[0] == 0
    assert found[0] < found[1] < found[2]


def test_usage_and_perplexity_of_known_codes():
    even = torch.arange(8).repeat(4)
    one = torch.zeros_like(even)
    found = torch.stack([even, one])[None]
    assert codecs.usage(found, 16) == [0.5, 1 / 16]
    assert codecs.perplexity(found, 16) == pytest.approx([8.0, 1.0])


def test_si_sdr_is_the_ratio_to_the_noise_at_any_scale():
    torch.manual_seed(0)
    sound, noise = torch.randn(2, 1, 20000)
    made = sound + 0.1 * noise
    assert float(si_sdr(made, sound)) == pytest.approx(20, abs=0.3)
    assert float(si_sdr(5 * made, sound)) == pytest.approx(float(si_sdr(made, sound)), abs=1e-3)


def test_what_is_exported_is_what_was_trained(tmp_path):
    """Same codes and sound through transformers after saving and loading."""
    from transformers import EncodecModel

    torch.manual_seed(0)
    codec = TrainableCodec(CodecShape(**SHAPE)).train()
    sound = torch.from_numpy(np.stack([tones(4).sound(n) for n in range(4)]))[:, None]
    codec(sound)
    codec.eval()
    with torch.no_grad():
        made, ours, _ = codec(sound)
    codec.export().save_pretrained(tmp_path)
    loaded = EncodecModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        theirs = loaded.encode(sound).audio_codes[0]
        again = loaded.decode(theirs[None], [None]).audio_values
    assert ours.shape == (4, 4, 50)
    assert (ours == theirs).float().mean() > 0.99
    assert (made[..., :RATE] - again[..., :RATE]).abs().mean() < 0.01 * made.abs().mean() + 1e-6


# --- codec task -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def codec_task():
    return CodecTask(RECIPE.codec, tones(8), tones(4, "validation"), seed=0)


def test_the_codec_learns_tones(codec_task):
    learn(codec_task, 1)
    before = means(codec_task)
    learn(codec_task, 6)
    after = means(codec_task)
    assert after["loss"] < 0.92 * before["loss"]
    assert after["spectral"] < before["spectral"]
    assert 0 < after["use_1"] <= 1


def test_crops_are_drawn_by_epoch_and_fit(codec_task):
    one, again, other = (codec_task.batches(epoch) for epoch in (0, 0, 1))
    assert one == again != other
    assert len(one) == 6
    assert {len(batch) for batch in one} == {4}
    for crop in [crop for batch in one for crop in batch]:
        assert 0 <= crop.start <= 0.2 * RATE
        assert 0 <= crop.item < 8
    assert codec_task.validation() == codec_task.validation()


def test_a_codec_is_the_same_after_saving(codec_task, tmp_path):
    codec_task.save(tmp_path)
    fresh = CodecTask(RECIPE.codec, tones(8), tones(4, "validation"), seed=0)
    assert means(fresh)["loss"] != pytest.approx(means(codec_task)["loss"], rel=1e-3)
    fresh.load(tmp_path)
    assert means(fresh)["loss"] == pytest.approx(means(codec_task)["loss"], rel=1e-5)


# --- the codec's decoder ----------------------------------------------------------------------


def split_of(codec, items, split="train"):
    corpus = tones(items, split)
    sounds = np.stack([corpus.sound(n) for n in range(items)])[:, None]
    with torch.inference_mode():
        return Split(corpus, codec(torch.from_numpy(sounds))[1].numpy().astype(np.int16))


def test_the_decoder_learns_on_and_the_codes_stay(codec_task):
    learn(codec_task, 20)
    codec = codec_task.codec.eval()
    train, held_out = split_of(codec, 8), split_of(codec, 4, "validation")
    before = {name: value.clone() for name, value in codec.state_dict().items()}
    task = PolishTask(RECIPE.codec, RECIPE.polish, codec, train, held_out, seed=0)
    assert task.batches(0) == task.batches(0) != task.batches(1)
    found = means(task)
    learn(task, 30)
    assert means(task)["spectral"] < found["spectral"]
    changed = {
        name for name, value in codec.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed and all(name.startswith("model.decoder.") for name in changed)
    codec.eval()
    assert np.array_equal(split_of(codec, 4, "validation").codes, held_out.codes)


def test_what_the_polish_hears_is_what_the_codes_stand_for(codec_task):
    codec = codec_task.codec.eval()
    split = split_of(codec, 4, "validation")
    task = PolishTask(RECIPE.codec, RECIPE.polish, codec, split, split, seed=0)
    (stretch, *_), *_ = task.validation()
    whole = PolishTask._latents(task, [stretch._replace(start=0)])
    model = codec.export().eval()
    codes = torch.from_numpy(split.codes[stretch.item][None, None, :, : whole.shape[-1]]).long()
    theirs = model.quantizer.decode(codes[0].transpose(0, 1))
    assert torch.allclose(whole, theirs, atol=1e-5)
    wanted = split.corpus.sound(stretch.item)[stretch.start * 64 :][: 25 * 64]
    assert np.array_equal(task._sounds([stretch])[0, 0].numpy(), wanted)


# --- the text encoder -------------------------------------------------------------------------


def words_task(seed=0):
    built = models.build(RECIPE, TrainableCodec(CodecShape(**SHAPE)).export(), words())
    recipe = WordsRecipe(steps_per_epoch=10, schedule=SCHEDULE | {"batch_size": 16})
    train, held_out = pieces(64).briefs, pieces(16, 1).briefs
    return WordsTask(recipe, built.text_encoder, words(), train, held_out, seed)


def test_the_text_encoder_learns_what_captions_say(tmp_path):
    task = words_task()
    assert task.batches(0) == task.batches(0) != task.batches(1)
    before = means(task)
    learn(task, 30, 1e-2)
    after = means(task)
    assert set(after) == {
        "loss", "style", "mood", "energy", "key", "tempo", "lead", "support", "flags"
    }  # fmt: skip
    assert after["style"] < 0.7 * before["style"]
    assert after["loss"] < before["loss"]
    task.save(tmp_path)
    other = words_task()
    other.load(tmp_path)
    assert means(other) == pytest.approx(after, rel=1e-5)


# --- language model ---------------------------------------------------------------------------


def pieces(count, seed=0):
    """Codes that follow from the style: pieces of one style are alike."""
    rng = np.random.default_rng(seed)
    briefs = []
    while len(briefs) < count:
        brief = draw_brief(rng)
        if brief.style in ("jazz", "house"):
            briefs.append(brief)
    rows = [np.full((4, 50), 3 if brief.style == "jazz" else 20) for brief in briefs]
    noise = rng.integers(0, 4, (count, 4, 50))
    return Pieces((np.stack(rows) + noise).astype(np.int16), briefs)


@functools.cache
def words():
    rng = np.random.default_rng(0)
    return learn_tokenizer((caption(b, rng) for b in pieces(8).briefs * 20), 128)


def music_task(seed=0, **changes):
    torch.manual_seed(seed)
    recipe = RECIPE.model_copy(
        update={"seed": seed, "music": RECIPE.music.model_copy(update=changes)}
    )
    built = models.build(recipe, TrainableCodec(CodecShape(**SHAPE)).export(), words())
    return MusicTask(recipe.music, built, words(), pieces(16), pieces(6, 1), seed)


def test_a_fresh_model_knows_what_the_codec_knows_of_its_codes():
    codec = TrainableCodec(CodecShape(**SHAPE))
    for number, book in enumerate(codec.books):
        torch.nn.init.normal_(book.embed, std=0.5**number)
    built = models.build(RECIPE, codec.export(), words())
    for book, embedding, head in zip(
        codec.books, built.decoder.model.decoder.embed_tokens, built.decoder.lm_heads, strict=True
    ):
        ours = embedding.weight[: len(book.embed)].detach()
        angles, theirs = ours @ ours.T, book.embed @ book.embed.T
        assert torch.allclose(angles / angles.norm(), theirs / theirs.norm(), atol=1e-5)
        assert torch.allclose(head.weight / head.weight.norm(), ours / ours.norm(), atol=1e-6)
    first = built.decoder.model.decoder.embed_tokens[0].weight[: len(book.embed)].detach()
    assert first.square().mean().sqrt() == pytest.approx(1, rel=1e-3)


def test_the_loss_is_the_librarys():
    task = music_task()
    batch = task.validation()[0]
    with torch.no_grad():
        ours = task.loss(batch, False)
        labels = torch.full((len(batch), 53, 4), task.model.decoder.config.pad_token_id)
        held_out = pieces(6, 1)
        for row, take in zip(labels, batch, strict=True):
            for k in range(4):
                row[k : k + 50, k] = torch.from_numpy(held_out.codes[take.item][k].astype(int))
        read = task._tokenizer([take.caption for take in batch], padding=True, return_tensors="pt")
        with task.averaged():
            theirs = task.model(**read, labels=labels).loss
    assert float(ours.value) == pytest.approx(float(theirs), abs=1e-4)
    each = [float(ours.metrics[f"codebook_{k}"]) for k in range(1, 5)]
    assert float(ours.value) == pytest.approx(np.mean(each), abs=1e-5)


def test_codebooks_weigh_what_the_recipe_says():
    plain, first = music_task(), music_task(codebook_weights=(1.0, 0.0, 0.0, 0.0))
    batch = plain.validation()[0]
    with torch.no_grad():
        expected = plain.loss(batch, False).metrics["codebook_1"]
        assert float(first.loss(batch, False).value) == pytest.approx(float(expected), abs=1e-5)


def test_it_learns_from_the_caption():
    """One frame, so that nothing but the caption says which style it is."""
    task = music_task(3, ema_decay=0.9, crop_s=0.02, conditioning_dropout=0.0)
    learn(task, 40, 3e-3)
    for take in task.validation()[0]:
        style = pieces(6, 1).briefs[take.item].style
        found = {}
        for word in ("jazz", "house"):
            with torch.no_grad():
                said = take._replace(caption=f"a {word} tune")
                found[word] = float(task.loss([said], False).value)
        other = "house" if style == "jazz" else "jazz"
        assert found[style] < found[other] - 0.3


def test_some_batches_are_short_and_none_of_the_held_out():
    task = music_task(short_share=0.5, short_crop_s=0.5)
    drawn = [batch for epoch in range(10) for batch in task.batches(epoch)]
    lengths = [{take.frames for take in batch} for batch in drawn]
    assert {tuple(found) for found in lengths} == {(25,), (50,)}  # one length in each batch
    assert 0.3 < lengths.count({25}) / len(lengths) < 0.7
    short = next(batch for batch in drawn if batch[0].frames == 25)
    assert all(0 <= take.start <= 25 for take in short)
    assert np.isfinite(float(task.loss(short, True).value.detach()))
    assert {take.frames for batch in task.validation() for take in batch} == {50}


def test_recall_takes_some_pieces_of_each_style_from_their_start():
    some = pieces(16).of_each_style(2)
    assert sorted(brief.style for brief in some.briefs) == ["house", "house", "jazz", "jazz"]
    assert some.codes.shape == (4, 4, 50)
    first = next(n for n, brief in enumerate(pieces(16).briefs) if brief.style == "jazz")
    assert np.array_equal(some.codes[[b.style for b in some.briefs].index("jazz")],
                          pieces(16).codes[first])  # fmt: skip
    built = models.build(RECIPE, TrainableCodec(CodecShape(**SHAPE)).export(), words())
    recipe = RECIPE.music.model_copy(update={"short_share": 1.0, "short_crop_s": 0.5})
    task = MusicTask(recipe, built, words(), some, some, 0, from_start=True)
    drawn = [take for epoch in range(5) for batch in task.batches(epoch) for take in batch]
    assert {(take.start, take.frames) for take in drawn} == {(0, 25)}


def test_a_training_may_begin_where_another_ended(tmp_path):
    first = music_task(ema_decay=0.9)
    learn(first, 3)
    first.save(tmp_path)
    second = music_task(ema_decay=0.9)
    second.begin_with(tmp_path)
    assert means(second) == pytest.approx(means(first), rel=1e-5)
    with torch.no_grad():
        for name, parameter in second._learned.items():
            assert torch.equal(parameter, first._average[name])


def test_every_piece_is_met_once_an_epoch_with_new_captions():
    task = music_task()
    one, other = ([t for batch in task.batches(epoch) for t in batch] for epoch in (0, 1))
    assert sorted(take.item for take in one) == sorted(take.item for take in other)
    assert [take.item for take in one] != [take.item for take in other]
    said = {take.item: take.caption for take in one}
    assert sum(said[take.item] != take.caption for take in other) > 12
    assert task.batches(0) == task.batches(0)
    assert task.validation() == task.validation()


def test_the_average_follows_and_is_what_is_validated():
    task = music_task(ema_decay=0.95)
    name = "decoder.model.decoder.layers.0.fc1.weight"
    start = task._learned[name].detach().clone()
    learn(task, 2, 1e-2)
    now, average = task._learned[name].detach(), task._average[name]
    assert 0 < (average - start).norm() < (now - start).norm()
    with task.averaged():
        assert torch.equal(task._learned[name], average)
    assert torch.equal(task._learned[name], now)


def test_a_model_goes_on_as_it_was(tmp_path):
    task = music_task()
    learn(task, 1, 1e-2)
    task.save(tmp_path)
    fresh = music_task()
    assert means(fresh)["loss"] != pytest.approx(means(task)["loss"], abs=0.1)
    fresh.load(tmp_path)
    assert means(fresh) == pytest.approx(means(task), abs=1e-5)
    for one in (task, fresh):
        torch.manual_seed(0)
        np.random.seed(0)
        learn(one, 1, 1e-3)
    assert means(fresh) == pytest.approx(means(task), abs=1e-4)


def test_an_item_to_learn_from_can_be_looked_at_without_training():
    """As the loop does to name the one whose loss is no number."""
    task = music_task()
    take = next(take for batch in task.batches(0) for take in batch if take.item >= 6)
    with torch.no_grad():
        assert torch.isfinite(task.loss([take], False).value)


def test_prompts_are_dropped_by_share():
    task = music_task(conditioning_dropout=0.25)
    batch = task.batches(0)[0]
    np.random.seed(0)
    seen = []
    plain = task.model.decoder.forward

    def spy(*args, **kwargs):
        seen.extend((kwargs["encoder_hidden_states"] == 0).all(-1).all(-1).tolist())
        return plain(*args, **kwargs)

    task.model.decoder.forward = spy
    with torch.no_grad():
        for _ in range(50):
            task.loss(batch, True)
    assert np.mean(seen) == pytest.approx(0.25, abs=0.08)
    seen.clear()
    with torch.no_grad():
        task.loss(task.validation()[0], False)
    assert not any(seen)


# --- the pipeline -----------------------------------------------------------------------------

TRAINED = tuple(Stage)[1:]  # all after the corpus


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A pipeline that ran from a corpus of tones to a model."""
    folder = tmp_path_factory.mktemp("recipe")
    for split, items in (("train", 8), ("validation", 4)):
        write(tones(items, split), folder / "corpus" / split)
    pipeline = Pipeline(RECIPE, folder, 1, Precision.FLOAT32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_DEVICE", "cpu")
        assert pipeline.run(TRAINED) is State.DONE
    return pipeline


def test_the_result_is_a_musicgen_like_any_other(made):
    from transformers import AutoTokenizer, MusicgenForConditionalGeneration

    folder = made.folder / "model"
    facts = checkpoint.describe(folder)
    assert (facts.sample_rate, facts.frame_rate, facts.codebooks) == (RATE, 50, 4)
    assert facts.max_s >= 1
    loaded = MusicgenForConditionalGeneration.from_pretrained(folder)
    text = AutoTokenizer.from_pretrained(folder)(["happy jazz"], return_tensors="pt")
    torch.manual_seed(0)
    sound = loaded.generate(**text, max_new_tokens=30)
    assert sound.shape[:2] == (1, 1)
    assert torch.isfinite(sound).all()


def test_the_studio_plays_it(made):
    loaded = checkpoint.load(made.folder / "model")
    decoder = Decoder(loaded.model.decoder, threads=1)
    states = codes.encode_text(loaded, ["happy jazz", "sad house"])
    with torch.no_grad():
        given = codes.conditioning(loaded, states.states, states.mask)
    found = [
        decoder.generate(
            given, states.mask, frames=40, rngs=[np.random.default_rng(seed) for seed in (1, 2)]
        )
        for _ in range(2)
    ]
    decoder.close()
    assert found[0].shape == (2, 4, 40)
    assert np.array_equal(*found)
    assert not np.array_equal(found[0][0], found[0][1])
    assert codes.decode_codes(loaded, torch.from_numpy(found[0][0])).shape == (1, 40 * 64)


def test_the_saved_codec_is_the_trained_one(made):
    loaded = checkpoint.load(made.folder / "model")
    wanted = np.load(made.folder / "codes" / "validation" / "shard-00000.npy")
    assert wanted.shape == (4, 4, 50)
    for row, n in zip(wanted, range(4), strict=True):
        found = codes.encode_audio(loaded, tones(4, "validation").sound(n), RATE).numpy()
        assert (found == row).mean() > 0.8  # fp16 weights move a few


def test_the_saved_tokenizer_is_the_one_that_was_trained_with(made):
    """Learning it again gives other numbers to pieces of the same score."""
    from transformers import AutoTokenizer

    wanted = AutoTokenizer.from_pretrained(made.folder / "model").get_vocab()
    assert made.tokenizer().get_vocab() == wanted
    assert Pipeline(RECIPE, made.folder).tokenizer().get_vocab() == wanted


def test_curves_are_written(made):
    for stage in ("codec", "polish", "words", "music", "recall"):
        lines = read_metrics(made.folder / stage)
        validated = [line for line in lines if line["split"] == "validation"]
        assert len(validated) == 2
        assert all(np.isfinite(line["loss"]) for line in validated)


def test_running_again_leaves_what_is_there(made, monkeypatch):
    monkeypatch.setenv("STUDIO_DEVICE", "cpu")
    codes_file = made.folder / "codes" / "train" / "shard-00000.npy"
    stamp, steps = codes_file.stat().st_mtime_ns, len(read_metrics(made.folder / "music"))
    assert made.run(TRAINED[:5]) is State.DONE
    assert codes_file.stat().st_mtime_ns == stamp
    assert len(read_metrics(made.folder / "music")) == steps


def test_stages_out_of_order_say_what_is_missing(tmp_path):
    with pytest.raises(StudioError, match=r"train it first \(--stages codec\)"):
        Pipeline(RECIPE, tmp_path).codec()
