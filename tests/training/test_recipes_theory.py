"""Keys and chords against what any book of harmony says."""

from __future__ import annotations

import pytest

from engines.prompts import vocabulary
from training.recipes.theory import Key, chord, into, nearest

C_MAJOR, A_MINOR = Key.parse("C major"), Key.parse("A minor")


def names(pitch_classes):
    flat = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
    return " ".join(flat[each] for each in pitch_classes)


def test_every_key_of_the_prompts_is_known():
    keys = [Key.parse(name) for name in vocabulary()["keys"]]
    assert len(set(keys)) == 24
    assert sum(key.minor for key in keys) == 12


def test_scales():
    assert names(C_MAJOR.scale) == "C D E F G A B"
    assert names(Key.parse("E flat major").scale) == "Eb F G Ab Bb C D"
    assert names(A_MINOR.scale) == "A B C D E F G"
    assert names(A_MINOR.pentatonic) == "A C D E G"
    assert names(C_MAJOR.pentatonic) == "C D E G A"


@pytest.mark.parametrize(
    ("numeral", "key", "expected"),
    [
        ("I", C_MAJOR, "C E G B"),
        ("ii", C_MAJOR, "D F A C"),
        ("V", C_MAJOR, "G B D F"),
        ("vi", C_MAJOR, "A C E G"),
        ("VII", C_MAJOR, "Bb D F Ab"),  # borrowed, a whole tone below the tonic
        ("i", A_MINOR, "A C E G"),
        ("ii", A_MINOR, "B D F A"),  # half diminished
        ("III", A_MINOR, "C E G B"),
        ("iv", A_MINOR, "D F A C"),
        ("V", A_MINOR, "E Ab B D"),  # with the leading note
        ("VI", A_MINOR, "F A C E"),
        ("VII", A_MINOR, "G B D F"),
    ],
)
def test_chords_of_numerals(numeral, key, expected):
    assert names(chord(numeral, key, has_seventh=True).classes) == expected
    assert names(chord(numeral, key, has_seventh=False).classes) == expected.rsplit(" ", 1)[0]


def test_blues_has_minor_sevenths_everywhere():
    assert names(chord("I", C_MAJOR, True, bluesy=True).classes) == "C E G Bb"
    assert names(chord("IV", C_MAJOR, True, bluesy=True).classes) == "F A C Eb"


def test_steps_of_a_chord():
    minor = chord("i", A_MINOR, True)
    assert [minor.step(name) for name in "13578"] == [0, 3, 7, 10, 12]


def test_nearest_and_into():
    assert nearest(0, 60) == 60
    assert nearest(11, 60) == 59
    assert nearest(7, 60) == 55
    assert all(abs(nearest(each, 61.5) - 61.5) <= 6 for each in range(12))
    assert into(30, 48, 60) == 54
    assert into(90, 48, 60) == 54
    assert into(50, 48, 60) == 50
