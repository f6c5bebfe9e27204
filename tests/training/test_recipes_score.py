"""The score says what the composer wrote: what each part does, frame by frame."""

from __future__ import annotations

import numpy as np
import pytest

from training.recipes import score
from training.recipes.composer import (
    DRUMS,
    HARMONY,
    LEAD,
    LOW,
    PARTS,
    Brief,
    Note,
    Piece,
    Track,
    compose,
    draw_brief,
    loop,
)

BRIEF = Brief("funk", "happy", "high", "C major", 110, ("saxophone",), (), False)


def codes(*tracks, seconds=1.0):
    """The codes of a piece of these tracks, as what they say."""
    written = score.write(Piece(BRIEF, seconds, tracks))
    return [
        [book.codes[code] for code in line]
        for book, line in zip(score.books(), written, strict=True)
    ]


def test_a_tone_starts_goes_around_and_ends():
    around = loop(72)[0]
    lead = codes(Track("flute", LEAD, [Note(2, 8, 72, 100)]))[3]
    assert lead[:12] == [
        ("rest", 0), ("rest", 1),
        *(("start", "flute", 72, age) for age in range(3)),
        *(("hold", "flute", 72, 0, turn % around) for turn in range(4)),
        ("end", "flute", 72, 4 % around),
        ("rest", 0), ("rest", 1),
    ]  # fmt: skip
    assert lead[-1] == ("rest", 31)


def test_a_tone_that_decays_is_weaker_by_stages():
    lead = codes(Track("acoustic-piano", LEAD, [Note(0, 40, 67, 100)]))[3]
    held = {age: code[3] for age, code in enumerate(lead) if code[0] == "hold"}
    assert [held[age] for age in (3, 7, 8, 19, 20, 38)] == [0, 0, 1, 1, 2, 2]
    flute = codes(Track("flute", LEAD, [Note(0, 40, 67, 100)]))[3]
    assert {code[3] for code in flute if code[0] == "hold"} == {0}


def test_a_note_ends_before_the_next_one_starts():
    first, second = Note(0, 50, 72, 100), Note(10, 5, 74, 100)
    lead = codes(Track("flute", LEAD, [first, second]))[3]
    assert lead[9][:3] == ("end", "flute", 72)
    assert lead[10] == ("start", "flute", 74, 0)
    assert lead[15] == ("rest", 0)
    answer = codes(Track("flute", LEAD, [first]), Track("violin", LEAD, [second]))[3]
    assert answer[10] == ("start", "violin", 74, 0)


def test_strokes_are_drums_that_are_hit_together():
    hits = [Note(3, 3, 36, 98), Note(3, 3, 42, 86)]
    drums = codes(Track("909-drums", DRUMS, hits), seconds=2)[0]
    stroke = ((36, 98), (42, 86))
    assert drums[3:39] == [("stroke", "909-drums", stroke, age) for age in range(36)]
    assert [code[-1] for code in drums[39:45]] == [32, 33, 34, 35, 32, 33]
    assert drums[3 + score.RINGS] == ("rest", 0)


def test_the_bass_says_what_was_plucked_and_when():
    bass = codes(Track("bass-guitar", LOW, [Note(0, 30, 40, 86)]))[1]
    assert bass[:2] == [("bass", "bass-guitar", 40, 0), ("bass", "bass-guitar", 40, 1)]
    assert [code[-1] for code in bass[22:30]] == [22, 23, 20, 21, 22, 23, 20, 21]
    assert bass[30] == ("rest", 0)


def test_what_does_not_fit_is_left_out():
    lead = codes(Track("flute", LEAD, [Note(40, 30, 72, 100)]))[3]
    assert len(lead) == 50
    assert lead[-1][0] == "hold"


def test_every_piece_that_may_be_drawn_has_a_score():
    seen = [set() for _ in PARTS]
    for number in range(300):
        rng = np.random.default_rng((7, number))
        written = score.write(compose(draw_brief(rng), 10.0, rng))
        assert written.shape == (4, 500)
        for found, line in zip(seen, written, strict=True):
            found |= set(line.tolist())
    for found, book in zip(seen, score.books(), strict=True):
        assert max(found) < len(book) <= 3072
        assert len(found) > 0.4 * len(book)


def test_codes_are_numbered_alike_everywhere():
    """Saved models depend on it: what is first in each book, and how many there are."""
    assert [len(book) for book in score.books()] == [2768, 2864, 3020, 2856]
    for book in score.books():
        assert len(set(book.codes)) == len(book)
        assert book.codes[:2] == (("rest", 0), ("rest", 1))
        assert book.codes[score.RESTING] == ("rest", 31)
    assert score.books()[2].codes[32] == ("start", "acoustic-guitar", 51, 0)
    assert score.books()[3].codes[32] == ("start", "acoustic-guitar", 55, 0)


@pytest.mark.parametrize(
    ("code", "atoms"),
    [
        (
            ("hold", "flute", 61, 0, 2),
            {("kind", "hold"), ("time", ("hold", 0, 2)), ("pitch", 61), ("class", 1), ("name", "flute")},
        ),
        (("bass", "cello", 40, 7), {("pitch", 40), ("name", "cello"), ("time", ("bass", 7))}),
        (
            ("stroke", "909-drums", ((36, 98), (42, 86)), 0),
            {("drum", (36, 98)), ("drum", (42, 86)), ("name", "909-drums")},
        ),
        (("rest", 5), {("kind", "rest"), ("time", 5)}),
    ],
)  # fmt: skip
def test_a_code_says_several_things(code, atoms):
    assert atoms <= set(score.atoms(code))


def test_harmony_is_broken_into_single_notes():
    for number in range(20):
        rng = np.random.default_rng((3, number))
        for track in compose(draw_brief(rng), 10.0, rng).tracks:
            if track.part in (HARMONY, LOW):
                starts = [note.start for note in track.notes]
                assert len(set(starts)) == len(starts)
