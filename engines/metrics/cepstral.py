"""Mel-cepstral distortion."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from engines.metrics.base import (
    Align,
    AlignBy,
    Better,
    Card,
    FrameSettings,
    Measured,
    Need,
    metric,
)
from engines.metrics.case import Case, meet
from engines.metrics.world import LONGEST_S, ORDER, RATE, mel_cepstra

TO_DB = 10 * np.sqrt(2) / np.log(10)
PAPER = "Kubichek, Mel-Cepstral Distance Measure, IEEE PACRIM 1993"


class CepstralSettings(FrameSettings):
    """How many coefficients, and how frames meet."""

    order: int = Field(
        ORDER,
        ge=8,
        le=60,
        title="Order",
        description="Mel-cepstral coefficients compared: c1 up to this one.",
    )


class WarpedSettings(CepstralSettings):
    """As the others, warped."""

    align: AlignBy = Align.DTW


def _card(id: str, title: str, how: str) -> Card:
    return Card(
        id=id,
        title=title,
        measures="Mean over frames of the Euclidean distance of mel-cepstra c1 to c24 (WORLD "
        f"envelope, 24 kHz, alpha 0.466, 5 ms; c0 left out), {how}.",
        group="Spectral",
        unit="dB",
        low=0,
        better=Better.LOWER,
        needs=Need.REFERENCE,
        sample_rate=RATE,
        paper=PAPER,
        requires=("pyworld",),
        pip_extra="pyworld-prebuilt",
        shortest_s=0.1,
        longest_s=LONGEST_S,
    )


@metric(_card("mcd", "MCD", "frame by frame"), CepstralSettings)
def mcd(case: Case, settings: CepstralSettings) -> Measured:
    """In dB: ``10 sqrt(2) / ln 10`` times the mean distance."""
    reference, generated = meet(
        case, settings.align, lambda sound: mel_cepstra(sound, settings.order)[:, 1:]
    )
    distance = np.linalg.norm(reference - generated, axis=1)
    return Measured(float(TO_DB * distance.mean()), details={"frames": len(distance)})


@metric(_card("mcd_dtw", "MCD-DTW", "along the cheapest path (DTW)"), WarpedSettings)
def mcd_dtw(case: Case, settings: WarpedSettings) -> Measured:
    """In dB, over the pairs of the path."""
    return mcd(case, settings)  # type: ignore[return-value]
