"""What is said of a trained model must be true: the measures on sounds whose answer is known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.studio_tiny import __main__ as whole
from benchmarks.studio_tiny import codec, loop, probe, prompts, report, scores, sound, training
from benchmarks.studio_tiny.clips import Maker, made
from benchmarks.studio_tiny.scores import Heard
from benchmarks.studio_tiny.sound import Fault
from engines.studio import Studio
from storage import ClipQuery
from tests import tiny_musicgen as tiny
from tests.conftest import make_settings
from training.lab.lab import Lab
from training.recipes.composer import Brief
from training.recipes.corpus import SCALE, Corpus, CorpusPlan
from training.recipes.theory import Key

RATE = 16000
JAZZ = Brief("jazz", "happy", "high", "C major", 120, ("acoustic-piano",), (), True)
HOUSE = Brief("house", "dark", "high", "A minor", 124, ("analog-synth-lead",), (), True)


def clicks(bpm, seconds=10):
    """A burst of noise on each beat, the first of four louder."""
    samples, rng = np.zeros(seconds * RATE, np.float32), np.random.default_rng(0)
    for beat, start_s in enumerate(np.arange(0.1, seconds - 0.2, 60 / bpm)):
        at = round(start_s * RATE)
        burst = rng.standard_normal(800) * np.exp(-np.arange(800) / 150)
        samples[at : at + 800] += burst * (0.5 if beat % 4 == 0 else 0.3)
    return samples


def chords(triads, seconds_each=1.0):
    """Triads of sines with overtones, one after the other."""
    times = np.arange(round(seconds_each * RATE)) / RATE
    parts = []
    for pitches in triads:
        hertz = [440 * 2 ** ((pitch - 69) / 12) * k for pitch in pitches for k in (1, 2, 3)]
        parts.append(
            sum(np.sin(2 * np.pi * each * times) / (k % 3 + 1) for k, each in enumerate(hertz))
        )
    return (0.05 * np.concatenate(parts)).astype(np.float32)


# --- tempo, mode, faults, distances -----------------------------------------------------------


@pytest.mark.parametrize("bpm", [70, 97, 128, 174])
def test_tempo_of_clicks(bpm):
    found = sound.tempo(clicks(bpm), RATE)
    assert sound.tempo_fits(found, bpm)
    assert not sound.tempo_fits(found, bpm * 1.3)


def test_tempo_of_silence_is_none():
    assert sound.tempo(np.zeros(5 * RATE, np.float32), RATE) == 0
    assert not sound.tempo_fits(0, 120)


def test_what_fits_a_tempo():
    assert [sound.tempo_fits(found, 120) for found in (113, 127, 60, 240, 62)] == [True] * 5
    assert [sound.tempo_fits(found, 120) for found in (110, 130, 80, 180, 40)] == [False] * 5


def test_mode_of_cadences():
    major = [(60, 64, 67), (65, 69, 72), (67, 71, 74), (60, 64, 67)]
    minor = [(57, 60, 64), (62, 65, 69), (64, 68, 71), (57, 60, 64)]
    for tonic, mode, triads in ((0, "major", major), (9, "minor", minor)):
        found = sound.chroma(chords(triads), RATE)
        assert found.shape == (12,)
        assert sound.mode(found) == sound.mode_on(found, tonic) == mode


def test_chroma_hears_the_notes_and_not_the_drums():
    found = sound.chroma(chords([(60, 64, 67)] * 4) + clicks(120, 4), RATE)
    assert set(np.argsort(found)[-3:]) == {0, 4, 7}


def test_mode_of_the_profiles_themselves():
    for name, profile in sound.PROFILES.items():
        for tonic in range(12):
            assert sound.mode(np.roll(profile, tonic)) == name
            assert sound.mode_on(np.roll(profile, tonic), tonic) == name


def test_faults():
    beat = clicks(100)
    assert sound.faults(beat, RATE) == ()
    assert sound.faults(np.zeros(RATE * 4, np.float32), RATE) == (Fault.SILENT,)
    assert sound.faults(1e-5 * beat, RATE) == (Fault.SILENT,)
    assert Fault.CLIPPED in sound.faults(np.clip(200 * beat, -1, 1), RATE)
    times = np.arange(RATE * 4, dtype=np.float32) / RATE
    assert sound.faults(0.2 * np.sin(880 * np.pi * times), RATE) == (Fault.CONSTANT,)
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE * 4).astype(np.float32)
    assert sound.faults(noise, RATE) == (Fault.CONSTANT,)
    assert sound.faults(chords([(60, 64, 67), (65, 69, 72)] * 2), RATE) == ()


def test_distances():
    one = chords([(60, 64, 67), (62, 65, 69)])
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(len(one)).astype(np.float32) * one.std()
    assert sound.log_mel_distance_db(one, one, RATE) == 0
    assert sound.log_mel_distance_db(0.5 * noise, noise, RATE) == pytest.approx(6.02, abs=0.01)
    assert codec.si_sdr_db(one + 0.1 * noise, one) == pytest.approx(20, abs=0.5)
    assert codec.si_sdr_db(0.3 * (one + 0.1 * noise), one) == pytest.approx(20, abs=0.5)
    assert sound.alike(one, 0.5 * one)
    assert not sound.alike(one, one[::-1])


# --- prompts ----------------------------------------------------------------------------------


def test_the_held_out_prompts_are_the_drawn_ones_and_complete():
    asked = prompts.read()
    assert asked == prompts.draw()
    assert len(asked) == 60
    assert len({one.prompt for one in asked}) == 60
    for one in asked:
        assert one.prompt == prompts.sentence(one.brief)
        assert one.prompt.startswith(f"{one.brief.mood} {one.brief.style}, ")
        assert f"in {one.brief.key}, {one.brief.energy} energy, {one.brief.tempo} bpm" in one.prompt
        assert ("without drums" in one.prompt) == (not one.brief.drums and not one.brief.solo)
    assert sum(one.brief.drums for one in asked) >= 30
    assert 20 <= sum(one.brief.key.endswith("minor") for one in asked) <= 40


def test_fewer_prompts_still_have_every_style():
    styles = [one.brief.style for one in whole.chosen(prompts.read(), 12)]
    assert len(set(styles)) == 12


def test_neutral_prompts_name_no_instrument():
    from engines.prompts import instruments

    texts = prompts.neutral()
    assert len(set(texts)) == len(texts) == 72
    assert not any(words in text for text in texts for words in instruments().values())
    assert not set(texts) & set(prompts.neutral(prompts.OTHER_MOODS))


# --- scores -----------------------------------------------------------------------------------


def heard(brief, **changes):
    key = Key.parse(brief.key)
    profile = sound.PROFILES["minor" if key.minor else "major"]
    right = Heard(
        brief.tempo, np.roll(profile, key.tonic), brief.style, probe.family(brief.lead[0]), ()
    )
    return replace(right, **changes)


def test_scores_count_what_was_asked():
    briefs = [JAZZ, JAZZ, HOUSE, replace(JAZZ, drums=False)]
    found = scores.score(
        briefs,
        [
            heard(JAZZ),
            heard(JAZZ, tempo=90.0, style="house"),
            heard(HOUSE, family="Strings", faults=(Fault.CLIPPED,)),
            heard(JAZZ, tempo=1.0, chroma=heard(HOUSE).chroma),
        ],
    )
    assert found.clips == 4
    assert found.tempo == pytest.approx(2 / 3)  # the one without drums does not count
    assert (found.style, found.family, found.mode, found.faulty) == (0.75, 0.75, 0.75, 0.25)
    assert found.mode_on_tonic == 1  # A minor has the third of C major
    assert found.styles == {"house": 1.0, "jazz": pytest.approx(2 / 3)}
    assert found.families == {"Keys": 1.0, "Synths and electronic": 0.0}


def test_any_of_several_leads_may_be_heard():
    both = replace(JAZZ, lead=("acoustic-piano", "trumpet"))
    assert scores.score([both], [heard(JAZZ, family="Brass and woodwind")]).family == 1
    assert scores.score([both], [heard(JAZZ, family="Strings")]).family == 0


def test_shuffled_prompts_score_by_chance():
    briefs = [JAZZ, HOUSE] * 15
    found = [heard(brief) for brief in briefs]
    assert scores.score(briefs, found).style == 1
    chance = scores.shuffled(briefs, found)
    assert chance.style == pytest.approx(0.5, abs=0.15)
    assert chance.mode == pytest.approx(0.5, abs=0.15)
    assert chance.tempo == 1  # 120 and 124 are within 6 %


def test_different_and_same():
    rng = np.random.default_rng(0)
    a, b, c = rng.standard_normal((3, 1000))
    assert whole.differ([a, b, c, a, b, b], 3) == 0.5
    assert whole.same([a, b], [a, c]) == 0.5


# --- the probe --------------------------------------------------------------------------------


def test_families_that_can_lead():
    assert probe.families() == (
        "Keys", "Strings", "Brass and woodwind", "Synths and electronic", "World",
    )  # fmt: skip
    assert probe.lead_families(replace(JAZZ, lead=("acoustic-piano", "organ", "flute"))) == (
        "Keys",
        "Brass and woodwind",
    )


@pytest.fixture(scope="module")
def beeps():
    """Pieces of a second that say by pitch what style and lead they are, of two kinds."""
    rng = np.random.default_rng(0)
    alone = replace(JAZZ, drums=False, solo=True)
    briefs = [(alone if n % 8 == 1 else JAZZ) if n % 2 else HOUSE for n in range(96)]
    times = np.arange(RATE) / RATE
    rows = [
        0.1
        * np.sin(
            2
            * np.pi
            * (rng.uniform(200, 400) if b.style == "jazz" else rng.uniform(900, 1800))
            * times
        )
        for b in briefs
    ]
    noise = 0.02 * rng.standard_normal((96, RATE))
    samples = np.round((np.stack(rows) + noise) * SCALE).astype(np.int16)
    return Corpus(
        CorpusPlan(96, 1.0, RATE),
        (samples[:, None],),
        np.zeros((96, 4, 50), np.int16),
        tuple(briefs),
    )


def test_a_probe_learns_saves_and_names(beeps, tmp_path):
    mels = training.spectra(beeps)
    learned = training.train(mels[:64], beeps.briefs[:64], epochs=10)
    found = training.accuracy(learned, mels[64:], beeps.briefs[64:], 64)
    assert min(found.style, found.solo_style) >= 0.9
    assert found.lead == found.first_lead >= 0.9
    assert sum(found.confusion_style["jazz"].values()) == 16
    probe.save(learned, found, tmp_path / "probe.safetensors")
    again, stated = probe.load(tmp_path / "probe.safetensors")
    assert stated == found
    named = again.name([beeps.sound(n) for n in range(64, 96)], RATE)
    right = [one.style == beeps.briefs[64 + n].style for n, one in enumerate(named)]
    assert np.mean(right) == pytest.approx(found.style, abs=0.07)


def test_a_probe_of_other_styles_is_refused(tmp_path, monkeypatch):
    probe.save(probe.Probe(4), training.Accuracy(0, 0, 0, 0, 0, 0), tmp_path / "one.safetensors")
    assert probe.load(tmp_path / "one.safetensors")[0].style.out_features == 12
    monkeypatch.setattr(probe, "styles", lambda: ("polka",))
    with pytest.raises(ValueError, match="train it"):
        probe.load(tmp_path / "one.safetensors")


def test_the_shipped_probe_is_good_enough():
    _, accuracy = probe.load()
    assert accuracy.items >= 256
    assert accuracy.style >= report.GOAL_PROBE
    assert accuracy.lead >= report.GOAL_PROBE


def test_levels_do_not_matter_to_the_probe():
    samples = chords([(60, 64, 67)])
    one, other = (probe.log_mel(level * samples, RATE) for level in (1.0, 0.1))
    assert torch.allclose(one, other, atol=1e-3)
    assert one.shape == (64, 41)


# --- a model ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("base") / "tiny", hears=True)


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    path = tmp_path_factory.mktemp("judge") / "probe.safetensors"
    torch.manual_seed(0)
    probe.save(probe.Probe(4), training.Accuracy(256, 64, 0.91, 0.5, 0.92, 0.9), path)
    return path


def test_clips_are_made_once_and_do_not_depend_on_the_batch(base, tmp_path):
    maker = Maker(base)
    texts, seeds = ["happy jazz", "sad rock with drums", "calm folk"], [1, 2, 3]
    first = list(made(maker, texts, seeds, 0.6, tmp_path / "a"))
    assert [len(one) for one in first] == [1920] * 3
    maker.make = None  # type: ignore[assignment] - from the folder now
    assert whole.same(first, list(made(maker, texts, seeds, 0.6, tmp_path / "a"))) == 1
    alone = list(made(Maker(base), texts[1:2], seeds[1:2], 0.6, tmp_path / "b"))
    assert np.abs(alone[0] - first[1]).max() < 1e-4


def test_the_whole_measurement_of_a_tiny_model(base, judge, tmp_path):
    plan = CorpusPlan(6, 1.0, RATE)
    sounds = np.stack([clicks(90 + 10 * n, 1) for n in range(6)])
    corpus = Corpus(
        plan,
        ((sounds[:, None] * SCALE).astype(np.int16),),
        np.zeros((6, 4, 50), np.int16),
        (JAZZ, HOUSE) * 3,
    )
    asked = whole.chosen(prompts.read(), 3)
    found = whole.measure(
        base, corpus, tmp_path, asked, seeds=2, duration_s=1.0, with_speed=False, judge=judge
    )
    assert {name: one.clips for name, one in found.columns.items()} == {
        "model": 6,
        "prompts shuffled": 6,
        "true renders through the codec": 6,
        "true renders": 6,
    }
    assert found.same == 1
    assert 0 < found.codec.used[0] <= 1
    report.write(found, tmp_path)
    text = (tmp_path / "results.md").read_text()
    assert "| style named by the probe, prompts that are no solo | 65 % |" in text
    assert "91 %, 92 %" in text
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept["columns"]["model"]["clips"] == 6
    assert kept["codec"]["si_sdr_db"] == found.codec.si_sdr_db


# --- the loop ---------------------------------------------------------------------------------


class Says:
    """A probe that names by loudness."""

    def name(self, sounds, sample_rate):
        return [probe.Named("jazz", "Keys" if np.abs(s).max() > 0.5 else "World") for s in sounds]


def test_how_often_a_family_is_found_before_and_after():
    assert loop.Learned("Keys", 8, 0.25, 0.75).times == 3
    assert loop.Learned("Keys", 4, 0.0, 1.0).times == 8


def test_the_loop_goes_through_the_studio(tmp_path):
    """Clips, stars, a dataset, a run, an adapter; on random weights, by a probe that likes about half."""

    class Likes:
        def name(self, sounds, sample_rate):
            return [
                probe.Named("jazz", loop.LIKED if int(1e6 * abs(float(s[999]))) % 2 else "World")
                for s in sounds
            ]

    tiny.make(tmp_path / "data" / "models" / "own" / "tiny")
    with Studio(make_settings(tmp_path)) as studio, Lab(studio) as lab:
        found = loop.run(studio, lab, Likes(), "tiny", 1, 5, ["calm", "dark"])
        (dataset,), (adapter,) = lab.datasets(), lab.adapters()
        assert (dataset.items, found.learned) == (5, len(lab.dataset_items(dataset.id, "train")))
        made = studio.clips.search(ClipQuery(descending=False, page_size=200)).rows
    asked = [clip for clip in made if clip.text in ("calm", "dark")]
    assert [clip.adapter for clip in asked] == ["", "", adapter.id, adapter.id]
    assert [clip.seed for clip in asked] == [0, 1, 0, 1]
    assert (found.clips, found.family) == (2, loop.LIKED) and 0 < found.training_s < 120
