"""What the composer writes is what its brief says, and the captions ask for it truly."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from engines.prompts import instruments, vocabulary
from training.recipes import captions
from training.recipes.composer import (
    DRUMS,
    HARMONY,
    LEAD,
    LOW,
    TUNING,
    Brief,
    compose,
    draw_brief,
    knowledge,
    loop,
    reach,
)
from training.recipes.theory import Key

FUNK = Brief(
    "funk", "happy", "high", "C major", 110, ("saxophone",), ("clavinet", "bass-guitar"), True
)
SOLO = Brief("classical", "sad", "low", "A minor", 70, ("acoustic-piano",), (), False, True)


def briefs(count, seed=0):
    rng = np.random.default_rng(seed)
    return [draw_brief(rng) for _ in range(count)]


def piece(brief, seed=0, duration_s=10.0):
    return compose(brief, duration_s, np.random.default_rng(seed))


def test_the_composer_knows_the_words_of_the_prompts():
    known = knowledge()
    assert set(known["programs"]) == set(instruments())
    assert set(known["moods"]) == set(vocabulary()["moods"])
    assert set(known["energies"]) == set(vocabulary()["energies"])
    assert set(known["styles"]) <= set(vocabulary()["styles"])
    assert len(known["styles"]) >= 10


def test_patterns_fill_one_bar_and_use_known_signs():
    for style, facts in knowledge()["styles"].items():
        grooves = [pattern for groove in facts["drums"] for pattern in groove.values()]
        for signs, patterns in (
            (set("xXo."), grooves),
            (set("13578a-."), facts["bass"]),
            (set("xu-."), facts["comp"]),
            (set("1358-."), facts["arp"]),
        ):
            for pattern in patterns:
                assert len(pattern) == 16, (style, pattern)
                assert set(pattern) <= signs, (style, pattern)
        drums = {drum for groove in facts["drums"] for drum in groove}
        assert drums <= set(knowledge()["drum_keys"])
        named = {*facts["lead"], *facts["harmony"], *facts["low"], facts["kit"]}
        assert named <= set(instruments())
        assert all(knowledge()["programs"][name] for name in named)


def test_briefs_are_what_their_style_allows_and_vary():
    drawn = briefs(600)
    styles = Counter(brief.style for brief in drawn)
    assert set(styles) == set(knowledge()["styles"])
    assert min(styles.values()) > 25
    for brief in drawn:
        low, high = knowledge()["styles"][brief.style]["tempo"]
        assert max(60, low) <= brief.tempo <= min(180, high)
        assert not set(brief.lead) & set(brief.support)
        assert not (brief.solo and (brief.drums or brief.support))
        assert not brief.drums or knowledge()["styles"][brief.style]["drums"]
        Key.parse(brief.key)
    assert len(set(drawn)) == 600
    minor = [brief.key.endswith("minor") for brief in drawn]
    assert 0.35 < np.mean(minor) < 0.65
    assert len({brief.key for brief in drawn}) == 24
    sad = [brief.key.endswith("minor") for brief in drawn if brief.mood == "sad"]
    assert np.mean(sad) > 0.8


def test_one_seed_writes_one_piece_and_two_write_two():
    assert piece(FUNK, 1) == piece(FUNK, 1)
    for brief in briefs(12):
        one, other = piece(brief, 1), piece(brief, 2)
        assert [t.notes for t in one.tracks] != [t.notes for t in other.tracks]


def test_parts_are_those_of_the_brief():
    parts = {track.part: track.instrument for track in piece(FUNK).tracks}
    assert parts == {
        LEAD: "saxophone", LOW: "bass-guitar", HARMONY: "clavinet", DRUMS: "acoustic-drum-kit"
    }  # fmt: skip
    without = piece(replace(FUNK, drums=False))
    assert DRUMS not in {track.part for track in without.tracks}
    assert {track.instrument for track in piece(SOLO).tracks} == {"acoustic-piano"}


def test_notes_are_playable_and_in_time():
    for number, brief in enumerate(briefs(40)):
        for track in piece(brief, number).tracks:
            for note in track.notes:
                assert 0 <= note.start < 500
                assert note.frames > 0
                assert 20 <= note.velocity <= 127
                if track.part != DRUMS:
                    low, high = reach(track.instrument, track.part)
                    assert low <= note.pitch <= high, track.instrument


def test_the_beat_is_at_the_tempo():
    """Kicks of house stand on the beat, all through the piece, and a beat is a whole number of frames."""
    for tempo in (119, 125, 130):
        brief = Brief("house", "happy", "high", "C major", tempo, ("poly-synth",), (), True)
        (drums,) = [track for track in piece(brief).tracks if track.part == DRUMS]
        kicks = {n.start for n in drums.notes if n.pitch == knowledge()["drum_keys"]["kick"]}
        beat = round(3000 / tempo)
        on = set(range(0, 500, beat))
        assert len(kicks & on) >= 0.8 * len(on)
        assert 3000 / beat == pytest.approx(tempo, rel=0.03)


def test_few_frames_hold_whole_periods_and_all_is_in_tune():
    lengths = []
    for pitch in range(51, 80):
        frames, hertz = loop(pitch)
        periods = hertz * frames / 50
        assert periods == pytest.approx(round(periods), abs=1e-6)
        off = 12 * np.log2(hertz / (440 * 2 ** ((pitch - 69 + TUNING) / 12)))
        assert abs(off) <= 0.1
        lengths.append(frames)
    assert np.mean(lengths) < 3


def test_melody_and_chords_are_in_the_key():
    """Nearly: chords borrow, bass notes lead."""
    for name in ("E flat major", "C sharp minor"):
        brief = replace(SOLO, key=name)
        scale, shares = Key.parse(name).scale, []
        for seed in range(8):
            notes = [n for track in piece(brief, seed).tracks for n in track.notes]
            shares.append(np.mean([note.pitch % 12 in scale for note in notes]))
        assert np.mean(shares) > 0.9


def test_energy_is_heard():
    def notes(energy):
        found = [piece(replace(FUNK, energy=energy), seed) for seed in range(12)]
        leads = [t for one in found for t in one.tracks if t.part == LEAD]
        crashes = [n for one in found for t in one.tracks for n in t.notes if n.pitch == crash]
        return sum(len(t.notes) for t in leads), len(crashes)

    crash = knowledge()["drum_keys"]["crash"]
    quiet, loud = notes("low"), notes("high")
    assert loud[0] > 1.2 * quiet[0]
    assert (quiet[1], loud[1]) == (0, 12)


# --- captions ---------------------------------------------------------------------------------


def test_captions_say_nothing_that_is_not_in_the_brief():
    rng = np.random.default_rng(1)
    others = {"tempo": "95", "style": "reggae", "mood": "dreamy", "lead": "trumpet"}
    for _ in range(200):
        text = captions.caption(FUNK, rng)
        assert not any(word in text for word in others.values())
        assert "without drums" not in text
        assert "solo" not in text
        if "bpm" in text or "beats per minute" in text:
            assert "110" in text
        if "major" in text or "minor" in text:
            assert "C major" in text


def test_captions_leave_out_and_rephrase():
    rng = np.random.default_rng(2)
    found = [captions.caption(FUNK, rng) for _ in range(300)]
    assert len(set(found)) > 250
    said = {"style": "funk", "mood": "happy", "lead": "saxophone", "key": "C major"}
    for what, word in said.items():
        share = np.mean([word in text for text in found])
        assert share == pytest.approx(captions.KEPT[what], abs=0.1), word
    assert any("featuring saxophone" in text for text in found)
    assert any("110 beats per minute" in text for text in found)
    assert all(text.strip() and ",," not in text and "  " not in text for text in found)


def test_solos_and_missing_drums_are_said():
    rng = np.random.default_rng(3)
    solos = [captions.caption(SOLO, rng) for _ in range(100)]
    assert np.mean(["solo acoustic piano" in text for text in solos]) > 0.5
    bare = [captions.caption(replace(FUNK, drums=False), rng) for _ in range(200)]
    assert np.mean(["without drums" in text for text in bare]) == pytest.approx(0.3, abs=0.1)


def test_the_same_seed_says_the_same():
    one, other = (
        [captions.caption(FUNK, np.random.default_rng(5)) for _ in range(3)] for _ in range(2)
    )
    assert one == other
