"""Sounds that an engine is given: read, checked, cut, at the rates that models hear."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engines.audio import resample
from engines.base import StudioError

if TYPE_CHECKING:
    import torch

LONGEST_SOURCE_S = 3600.0
SILENT_PEAK = 1e-3  # -60 dBFS


@dataclass(frozen=True)
class Sound:
    """Mono samples ``(T,)`` float32 and their rate."""

    samples: np.ndarray
    rate: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate

    def at(self, rate: int) -> np.ndarray:
        """The samples at another rate."""
        return resample(self.samples, self.rate, rate)

    def tensor(self, rate: int, device: str = "cpu") -> torch.Tensor:
        """The samples at another rate, as a tensor on a device."""
        import torch

        return torch.from_numpy(np.ascontiguousarray(self.at(rate))).to(device)

    def part(self, start_s: float, end_s: float) -> Sound:
        """What lies between two times."""
        first, last = round(start_s * self.rate), round(end_s * self.rate)
        return Sound(self.samples[max(0, first) : last], self.rate)


def read_sound(
    path: Path,
    field: str,
    *,
    shortest_s: float = 0.1,
    longest_s: float = LONGEST_SOURCE_S,
) -> Sound:
    """A sound file as mono.

    Raises ``StudioError`` at ``field`` for one that can't be read, is shorter or longer than the model
    hears, holds no numbers, or is silent.
    """
    import soundfile

    check_length(path, field, shortest_s=shortest_s, longest_s=longest_s)
    samples, rate = soundfile.read(str(path), dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise StudioError(f"{path.name} holds values that are no numbers. Export it again.", field)
    if np.abs(mono).max(initial=0) < SILENT_PEAK:
        raise StudioError(f"{path.name} is silent. Choose a sound with a voice in it.", field)
    return Sound(mono, rate)


def check_length(path: Path, field: str, *, shortest_s: float, longest_s: float) -> float:
    """Length in seconds of a sound file, without reading its samples; raises as ``read_sound``."""
    import soundfile

    try:
        length_s = soundfile.info(str(path)).duration
    except (soundfile.SoundFileError, OSError) as error:
        raise StudioError(f"{path.name} is not a sound that can be read: {error}", field) from error
    if length_s < shortest_s:
        raise StudioError(
            f"{path.name} lasts {length_s:.2f} s; at least {_plain(shortest_s)} s are needed.",
            field,
        )
    if length_s > longest_s:
        raise StudioError(
            f"{path.name} lasts {length_s:,.1f} s; the model hears at most {_plain(longest_s)} s. Cut it.",
            field,
        )
    return length_s


def _plain(seconds: float) -> str:
    return f"{int(seconds):,}" if math.floor(seconds) == seconds else f"{seconds:g}"


def reference_text(text: str, field: str = "reference_text") -> str:
    """The transcript of a reference without spaces at its ends; raises ``StudioError`` without one."""
    said = " ".join(text.split())
    if not any(char.isalnum() for char in said):
        raise StudioError(
            "The words of the reference are missing: write what is said in it, or have it "
            "transcribed.",
            field,
        )
    return said


def level(samples: np.ndarray) -> float:
    """Root mean square of the 40 ms frames that are not quiet (20 dB below the loudest or more)."""
    if not len(samples):
        return 0.0
    size = 960
    whole = len(samples) // size * size
    frames = samples[:whole].reshape(-1, size) if whole else np.asarray(samples)[None]
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    loud = power[power >= power.max(initial=0) / 100]
    return float(np.sqrt(loud.mean())) if len(loud) else 0.0
