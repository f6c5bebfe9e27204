"""Things that are struck, slammed, shot and broken: modes of bodies, and bursts of noise."""

from __future__ import annotations

import numpy as np

from engines.tta.designer.kind import DISTANCE, FORCE, PITCH, SIZE, Control, Kind
from engines.tta.designer.toolkit import (
    Rng,
    attack,
    band,
    burst,
    coloured,
    count,
    decay,
    high,
    low,
    phase,
    put,
    scatter,
    shaped,
    struck,
    times,
    white,
)

BAR = (1.0, 2.756, 5.404, 8.933, 13.34)  # modes of a free bar
PLATE = (1.0, 1.52, 2.24, 2.9, 3.76, 4.61, 5.9, 7.2)  # of a door
BELL = (0.5, 1.0, 1.183, 1.506, 2.0, 2.514, 2.662, 3.011, 4.166, 5.433)  # hum to double octave


def _scaled(rng: Rng, ratios: tuple[float, ...], base_hz: float, spread: float) -> list[float]:
    return [base_hz * ratio * (1 + spread * rng.uniform(-1, 1)) for ratio in ratios]


def knock(duration_s: float, rng: Rng, pitch: float, force: float) -> np.ndarray:
    """A knuckle on a wooden door."""
    n = count(duration_s)
    hz = _scaled(rng, PLATE, 165 * pitch, 0.04)
    body = struck(n, hz, [0.16 / (1 + 0.35 * i) for i in range(8)], [1 / (1 + i) for i in range(8)])
    skin = burst(n, rng, 0.025, 700, 2500 + 4000 * force)
    return body + (0.5 + force) * skin


def slam(duration_s: float, rng: Rng, size: float, force: float) -> np.ndarray:
    """A door that falls shut: air, frame, latch, and a rattle after it."""
    n = count(duration_s)
    boom = struck(n, [58 / size, 93 / size, 131 / size], [0.5, 0.35, 0.3], [1.3, 1.0, 0.7])
    panel = struck(
        n, _scaled(rng, PLATE, 190 / size, 0.06), [0.22 / (1 + 0.3 * i) for i in range(8)],
        [0.6 / (1 + 0.6 * i) for i in range(8)],
    )  # fmt: skip
    crack = burst(n, rng, 0.09 + 0.05 * force, 150, 1500 + 5000 * force)
    out = boom + panel + 1.2 * crack
    for at_s in np.cumsum(rng.uniform(0.02, 0.05, 4)):
        latch = struck(count(0.06), _scaled(rng, BAR, 1500, 0.1), [0.05] * 5, [0.3] * 5)
        put(out, at_s, latch, 0.5 * np.exp(-at_s / 0.06))
    return np.tanh((0.7 + force) * out)


def thump(duration_s: float, rng: Rng, pitch: float, force: float) -> np.ndarray:
    """Something heavy and soft that falls: a membrane whose pitch drops, and a dull thud."""
    n = count(duration_s)
    hz = (48 + 60 * np.exp(-times(n) / 0.025)) * pitch
    body = np.sin(2 * np.pi * phase(hz)) * decay(n, 0.35)
    thud = burst(n, rng, 0.07, 60, 400 + 500 * force)
    return np.tanh(1.3 * body + 0.8 * thud)


MATERIAL = Control("material", 0.5, 0.0, 1.0, "0 is wood, 0.5 plastic or glass, 1 metal.")


def tap(duration_s: float, rng: Rng, pitch: float, material: float) -> np.ndarray:
    """A tap, click or clank: a bar of wood (0) to metal (1)."""
    n = count(duration_s)
    hz = _scaled(rng, BAR, (420 + 900 * material) * pitch, 0.05)
    ring = 0.05 * (20**material)
    t60 = [ring / (1 + (0.9 - 0.6 * material) * i) for i in range(5)]
    gains = [(0.35 + 0.5 * material) ** i for i in range(5)]
    return struck(n, hz, t60, gains) + 0.6 * burst(n, rng, 0.012, 1500, 9000)


def bell(duration_s: float, rng: Rng, pitch: float, force: float) -> np.ndarray:
    """A church bell: hum, prime, minor third, fifth, octave and above; pairs of modes that beat."""
    n, out = count(duration_s), np.zeros(count(duration_s))
    for index, ratio in enumerate(BELL):
        hz, t60 = 440 * pitch * ratio, 7.0 / (0.6 + ratio) / pitch**0.5
        gain = (1.0, 0.9, 0.8, 0.4, 1.0, 0.35, 0.3, 0.4, 0.3, 0.2)[index] * (0.6 + force)
        beat = rng.uniform(0.2, 0.9)
        out += struck(n, [hz, hz + beat], [t60, 0.9 * t60], [gain, 0.5 * gain])
    return out * attack(n, 0.001) + 0.8 * burst(n, rng, 0.03, 1500, 8000)


def footstep(duration_s: float, rng: Rng, size: float, gravel: float) -> np.ndarray:
    """One step: heel and ball on a hard floor, or grains that give way."""
    n = count(duration_s)
    out = np.zeros(n)
    for at_s, gain in ((0.0, 1.0), (rng.uniform(0.07, 0.1), 0.6)):
        m = count(0.14)
        heel = struck(m, [85 / size, 170 / size, 310 / size], [0.09, 0.07, 0.05], [1, 0.6, 0.4])
        heel += 0.5 * burst(m, rng, 0.03, 300, 3500)
        density = 900 * gravel * np.exp(-times(m) / 0.05) + 1
        grains = scatter(m, rng, density, lambda r: burst(count(0.012), r, 0.008, 1200, 8000))
        put(out, at_s, (1 - 0.7 * gravel) * heel + 1.6 * gravel * grains, gain)
    return out


def gunshot(duration_s: float, rng: Rng, size: float, distance: float) -> np.ndarray:
    """A shot: the blast's N-wave, hot gas, a boom, and echoes from around."""
    n = count(duration_s)
    wave = np.zeros(n)
    m = count(0.0015 * size)
    wave[: min(m, n)] = np.linspace(1, -1, m)[:n]
    gas = burst(n, rng, 0.16 * size, 200, 9000)
    boom = burst(n, rng, 0.4 * size, 40, 260)
    out = np.tanh(3 * (1.5 * wave + 1.5 * gas + 1.4 * boom))
    dry = out.copy()
    for at_s in np.sort(rng.uniform(0.06, 0.6, 7)):
        echo = low(dry, rng.uniform(900, 3000))
        put(out, at_s, echo, 0.32 * np.exp(-at_s / 0.3))
    return low(out, 900 + 14_000 * (1 - distance) ** 2, 1)


def explosion(duration_s: float, rng: Rng, size: float, distance: float) -> np.ndarray:
    """A blast: a front, fire that darkens as it spreads, a long rumble, debris."""
    n, at = count(duration_s), times(count(duration_s))
    blast = white(n, rng)
    top, end = 9000 * (1 - 0.8 * distance), 140 / size

    def darker(hz: np.ndarray, share: np.ndarray) -> np.ndarray:
        edge = end + (top - end) * np.exp(-share * duration_s / (0.16 * size))
        return 1 / (1 + (hz / edge) ** 2)

    fire = shaped(blast, darker) * decay(n, 1.6 * size)
    rumble = coloured(n, rng, -6, 35) * decay(n, 2.8 * size) * (1 - np.exp(-at / 0.03))
    out = np.tanh(2.5 * (2.2 * fire + 0.8 * rumble))
    falling = 60 * np.exp(-at / 0.8) * (at > 0.25) + 1e-6
    debris = scatter(n, rng, falling, lambda r: burst(count(0.05), r, 0.03, 500, 5000))
    return out + 0.12 * (1 - distance) * debris


def thunder(duration_s: float, rng: Rng, size: float, distance: float) -> np.ndarray:
    """Lightning: a crack if it is near, then claps that arrive from along its way, and rumble."""
    _n, out = count(duration_s), np.zeros(count(duration_s))
    m = count(min(duration_s, 1.2))
    crack = high(white(m, rng), 300) * decay(m, 0.35)
    put(out, 0, low(crack, 1500 + 9000 * (1 - distance)), 1.4 * (1 - distance) + 0.1)
    arrivals = np.concatenate([[0.0], np.sort(rng.exponential(0.28 * duration_s, 12))])
    for at_s in arrivals:
        m = count(rng.uniform(0.5, 1.2) * size)
        clap = low(coloured(m, rng, -5, 30), 260 - 120 * distance) * decay(m, 1.1 * size)
        put(
            out,
            at_s,
            clap * attack(m, 0.01),
            rng.uniform(0.4, 1) * np.exp(-at_s / (0.4 * duration_s)),
        )
    return out


def glass(duration_s: float, rng: Rng, size: float, force: float) -> np.ndarray:
    """A pane that breaks: a crack, then splinters that ring and fall."""
    n = count(duration_s)

    def splinter(r: Rng) -> np.ndarray:
        m, base = count(0.25), r.uniform(1800, 6500) / size
        hz = [base, base * r.uniform(1.3, 1.9), base * r.uniform(2.1, 2.9)]
        return struck(m, hz, list(r.uniform(0.04, 0.25, 3)), [1, 0.6, 0.4])

    density = (150 + 250 * force) * np.exp(-times(n) / (0.12 + 0.15 * duration_s)) + 0.01
    crack = burst(n, rng, 0.07, 1200, 14_000) + 0.6 * burst(n, rng, 0.05, 150, 900)
    return 1.5 * crack + 0.5 * scatter(n, rng, density, splinter)


def tick(duration_s: float, rng: Rng, pitch: float) -> np.ndarray:
    """A clock: the escapement's two small clicks in a wooden case."""
    n = count(duration_s)
    out = np.zeros(n)
    for at_s, gain in ((0.0, 1.0), (0.022, 0.5)):
        m = count(0.06)
        case = struck(
            m, [1150 * pitch, 2480 * pitch, 4300 * pitch], [0.035, 0.02, 0.012], [0.8, 1, 0.7]
        )
        put(out, at_s, case + 0.3 * burst(m, rng, 0.006, 2500, 9000), gain)
    return out


def heartbeat(duration_s: float, rng: Rng, pitch: float, speed: float) -> np.ndarray:
    """A heart: the closing of two pairs of valves, heard through the chest."""
    out = np.zeros(count(duration_s))
    for at_s, hz, gain in ((0.0, 48.0, 1.0), (0.3 / speed, 62.0, 0.75)):
        m = count(0.16)
        valve = struck(m, [hz * pitch, 1.7 * hz * pitch], [0.14, 0.09], [1, 0.5])
        valve = attack(m, 0.006) * valve + 0.4 * burst(m, rng, 0.05, 40, 160)
        put(out, at_s, valve, gain * rng.uniform(0.93, 1.07))
    return out


def keys(duration_s: float, rng: Rng, force: float) -> np.ndarray:
    """A key of a keyboard: down, and up again."""
    out = np.zeros(count(duration_s))
    for at_s, gain in ((0.0, 1.0), (rng.uniform(0.06, 0.09), 0.4)):
        m = count(0.05)
        key = struck(
            m, [310, 1240 * rng.uniform(0.9, 1.1), 2900], [0.03, 0.02, 0.015], [1, 0.6, 0.4]
        )
        put(
            out,
            at_s,
            key + (0.3 + 0.5 * force) * band(white(m, rng), 1500, 7000) * decay(m, 0.02),
            gain,
        )
    return out


GRAVEL = Control("gravel", 0.2, 0.0, 1.0, "0 is a hard floor, 1 gravel or snow.")
HEART = Control("speed", 1.0, 0.5, 2.0, "How fast the second beat follows the first.")
KINDS = (
    Kind("door knocking", knock, r"knock\w*", 0.2, 0.08, 3, controls=(PITCH, FORCE)),
    Kind("door slamming", slam, r"slam\w*|doors? (?:shuts?|clos\w+)", 0.8, 0.8, level_db=-12,
         controls=(SIZE, FORCE)),
    Kind("explosion", explosion, r"explo\w*|blasts?|bombs?|detonat\w*", 3.0, 0.5, level_db=-10,
         controls=(SIZE, DISTANCE)),
    Kind("gunshot", gunshot, r"guns?|gunshots?|gunfire|shots?|rifles?|pistols?", 0.9, 0.4, level_db=-10,
         controls=(SIZE, DISTANCE)),
    Kind("thump thud", thump, r"thump\w*|thuds?|thudd\w*|bumps?", 0.4, 0.4, controls=(PITCH, FORCE)),
    Kind("tapping clicking clanking", tap, r"tap(?:s|ping)?|click\w*|clank\w*|clink\w*", 0.22, 0.15, 4,
         level_db=-20, controls=(PITCH, MATERIAL)),
    Kind("bell", bell, r"(?:door)?bells?|chim(?:e|es|ing)|gongs?", 4.0, 0.2, longest_s=12.0,
         controls=(PITCH, FORCE)),
    Kind("footsteps", footstep, r"foot ?steps?|steps?|walk\w*", 0.28, 0.27, 6, level_db=-22,
         controls=(SIZE, GRAVEL)),
    Kind("thunder", thunder, r"(?:claps? of )?thunder\w*|lightning", 5.0, 1.0, longest_s=15.0, level_db=-12,
         controls=(SIZE, DISTANCE)),
    Kind("glass breaking", glass, r"glass(?:es)?|shatter\w*|window breaks?", 1.4, 0.6,
         controls=(SIZE, FORCE)),
    Kind("clock ticking", tick, r"clocks?|tick\w*", 0.1, 0.4, 8, level_db=-26, controls=(PITCH,)),
    Kind("heartbeat", heartbeat, r"heart ?beats?|hearts?", 0.55, 0.35, 6, controls=(PITCH, HEART)),
    Kind("typing", keys, r"typing|types|keyboards?", 0.12, 0.06, 12, level_db=-24, controls=(FORCE,)),
)  # fmt: skip
