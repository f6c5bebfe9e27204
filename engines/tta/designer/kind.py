"""What a kind of sound event is: a model, its controls, and how such an event usually goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Make = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Control:
    """A parameter of a model: name, usual value, bounds, meaning."""

    name: str
    default: float
    low: float
    high: float
    text: str


PITCH = Control("pitch", 1.0, 0.25, 4.0, "Ratio to the usual pitch; 2 is an octave higher.")
SIZE = Control("size", 1.0, 0.4, 2.5, "Size of the body that sounds; larger is darker.")
SPEED = Control("speed", 1.0, 0.25, 4.0, "How fast it goes inside one event.")
FORCE = Control("force", 0.5, 0.0, 1.0, "How hard or how much: 0 is gentle, 1 violent.")
DISTANCE = Control("distance", 0.0, 0.0, 1.0, "How far away: 0 is here, 1 on the horizon.")


@dataclass(frozen=True)
class Kind:
    """A kind of event.

    ``make(duration_s, rng, **controls)`` gives the sound, ``(T,)`` or ``(2, T)``, of any level. ``words``
    is a regular expression of what a text calls it. An event usually lasts ``duration_s`` and comes
    ``times`` times, ``gap_s`` apart. A ``steady`` one lasts as long as it is asked to; another is repeated
    where more than ``longest_s`` is asked for. ``level_db`` is the RMS of a steady one, and of the loudest
    50 ms of another, in dB re full scale.
    """

    name: str
    make: Make
    words: str
    duration_s: float
    gap_s: float = 0.3
    times: int = 1
    steady: bool = False
    level_db: float = -16.0
    longest_s: float = 0.0
    controls: tuple[Control, ...] = ()

    @property
    def most_s(self) -> float:
        """The longest sound of one event."""
        return self.longest_s or 3 * self.duration_s

    def control(self, name: str) -> Control | None:
        """The control of that name, if there is one."""
        return next((each for each in self.controls if each.name == name), None)
