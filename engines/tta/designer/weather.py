"""Weather, water, fire and crowds: noise whose spectrum moves, and grains by the thousand."""

from __future__ import annotations

import numpy as np

from engines.tta.designer.kind import FORCE, PITCH, Control, Kind
from engines.tta.designer.toolkit import (
    RATE,
    Rng,
    attack,
    band,
    burst,
    coloured,
    count,
    high,
    low,
    phase,
    scatter,
    shaped,
    times,
    wander,
    white,
)


def _drop(r: Rng) -> np.ndarray:
    """A drop on a hard ground: a click and a bubble's short ring."""
    m, hz = count(0.02), r.uniform(1500, 7000)
    ring = np.sin(2 * np.pi * hz * times(m)) * np.exp(-times(m) / r.uniform(0.001, 0.004))
    return ring + 0.5 * burst(m, r, 0.006, 2000, 14_000)


def _bubble(r: Rng) -> np.ndarray:
    """A bubble of air in water (Minnaert): a sine that decays while its pitch rises."""
    hz = r.uniform(350, 1900)
    m = count(0.12)
    rising = hz * (1 + 1.6 * times(m) / 0.12 * r.uniform(0.1, 0.5))
    return (
        np.sin(2 * np.pi * phase(rising)) * np.exp(-times(m) * (0.13 * hz**0.8)) * attack(m, 0.002)
    )


def rain(duration_s: float, rng: Rng, force: float) -> np.ndarray:
    """Rain: far drops that merge into noise, near ones that are heard by themselves."""
    n = count(duration_s)
    sides = []
    for _ in range(2):
        merged = band(coloured(n, rng, -1.5, 400), 400, 13_000)
        near = scatter(n, rng, 25 + 220 * force, _drop)
        patter = scatter(n, rng, 6 + 30 * force, lambda r: burst(count(0.03), r, 0.02, 300, 1800))
        sway = 1 + 0.12 * wander(n, rng, 0.7)
        sides.append((0.12 + 0.35 * force) * merged * sway + 0.35 * near + 0.15 * patter)
    return np.stack(sides)


def wind(duration_s: float, rng: Rng, force: float, pitch: float) -> np.ndarray:
    """Wind: noise through a resonance that rises and widens with each gust."""
    n = count(duration_s)
    gust = 0.5 + 0.5 * wander(n, rng, 0.45 + 0.5 * force)
    gust = 0.75 * gust + 0.25 * (0.5 + 0.5 * wander(n, rng, 2.5))
    places = np.linspace(0, 1, n)
    sides = []
    for _ in range(2):

        def howl(hz: np.ndarray, share: np.ndarray) -> np.ndarray:
            strength = np.interp(share[0], places, gust)[None, :]
            centre = (180 + 520 * strength * (0.5 + force)) * pitch
            whistle = 0.6 / np.sqrt(1 + ((hz - centre) / (0.12 * centre)) ** 2)
            return whistle + 1 / (1 + (hz / (150 + 700 * strength * (0.4 + force))) ** 2)

        air = shaped(coloured(n, rng, -2, 60), howl, 1024)
        sides.append(air * (0.3 + gust) ** (1 + force))
    return high(np.stack(sides), 40)


PERIOD = Control("period", 7.0, 3.0, 20.0, "Seconds from wave to wave.")


def waves(duration_s: float, rng: Rng, force: float, period: float) -> np.ndarray:
    """Waves on a beach: a swell that breaks, runs up as foam, and draws back."""
    n = count(duration_s)
    pace = phase((1 + 0.12 * wander(n, rng, 0.3)) / period) + 0.22
    into = pace % 1
    swell = np.where(into < 0.35, (into / 0.35) ** 2.2, np.exp(-(into - 0.35) / 0.2))
    foam = np.exp(-(((into - 0.48) / 0.2) ** 2))
    sides = []
    for _ in range(2):
        deep = low(coloured(n, rng, -4.5, 60), 500 + 600 * force)
        hiss = band(white(n, rng), 900, 9000)
        bubbles = scatter(n, rng, 4 + 60 * foam, lambda r: burst(count(0.02), r, 0.01, 2000, 9000))
        sides.append(
            (0.12 + swell) * (0.7 + force) * deep + (0.05 + 0.45 * foam) * hiss + 0.15 * bubbles
        )
    return np.stack(sides)


def stream(duration_s: float, rng: Rng, force: float) -> np.ndarray:
    """A brook: bubbles of many sizes over a soft rush."""
    n = count(duration_s)
    return np.stack(
        [
            scatter(n, rng, 60 + 200 * force, _bubble)
            + (0.15 + 0.4 * force) * band(coloured(n, rng, -2, 300), 300, 6000)
            for _ in range(2)
        ]
    )


def fire(duration_s: float, rng: Rng, force: float) -> np.ndarray:
    """A fire: flames that flutter, and wood that cracks."""
    n = count(duration_s)
    flutter = 0.6 + 0.4 * wander(n, rng, 8)
    flames = low(coloured(n, rng, -5, 50), 700) * flutter

    def crack(r: Rng) -> np.ndarray:
        return burst(count(0.03), r, r.uniform(0.004, 0.02), r.uniform(600, 3000), 12_000)

    sides = [scatter(n, rng, 8 + 30 * force, crack) for _ in range(2)]
    hiss = 0.05 * high(white(n, rng), 3000) * flutter
    return np.stack([(0.25 + 0.5 * force) * flames + hiss + 1.3 * side for side in sides])


def spray(duration_s: float, rng: Rng, pitch: float, force: float) -> np.ndarray:
    """A can or hose that sprays: turbulent gas, bright, with a puff at the start."""
    n = count(duration_s)
    hiss = band(white(n, rng), 2500 * pitch, 13_000) + 0.25 * band(white(n, rng), 600, 2500)
    pressure = (1 + (0.5 + force) * np.exp(-times(n) / 0.03)) * (1 + 0.06 * wander(n, rng, 25))
    return attack(n, 0.004) * hiss * pressure


CROWD = Control("crowd", 0.5, 0.0, 1.0, "How many people: 0 is a few, 1 a hall.")


def applause(duration_s: float, rng: Rng, crowd: float) -> np.ndarray:
    """Applause: each hand claps at a pace and a pitch of its own."""
    n = count(duration_s)

    def clap(r: Rng) -> np.ndarray:
        centre = r.uniform(900, 2600)
        return burst(count(0.04), r, r.uniform(0.015, 0.035), 0.6 * centre, 1.9 * centre)

    hall = band(coloured(n, rng, -2, 300), 500, 6000)
    density = 18 + 400 * crowd**1.5
    sides = [scatter(n, rng, density, clap) for _ in range(2)]
    return np.stack([side + 0.25 * crowd**2 * hall for side in sides])


def air_noise(duration_s: float, rng: Rng, pitch: float) -> np.ndarray:
    """The tone of a quiet room: pink noise and a trace of the mains."""
    n = count(duration_s)
    mains = 0.05 * np.sin(2 * np.pi * 50 * pitch * np.arange(n) / RATE)
    return np.stack([coloured(n, rng, -4, 60) + mains for _ in range(2)])


KINDS = (
    Kind("rain", rain, r"rain\w*|drizzl\w*|downpour", 6.0, steady=True, level_db=-26, controls=(FORCE,)),
    Kind("wind", wind, r"winds?(?: (?:whistl|howl|blow)\w*)?|windy|breez\w*|gusts?|storm", 6.0,
         steady=True, level_db=-24, controls=(FORCE, PITCH)),
    Kind("waves", waves, r"waves?|ocean|sea|surf|beach", 10.0, steady=True, level_db=-24,
         controls=(FORCE, PERIOD)),
    Kind("stream", stream, r"streams?|brook|rivers?|creek|water", 6.0, steady=True, level_db=-26,
         controls=(FORCE,)),
    Kind("fire", fire, r"fires?|campfire|flames?|crackl\w*", 6.0, steady=True, level_db=-26,
         controls=(FORCE,)),
    Kind("spraying", spray, r"spray\w*|aerosol|hiss\w*", 1.2, 0.4, longest_s=20.0, level_db=-22,
         controls=(PITCH, FORCE)),
    Kind("applause", applause, r"applau\w*|clap\w*|crowd", 5.0, steady=True, level_db=-22,
         controls=(CROWD,)),
    Kind("room tone", air_noise, r"room tone|ambien\w*|room noise", 10.0, steady=True, level_db=-48,
         controls=(PITCH,)),
)  # fmt: skip
