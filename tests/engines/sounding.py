"""Sounds that tests of several families share: speech of the embedded voice, harmonic notes, noise."""

from __future__ import annotations

from functools import cache

import numpy as np

from engines.metrics.separation import ratio_db
from engines.tts.piper import Piper, PiperParams

from .conftest import FakeCache, FakeDevice, FakeJob

SENTENCE = "The old bridge was closed for repairs during the winter."


@cache
def spoken(text: str = SENTENCE) -> tuple[np.ndarray, int]:
    """Speech of the embedded Piper voice, ``(T,)``, and its rate."""
    piper = Piper(FakeCache())
    piper.load(FakeDevice())
    clip = piper.run(PiperParams(text=text, seed=1), FakeJob())
    return clip.samples, clip.sample_rate


def noise_at(samples: np.ndarray, snr_db: float, seed: int = 0) -> np.ndarray:
    """White noise that lies ``snr_db`` below ``samples``."""
    noise = np.random.default_rng(seed).standard_normal(samples.shape).astype(np.float32)
    ratio = float((samples**2).mean() / (noise**2).mean())
    return noise * np.float32(np.sqrt(ratio / 10 ** (snr_db / 10)))


def si_sdr(reference: np.ndarray, made: np.ndarray) -> float:
    """SI-SDR in dB over the length that both have."""
    length = min(len(reference), len(made))
    return ratio_db(reference[:length].astype(np.float64), made[:length].astype(np.float64))


def note(
    hz: float, seconds: float, rate: int, decay_s: float = 0.0, slope: float = 1.0
) -> np.ndarray:
    """A harmonic tone of eight partials that fall by ``k ** -slope``; plucked where ``decay_s`` is given."""
    t = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * hz * k * t) * k**-slope for k in range(1, 9) if hz * k < rate / 2)
    envelope = np.exp(-t / decay_s) if decay_s else np.ones_like(t)
    edge = np.minimum(1, np.minimum(t, t[::-1]) / 0.01)
    return (0.2 * tone * envelope * edge).astype(np.float32)


def chords(seconds: float, rate: int) -> np.ndarray:
    """Plucked chords, half a second each: an accompaniment ``(T,)``."""
    roots = (48, 53, 55, 48, 45, 50, 55, 43)
    out = np.zeros(round(seconds * rate), np.float32)
    for place in range(int(seconds / 0.5)):
        for step in (0, 4, 7, 12):
            pitch = roots[place % len(roots)] + step
            tone = note(440 * 2 ** ((pitch - 69) / 12), 0.9, rate, 0.3)
            start = round(place * 0.5 * rate)
            end = min(len(out), start + len(tone))
            out[start:end] += tone[: end - start]
    return out / np.abs(out).max() * np.float32(0.4)
