"""Scale-invariant ratios of the signal to what differs from it, sample by sample."""

from __future__ import annotations

import numpy as np

from engines.metrics.base import (
    Better,
    Card,
    Measured,
    Need,
    NotApplicable,
    Reason,
    SampleSettings,
    metric,
)
from engines.metrics.case import Case

EPS = np.finfo(np.float64).eps  # an exact copy ends near 190 dB instead of infinity
PAPER = "Le Roux et al., SDR - half-baked or well done?, ICASSP 2019"


def ratio_db(reference: np.ndarray, generated: np.ndarray) -> float:
    """SI-SDR of ``(T,)`` samples in dB; raises ``NotApplicable`` if one side is all zero."""
    power = float(reference @ reference)
    if power == 0 or not generated.any():
        raise NotApplicable(Reason.SILENT, "One of the sounds is silent where both last.")
    target = reference * ((generated @ reference + EPS) / (power + EPS))
    noise = target - generated
    return float(10 * np.log10((target @ target + EPS) / (noise @ noise + EPS)))


def _samples(case: Case, settings: SampleSettings) -> tuple[np.ndarray, np.ndarray]:
    reference, generated = case.samples(align=settings.align)
    return reference.astype(np.float64), generated.astype(np.float64)


def _card(id: str, title: str, measures: str, paper: str = PAPER) -> Card:
    return Card(
        id=id,
        title=title,
        measures=measures,
        group="Signal",
        unit="dB",
        better=Better.HIGHER,
        needs=Need.REFERENCE,
        paper=paper,
        shortest_s=0.01,
    )


@metric(
    _card(
        "si_sdr",
        "SI-SDR",
        "Power of the part of the generated sound that is the reference, scaled, over the power of "
        "the rest. Needs sounds aligned to the sample.",
    ),
    SampleSettings,
)
def si_sdr(case: Case, settings: SampleSettings) -> Measured:
    """In dB; an exact copy, at any gain, ends near 190 dB."""
    return Measured(ratio_db(*_samples(case, settings)))


@metric(
    _card(
        "si_snr",
        "SI-SNR",
        "SI-SDR after the mean of each sound is taken off.",
        "Luo & Mesgarani, TasNet, ICASSP 2018",
    ),
    SampleSettings,
)
def si_snr(case: Case, settings: SampleSettings) -> Measured:
    """In dB."""
    reference, generated = _samples(case, settings)
    return Measured(ratio_db(reference - reference.mean(), generated - generated.mean()))


@metric(
    _card(
        "snr",
        "SNR",
        "Power of the reference over the power of the difference, at the gain they have.",
        "",
    ),
    SampleSettings,
)
def snr(case: Case, settings: SampleSettings) -> Measured:
    """In dB."""
    reference, generated = _samples(case, settings)
    power, noise = float(reference @ reference), generated - reference
    if power == 0:
        raise NotApplicable(Reason.SILENT, "The reference is silent where both last.")
    return Measured(float(10 * np.log10((power + EPS) / (noise @ noise + EPS))))
