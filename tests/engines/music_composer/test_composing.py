"""Pieces follow from a brief and a seed, have a form, stay in their key, and can be changed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engines.base import StudioError
from engines.music.composer import (
    HeardNote,
    Score,
    brief_of,
    chart,
    compose,
    extend,
    harmonise,
    read_melody,
    rewrite,
    to_midi,
    understand,
)  # fmt: skip
from engines.music.composer.styles import styles

ROOT = Path(__file__).parents[3]


def piece(text, seed=1, duration_s=None):
    return compose(brief_of(understand(text).attributes, seed, duration_s))


@pytest.mark.parametrize("style", styles())
def test_every_style_writes_whole_pieces_of_any_length(style):
    for duration in (5, 30, 200):
        score = piece(style, duration, duration)
        last = float(score.seconds(score.beats - score.brief.meter))
        assert duration - 8 < last < duration - 0.3
        ends = [n.start + n.length for track in score.tracks for n in track.notes]
        assert float(score.seconds(max(ends))) < duration + 0.5
        assert {"lead"} <= {track.part for track in score.tracks}
        assert sum(section.bars for section in score.sections) == score.bars


def test_a_bar_that_is_longer_than_the_piece_is_cut():
    score = piece("funk, 40 bpm", 1, 5)
    assert score.bars == 1
    assert {"drums", "bass"} <= {track.part for track in score.tracks}


def test_the_same_seed_gives_the_same_notes_and_another_one_others():
    assert piece("jazz", 5) == piece("jazz", 5)
    notes = [
        tuple(n.pitch for n in piece("jazz with saxophone", seed).tracks[-1].notes)
        for seed in range(20)
    ]
    assert len(set(notes)) == 20


def test_reading_and_composing_import_nothing_that_makes_sound():
    """And the same seed gives the same notes in a process with another order of sets."""
    program = (
        "import sys; from engines.music.composer import brief_of, compose, understand; "
        "score = compose(brief_of(understand('jazz with sax').attributes, 4)); "
        "assert not {'scipy.signal', 'numba', 'librosa', 'torch'} & set(sys.modules); print(score)"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True, text=True, check=True, cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(said) == 1


def test_notes_are_in_the_key_and_melodies_rest_on_the_tonic():
    for seed in range(6):
        score = piece("pop song in A minor with piano", seed)
        lead = next(track for track in score.tracks if track.part == "lead")
        scale = {0, 2, 4, 5, 7, 8, 9, 11}  # with the leading tone
        inside = [n.pitch % 12 in scale for n in lead.notes]
        assert np.mean(inside) > 0.97
        assert lead.notes[-1].pitch % 12 == 9


def test_melodies_sing():
    """Mostly steps, within a range that one can sing, on notes of the chord where the bar begins."""
    for seed in range(6):
        score = piece("folk song with flute", seed, 60)
        lead = next(track for track in score.tracks if track.part == "lead")
        pitches = np.array([n.pitch for n in lead.notes])
        leaps = np.abs(np.diff(pitches))
        assert np.mean(leaps <= 4) > 0.75
        assert leaps.max() <= 16
        assert np.ptp(pitches) <= 26


def test_what_comes_back_has_the_same_chords_and_a_like_rhythm():
    score = piece("pop song: verse, chorus, verse, chorus", 4, 70)
    meter = score.brief.meter
    first, second = (s for s in score.sections if s.kind == "chorus")
    bars = min(first.bars, second.bars) - 2

    def chords(section):
        begin = section.start * meter
        return [c.chord for c in score.changes if begin <= c.start < begin + bars * meter]

    assert chords(first) == chords(second)
    lead = next(track for track in score.tracks if track.part == "lead")

    def rhythm(section):
        begin = section.start * meter
        return {
            round((n.start - begin) * 2)
            for n in lead.notes
            if begin - 0.1 <= n.start < begin + bars * meter
        }

    shared = rhythm(first) & rhythm(second)
    assert len(shared) > 0.8 * max(len(rhythm(first)), len(rhythm(second)))


def test_a_form_that_is_asked_for_is_kept():
    score = piece("rock: intro, verse, chorus, verse, chorus, outro", 1, 120)
    assert [s.kind for s in score.sections] == [
        "intro",
        "verse",
        "chorus",
        "verse",
        "chorus",
        "outro",
    ]
    assert piece("waltz").brief.meter == 3


def test_one_part_changes_and_the_others_keep_every_note():
    score = piece("funk", 2)
    changed = rewrite(score, "bass", 77)
    for before, after in zip(score.tracks, changed.tracks, strict=True):
        assert (before == after) == (before.part != "bass")
    assert rewrite(score, "bass", 77) == changed


def test_a_piece_goes_on_and_keeps_what_it_had():
    score = piece("pop with violin", 3)
    longer = extend(score, 25.0, 9)
    assert longer.brief.duration_s == score.brief.duration_s + 25
    assert longer.sections[: len(score.sections)] == score.sections
    edge = score.beats - score.brief.meter - 0.2
    for track in score.tracks:
        same = next(
            t for t in longer.tracks if (t.part, t.instrument) == (track.part, track.instrument)
        )
        assert [n for n in same.notes if n.start < edge] == [
            n for n in track.notes if n.start < edge
        ]
        assert max(n.start for n in same.notes) > edge + 4


def test_a_score_survives_json_and_a_chart_names_each_chord():
    score = piece("bossa nova in E flat major", 6)
    assert Score.from_dict(json.loads(json.dumps(score.to_dict()))) == score
    text = chart(score)
    assert text.startswith("Bossa nova, E flat major")
    assert text.count("[") == len(score.sections)
    assert "Eb" in text
    with pytest.raises(ValueError, match="version"):
        Score.from_dict({"version": 99})


def test_a_midi_file_has_every_note_at_its_time():
    import io

    import mido

    score = piece("classical piano, slow", 2)
    file = mido.MidiFile(file=io.BytesIO(to_midi(score)))
    count = sum(len(track.notes) for track in score.tracks)
    assert sum(m.type == "note_on" for track in file.tracks for m in track) == count
    assert abs(file.length - score.brief.duration_s) < 1.5


def tune(pitches, beat_s=0.5, offset_s=0.3):
    return [
        HeardNote(offset_s + n * beat_s, beat_s * 0.9, pitch)
        for n, pitch in enumerate(pitches)
        if pitch is not None
    ]


TWINKLE = (60, 60, 67, 67, 69, 69, 67, None, 65, 65, 64, 64, 62, 62, 60, None)


def test_a_melody_gets_chords_and_keeps_its_notes():
    melody = tune([p + 2 if p else None for p in TWINKLE])
    score = harmonise(melody, understand("folk with guitar and drums").attributes, 1)
    assert score.brief.key == "D major"
    assert abs(score.brief.tempo - 120) < 2
    lead = next(track for track in score.tracks if track.part == "lead")
    assert [n.pitch for n in lead.notes] == [n.pitch for n in melody]
    assert score.changes[0].chord.symbol(score.brief.tonality) == "D"
    assert score.changes[-1].chord.symbol(score.brief.tonality) == "D"
    assert {"bass", "drums", "comp"} <= {track.part for track in score.tracks}
    with pytest.raises(StudioError, match="at least 3"):
        harmonise(melody[:2], understand("").attributes, 1)


def test_a_melody_is_read_from_a_midi_file():
    score = harmonise(tune(TWINKLE), understand("pop").attributes, 1, tempo=120)
    notes = read_melody(to_midi(score))
    assert [n.pitch for n in notes] == [p for p in TWINKLE if p]
    with pytest.raises(StudioError, match="no MIDI file"):
        read_melody(b"RIFF nothing")
