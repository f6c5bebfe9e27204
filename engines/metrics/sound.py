"""A sound under measurement: read once, hashed, and everything derived from it kept once.

Samples are float; levels are re full scale; times are seconds.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from engines.audio import as_channels, resample
from engines.metrics.base import NotApplicable, Reason

SILENT_PEAK = 1e-5  # -100 dBFS: below one step of 16 bit
MAX_DURATION_S = 3600.0

T = TypeVar("T")


class Sound:
    """Samples and what is computed from them.

    ``once`` keeps every intermediate result (resampled versions, contours, cepstra), so that all
    metrics of a case share them. A sound is used by one thread at a time.
    """

    def __init__(self, samples: np.ndarray, sample_rate: int, hash: str = "", name: str = ""):
        if sample_rate <= 0:
            raise ValueError(f"the sample rate must be above 0, not {sample_rate}")
        self.samples = as_channels(samples)  # (C, T)
        self.sample_rate = sample_rate
        self.name = name
        self.hash = hash or _hash_of(self.samples, sample_rate)
        self._kept: dict[Hashable, Any] = {}
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path | str) -> Sound:
        """Read a file (WAV, FLAC, OGG, MP3, whatever libsndfile knows) and hash its bytes.

        Raises ``NotApplicable`` (unreadable, too long) for what is no sound.
        """
        import soundfile

        path = Path(path)
        try:
            data = path.read_bytes()
            info = soundfile.info(io.BytesIO(data))
            if info.duration > MAX_DURATION_S:
                raise NotApplicable(
                    Reason.TOO_LONG,
                    f"{path.name} lasts {info.duration:.0f} s; at most {MAX_DURATION_S:.0f} s fit.",
                )
            frames, sample_rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
        except (OSError, soundfile.LibsndfileError, RuntimeError) as error:
            raise NotApplicable(
                Reason.UNREADABLE, f"{path.name} cannot be read as a sound: {error}"
            ) from error
        digest = hashlib.sha256(data).hexdigest()
        return cls(np.ascontiguousarray(frames.T), sample_rate, digest, path.name)

    @property
    def channels(self) -> int:
        """How many channels."""
        return len(self.samples)

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples.shape[1] / self.sample_rate

    @property
    def peak(self) -> float:
        """Largest magnitude of any sample."""
        return self.once("peak", lambda: float(np.abs(self.samples).max(initial=0.0)))

    def silent(self, all_channels: bool = False) -> bool:
        """Whether no sample of the channels' mean (or of any channel) exceeds -100 dBFS."""
        if all_channels or self.peak < SILENT_PEAK:
            return self.peak < SILENT_PEAK
        return self.once("silent", lambda: bool(np.abs(self.mono()).max() < SILENT_PEAK))

    @property
    def finite(self) -> bool:
        """Whether every sample is a number."""
        return self.once("finite", lambda: bool(np.isfinite(self.samples).all()))

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` returns, computed at the first call with ``key``."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            return self._kept[key]

    def mono(self) -> np.ndarray:
        """Mean of the channels at the own rate, float32 ``(T,)``."""
        return self.once("mono", lambda: self.samples.mean(axis=0, dtype=np.float32))

    def at(self, sample_rate: int = 0) -> np.ndarray:
        """Mono at ``sample_rate`` (soxr HQ; 0: the own rate), float32 ``(T,)``."""
        rate = sample_rate or self.sample_rate
        return self.once(("at", rate), lambda: resample(self.mono(), self.sample_rate, rate))

    def lasting(self, duration_s: float) -> Sound:
        """This sound, or one with silence added until it lasts ``duration_s``."""
        more = round(duration_s * self.sample_rate) - self.samples.shape[1]
        if more <= 0:
            return self
        return Sound(np.pad(self.samples, [(0, 0), (0, more)]), self.sample_rate, name=self.name)

    def changes(self, sample_rate: int = 0) -> list[str]:
        """What ``at`` does to this sound, in words; empty when it does nothing."""
        told = []
        if self.channels > 1:
            told.append(f"the mean of {self.channels} channels was taken")
        if sample_rate and sample_rate != self.sample_rate:
            told.append(f"resampled from {self.sample_rate} to {sample_rate} Hz")
        if sample_rate > self.sample_rate:
            told.append(f"there is nothing above {self.sample_rate // 2} Hz")
        return told


def _hash_of(samples: np.ndarray, sample_rate: int) -> str:
    head = f"{sample_rate} {samples.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(samples).tobytes()).hexdigest()
