"""Codec and language model from scratch, on tones, and the whole pipeline in seconds."""

from __future__ import annotations

import copy
import functools
import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from engines.base import StudioError
from engines.music.musicgen import checkpoint, codes
from engines.music.musicgen.decoding import Decoder
from training.config import Precision
from training.musicgen.tasks import tokens
from training.recipes import codec as codecs
from training.recipes import corpus as corpora
from training.recipes import model as models
from training.recipes import score
from training.recipes.asked import AskedHeads, tempo_step
from training.recipes.captions import caption
from training.recipes.codec import CodecShape, ScoreCodec, SpectralLoss, si_sdr
from training.recipes.composer import PARTS, draw_brief, knowledge
from training.recipes.corpus import SCALE, Corpus, CorpusPlan
from training.recipes.listen_task import ListenTask
from training.recipes.music_task import MusicTask, entering
from training.recipes.pipeline import Pipeline, Stage
from training.recipes.recipe import Recipe, WordsRecipe
from training.recipes.synth_task import SynthTask
from training.recipes.text import learn_tokenizer
from training.recipes.words_task import WordsTask
from training.record import State, read_metrics

RATE = 3200
SHAPE = {
    "sample_rate": RATE, "ratios": [8, 8], "filters": 4, "dimension": 64, "lstm_layers": 1,
    "entries": 4096,
}  # fmt: skip
STYLES = sorted(knowledge()["styles"])
SCHEDULE = {"epochs": 1, "batch_size": 4, "learning_rate": 3e-3}
RECIPE = Recipe(
    name="tiny",
    corpus={"items": 8, "validation_items": 4, "scores": 8, "seconds": 1.0},
    codec=SHAPE,
    synth={"crop_s": 0.5, "steps_per_epoch": 6, "validation_crops": 8, "schedule": SCHEDULE},
    listen={"crop_s": 0.5, "steps_per_epoch": 6, "validation_crops": 8, "schedule": SCHEDULE},
    words={"steps_per_epoch": 6, "schedule": SCHEDULE},
    music={
        "text": {"vocabulary": 128, "dimension": 16, "inner": 32, "layers": 1, "heads": 2},
        "decoder": {"hidden": 32, "inner": 64, "layers": 1, "heads": 2},
        "crop_s": 1.0,
        "schedule": SCHEDULE,
    },
)  # fmt: skip


def tones(items, split="train"):
    """Pieces of one second: the style of the brief is heard as the pitch, and is each of its codes."""
    plan = CorpusPlan(items, 1.0, RATE, 1, split)
    briefs = tuple(draw_brief(plan.rng(n)) for n in range(items))
    times, numbers = np.arange(RATE) / RATE, [STYLES.index(brief.style) for brief in briefs]
    sounds = [0.15 * np.sin(2 * np.pi * 100 * (number + 1) * times) for number in numbers]
    codes = np.tile(np.array(numbers, np.int16)[:, None, None], (1, 4, 50))
    stems = np.stack([np.stack([0.25 * sound] * 4) for sound in sounds])  # each part a quarter
    return Corpus(plan, (np.round(stems * SCALE).astype(np.int16),), codes, briefs)


def write(corpus, folder):
    """As ``training.recipes.corpus.write`` leaves it."""
    folder.mkdir(parents=True)
    (folder / "corpus.json").write_text(json.dumps(asdict(corpus.plan)), encoding="utf-8")
    np.save(folder / "shard-00000.npy", corpus.samples[0])
    with (folder / "shard-00000.codes").open("wb") as file:
        np.save(file, corpus.codes)
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


@torch.no_grad()
def test_a_levelled_codec_lets_sound_through():
    """Every layer says something of a size, and what comes out is as loud as what goes in."""
    torch.manual_seed(0)
    sound = 0.1 * torch.randn(2, 1, RATE)
    model = codecs.build(CodecShape(**SHAPE))
    assert float(model.encoder(sound).std()) < 0.5
    codecs.level(model.encoder, sound)
    latents = model.encoder(sound)
    assert float(latents.std()) == pytest.approx(1.0, rel=1e-3)
    codecs.level(model.decoder, latents, 0.1)
    assert float(model.decoder(latents).std()) == pytest.approx(0.1, rel=1e-3)


def test_codes_that_are_alike_begin_alike():
    torch.manual_seed(0)
    book, vectors = score.books()[3], codecs.likenesses(64)[3]
    number = {code: n for n, code in enumerate(book.codes)}
    one, other, far = (
        vectors[number[code]]
        for code in (
            ("start", "flute", 67, 0),
            ("start", "flute", 67, 1),
            ("hold", "violin", 62, 0, 0),
        )
    )
    assert F.cosine_similarity(one, other, 0) > 0.4 + F.cosine_similarity(one, far, 0)
    assert vectors.std() == pytest.approx(1, rel=0.1)


def test_a_codebook_begins_as_what_is_heard():
    """Of two codes with sounds of opposite sign: the entries are opposite, those not met are zero."""
    plan = CorpusPlan(2, 1.0, RATE)
    wave = np.tile(np.sin(2 * np.pi * np.arange(64) / 64), 50)
    stems = np.zeros((2, 4, RATE))
    stems[0, 3], stems[1, 3] = 0.2 * wave, -0.2 * wave
    numbers = np.full((2, 4, 50), score.RESTING, np.int16)
    numbers[0, 3], numbers[1, 3] = 40, 41
    rng = np.random.default_rng(0)
    briefs = (draw_brief(rng), draw_brief(rng))
    corpus = Corpus(plan, (np.round(stems * SCALE).astype(np.int16),), numbers, briefs)
    entries = codecs.sounding(corpus, 8)[3]
    assert torch.allclose(entries[40], -entries[41], atol=1e-3)
    assert float(entries[40].abs().max()) > 1
    assert not entries[42:].any()


def test_the_frames_of_a_rest_are_told_apart():
    """They sound the same, and an encoder has to name the right one."""
    codec = ScoreCodec(CodecShape(**SHAPE), tones(4))
    for book in codec.books():
        apart = torch.cdist(book[: score.RESTS], book[: score.RESTS]) + torch.eye(score.RESTS)
        assert float(apart.min().detach()) > 0.1


def test_a_score_needs_room_and_its_frame_rate():
    with pytest.raises(ValueError, match="codebooks of 3072 entries"):
        ScoreCodec(CodecShape(**SHAPE | {"entries": 1024}))
    with pytest.raises(ValueError, match="50 frames a second"):
        ScoreCodec(CodecShape(**SHAPE | {"ratios": (8, 4)}))


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


@torch.no_grad()
def test_transformers_hears_and_plays_the_same(tmp_path):
    """The residual quantizer finds in each codebook what is nearest in that one alone."""
    from transformers import EncodecModel

    codec = ScoreCodec(CodecShape(**SHAPE)).eval()
    sound = torch.from_numpy(np.stack([tones(4).sound(n) for n in range(4)]))[:, None]
    codecs.level(codec.model.encoder, sound)
    ours = torch.stack([near.argmax(-1) for near in codec.hear(sound)], 1)
    assert len(torch.unique(ours)) > 8
    codec.export().save_pretrained(tmp_path)
    loaded = EncodecModel.from_pretrained(tmp_path).eval()
    theirs = loaded.encode(sound).audio_codes[0]
    assert theirs.shape == (4, 4, 50)
    assert (ours == theirs).float().mean() > 0.99
    played = loaded.decode(ours[None], [None]).audio_values
    assert torch.allclose(codec.play(ours), played[..., :RATE], atol=1e-5)


# --- playing and hearing ----------------------------------------------------------------------


def synth_task():
    return SynthTask(RECIPE.synth, ScoreCodec(RECIPE.codec), tones(24), tones(8, "validation"), 0)


def listen_task(codec):
    return ListenTask(RECIPE.listen, codec, tones(24), tones(8, "validation"), 0)


@pytest.fixture(scope="module")
def player():
    """A codec that plays tones, and what it was like before and after it learned that."""
    task = synth_task()
    before = means(task)
    learn(task, 25)
    return task.codec, before, means(task)


def test_the_decoder_learns_to_play_its_codes(player):
    _, before, after = player
    assert after["spectral"] < 0.6 * before["spectral"]
    assert after["loss"] < 0.6 * before["loss"]


def test_the_encoder_learns_to_hear_and_nothing_else_changes(player):
    codec = copy.deepcopy(player[0])
    state = {name: value.clone() for name, value in codec.state_dict().items()}
    task = listen_task(codec)
    before = means(task)
    learn(task, 25)
    after = means(task)
    assert after["loss"] < 0.5 * before["loss"]
    for part in PARTS:
        assert after[f"{part}_right"] > 0.5
        assert after[f"{part}_use"] <= 12 / 4096
    changed = {n for n, value in codec.state_dict().items() if not torch.equal(value, state[n])}
    assert changed and all(name.startswith("model.encoder.") for name in changed)


def test_stretches_are_drawn_by_epoch_and_belong_to_their_codes():
    task = synth_task()
    one, again, other = (task.batches(epoch) for epoch in (0, 0, 1))
    assert one == again != other
    assert [len(batch) for batch in one] == [4] * 6
    assert task.validation() == task.validation()
    (stretch, *_), *_ = task.validation()
    corpus = tones(8, "validation")
    wanted = corpus.sound(stretch.item)[stretch.start * 64 :][: 25 * 64]
    assert np.array_equal(task._stretches.sounds([stretch])[0, 0].numpy(), wanted)
    found = task._stretches.codes([stretch])[0].numpy()
    assert np.array_equal(found, corpus.codes[stretch.item][:, :25])


def test_a_part_alone_is_heard_with_the_others_at_rest():
    task = synth_task()
    drawn = [stretch for epoch in range(10) for batch in task.batches(epoch) for stretch in batch]
    alone = [stretch for stretch in drawn if stretch.part is not None]
    assert len(alone) == pytest.approx(0.5 * len(drawn), abs=40)
    assert {stretch.part for stretch in alone} == {0, 1, 2, 3}
    stretch = alone[0]
    codes = task._stretches.codes([stretch])[0].numpy()
    assert (np.delete(codes, stretch.part, 0) == score.RESTING).all()
    whole = stretch._replace(part=None)
    assert np.array_equal(codes[stretch.part], task._stretches.codes([whole])[0, stretch.part])
    one, all_of_it = (task._stretches.sounds([s])[0] for s in (stretch, whole))
    assert torch.allclose(4 * one, all_of_it, atol=1e-3)


def test_the_waveform_comes_first():
    recipe = RECIPE.synth.model_copy(update={"waveform_epochs": 1})
    task = SynthTask(recipe, ScoreCodec(RECIPE.codec), tones(8), tones(4, "validation"), 0)
    for epoch, alone in ((0, True), (1, False)):
        found = task.loss(task.batches(epoch)[0], True)
        both = found.metrics["spectral"] + recipe.waveform_weight * found.metrics["waveform"]
        wanted = found.metrics["waveform"] if alone else both
        assert float(found.value) == pytest.approx(float(wanted), rel=1e-5)


def test_a_codec_is_the_same_after_saving(player, tmp_path):
    player[0].save(tmp_path)
    fresh = synth_task()
    assert means(fresh)["loss"] != pytest.approx(player[2]["loss"], rel=1e-3)
    fresh.load(tmp_path)
    assert means(fresh)["loss"] == pytest.approx(player[2]["loss"], rel=1e-5)


# --- the text encoder -------------------------------------------------------------------------


def words_task(seed=0):
    built = models.build(RECIPE, codecs.build(RECIPE.codec), words())
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
        "loss", "style", "mood", "energy", "key", "key_right", "tempo", "tempo_right", "lead",
        "support", "flags",
    }  # fmt: skip
    assert after["style"] < 0.7 * before["style"]
    assert after["loss"] < before["loss"]
    task.save(tmp_path)
    other = words_task()
    other.load(tmp_path)
    assert means(other) == pytest.approx(after, rel=1e-5)


# --- language model ---------------------------------------------------------------------------


def pieces(count, seed=0, spread=4):
    """Codes that follow from the style: pieces of one style are alike."""
    rng = np.random.default_rng(seed)
    briefs = []
    while len(briefs) < count:
        brief = draw_brief(rng)
        if brief.style in ("jazz", "house"):
            briefs.append(brief)
    rows = [np.full((4, 50), 3 if brief.style == "jazz" else 700) for brief in briefs]
    noise = rng.integers(0, spread, (count, 4, 50))
    codes = (np.stack(rows) + noise).astype(np.int16)
    return Corpus(CorpusPlan(count, 1.0, RATE), (), codes, tuple(briefs))


@functools.cache
def words():
    rng = np.random.default_rng(0)
    return learn_tokenizer((caption(b, rng) for b in pieces(8).briefs * 20), 128)


def music_task(seed=0, count=16, spread=4, **changes):
    torch.manual_seed(seed)
    recipe = RECIPE.model_copy(
        update={"seed": seed, "music": RECIPE.music.model_copy(update=changes)}
    )
    built = models.build(recipe, codecs.build(RECIPE.codec), words())
    return MusicTask(
        recipe.music, built, words(), pieces(count, 0, spread), pieces(6, 1, spread), seed
    )


def test_a_fresh_model_knows_which_codes_are_alike():
    built = models.build(RECIPE, codecs.build(RECIPE.codec), words())
    for book, embedding, head in zip(
        score.books(), built.decoder.model.decoder.embed_tokens, built.decoder.lm_heads, strict=True
    ):
        ours, said = embedding.weight[: len(book)].detach(), head.weight[: len(book)].detach()
        assert float(ours.square().mean().sqrt()) == pytest.approx(1, rel=0.1)
        assert torch.allclose(said / said.norm(), ours / ours.norm(), atol=1e-6)
        alike = F.cosine_similarity(ours[40], ours[41], 0)  # one thing at two ages
        assert alike > 0.3


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


def test_heads_tell_what_was_asked():
    briefs = pieces(6).briefs
    heads = AskedHeads(16)
    states = torch.randn(6, 3, 16, generator=torch.Generator().manual_seed(0))
    found = heads(states, briefs)
    alone = [heads(states[n : n + 1, t : t + 1], [briefs[n]]) for n in range(6) for t in range(3)]
    for name, value in found.items():
        mean = torch.stack([one[name] for one in alone]).mean()
        assert float(value.detach()) == pytest.approx(float(mean.detach()), abs=1e-5)
    assert 2 < float(found["key"].detach()) < 5  # ln 24 is 3.2
    optimizer = torch.optim.Adam(heads.parameters(), 0.05)
    states = torch.eye(6, 16)[:, None].expand(6, 3, 16)
    for _ in range(60):
        optimizer.zero_grad()
        heads.total(heads(states, briefs)).backward()
        optimizer.step()
    learned = heads(states, briefs)
    assert float(learned["key_right"]) == float(learned["tempo_right"]) == 1
    assert float(learned["lead"].detach()) < 0.1


def test_steps_of_the_tempo_go_from_the_slowest_to_the_fastest():
    steps = [tempo_step(bpm) for bpm in range(60, 181)]
    assert steps == sorted(steps) and set(steps) == set(range(41))
    assert tempo_step(40) == 0 and tempo_step(300) == 40


def test_the_middle_of_the_decoder_learns_what_was_asked(tmp_path):
    def told(task):
        return means(task)["asked_style"]

    task, without = music_task(asked_weight=1.0), music_task()
    assert "asked_style" not in means(without)
    before = told(task)
    learn(task, 40, 1e-2)
    assert told(task) < 0.7 * before
    plain = {name: value for name, value in means(task).items() if name.startswith("codebook")}
    assert means(task)["loss"] == pytest.approx(np.mean(list(plain.values())), abs=1e-5)
    task.save(tmp_path)
    other = music_task(asked_weight=1.0)
    other.load(tmp_path)
    assert told(other) == pytest.approx(told(task), rel=1e-5)


def struck(k, nth=0):
    """A code of a book that begins a note."""
    return int(np.flatnonzero(score.begins()[k])[nth])


def test_a_part_is_entering_until_it_has_begun_some_notes():
    line = np.full((4, 8), score.RESTING)
    line[1, 2:] = struck(1) + 1  # one goes on that never began
    line[1, 3], line[1, 6] = struck(1), struck(1, 5)
    line[3, 0] = struck(3)
    labels = tokens([torch.from_numpy(line)], 3072).labels
    assert labels.shape == (1, 4, 11)
    assert [int(n) for n in entering(labels, 1).sum(-1)[0]] == [
        11,
        1 + 4,
        11,
        3 + 1,
    ]  # with the delay
    assert [int(n) for n in entering(labels, 2).sum(-1)[0]] == [11, 1 + 7, 11, 11]
    changed = labels.clone()
    changed[0, 1, 5:] = score.RESTING  # what comes later is not known
    assert torch.equal(entering(changed, 1)[..., :5], entering(labels, 1)[..., :5])


def test_what_enters_weighs_more():
    batch = music_task().validation()[0][:1]
    found = {}
    for weight in (1.0, 11.0):
        task = music_task(entry_weight=weight)
        line = task._held_out.codes[batch[0].item]
        line[:] = score.RESTING
        line[:, 4] = [struck(k) for k in range(4)]
        with torch.no_grad():
            found[weight] = task.loss(batch, False)
    assert found[1.0].metrics == found[11.0].metrics  # these say what each code costs, in nats
    first = 5 / 50  # of the frames, up to the entry
    times = float(found[11.0].value) / float(found[1.0].value)
    assert times == pytest.approx(1 + 10 * first, rel=0.2)


def test_it_learns_from_the_caption():
    """One frame, so that nothing but the caption says which style it is."""
    task = music_task(3, 64, 1, ema_decay=0.9, crop_s=0.02, conditioning_dropout=0.0)
    learn(task, 20)
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
    assert np.isfinite(float(task.loss(short, True).value.detach()))
    assert {take.frames for batch in task.validation() for take in batch} == {50}


def test_openings_are_many_and_short():
    task = music_task(opening_s=0.1, opening_size=7, opening_batches=3)
    drawn = [{(len(batch), take.frames) for take in batch} for batch in task.batches(0)]
    assert drawn.count({(7, 5)}) == 3
    assert drawn.count({(4, 50)}) == 4
    assert drawn != sorted(drawn, key=str)  # among the others


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
    corpora.write(folder / "corpus" / "scores", RECIPE.corpus.plans(RATE, RECIPE.seed)["scores"])
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


@torch.no_grad()
def test_the_saved_codec_is_the_trained_one(made):
    loaded = checkpoint.load(made.folder / "model")
    codec = made.codec()
    for n in range(4):
        sound = torch.from_numpy(tones(4, "validation").sound(n))[None, None]
        ours = torch.stack([near.argmax(-1) for near in codec.hear(sound)], 1)[0].numpy()
        found = codes.encode_audio(loaded, sound[0, 0].numpy(), RATE).numpy()
        assert (found == ours).mean() > 0.8  # fp16 weights move a few


def test_the_saved_tokenizer_is_the_one_that_was_trained_with(made):
    """Learning it again gives other numbers to pieces of the same score."""
    from transformers import AutoTokenizer

    wanted = AutoTokenizer.from_pretrained(made.folder / "model").get_vocab()
    assert made.tokenizer().get_vocab() == wanted
    assert Pipeline(RECIPE, made.folder).tokenizer().get_vocab() == wanted


def test_curves_are_written(made):
    for stage in ("synth", "listen", "words", "music"):
        lines = read_metrics(made.folder / stage)
        validated = [line for line in lines if line["split"] == "validation"]
        assert len(validated) == 2
        assert all(np.isfinite(line["loss"]) for line in validated)


def test_running_again_leaves_what_is_there(made, monkeypatch):
    monkeypatch.setenv("STUDIO_DEVICE", "cpu")
    steps = [len(read_metrics(made.folder / stage)) for stage in ("synth", "music")]
    assert made.run(TRAINED[:4]) is State.DONE
    assert [len(read_metrics(made.folder / stage)) for stage in ("synth", "music")] == steps


def test_stages_out_of_order_say_what_is_missing(tmp_path):
    with pytest.raises(StudioError, match=r"train it first \(--stages listen\)"):
        Pipeline(RECIPE, tmp_path).codec()
