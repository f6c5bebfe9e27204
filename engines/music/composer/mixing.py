"""What makes a mix of stems: levels and places, rooms, the beat that pushes the rest down, loudness."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
from pyloudnorm.iirfilter import IIRfilter
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.signal import lfilter, oaconvolve

from engines.music.composer.sampler import SAMPLE_RATE
from engines.music.composer.score import ANSWER, ARP, BASS, COMP, DRUMS, LEAD, PAD, TEXTURE

LOUDNESS = -16.0  # LUFS
CEILING_DB = -1.0
LOOKAHEAD_S = 0.004
BLOCK_STEPS, ABSOLUTE_GATE, RELATIVE_GATE = (
    4,
    -70.0,
    -10.0,
)  # of loudness, in tenths of a second and LUFS
STEPS_AT_ONCE = 300
FADER_DB = 6.0  # between no energy and all of it
RAMP_STEP = 64  # samples
REVERB_STEP = 1 << 20  # samples answered at once
BLOCK_S, GATE_DB = 0.1, -18.0  # of the level of a stem while it sounds
# dB beside the lead, of what is heard while it sounds
LEVELS = {
    LEAD: 0.0,
    ANSWER: -4.5,
    COMP: -5.5,
    ARP: -8.0,
    PAD: -9.0,
    BASS: -1.5,
    DRUMS: -1.0,
    TEXTURE: -21.0,
}
PANS = {LEAD: (0.0, 0.3, -0.3, 0.15), ANSWER: (0.38, -0.38), COMP: (-0.34, 0.36, -0.1), ARP: (0.45, -0.5),
        PAD: (0.0, -0.25, 0.25), BASS: (0.0,), DRUMS: (0.0,), TEXTURE: (0.0,)}  # fmt: skip
SENDS = {
    LEAD: 0.2,
    ANSWER: 0.24,
    COMP: 0.16,
    ARP: 0.22,
    PAD: 0.3,
    BASS: 0.02,
    DRUMS: 0.09,
    TEXTURE: 0.0,
}
DUCKED = {BASS: 1.0, PAD: 1.0, COMP: 0.8, ARP: 0.7, LEAD: 0.35, ANSWER: 0.5}
ROOMS = {  # seconds to -60 dB, before the first echo, and how much of it
    "dry": (0.3, 0.004, 0.35),
    "room": (0.75, 0.010, 0.9),
    "plate": (1.5, 0.014, 1.0),
    "hall": (2.5, 0.024, 1.15),
}


def level_db(stem: np.ndarray) -> float:
    """Root mean square of a stem ``(2, T)`` while it sounds, in dB; pauses are left out."""
    size = round(BLOCK_S * SAMPLE_RATE)
    count = max(stem.shape[1] // size, 1)
    used = stem[:, : count * size] if stem.shape[1] >= size else stem
    shaped = used.reshape(2, count, -1)
    power = np.einsum("sbt,sbt->b", shaped, shaped) / (2 * shaped.shape[2])
    top = float(power.max())
    if top <= 0:
        return -120.0
    heard = power[power > top * 10 ** (GATE_DB / 10)]
    return float(10 * np.log10(heard.mean()))


def panned(stem: np.ndarray, place: float) -> np.ndarray:
    """A stem moved to ``place``, -1 left to 1 right, at the same power."""
    angle = (place + 1) * np.pi / 4
    gains = np.array([np.cos(angle), np.sin(angle)], np.float32) * np.float32(np.sqrt(2))
    moved = stem * gains[:, None]
    if abs(place) > 0.05:  # a little of one side on the other: a wide recording stays wide
        other = np.float32(0.25 * abs(place))
        moved += other * stem[::-1] * gains[:, None]
    return moved


@functools.cache
def room(name: str) -> np.ndarray:
    """The impulse response of a room, ``(2, T)``: early echoes, then noise whose highs die first."""
    seconds, before, amount = ROOMS[name]
    rng = np.random.default_rng(1729)
    count = round(seconds * 1.1 * SAMPLE_RATE)
    when = np.arange(count) / SAMPLE_RATE
    noise = rng.normal(0, 1, (2, count))
    tail = np.zeros((2, count))
    for low, high, share in ((0, 500, 0.95), (500, 3500, 1.0), (3500, 9000, 0.5)):
        band = _band(noise, low, high)
        tail += band * np.exp(-6.91 * when / (seconds * share))
    tail *= 1 - np.exp(-when / 0.012)
    tail /= np.sqrt((tail**2).sum(1, keepdims=True))
    early = np.zeros((2, count))
    for _ in range(9):
        at = round(rng.uniform(0.006, 0.055) * SAMPLE_RATE)
        early[int(rng.integers(2)), at] += rng.uniform(0.06, 0.16) * (-1) ** int(rng.integers(2))
    gap = np.zeros((2, round(before * SAMPLE_RATE)))
    return np.concatenate([gap, (tail + early) * amount], axis=1).astype(np.float32)


def _band(noise: np.ndarray, low: float, high: float) -> np.ndarray:
    spectrum = np.fft.rfft(noise, axis=1)
    hertz = np.fft.rfftfreq(noise.shape[1], 1 / SAMPLE_RATE)
    return np.fft.irfft(spectrum * ((hertz >= low) & (hertz < high)), noise.shape[1], axis=1)


def reverberated(send: np.ndarray, name: str, pool: Executor | None = None) -> np.ndarray:
    """What a room answers to ``send (2, T)``, as long as it; the sides at once in a ``pool``."""
    response, out = room(name), np.zeros_like(send)

    def side(which: int) -> None:
        for first in range(0, send.shape[1], REVERB_STEP):
            part = oaconvolve(send[which, first : first + REVERB_STEP], response[which])
            end = min(first + len(part), send.shape[1])
            out[which, first:end] += part[: end - first]

    list(pool.map(side, (0, 1)) if pool else map(side, (0, 1)))
    return out


def ducking(kicks: np.ndarray, depth: float, total: int) -> np.ndarray:
    """A gain ``(T,)`` that dips at each kick, given in samples, and comes back within a beat's half."""
    dip = depth * np.exp(-np.arange(round(0.35 * SAMPLE_RATE)) / (0.11 * SAMPLE_RATE))
    dip *= np.minimum(np.arange(len(dip)) / (0.004 * SAMPLE_RATE), 1)
    gain = np.zeros(total, np.float32)
    for start in kicks:
        end = min(start + len(dip), total)
        if end > start:
            gain[start:end] = np.maximum(gain[start:end], dip[: end - start])
    return 1 - gain


def warmed(sound: np.ndarray, cutoff_hz: float = 9000.0, drive: float = 1.6) -> np.ndarray:
    """Tape: softly saturated, without the highest octave."""
    peak = float(np.abs(sound).max()) or 1.0
    bent = np.tanh(drive * sound / peak) / np.tanh(drive) * peak
    pole = float(np.exp(-2 * np.pi * cutoff_hz / SAMPLE_RATE))
    return lfilter([1 - pole], [1, -pole], bent, axis=1).astype(np.float32)


def loudness(sound: np.ndarray) -> float:
    """Integrated loudness of ``(2, T)`` in LUFS (ITU-R BS.1770-4); minus infinity for silence."""
    step = SAMPLE_RATE // 10
    count = sound.shape[1] // step
    power = np.zeros(count)
    for channel in sound:
        state = [np.zeros(2), np.zeros(2)]
        for first in range(0, count, STEPS_AT_ONCE):
            part = channel[first * step : min(first + STEPS_AT_ONCE, count) * step].astype(
                np.float64
            )
            for number, stage in enumerate(_weighting()):
                part, state[number] = lfilter(stage.b, stage.a, part, zi=state[number])
            power[first : first + STEPS_AT_ONCE] += np.mean(part.reshape(-1, step) ** 2, axis=1)
    if count < BLOCK_STEPS:
        return -np.inf
    blocks = np.convolve(power, np.ones(BLOCK_STEPS) / BLOCK_STEPS, "valid")
    heard = blocks[blocks > 10 ** ((ABSOLUTE_GATE + 0.691) / 10)]
    if not len(heard):
        return -np.inf
    heard = heard[heard > heard.mean() * 10 ** (RELATIVE_GATE / 10)]
    return float(-0.691 + 10 * np.log10(heard.mean()))


@functools.cache
def _weighting() -> tuple[IIRfilter, IIRfilter]:
    """The two filters of K-weighting."""
    return (
        IIRfilter(4.0, 1 / np.sqrt(2), 1500.0, SAMPLE_RATE, "high_shelf"),
        IIRfilter(0.0, 0.5, 38.0, SAMPLE_RATE, "high_pass"),
    )


def dynamics(sections: Sequence[tuple[float, float]], total: int) -> np.ndarray:
    """A gain ``(T,)`` that follows the energy of sections, given as (second, energy): what a hand on the
    faders does, in slow ramps."""
    seconds, energies = (np.array(each) for each in zip(*sections, strict=True))
    gains = np.clip(FADER_DB * (energies - 0.75), -3.5, 0.8)
    edges = np.concatenate(
        [[0.0], np.repeat(seconds[1:], 2) + np.tile([-0.35, 0.15], len(seconds) - 1)]
    )
    levels = np.concatenate([[gains[0]], np.stack([gains[:-1], gains[1:]], 1).ravel()])
    curve = np.interp(np.arange(0, total, RAMP_STEP) / SAMPLE_RATE, edges, levels)
    return np.repeat(10 ** (curve / 20), RAMP_STEP)[:total].astype(np.float32)


def master_gain(mix: np.ndarray) -> np.ndarray:
    """The gain ``(T,)`` that brings a mix to ``LOUDNESS`` with no peak above ``CEILING_DB``."""
    measured = loudness(mix)
    if not np.isfinite(measured):
        return np.ones(mix.shape[1], np.float32)
    peaks = np.abs(mix).max(0)
    gain_db = LOUDNESS - measured
    curve = limiting(peaks, gain_db)
    if float(curve.min()) < 0.98 * 10 ** (
        gain_db / 20
    ):  # what the limiter takes is given back, once
        gain_db += LOUDNESS - loudness(mix * curve)
        curve = limiting(peaks, gain_db)
    return curve


def limiting(peaks: np.ndarray, gain_db: float) -> np.ndarray:
    """A gain of ``gain_db`` that gives way, smoothly and ahead of time, where peaks would be too high."""
    gain, ceiling = 10 ** (gain_db / 20), 10 ** (CEILING_DB / 20)
    wide = 2 * round(LOOKAHEAD_S * SAMPLE_RATE) + 1
    over = np.minimum(ceiling / np.maximum(peaks * gain, 1e-9), 1.0)
    if float(over.min()) >= 1.0:
        return np.full(len(peaks), gain, np.float32)
    lowest = -maximum_filter1d(-over, 2 * wide - 1)
    return (gain * uniform_filter1d(lowest, wide)).astype(np.float32)
