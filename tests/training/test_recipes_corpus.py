"""Rendering, the corpus on disk, the recipe file, the tokenizer."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from engines.base import NotReady
from training.recipes import corpus as corpora
from training.recipes import render, score
from training.recipes.captions import caption
from training.recipes.composer import TUNING, Brief, Note, Piece, Track, compose, draw_brief, loop
from training.recipes.corpus import SHARD, Corpus, CorpusPlan
from training.recipes.recipe import Recipe
from training.recipes.text import learn_tokenizer

RECIPES = sorted((Path(__file__).parents[2] / "configs" / "recipes").glob("*.yaml"))
RATE = 16000

has_font = any(path.exists() for path in render.SOUNDFONTS)
has_synth = importlib.util.find_spec("tinysoundfont") is not None
renders = pytest.mark.skipif(
    not (has_font and has_synth),
    reason="rendering needs the fluid-soundfont-gm package and tinysoundfont",
)
PLAIN = Brief("classical", "calm", "medium", "C major", 90, ("flute",), (), False, True)


@pytest.fixture(scope="module")
def renderer():
    return render.Renderer(render.find_soundfont(), RATE)


def one_note(pitch, instrument="flute", start=25, frames=50):
    note = Note(start, frames, pitch, 100)
    return Piece(PLAIN, 2.0, (Track(instrument, "lead", [note]),))


def rng(seed=0):
    return np.random.default_rng(seed)


# --- rendering --------------------------------------------------------------------------------


@renders
def test_a_note_sounds_at_its_pitch_and_time(renderer):
    for pitch in (69, 76):
        parts = renderer.render(one_note(pitch))
        assert parts.shape == (4, 2 * RATE)
        assert not parts[:3].any()  # a lead is alone
        samples = parts[3]
        assert samples.dtype == np.float32
        assert np.abs(samples[: round(0.49 * RATE)]).max() < 1e-3
        spectrum = np.abs(np.fft.rfft(samples[RATE // 2 : RATE * 3 // 2]))
        assert np.argmax(spectrum) == pytest.approx(loop(pitch)[1], abs=2)


@renders
def test_a_tone_is_decided_by_its_codes(renderer):
    """What has one code has one sound, and a held tone goes on without a seam."""
    for name in ("flute", "acoustic-piano"):
        piece = one_note(67, name, start=0, frames=90)
        part, codes = renderer.render(piece)[3].reshape(100, 320), score.write(piece)[3]
        for code in set(codes.tolist()):
            frames = part[codes == code]
            assert np.abs(frames - frames[0]).max() < 1e-6
        assert np.abs(part[89, -16:]).max() < 0.1 * np.abs(part[0:3]).max()  # faded
        assert not part[90:].any()
    sound = renderer.render(one_note(67, "flute", start=0, frames=90))[3]
    steps = np.abs(np.diff(sound))
    assert steps[319:28000:320].max() < 1.5 * np.percentile(steps[:28000], 99)


@renders
def test_everything_is_tuned_alike(renderer):
    for pitch, name, part in (
        (69, "flute", "lead"),
        (67, "organ", "harmony"),
        (45, "bass-guitar", "bass"),
    ):
        piece = Piece(PLAIN, 2.0, (Track(name, part, [Note(0, 90, pitch, 96)]),))
        sound = renderer.render(piece).sum(0)[: RATE * 3 // 2]
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 19))
        hertz = np.arange(len(spectrum)) * RATE / (1 << 19)
        wanted = 440 * 2 ** ((pitch - 69 + TUNING) / 12)
        near = np.abs(12 * np.log2(np.maximum(hertz, 1) / wanted)) < 0.7
        found = hertz[near][np.argmax(spectrum[near])]
        assert abs(12 * np.log2(found / wanted)) < 0.2, name


@renders
def test_pieces_have_one_level_and_room(renderer):
    for style in ("rock", "ambient", "house"):
        brief = dataclasses.replace(PLAIN, style=style, solo=False, support=("synth-bass",))
        parts = renderer.render(compose(brief, 4.0, rng()))
        assert (np.abs(parts).max(1) > 0.01)[[1, 3]].all()
        samples = parts.sum(0)
        power_db = 20 * np.log10(np.sqrt(np.mean(samples**2)))
        assert power_db == pytest.approx(-20, abs=0.5)
        assert np.abs(samples).max() < render.CEILING + 1e-3


@renders
def test_nothing_rings_into_the_next_piece(renderer):
    def bass(name, frames):
        return Piece(PLAIN, 2.0, (Track(name, "bass", [Note(0, frames, 40, 100)]),))

    wanted = render.Renderer(render.find_soundfont(), RATE).render(bass("double-bass", 20))
    renderer.render(bass("synth-bass", 3000))
    assert np.abs(renderer.render(bass("double-bass", 20)) - wanted).max() < 1e-3


def test_a_missing_soundfont_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(render, "SOUNDFONTS", (Path("/nowhere/font.sf2"),))
    with pytest.raises(NotReady, match="apt install fluid-soundfont-gm"):
        render.find_soundfont()


# --- the corpus -------------------------------------------------------------------------------


class Beep:
    """Stands in for the renderer: a tone whose pitch says which brief it was."""

    def render(self, piece):
        times = np.arange(round(piece.duration_s * 800)) / 800
        sound = 0.1 * np.sin(2 * np.pi * piece.brief.tempo * times)
        return np.stack([0 * sound, 0.25 * sound, 0.75 * sound, 0 * sound]).astype(np.float32)


@pytest.fixture
def beeps(monkeypatch):
    monkeypatch.setattr(corpora, "_renderer", lambda _: Beep())
    monkeypatch.setattr(corpora, "SHARD", 4)
    monkeypatch.setattr(render, "find_soundfont", lambda: Path())

    def write(folder, **changes):
        plan = CorpusPlan(**{"items": 10, "seconds": 1.0, "sample_rate": 800, "seed": 3} | changes)
        folder.mkdir(exist_ok=True)
        (folder / "corpus.json").write_text(json.dumps(dataclasses.asdict(plan)), encoding="utf-8")
        for number in range(-(-plan.items // 4)):
            corpora._write_shard(folder, plan, number)
        return plan

    return write


def test_items_depend_on_seed_split_and_number_alone(tmp_path, beeps):
    beeps(tmp_path / "one")
    beeps(tmp_path / "longer", items=12)
    beeps(tmp_path / "other", seed=4)
    beeps(tmp_path / "held-out", split="validation")
    one, longer, other, held_out = (
        Corpus.open(tmp_path / name) for name in ("one", "longer", "other", "held-out")
    )
    assert len(one) == 10
    assert one.briefs == longer.briefs[:10]
    assert not set(one.briefs) & set(other.briefs)
    assert not set(one.briefs) & set(held_out.briefs)


def test_sounds_belong_to_their_briefs(tmp_path, beeps):
    beeps(tmp_path / "one")
    corpus = Corpus.open(tmp_path / "one")
    for index, brief in enumerate(corpus.briefs):
        sound = corpus.sound(index)
        assert sound.shape == (800,)
        assert np.argmax(np.abs(np.fft.rfft(sound))) == brief.tempo
        assert np.abs(sound).max() == pytest.approx(0.1, abs=0.005)
    assert np.array_equal(corpus.sound(5, 100, 50), corpus.sound(5)[100:150])
    assert not corpus.sound(5, part=0).any()
    assert np.allclose(corpus.sound(5, part=1), corpus.sound(5) / 4, atol=1e-4)
    for index, brief in enumerate(corpus.briefs):
        drawn = corpus.plan.rng(index)
        assert draw_brief(drawn) == brief
        assert np.array_equal(corpus.codes[index], score.write(compose(brief, 1.0, drawn)))


def test_a_stopped_corpus_is_open_as_far_as_it_is_and_goes_on(tmp_path, beeps):
    beeps(tmp_path / "one")
    whole = Corpus.open(tmp_path / "one")
    second = tmp_path / "one" / "shard-00001.npy"
    before = second.read_bytes()
    second.unlink()
    assert len(Corpus.open(tmp_path / "one")) == 4
    corpora._write_shard(tmp_path / "one", whole.plan, 1)
    assert second.read_bytes() == before
    assert len(Corpus.open(tmp_path / "one")) == 10


def test_scores_alone_need_no_soundfont(tmp_path, monkeypatch):
    monkeypatch.setattr(render, "SOUNDFONTS", ())
    plan = CorpusPlan(3, 1.0, 800, 3, "scores", rendered=False)
    corpora.write(tmp_path, plan)
    assert not list(tmp_path.glob("*.npy"))
    corpus = Corpus.open(tmp_path)
    assert (len(corpus), corpus.samples) == (3, ())
    for index, brief in enumerate(corpus.briefs):
        drawn = plan.rng(index)
        assert draw_brief(drawn) == brief
        assert np.array_equal(corpus.codes[index], score.write(compose(brief, 1.0, drawn)))
    shard = tmp_path / "shard-00000.codes"
    stamp = shard.stat().st_mtime_ns
    corpora.write(tmp_path, plan)
    assert shard.stat().st_mtime_ns == stamp


def test_a_folder_of_another_plan_is_refused(tmp_path, beeps):
    plan = beeps(tmp_path / "one")
    with pytest.raises(ValueError, match="another plan"):
        corpora.write(tmp_path / "one", dataclasses.replace(plan, seed=9))


def test_a_whole_corpus_is_not_written_again(tmp_path, beeps):
    beeps(tmp_path / "one", items=4)
    path = tmp_path / "one" / "shard-00000.npy"
    stamp = path.stat().st_mtime_ns
    plan = CorpusPlan(4, 1.0, 800, 3)
    corpora.write(tmp_path / "one", plan)
    assert path.stat().st_mtime_ns == stamp


@renders
def test_a_small_corpus_by_the_real_renderer(tmp_path):
    plan = CorpusPlan(items=3, seconds=1.0, sample_rate=RATE, seed=5)
    corpora.write(tmp_path / "a", plan)
    corpora.write(tmp_path / "b", plan)
    one, other = (Corpus.open(tmp_path / name) for name in "ab")
    for index in range(3):
        assert np.array_equal(one.sound(index), other.sound(index))
        assert np.array_equal(one.codes[index], other.codes[index])
        assert np.sqrt(np.mean(one.sound(index) ** 2)) == pytest.approx(0.1, rel=0.1)
    assert not np.array_equal(one.sound(0), one.sound(1))


def test_shards_are_numbered_by_the_plan():
    assert CorpusPlan(SHARD + 1).shards == 2
    assert CorpusPlan(SHARD).shards == 1


# --- recipe and tokenizer ---------------------------------------------------------------------


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipes_make_a_musicgen_codec(path):
    recipe = Recipe.read(path)
    shape = recipe.codec
    assert shape.frame_rate == 50
    assert shape.codebooks == 4
    assert recipe.corpus.validation_items >= 64
    assert recipe.music.decoder.hidden % recipe.music.decoder.heads == 0
    assert recipe.synth.schedule.plan(recipe.seed).patience == 0
    score.require(shape.entries, shape.frame_rate)


def test_there_are_recipes():
    assert RECIPES


def test_a_recipe_with_a_wrong_word_is_refused(tmp_path):
    text = RECIPES[0].read_text(encoding="utf-8").replace("crop_s", "crops")
    (tmp_path / "wrong.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValidationError, match="crops"):
        Recipe.read(tmp_path / "wrong.yaml")


def test_splits_of_a_recipe_share_no_piece():
    plans = Recipe.read(RECIPES[0]).corpus.plans(RATE, 1)
    draws = [plan.rng(0).random() for plan in plans.values()]
    assert len(set(draws)) == len(plans) == 3
    assert [plan.rendered for plan in plans.values()] == [True, True, False]


def test_the_tokenizer_knows_its_words_and_spells_the_rest():
    rng = np.random.default_rng(0)
    captions = [caption(draw_brief(rng), rng) for _ in range(600)]
    words = learn_tokenizer(captions, 256)
    assert len(words) <= 256
    for text in (captions[0], "Zydeco & (polka) at 61 bpm!"):
        read = words(text).input_ids
        assert read[-1] == words.eos_token_id
        assert words.unk_token_id not in read
        assert words.decode(read, skip_special_tokens=True) == text
    assert len(words("happy jazz, 92 bpm").input_ids) == 6  # with a comma and the end
    pair = words(["happy jazz", "sad folk, solo violin"], padding=True)
    assert pair.attention_mask[0][-1] == 0
    assert pair.attention_mask[1][-1] == 1


def test_the_tokenizer_survives_saving(tmp_path):
    from transformers import AutoTokenizer

    rng = np.random.default_rng(0)
    captions = [caption(draw_brief(rng), rng) for _ in range(300)]
    words = learn_tokenizer(captions, 256)
    words.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(captions).input_ids == words(captions).input_ids
