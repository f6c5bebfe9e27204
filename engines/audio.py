"""Small pure helpers on samples: joining, trimming, resampling, measuring, pictures.

Samples are float32, ``(T,)`` mono or ``(C, T)``, nominally within [-1, 1]; levels are dB re full
scale; times are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

SHORTEST_LOUDNESS_S = 0.4  # one gating block of ITU-R BS.1770
MAX_LOUDNESS_CHANNELS = 5  # BS.1770 gives no weights beyond five


def as_channels(samples: np.ndarray) -> np.ndarray:
    """``(T,)`` or ``(C, T)`` as float32 ``(C, T)``; raises ``ValueError`` for any other shape."""
    array = np.asarray(samples, dtype=np.float32)
    if array.ndim not in (1, 2):
        raise ValueError(f"samples must be (T,) or (C, T), not {array.shape}")
    return np.atleast_2d(array)


def silence(duration_s: float, sample_rate: int) -> np.ndarray:
    """``(T,)`` zeros lasting ``duration_s``."""
    return np.zeros(round(duration_s * sample_rate), np.float32)


class Joiner:
    """Joins pieces as they come, so that the first can be heard before the last is made.

    The arrays returned by ``feed`` and ``finish``, concatenated, equal ``join`` of all pieces.
    Where a pause follows a piece, silence separates it from the next; where none does, the two
    overlap by ``crossfade_s`` with linear fades, and that tail is held back until it is known.
    """

    def __init__(self, sample_rate: int, crossfade_s: float = 0.0):
        self.sample_rate = sample_rate
        self._fade = round(crossfade_s * sample_rate)
        self._tail: np.ndarray | None = None

    def feed(self, samples: np.ndarray, pause_s: float = 0.0) -> np.ndarray:
        """Take the next piece and the pause after it; return what is final now, maybe empty."""
        joined = self._blend(np.asarray(samples, dtype=np.float32))
        pause = round(pause_s * self.sample_rate)
        if pause:
            self._tail = None
            return np.concatenate([joined, np.zeros((*joined.shape[:-1], pause), np.float32)], -1)
        keep = joined.shape[-1] - min(self._fade, joined.shape[-1])
        self._tail = joined[..., keep:]
        return joined[..., :keep]

    def finish(self) -> np.ndarray:
        """Return what was held back, maybe empty."""
        tail, self._tail = self._tail, None
        return np.zeros(0, np.float32) if tail is None else tail

    def _blend(self, samples: np.ndarray) -> np.ndarray:
        tail = self._tail
        if tail is None or tail.shape[-1] == 0:
            return samples
        length = min(tail.shape[-1], samples.shape[-1])
        rise = np.linspace(0, 1, length + 2, dtype=np.float32)[1:-1]
        start = tail.shape[-1] - length
        overlap = tail[..., start:] * (1 - rise) + samples[..., :length] * rise
        return np.concatenate([tail[..., :start], overlap, samples[..., length:]], axis=-1)


def join(
    pieces: Iterable[np.ndarray], sample_rate: int, pause_s: float = 0.0, crossfade_s: float = 0.0
) -> np.ndarray:
    """Pieces of equal channel count in one array, ``pause_s`` apart or cross-faded (``Joiner``)."""
    listed = list(pieces)
    if not listed:
        return np.zeros(0, np.float32)
    joiner = Joiner(sample_rate, crossfade_s)
    out = [joiner.feed(piece, pause_s) for piece in listed[:-1]]
    out.append(joiner.feed(listed[-1]))
    tail = joiner.finish()
    return np.concatenate([*out, tail] if tail.shape[-1] else out, axis=-1)


def trim_silence(
    samples: np.ndarray, sample_rate: int, threshold_db: float = -50.0, pad_s: float = 0.02
) -> np.ndarray:
    """Cut both ends where all channels stay below ``threshold_db``, keeping ``pad_s`` of each.

    Returns an empty array when nothing is above the threshold.
    """
    loud = np.flatnonzero(np.abs(as_channels(samples)).max(axis=0) > 10 ** (threshold_db / 20))
    if not len(loud):
        return samples[..., :0]
    pad = round(pad_s * sample_rate)
    return samples[..., max(0, loud[0] - pad) : loud[-1] + 1 + pad]


def resample(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """``samples`` at another rate (soxr, high quality), same shape but for the length."""
    if from_hz == to_hz:
        return np.asarray(samples, dtype=np.float32)
    import soxr

    frames = as_channels(samples).T
    out = np.ascontiguousarray(soxr.resample(frames, from_hz, to_hz, quality="HQ").T)
    return out[0] if np.ndim(samples) == 1 else out


@dataclass(frozen=True)
class Levels:
    """Measured properties: sample peak in dBFS (-inf for silence) and BS.1770 loudness in LUFS.

    ``loudness_lufs`` is None where the standard defines none: below 0.4 s, silence, more than five
    channels.
    """

    duration_s: float
    peak_db: float
    loudness_lufs: float | None


def warm() -> None:
    """Import what ``measure`` needs, which takes a second or two, before somebody waits for it."""
    import pyloudnorm  # noqa: F401


def measure(samples: np.ndarray, sample_rate: int) -> Levels:
    """Duration, peak and integrated loudness (ITU-R BS.1770-4) of ``(T,)`` or ``(C, T)``."""
    channels = as_channels(samples)
    duration_s = channels.shape[1] / sample_rate
    peak = float(np.abs(channels).max(initial=0.0))
    peak_db = 20 * math.log10(peak) if peak else -math.inf
    return Levels(duration_s, peak_db, _loudness(channels, sample_rate) if peak else None)


def _loudness(channels: np.ndarray, sample_rate: int) -> float | None:
    too_short = channels.shape[1] < SHORTEST_LOUDNESS_S * sample_rate
    if too_short or len(channels) > MAX_LOUDNESS_CHANNELS:
        return None
    import pyloudnorm

    with np.errstate(divide="ignore"):  # below the gate: log of zero, answered with None
        value = pyloudnorm.Meter(sample_rate).integrated_loudness(channels.T.astype(np.float64))
    return float(value) if math.isfinite(value) else None


def mel_spectrogram(samples: np.ndarray, sample_rate: int, n_mels: int = 80) -> np.ndarray:
    """Mel power spectrogram in dB, ``(n_mels, frames)``, of the channels' mean.

    Window 1024 and hop 256 at 22.05 kHz, the same durations at other rates; the floor lies 80 dB
    below the maximum.
    """
    import librosa

    mono = as_channels(samples).mean(axis=0)
    n_fft = 2 ** round(math.log2(1024 * sample_rate / 22050))
    mono = np.pad(mono, (0, max(0, n_fft - len(mono))))
    power = librosa.feature.melspectrogram(
        y=mono, sr=sample_rate, n_fft=n_fft, hop_length=n_fft // 4, n_mels=n_mels
    )
    return librosa.power_to_db(power, ref=1.0, top_db=80.0)


def waveform_envelope(samples: np.ndarray, bins: int) -> np.ndarray:
    """Lowest and highest sample of ``bins`` equal stretches over all channels, ``(bins, 2)``."""
    channels = as_channels(samples)
    length = channels.shape[1]
    if not length:
        return np.zeros((bins, 2), np.float32)
    starts = np.arange(bins) * length // bins
    low = np.minimum.reduceat(channels.min(axis=0), starts)
    high = np.maximum.reduceat(channels.max(axis=0), starts)
    return np.stack([low, high], axis=1)
