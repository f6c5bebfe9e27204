"""Machines and signals: oscillators, reeds, and engines whose cylinders fire."""

from __future__ import annotations

import numpy as np

from engines.tta.designer.kind import PITCH, SPEED, Control, Kind
from engines.tta.designer.toolkit import (
    RATE,
    Rng,
    attack,
    band,
    coloured,
    count,
    curve,
    low,
    phase,
    put,
    saw,
    shaped,
    struck,
    times,
    wander,
    white,
)


def _reed(n: int, hz: float, rng: Rng, rise: float) -> np.ndarray:
    """A diaphragm that is blown: its pitch settles as it starts."""
    settle = 1 - rise * np.exp(-times(n) / 0.05)
    return saw(np.full(n, hz) * settle * (1 + 0.0015 * wander(n, rng, 20)))


def _horn(x: np.ndarray, peaks: tuple[tuple[float, float, float], ...]) -> np.ndarray:
    def gain(hz: np.ndarray, share: np.ndarray) -> np.ndarray:
        total = np.zeros_like(hz)
        for centre, width, level in peaks:
            total += level / np.sqrt(1 + ((hz - centre) / (0.5 * width)) ** 2)
        return (0.05 + total) / (1 + (hz / 7000) ** 2) * np.ones_like(share)

    return shaped(x, gain)


def car_horn(duration_s: float, rng: Rng, pitch: float) -> np.ndarray:
    """A car's horn: two diaphragms a third apart, in a trumpet."""
    n = count(duration_s)
    pair = np.zeros(n)
    for hz in (417.0, 512.0):
        pair += _reed(n, hz * pitch * rng.uniform(0.997, 1.003), rng, 0.03)
    return np.tanh(_horn(pair, ((1050, 500, 1.0), (2400, 800, 0.9), (3900, 900, 0.4)))) * attack(
        n, 0.012
    )


def train_horn(duration_s: float, rng: Rng, pitch: float) -> np.ndarray:
    """A locomotive's horn: five chimes of a sixth chord, blown by air."""
    n = count(duration_s)
    chord = np.zeros(n)
    for hz in (311.1, 370.0, 415.3, 493.9, 622.3):
        chord += _reed(n, hz * pitch * rng.uniform(0.996, 1.004), rng, 0.06)
    swell = attack(n, 0.06) * curve(n, (0, 0.9), (0.1, 1), (0.9, 1), (1, 0.3))
    air = 0.5 * band(white(n, rng), 500, 5000)
    return np.tanh(
        0.6 * _horn(chord + air, ((600, 500, 1.0), (1400, 800, 0.7), (2700, 900, 0.3))) * swell
    )


CYLINDERS = Control("cylinders", 4.0, 1.0, 12.0, "Cylinders that fire, one after the other.")
RPM = Control("rpm", 1.0, 0.3, 5.0, "Speed of the shaft; 1 is idling at 900 a minute.")
# of an exhaust: frequencies, widths, gains; the middle ones are heard on small speakers too
PIPE = ((95, 60, 0.6), (210, 90, 0.9), (430, 160, 1.0), (900, 400, 0.7), (1900, 900, 0.35))
REV = Control(
    "rev", 0.0, -1.0, 1.0, "Speeds up (1 is four times as fast at the end) or slows down."
)


def engine(duration_s: float, rng: Rng, rpm: float, cylinders: float, rev: float) -> np.ndarray:
    """A motor: pulses of the cylinders, each a little different, through the exhaust."""
    n = count(duration_s)
    shaft = 15.0 * rpm * 4 ** (rev * np.linspace(0, 1, n)) * (1 + 0.012 * wander(n, rng, 6))
    many = round(cylinders)
    firing = phase(shaft * cylinders / 2)
    uneven = 1 + 0.25 * rng.uniform(-1, 1, many)
    into = firing % 1
    pulses = uneven[firing.astype(int) % many] * np.exp(-into * 9) - 0.11
    rough = white(n, rng) * np.exp(-into * 6) * 0.35
    pipe = _horn(pulses + rough, PIPE)
    whine = 0.03 * np.sin(2 * np.pi * phase(shaft * 23))
    return np.tanh(1.8 * low(pipe, 5000, 1) + 0.15 * band(rough, 1000, 5000) + whine)


def helicopter(duration_s: float, rng: Rng, speed: float) -> np.ndarray:
    """A helicopter: blades that slap the air, the turbine above it."""
    n = count(duration_s)
    turns = phase(11.5 * speed * (1 + 0.01 * wander(n, rng, 1)))
    chop = np.exp(-(turns % 1) * 7)
    air = coloured(n, rng, -3, 80)
    slap = low(air * chop, 900) + 0.7 * _blades(n, turns)
    turbine = 0.05 * np.sin(2 * np.pi * phase(np.full(n, 1180.0) * (1 + 0.002 * wander(n, rng, 4))))
    return slap + 0.12 * band(white(n, rng), 1500, 6000) * (0.5 + chop) + turbine


def _blades(n: int, turns: np.ndarray) -> np.ndarray:
    """The low thump of each blade that passes."""
    out = np.zeros(n)
    blade = struck(count(0.12), [42.0, 85.0, 128.0], [0.12, 0.09, 0.06], [1, 0.7, 0.4])
    for start in np.flatnonzero(np.diff(np.floor(turns), prepend=-1.0) > 0):
        put(out, start / RATE, blade)
    return out


def siren(duration_s: float, rng: Rng, pitch: float, speed: float) -> np.ndarray:
    """A siren that wails: a rotor's tone up and down every three seconds."""
    n = count(duration_s)
    sweep = 0.5 - 0.5 * np.cos(2 * np.pi * 0.32 * speed * times(n))
    hz = (520 + 900 * sweep) * pitch
    return np.tanh(_horn(saw(hz), ((1100, 900, 1.0), (2600, 1200, 0.5)))) * attack(n, 0.01)


def alarm(duration_s: float, rng: Rng, pitch: float, speed: float) -> np.ndarray:
    """An electronic alarm: groups of four beeps."""
    n = count(duration_s)
    slot = (times(n) * 8 * speed) % 8
    gate = (slot < 4) * ((slot % 1) < 0.55)
    gate = np.convolve(gate.astype(float), np.ones(88) / 88)[:n]
    tone = np.tanh(3 * np.sin(2 * np.pi * 2050 * pitch * times(n)))
    return gate * low(tone, 9000)


def telephone(duration_s: float, rng: Rng, pitch: float) -> np.ndarray:
    """A telephone of old: a clapper between two bells, twenty strokes a second."""
    n, strokes = count(duration_s), np.zeros(count(duration_s))
    for number, start in enumerate(np.arange(0, n, count(0.05))):
        base = (1420 if number % 2 else 1740) * pitch
        ring = struck(count(0.5), [base, 2.71 * base, 4.9 * base], [0.5, 0.3, 0.15], [1, 0.6, 0.3])
        piece = ring[: n - start] * rng.uniform(0.85, 1)
        strokes[start : start + len(piece)] += piece
    return strokes


KINDS = (
    Kind("car horn honking", car_horn, r"(?:car )?horns?|honk\w*|beep(?:s|ing)? car", 0.55, 0.25,
         longest_s=6.0, level_db=-14, controls=(PITCH,)),
    Kind("train horn", train_horn, r"train(?:'s)? horns?|trains?|locomotives?", 2.0, 0.5, longest_s=8.0,
         level_db=-13, controls=(PITCH,)),
    Kind("engine", engine, r"engines?|motors?|motorcycles?|trucks?|cars?|tractors?", 5.0, steady=True,
         level_db=-20, controls=(RPM, CYLINDERS, REV)),
    Kind("helicopter", helicopter, r"helicopters?|chopper", 5.0, steady=True, level_db=-20,
         controls=(SPEED,)),
    Kind("siren", siren, r"sirens?|ambulances?|police", 6.0, steady=True, level_db=-20,
         controls=(PITCH, SPEED)),
    Kind("alarm", alarm, r"(?:fire )?alarms?|beep\w*|buzzers?", 3.0, steady=True, level_db=-22,
         controls=(PITCH, SPEED)),
    Kind("telephone ringing", telephone, r"(?:tele)?phones?(?: (?:rings?|ringing))?", 2.0, 1.5, 2,
         longest_s=6.0, level_db=-18, controls=(PITCH,)),
)  # fmt: skip
