"""Voices of animals and people: a larynx and a vocal tract whose formants move (source and filter)."""

from __future__ import annotations

import numpy as np

from engines.tta.designer.kind import FORCE, PITCH, SIZE, SPEED, Control, Kind
from engines.tta.designer.toolkit import (
    RATE,
    Rng,
    attack,
    band,
    burst,
    count,
    curve,
    decay,
    high,
    larynx,
    phase,
    put,
    times,
    tract,
    wander,
    white,
)


def bark(duration_s: float, rng: Rng, pitch: float, size: float) -> np.ndarray:
    """A dog: a short, rough, falling cry while the mouth opens and closes."""
    n = count(duration_s)
    f0 = curve(n, (0, 330), (0.2, 520), (0.55, 420), (1, 210)) * pitch / size
    source = larynx(f0 * rng.uniform(0.92, 1.08), rng, 0.06, 0.55, 1400)
    source += 0.35 * white(n, rng) * np.abs(source)
    mouth = (
        ([(0, 450), (0.25, 850), (1, 480)], 220, 1.0),
        ([(0, 1000), (0.25, 1550), (1, 1050)], 300, 0.8),
        ([(0, 2500), (0.3, 2900), (1, 2500)], 450, 0.45),
        ([(0, 3900), (1, 3700)], 600, 0.2),
    )
    swell = attack(n, 0.012) * curve(n, (0, 1), (0.3, 1), (0.7, 0.35), (1, 0.02))
    return np.tanh(2.0 * tract(source, mouth, size) * swell)


def meow(duration_s: float, rng: Rng, pitch: float, size: float) -> np.ndarray:
    """A cat: from a closed, nasal mouth over a wide one to a rounded one."""
    n = count(duration_s)
    top = rng.uniform(640, 760)
    f0 = curve(n, (0, 430), (0.3, top), (0.65, 0.9 * top), (1, 380)) * pitch / size
    f0 *= 1 + 0.012 * np.sin(2 * np.pi * 6.5 * times(n)) * curve(n, (0, 0), (0.4, 1), (1, 1))
    source = larynx(f0, rng, 0.012, 0.08, 1800) + 0.02 * white(n, rng)
    mouth = (
        ([(0, 350), (0.3, 1050), (0.65, 900), (1, 480)], 160, 1.0),
        ([(0, 2500), (0.3, 2250), (0.65, 1700), (1, 950)], 240, 0.7),
        ([(0, 3600), (1, 3200)], 350, 0.35),
        ([(0, 5200), (1, 4800)], 600, 0.15),
    )
    return tract(source, mouth, size) * curve(n, (0, 0.25), (0.25, 1), (0.7, 0.8), (1, 0.03))


def moo(duration_s: float, rng: Rng, pitch: float, size: float) -> np.ndarray:
    """A cow: low, with a hum at first, then an open throat."""
    n = count(duration_s)
    f0 = curve(n, (0, 82), (0.25, 118), (0.75, 124), (1, 92)) * pitch * rng.uniform(0.93, 1.07)
    source = larynx(f0 / size, rng, 0.02, 0.12, 900) + 0.015 * white(n, rng)
    mouth = (
        ([(0, 220), (0.3, 420), (0.75, 520), (1, 330)], 110, 1.0),
        ([(0, 650), (0.35, 900), (0.8, 1050), (1, 700)], 160, 0.6),
        ([(0, 2100), (1, 2200)], 280, 0.2),
        ([(0, 3100), (1, 3000)], 400, 0.1),
    )
    return tract(source, mouth, size) * curve(n, (0, 0.4), (0.3, 0.9), (0.75, 1), (1, 0.05))


def bleat(duration_s: float, rng: Rng, pitch: float, size: float) -> np.ndarray:
    """A sheep: a voice that trembles eight times a second, in pitch and in level."""
    n = count(duration_s)
    tremble = np.sin(2 * np.pi * phase(8.0 + wander(n, rng, 3.0)))
    f0 = curve(n, (0, 230), (0.2, 270), (1, 215)) * pitch * rng.uniform(0.9, 1.1)
    source = larynx(f0 / size * (1 + 0.06 * tremble), rng, 0.02, 0.2, 1500)
    source += 0.03 * white(n, rng)
    mouth = (
        ([(0, 450), (0.15, 720), (1, 680)], 150, 1.0),
        ([(0, 1500), (0.15, 1750), (1, 1600)], 220, 0.8),
        ([(0, 2700), (1, 2650)], 350, 0.4),
        ([(0, 3800), (1, 3700)], 500, 0.2),
    )
    swell = curve(n, (0, 0.5), (0.15, 1), (0.7, 0.8), (1, 0.04))
    return tract(source, mouth, size) * swell * (1 + 0.45 * tremble)


def quack(duration_s: float, rng: Rng, pitch: float, size: float) -> np.ndarray:
    """A duck: a buzzing reed in a narrow bill."""
    n = count(duration_s)
    f0 = curve(n, (0, 190), (0.25, 230), (1, 150)) * pitch * rng.uniform(0.94, 1.06)
    source = larynx(f0 / size, rng, 0.03, 0.35, 4000) + 0.08 * white(n, rng)
    bill = (
        ([(0, 850), (0.3, 1250), (1, 950)], 160, 1.0),
        ([(0, 2300), (0.3, 2550), (1, 2200)], 220, 0.9),
        ([(0, 3600), (1, 3500)], 350, 0.5),
    )
    swell = attack(n, 0.006) * curve(n, (0, 1), (0.4, 0.9), (1, 0.02))
    return np.tanh(1.5 * tract(source, bill, size) * swell)


def burp(duration_s: float, rng: Rng, pitch: float, size: float) -> np.ndarray:
    """A burp: slow, irregular pulses of the gullet behind a mouth that opens."""
    n = count(duration_s)
    f0 = curve(n, (0, 58), (0.3, 92), (1, 46)) * pitch / size
    source = larynx(f0 * (1 + 0.22 * wander(n, rng, 24)), rng, 0.25, 0.5, 900)
    source += 0.2 * white(n, rng) * np.clip(np.abs(source), 0, 1)
    mouth = (
        ([(0, 260), (0.3, 560), (1, 380)], 170, 1.0),
        ([(0, 850), (0.4, 1050), (1, 800)], 240, 0.6),
        ([(0, 2300), (1, 2200)], 400, 0.25),
    )
    swell = attack(n, 0.008) * curve(n, (0, 0.7), (0.25, 1), (0.7, 0.6), (1, 0.03))
    return tract(source, mouth, size) * swell * (1 + 0.3 * wander(n, rng, 14))


def sneeze(duration_s: float, rng: Rng, pitch: float, force: float) -> np.ndarray:
    """A sneeze: breath drawn in, then pressed out with a hiss and a cry."""
    n = count(duration_s)
    out, inhale = np.zeros(n), count(0.38 * duration_s)
    breath = larynx(curve(inhale, (0, 190), (1, 330)) * pitch, rng, 0.03, 0, 600)
    breath = 0.25 * breath + 0.3 * white(inhale, rng)
    open_mouth = (
        ([(0, 600), (1, 800)], 180, 1.0), ([(0, 1300), (1, 1500)], 260, 0.6),
        ([(0, 2600), (1, 2800)], 400, 0.4),
    )  # fmt: skip
    out[:inhale] = 0.5 * tract(breath, open_mouth) * curve(inhale, (0, 0.6), (0.8, 1), (1, 0.1))
    rest = n - inhale
    hiss = band(white(rest, rng), 2200, 9000) * decay(rest, 0.25 + 0.2 * force)
    cry = larynx(curve(rest, (0, 420), (0.3, 300), (1, 170)) * pitch, rng, 0.04, 0.2, 1300)
    mouth = (
        ([(0, 350), (0.3, 420), (1, 320)], 150, 1.0), ([(0, 1700), (0.3, 1000), (1, 800)], 260, 0.6),
        ([(0, 2600), (1, 2300)], 400, 0.3),
    )  # fmt: skip
    cry = tract(cry, mouth) * attack(rest, 0.05) * curve(rest, (0, 1), (0.4, 0.8), (1, 0.02))
    out[inhale:] = (0.7 + 0.8 * force) * attack(rest, 0.004) * hiss + 1.6 * cry
    return out


def laugh(duration_s: float, rng: Rng, pitch: float, speed: float) -> np.ndarray:
    """A woman who laughs: breath and vowel by turns, five a second, falling in pitch."""
    n = count(duration_s)
    out, each = np.zeros(n), 0.19 / speed
    many = max(1, int(duration_s / each))
    for number in range(many):
        share = number / max(1, many)
        length = count(min(each, duration_s - number * each))
        top = (390 - 150 * share) * pitch * rng.uniform(0.94, 1.06)
        voice = larynx(curve(length, (0, 1.05 * top), (0.4, top), (1, 0.85 * top)), rng, 0.015)
        ha = (
            ([(0, 800), (1, 900)], 110, 1.0), ([(0, 1350), (1, 1450)], 140, 0.65),
            ([(0, 2900), (1, 2850)], 200, 0.3), ([(0, 4000), (1, 4000)], 350, 0.12),
        )  # fmt: skip
        breath = tract(0.25 * white(length, rng), ha) * curve(length, (0, 1), (0.4, 0.3), (1, 0.1))
        spoken = curve(length, (0, 0), (0.25, 0.1), (0.45, 1), (0.75, 0.7), (1, 0.02))
        put(out, number * each, tract(voice, ha) * spoken + breath, 1 - 0.55 * share)
    return out


def whistle(duration_s: float, rng: Rng, pitch: float, speed: float) -> np.ndarray:
    """A person who whistles: a nearly pure tone that glides from note to note, and some breath."""
    n = count(duration_s)
    notes = max(2, round(2.5 * speed * duration_s))
    scale = np.array([0, 2, 4, 7, 9, 12])
    steps = scale[np.clip(np.cumsum(rng.integers(-2, 3, notes)) + 2, 0, 5)]
    at = np.minimum((times(n) / duration_s * notes).astype(int), notes - 1)
    glide = np.exp(-np.arange(count(0.2)) / (0.018 * RATE))
    semitones = np.convolve(np.pad(steps[at].astype(float), (len(glide), 0), "edge"), glide)
    semitones = semitones[len(glide) : len(glide) + n] / glide.sum()
    hz = 1050 * pitch * 2 ** (semitones / 12) * (1 + 0.006 * np.sin(2 * np.pi * 5.5 * times(n)))
    turns = 2 * np.pi * phase(hz)
    tone = np.sin(turns) + 0.06 * np.sin(2 * turns) + 0.02 * np.sin(3 * turns)
    into = (times(n) * notes / duration_s) % 1
    tongue = np.clip(np.minimum(into / 0.06, (1 - into) / 0.06), 0.25, 1)
    return attack(n, 0.015) * tongue * (tone + 0.5 * band(white(n, rng), 900, 3200) * 0.12)


def birdsong(duration_s: float, rng: Rng, pitch: float, speed: float) -> np.ndarray:
    """A bird: phrases of quick chirps, each a glide of a pure tone."""
    n = count(duration_s)
    out, at = np.zeros(n), 0.0
    while at < duration_s:
        shape, centre = rng.integers(0, 3), rng.uniform(2800, 5200) * pitch
        length_s, many = rng.uniform(0.05, 0.13) / speed, int(rng.integers(2, 7))
        for _ in range(many):
            m = count(length_s)
            bend = ((0, 1.25), (1, 0.8)), ((0, 0.8), (1, 1.3)), ((0, 0.85), (0.5, 1.25), (1, 0.9))
            hz = centre * curve(m, *bend[shape])
            chirp = np.sin(2 * np.pi * phase(hz)) * np.sin(np.pi * np.linspace(0.02, 1, m)) ** 0.7
            put(out, at, chirp, rng.uniform(0.6, 1))
            at += length_s * rng.uniform(1.15, 1.5)
        at += rng.uniform(0.15, 0.7) / speed
    return out


def crickets(duration_s: float, rng: Rng, pitch: float, density: float) -> np.ndarray:
    """Crickets: wings that scrape, three pulses a chirp, each animal at a pitch and pace of its own."""
    n = count(duration_s)
    sides = np.zeros((2, n))
    for _ in range(round(2 + 6 * density)):
        pace, hz = rng.uniform(1.6, 2.6), rng.uniform(4100, 5000) * pitch
        into = (times(n) * pace) % 1.0
        pulses = (into < 0.22) * np.sin(np.pi * np.clip(into / 0.22 * 3, 0, 3)) ** 2
        sound = np.sin(2 * np.pi * hz * times(n)) * pulses
        place, gain = rng.uniform(0.1, 0.9), rng.uniform(0.3, 1)
        sides += gain * np.stack([np.sqrt(1 - place), np.sqrt(place)])[:, None] * sound
    return sides


def cough(duration_s: float, rng: Rng, pitch: float, force: float) -> np.ndarray:
    """A cough: a burst when the throat opens, a rough cry and breath."""
    n = count(duration_s)
    throat = (
        ([(0, 700), (1, 500)], 250, 1.0), ([(0, 1500), (1, 1200)], 350, 0.7),
        ([(0, 2700), (1, 2500)], 500, 0.4),
    )  # fmt: skip
    cry = larynx(curve(n, (0, 240), (0.3, 190), (1, 120)) * pitch, rng, 0.12, 0.5, 1200)
    air = 0.6 * white(n, rng) * decay(n, 0.3 + 0.3 * force)
    sound = tract(cry * decay(n, 0.5) + air, throat) * attack(n, 0.003)
    return sound + 0.5 * high(burst(n, rng, 0.06, 800, 6000), 500)


DENSITY = Control("density", 0.5, 0.0, 1.0, "How many there are.")
KINDS = (
    Kind("dog barking", bark, r"dogs?|bark\w*|woof\w*|hounds?|pupp(?:y|ies)", 0.26, 0.32, 2,
         controls=(PITCH, SIZE)),
    Kind("cat meowing", meow, r"cats?|meow\w*|miaow\w*|mew\w*|kittens?", 0.85, 0.5,
         controls=(PITCH, SIZE)),
    Kind("cow mooing", moo, r"cows?|moo\w*|cattle", 1.7, 0.8, controls=(PITCH, SIZE)),
    Kind("sheep goat bleating", bleat, r"sheep|goats?|lambs?|bleat\w*|baa\w*", 0.9, 0.6,
         controls=(PITCH, SIZE)),
    Kind("duck quacking", quack, r"ducks?|quack\w*", 0.22, 0.2, 3, controls=(PITCH, SIZE)),
    Kind("burping belching", burp, r"burp\w*|belch\w*", 0.7, 0.6, controls=(PITCH, SIZE)),
    Kind("sneeze", sneeze, r"sneez\w*|achoo", 0.95, 0.7, controls=(PITCH, FORCE)),
    Kind("woman laughing", laugh, r"laugh\w*|giggl\w*|chuckl\w*", 1.6, 0.6, longest_s=6.0,
         controls=(PITCH, SPEED)),
    Kind("whistling", whistle, r"whistl\w*", 1.5, 0.5, longest_s=10.0, level_db=-18,
         controls=(PITCH, SPEED)),
    Kind("birdsong", birdsong, r"birds?|birdsong|chirp\w*|tweet\w*", 4.0, 0.5, steady=True,
         level_db=-26, controls=(PITCH, SPEED)),
    Kind("crickets", crickets, r"crickets?|cicadas?", 5.0, steady=True, level_db=-30,
         controls=(PITCH, DENSITY)),
    Kind("coughing", cough, r"cough\w*", 0.35, 0.25, 2, controls=(PITCH, FORCE)),
)  # fmt: skip
