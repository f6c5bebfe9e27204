"""As much harmony as the composer needs: keys, scales, chords of Roman numerals."""

from __future__ import annotations

from dataclasses import dataclass

TONICS = {"C": 0, "C sharp": 1, "D": 2, "E flat": 3, "E": 4, "F": 5, "F sharp": 6, "G": 7,
          "A flat": 8, "G sharp": 8, "A": 9, "B flat": 10, "B": 11}  # fmt: skip
MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)
PENTATONIC = {True: (0, 3, 5, 7, 10), False: (0, 2, 4, 7, 9)}  # by "is minor"
NUMERALS = ("i", "ii", "iii", "iv", "v", "vi", "vii")


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

    @property
    def scale(self) -> tuple[int, ...]:
        """Pitch classes of the scale, from the tonic up."""
        return tuple((self.tonic + step) % 12 for step in (MINOR if self.minor else MAJOR))

    @property
    def triad(self) -> tuple[int, ...]:
        """Pitch classes of the tonic's chord."""
        return tuple((self.tonic + step) % 12 for step in (0, 3 if self.minor else 4, 7))

    @property
    def pentatonic(self) -> tuple[int, ...]:
        """Pitch classes of the pentatonic scale."""
        return tuple((self.tonic + step) % 12 for step in PENTATONIC[self.minor])


@dataclass(frozen=True)
class Chord:
    """A chord: ``root`` is a pitch class; the others are semitones above it."""

    root: int
    third: int
    fifth: int
    seventh: int
    has_seventh: bool

    @property
    def classes(self) -> tuple[int, ...]:
        """Pitch classes, root first."""
        steps = [0, self.third, self.fifth] + ([self.seventh] if self.has_seventh else [])
        return tuple((self.root + step) % 12 for step in steps)

    def step(self, name: str) -> int:
        """Semitones above the root of ``"1"``, ``"3"``, ``"5"``, ``"7"`` or ``"8"``."""
        return {"1": 0, "3": self.third, "5": self.fifth, "7": self.seventh, "8": 12}[name]


def chord(numeral: str, key: Key, has_seventh: bool, bluesy: bool = False) -> Chord:
    """The chord of a Roman numeral: upper case is major, lower case minor.

    A minor second degree in a minor key is diminished; VII is always the one below the tonic, a
    whole tone away; ``bluesy`` makes each seventh a minor one.
    """
    degree = NUMERALS.index(numeral.lower())
    is_major = numeral.isupper()
    offset = (MINOR if key.minor else MAJOR)[degree]
    if degree == 6 and is_major:
        offset = 10
    diminished = not is_major and (degree == 6 or (degree == 1 and key.minor))
    dominant = bluesy or not is_major or degree in (4, 5, 6) or (key.minor and degree == 4)
    if is_major and degree in (2, 5) and key.minor:
        dominant = False  # III and VI of a minor key have major sevenths
    return Chord(
        root=(key.tonic + offset) % 12,
        third=4 if is_major else 3,
        fifth=6 if diminished else 7,
        seventh=10 if dominant else 11,
        has_seventh=has_seventh,
    )


def nearest(pitch_class: int, around: float) -> int:
    """The MIDI pitch of ``pitch_class`` closest to ``around``."""
    base = round(around)
    return min(range(base - 11, base + 12), key=lambda p: (p % 12 != pitch_class, abs(p - around)))


def into(pitch: int, low: int, high: int) -> int:
    """``pitch`` moved by octaves into ``low`` to ``high``."""
    while pitch < low:
        pitch += 12
    while pitch > high:
        pitch -= 12
    return max(pitch, low)
