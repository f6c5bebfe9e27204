"""As much harmony as the composer needs: keys, scales, Roman numerals and chord symbols."""

from __future__ import annotations

import re
from dataclasses import dataclass

TONICS = {"C": 0, "C sharp": 1, "D flat": 1, "D": 2, "D sharp": 3, "E flat": 3, "E": 4, "F": 5,
          "F sharp": 6, "G flat": 6, "G": 7, "G sharp": 8, "A flat": 8, "A": 9, "A sharp": 10,
          "B flat": 10, "B": 11}  # fmt: skip
MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
PENTATONIC = {True: (0, 3, 5, 7, 10), False: (0, 2, 4, 7, 9)}  # by "is minor"
BLUE = {True: (0, 3, 5, 6, 7, 10), False: (0, 2, 3, 4, 7, 9)}
DEGREES = ("i", "ii", "iii", "iv", "v", "vi", "vii")
NUMERAL = re.compile(r"^([b#]?)([ivIV]+)(°?)(M7|7sus4|7b5|7|M9|9|add9|sus4|sus2|6|5)?$")
SHARPS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
FLATS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
FLAT_TONICS = {False: (5, 10, 3, 8, 1), True: (2, 7, 0, 5, 10, 3)}  # keys written with flats


@dataclass(frozen=True)
class Key:
    """A key: ``tonic`` is a pitch class, C = 0."""

    tonic: int
    minor: bool

    @classmethod
    def parse(cls, name: str) -> Key:
        """A key of its name, such as ``"E flat major"``."""
        tonic, _, mode = name.rpartition(" ")
        return cls(TONICS[tonic], mode == "minor")

    def classes(self, steps: tuple[int, ...]) -> tuple[int, ...]:
        """Pitch classes at ``steps`` semitones above the tonic."""
        return tuple((self.tonic + step) % 12 for step in steps)

    @property
    def scale(self) -> tuple[int, ...]:
        """Pitch classes of the scale, from the tonic up."""
        return self.classes(MINOR if self.minor else MAJOR)

    def spell(self, pitch_class: int) -> str:
        """The name of a pitch class as a chart in this key has it."""
        flat = self.tonic in FLAT_TONICS[self.minor]
        return (FLATS if flat else SHARPS)[pitch_class % 12]


@dataclass(frozen=True)
class Chord:
    """A chord: ``root`` is a pitch class, ``steps`` are semitones above it, from the root up."""

    root: int
    steps: tuple[int, ...]
    suffix: str

    @property
    def classes(self) -> tuple[int, ...]:
        """Pitch classes, root first."""
        return tuple((self.root + step) % 12 for step in self.steps)

    @property
    def minor(self) -> bool:
        """Whether its third is a minor one."""
        return 3 in self.steps

    def step(self, name: str) -> int:
        """Semitones above the root of ``"1"``, ``"3"``, ``"5"``, ``"6"``, ``"7"`` or ``"8"``."""
        third = next((each for each in (4, 3, 5, 2) if each in self.steps), 7)
        fifth = next((each for each in (7, 6, 8) if each in self.steps), 7)
        seventh = next((each for each in (10, 11, 9) if each in self.steps), 12)
        return {"1": 0, "3": third, "5": fifth, "6": 9, "7": seventh, "8": 12}[name]

    def symbol(self, key: Key) -> str:
        """Such as ``"F#m7"``."""
        return key.spell(self.root) + self.suffix


def chord(numeral: str, key: Key, color: str = "triad") -> Chord:
    """The chord of a Roman numeral: upper case is major, lower case minor, degrees are those of the key.

    ``color`` (triad, power, seventh, ninth or add9) decides where the numeral itself says nothing. Raises
    ``ValueError`` for what is no numeral.
    """
    match = NUMERAL.match(numeral)
    if match is None:
        raise ValueError(f"{numeral!r} is no chord")
    accidental, letters, diminished, extension = match.groups()
    degree, is_major = DEGREES.index(letters.lower()), letters[0].isupper()
    altered = {"b": -1, "#": 1, "": 0}[accidental]
    scale = MAJOR if accidental or not key.minor else MINOR
    root = (key.tonic + scale[degree] + altered) % 12
    extension = extension or ("" if diminished else _usual(color, root, is_major, key))
    return Chord(root, *_built(is_major, bool(diminished), extension))


def _usual(color: str, root: int, is_major: bool, key: Key) -> str:
    """What a style adds to a chord of which nothing is said."""
    if color == "power":
        return "5"
    if color in ("seventh", "ninth"):
        natural = (root + (11 if is_major else 10)) % 12 in key.scale
        return "M7" if is_major and natural else "7"
    if color == "add9" and is_major and (root + 2) % 12 in key.scale:
        return "add9"
    return ""


def _built(is_major: bool, diminished: bool, extension: str) -> tuple[tuple[int, ...], str]:
    """Steps and suffix of a chord."""
    if diminished:
        return (0, 3, 6, 9), "dim7"
    third, name = (4, "") if is_major else (3, "m")
    return {
        "": ((0, third, 7), name),
        "5": ((0, 7), "5"),
        "6": ((0, third, 7, 9), name + "6"),
        "7": ((0, third, 7, 10), name + "7"),
        "9": ((0, third, 7, 10, 14), name + "9"),
        "M7": ((0, third, 7, 11), name + "maj7"),
        "M9": ((0, third, 7, 11, 14), name + "maj9"),
        "add9": ((0, third, 7, 14), name + "add9"),
        "sus4": ((0, 5, 7), "sus4"),
        "sus2": ((0, 2, 7), "sus2"),
        "7sus4": ((0, 5, 7, 10), "7sus4"),
        "7b5": ((0, third, 6, 10), name + "7b5"),
    }[extension]


def ninth(given: Chord) -> Chord:
    """A seventh chord with its ninth where that is a whole tone; others stay as they are."""
    bigger = {"7": "9", "m7": "m9", "maj7": "maj9"}
    if given.suffix not in bigger:
        return given
    return Chord(given.root, (*given.steps, 14), bigger[given.suffix])


def nearest(pitch_class: int, around: float) -> int:
    """The MIDI pitch of ``pitch_class`` closest to ``around``; the lower one of two."""
    base = round(around)
    return min(
        range(base - 7, base + 8), key=lambda p: (p % 12 != pitch_class % 12, abs(p - around))
    )


def into(pitch: int, low: int, high: int) -> int:
    """``pitch`` moved by octaves into ``low`` to ``high``."""
    while pitch < low:
        pitch += 12
    while pitch > high:
        pitch -= 12
    return max(pitch, low)
