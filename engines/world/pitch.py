"""F0 as people think of it: how high a voice lies, moved by semitones or to another voice's place."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from engines.base import StudioError


class PitchMode(StrEnum):
    """What becomes of the source's pitch.

    ``MATCH`` takes on the reference's mean and range. ``AUTOMATIC`` moves the whole contour, so that its
    median lies at a target or at the reference's median; intervals stay.
    """

    KEEP = "keep"
    MATCH = "match"
    SEMITONES = "semitones"
    AUTOMATIC = "automatic"


@dataclass(frozen=True)
class PitchStatistics:
    """Of the voiced frames of a voice: mean and deviation of the natural log of F0, median in Hz.

    ``median_hz`` is 0 where nothing is voiced.
    """

    mean_log: float
    deviation_log: float
    median_hz: float


# a range that is hardly there must not be blown up
LEAST_DEVIATION, MOST_STRETCH = 0.02, 2.0


def statistics(f0: np.ndarray) -> PitchStatistics:
    """Statistics of F0 in Hz, 0 where unvoiced."""
    voiced = np.log(f0[f0 > 0])
    if not len(voiced):
        return PitchStatistics(0.0, 0.0, 0.0)
    return PitchStatistics(
        float(voiced.mean()), float(voiced.std()), float(np.exp(np.median(voiced)))
    )


def moved(
    f0: np.ndarray,
    source: PitchStatistics,
    reference: PitchStatistics | None,
    mode: PitchMode,
    semitones: float = 0.0,
    target_hz: float | None = None,
) -> np.ndarray:
    """``f0`` as ``mode`` says, 0 where it was 0. ``semitones`` are added in every mode but ``KEEP``.

    Raises ``StudioError`` where a mode needs the pitch of a reference that has none.
    """
    if mode is PitchMode.KEEP or source.median_hz == 0:
        return f0.copy()
    voiced = f0 > 0
    log = np.log(np.where(voiced, f0, 1.0))
    if mode is PitchMode.MATCH:
        reference = _voiced(reference)
        stretch = np.clip(
            reference.deviation_log / max(source.deviation_log, LEAST_DEVIATION),
            1 / MOST_STRETCH, MOST_STRETCH,
        )  # fmt: skip
        log = (log - source.mean_log) * stretch + reference.mean_log
    elif mode is PitchMode.AUTOMATIC:
        log = log + np.log((target_hz or _voiced(reference).median_hz) / source.median_hz)
    log = log + semitones * np.log(2) / 12
    return np.where(voiced, np.exp(log), 0.0)


def shift_between(source: PitchStatistics, target_hz: float) -> float:
    """Semitones from the median of ``source`` to ``target_hz``."""
    return 12 * float(np.log2(target_hz / source.median_hz)) if source.median_hz else 0.0


def _voiced(reference: PitchStatistics | None) -> PitchStatistics:
    if reference is None or reference.median_hz == 0:
        raise StudioError(
            "The reference has no voiced speech to take the pitch from. Use another reference, or set "
            "the pitch by semitones.",
            "pitch_mode",
        )
    return reference
