"""What the models of the sound designer are built of: curves, noises, filters, resonances, sources.

Signals are float64 ``(T,)`` at ``RATE``; times in seconds, frequencies in Hz. All chance comes from the
generator that a model is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import signal
from scipy.interpolate import PchipInterpolator

RATE = 44_100
GRAINS = 24  # different grains in one texture; enough not to hear them again
Rng = np.random.Generator
Point = tuple[float, float]


def count(duration_s: float) -> int:
    """Samples in ``duration_s``, at least one."""
    return max(1, round(duration_s * RATE))


def times(n: int) -> np.ndarray:
    """The time of each of ``n`` samples."""
    return np.arange(n) / RATE


def curve(n: int, *points: Point) -> np.ndarray:
    """A smooth curve ``(n,)`` through ``points`` (share of the length, value), without overshoot."""
    places, values = zip(*points, strict=True)
    return PchipInterpolator(places, values)(np.linspace(0, 1, n))


def wander(n: int, rng: Rng, rate_hz: float) -> np.ndarray:
    """A random curve ``(n,)`` between -1 and 1 that turns about ``rate_hz`` times a second."""
    knots = max(4, int(n / RATE * rate_hz) + 4)
    values = rng.uniform(-1, 1, knots)
    return PchipInterpolator(np.arange(knots), values)(np.linspace(0, knots - 1, n))


def decay(n: int, t60_s: float) -> np.ndarray:
    """An exponential decay that has fallen by 60 dB after ``t60_s``."""
    return np.exp(-6.907755 / t60_s * times(n))


def attack(n: int, rise_s: float) -> np.ndarray:
    """A smooth rise from 0 to 1 in ``rise_s``, then 1."""
    rise = min(n, count(rise_s))
    out = np.ones(n)
    out[:rise] = 0.5 - 0.5 * np.cos(np.pi * (np.arange(rise) + 0.5) / rise)
    return out


# --- noise and filters ----------------------------------------------------------------------


def white(n: int, rng: Rng) -> np.ndarray:
    """White noise of unit variance."""
    return rng.standard_normal(n)


def coloured(n: int, rng: Rng, db_per_octave: float, from_hz: float = 20.0) -> np.ndarray:
    """Noise whose spectrum falls by ``db_per_octave`` above ``from_hz`` (-3 is pink, -6 brown)."""
    spectrum = np.fft.rfft(white(n, rng))
    hz = np.maximum(np.fft.rfftfreq(n, 1 / RATE), from_hz)
    noise = np.fft.irfft(spectrum * (hz / from_hz) ** (db_per_octave / 6.0206), n)
    return noise / (noise.std() + 1e-12)


def band(x: np.ndarray, low_hz: float, high_hz: float, order: int = 2) -> np.ndarray:
    """``x`` between two frequencies (Butterworth)."""
    edges = (max(low_hz, 10.0), min(high_hz, 0.49 * RATE))
    return signal.sosfilt(signal.butter(order, edges, "bandpass", fs=RATE, output="sos"), x)


def low(x: np.ndarray, hz: float, order: int = 2) -> np.ndarray:
    """``x`` below a frequency."""
    edge = min(hz, 0.49 * RATE)
    return signal.sosfilt(signal.butter(order, edge, "lowpass", fs=RATE, output="sos"), x)


def high(x: np.ndarray, hz: float, order: int = 2) -> np.ndarray:
    """``x`` above a frequency."""
    return signal.sosfilt(signal.butter(order, hz, "highpass", fs=RATE, output="sos"), x)


def shaped(
    x: np.ndarray, gain: Callable[[np.ndarray, np.ndarray], np.ndarray], window: int = 512
) -> np.ndarray:
    """``x`` through a filter that moves: ``gain`` of frequencies ``(F, 1)`` and shares of the length
    ``(1, N)`` gives magnitudes ``(F, N)``."""
    width = min(window, len(x))
    overlap = width - width // 4
    hz, at_s, frames = signal.stft(x, RATE, nperseg=width, noverlap=overlap)
    share = np.clip(at_s * RATE / max(len(x), 1), 0, 1)
    frames *= gain(hz[:, None], share[None, :])
    _, out = signal.istft(frames, RATE, nperseg=width, noverlap=overlap)
    out = out[: len(x)]
    return np.pad(out, (0, len(x) - len(out)))


# --- resonances and grains ------------------------------------------------------------------


def struck(
    n: int, hz: Sequence[float], t60_s: Sequence[float], gains: Sequence[float]
) -> np.ndarray:
    """A body that was struck: the sum of its modes, each a sine that decays."""
    out = np.zeros(n)
    for frequency, t60, gain in zip(hz, t60_s, gains, strict=True):
        if frequency >= 0.45 * RATE:
            continue
        length = min(n, count(1.3 * t60))
        out[:length] += gain * np.sin(2 * np.pi * frequency * times(length)) * decay(length, t60)
    return out


def burst(n: int, rng: Rng, t60_s: float, low_hz: float, high_hz: float) -> np.ndarray:
    """A burst of noise between two frequencies that decays."""
    length = min(n, count(1.5 * t60_s))
    out = np.zeros(n)
    out[:length] = band(white(length, rng), low_hz, high_hz) * decay(length, t60_s)
    return out


def scatter(
    n: int, rng: Rng, per_s: float | np.ndarray, grain: Callable[[Rng], np.ndarray]
) -> np.ndarray:
    """Grains at random times, ``per_s`` of them a second (a number, or a curve ``(n,)``), each of a
    random level. The first one comes at once."""
    density = np.broadcast_to(np.asarray(per_s, float), (n,))
    expected = density.sum() / RATE
    many = max(1, rng.poisson(expected))
    share = np.cumsum(density)
    starts = np.searchsorted(share, rng.uniform(0, share[-1], many))
    starts[0] = 0
    bank = [grain(rng) for _ in range(min(GRAINS, many))]
    which = rng.integers(0, len(bank), many)
    gains = rng.exponential(1.0, many) * rng.choice((-1.0, 1.0), many)
    out = np.zeros(n)
    for start, kind, gain in zip(starts, which, gains, strict=True):
        piece = bank[kind][: n - start]
        out[start : start + len(piece)] += gain * piece
    return out


def put(out: np.ndarray, at_s: float, piece: np.ndarray, gain: float = 1.0) -> None:
    """Add ``piece`` to ``out`` at a time; what sticks out is cut."""
    start = round(at_s * RATE)
    if start < len(out):
        piece = piece[: len(out) - start]
        out[start : start + len(piece)] += gain * piece


# --- sources --------------------------------------------------------------------------------


def phase(hz: np.ndarray) -> np.ndarray:
    """Turns (not radians) of an oscillator of frequency ``hz (T,)``."""
    return np.cumsum(hz) / RATE


def saw(hz: np.ndarray) -> np.ndarray:
    """A sawtooth of frequency ``hz (T,)``, with the corners of polyBLEP against aliasing."""
    at, step = phase(hz) % 1.0, np.maximum(hz / RATE, 1e-9)
    out = 2 * at - 1
    rising, falling = at < step, at > 1 - step
    early = at[rising] / step[rising]
    late = (at[falling] - 1) / step[falling]
    out[rising] -= early + early - early**2 - 1
    out[falling] -= late**2 + late + late + 1
    return out


def larynx(
    f0: np.ndarray, rng: Rng, jitter: float = 0.01, rough: float = 0.0, tilt_hz: float = 700.0
) -> np.ndarray:
    """A voice source: a sawtooth with ``jitter``, with every other period weaker by ``rough``, and softer
    above ``tilt_hz``."""
    hz = f0 * (1 + jitter * wander(len(f0), rng, 90.0))
    pulses = saw(hz) * (1 + rough * np.cos(np.pi * phase(hz)))
    return low(pulses, tilt_hz, 1)


def tract(
    x: np.ndarray, formants: Sequence[tuple[Sequence[Point], float, float]], size: float = 1.0
) -> np.ndarray:
    """``x`` through a vocal tract whose formants move: each is its frequency as points of a curve, its
    bandwidth in Hz and its gain. A ``size`` of 2 halves all frequencies."""

    def gain(hz: np.ndarray, share: np.ndarray) -> np.ndarray:
        total = np.full((len(hz), share.shape[1]), 0.01)
        for points, width, level in formants:
            places, values = zip(*points, strict=True)
            centre = np.interp(share[0], places, values)[None, :] / size
            total += level / np.sqrt(1 + ((hz - centre) / (0.5 * width)) ** 2)
        return total

    return shaped(x, gain)
