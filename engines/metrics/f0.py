"""F0 of generated against reference: how far, how alike, and whether voiced in the same places."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from pydantic import Field

from engines.metrics.base import (
    Better,
    Card,
    FrameSettings,
    Measured,
    Need,
    NotApplicable,
    Reason,
    metric,
)
from engines.metrics.case import Case, meet
from engines.metrics.contours import Contour, Tracker, contour
from engines.metrics.world import LONGEST_S, RATE, check_voiced

FEWEST = 3  # frames voiced in both
HARVEST_PAPER = (
    "Morise, Harvest, Interspeech 2017; Boersma, IFA Proceedings 17 (1993) for Praat; Nieradzik, "
    "arXiv:2508.18440, for SwiftF0"
)
SHORTEST_S = 0.1


class Transpose(StrEnum):
    """What is taken from both contours first."""

    NONE = "none"
    MEDIAN = "median"


class F0Settings(FrameSettings):
    """Who finds F0, and how frames meet."""

    tracker: Tracker = Field(
        Tracker.HARVEST,
        title="F0 tracker",
        description="WORLD Harvest, Praat's autocorrelation (needs praat-parselmouth), or the neural "
        "SwiftF0 (needs swift-f0).",
    )


class CentsSettings(F0Settings):
    """As the others, with a way to judge melody apart from key."""

    transpose: Transpose = Field(
        Transpose.NONE,
        title="Transpose",
        description="Take the median off each contour first, so that a melody in another key is "
        "no error.",
    )


def contours(case: Case, tracker: Tracker = Tracker.HARVEST) -> tuple[Contour, Contour]:
    """Contours of reference and generated, each on its own length, to draw over each other."""
    return contour(case.target, tracker), contour(case.generated, tracker)


def _met(case: Case, settings: F0Settings) -> tuple[np.ndarray, np.ndarray]:
    """F0 of both, frame by frame, ``(P,)`` each; raises ``NotApplicable`` without a voiced frame."""
    reference, generated = contours(case, settings.tracker)
    check_voiced(reference.voiced, "The reference")
    check_voiced(generated.voiced, "The generated sound")
    return meet(case, settings.align, lambda sound: contour(sound, settings.tracker).f0)


def _both(case: Case, settings: F0Settings) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """F0 of both where both are voiced, and how many frames those are."""
    reference, generated = _met(case, settings)
    both = (reference > 0) & (generated > 0)
    if both.sum() < FEWEST:
        raise NotApplicable(
            Reason.UNVOICED, f"Only {both.sum()} frames are voiced in both; {FEWEST} are needed."
        )
    details = {"frames": len(both), "voiced_in_both": int(both.sum())}
    return reference[both], generated[both], details


def rms(values: np.ndarray) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def pearson(a: np.ndarray, b: np.ndarray, what: str) -> float:
    """Pearson's correlation; raises ``NotApplicable`` where one side does not change."""
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    if spread <= 1e-9 * max(1.0, len(a)):
        raise NotApplicable(Reason.CONSTANT, f"{what} does not change: no correlation exists.")
    return float(np.clip(a @ b / spread, -1, 1))


@metric(
    Card(
        id="f0_rmse",
        title="F0 RMSE",
        measures="Root mean square difference of F0 over frames that are voiced in both.",
        group="F0",
        unit="Hz",
        low=0,
        better=Better.LOWER,
        needs=Need.REFERENCE,
        sample_rate=RATE,
        paper=HARVEST_PAPER,
        requires=("pyworld",),
        pip_extra="pyworld-prebuilt",
        shortest_s=SHORTEST_S,
        longest_s=LONGEST_S,
    ),
    F0Settings,
)
def f0_rmse(case: Case, settings: F0Settings) -> Measured:
    """In Hz."""
    reference, generated, details = _both(case, settings)
    return Measured(rms(generated - reference), details=details)


@metric(
    Card(
        id="f0_rmse_cents",
        title="F0 RMSE in cents",
        measures="Root mean square interval over frames that are voiced in both; 100 cents are a "
        "semitone.",
        group="F0",
        unit="cents",
        low=0,
        better=Better.LOWER,
        needs=Need.REFERENCE,
        sample_rate=RATE,
        paper=HARVEST_PAPER,
        requires=("pyworld",),
        pip_extra="pyworld-prebuilt",
        shortest_s=SHORTEST_S,
        longest_s=LONGEST_S,
    ),
    CentsSettings,
)
def f0_rmse_cents(case: Case, settings: CentsSettings) -> Measured:
    """In cents, ``1200 log2`` of the ratio; its details tell the mean interval too."""
    reference, generated, details = _both(case, settings)
    cents = 1200 * np.log2(generated / reference)
    if settings.transpose is Transpose.MEDIAN:
        cents = cents - 1200 * np.log2(np.median(generated) / np.median(reference))
    return Measured(rms(cents), details={**details, "mean_cents": float(cents.mean())})


@metric(
    Card(
        id="f0_pearson",
        title="F0 correlation",
        measures="Pearson correlation of F0 in Hz over frames that are voiced in both.",
        group="F0",
        low=-1,
        high=1,
        better=Better.HIGHER,
        needs=Need.REFERENCE,
        sample_rate=RATE,
        paper=HARVEST_PAPER,
        requires=("pyworld",),
        pip_extra="pyworld-prebuilt",
        shortest_s=SHORTEST_S,
        longest_s=LONGEST_S,
    ),
    F0Settings,
)
def f0_pearson(case: Case, settings: F0Settings) -> Measured:
    """From -1 to 1."""
    reference, generated, details = _both(case, settings)
    return Measured(pearson(reference, generated, "One F0 contour"), details=details)


def _voicing(case: Case, settings: F0Settings) -> dict[str, float]:
    """Precision, recall and F1 of "voiced", with the counts behind them."""
    found = contours(case, settings.tracker)
    check_voiced(found[0].voiced, "The reference")
    reference, generated = meet(
        case, settings.align, lambda sound: contour(sound, settings.tracker).voiced
    )
    hits = int((reference & generated).sum())
    said, true = int(generated.sum()), int(reference.sum())
    if not true:
        raise NotApplicable(Reason.UNVOICED, "The reference is not voiced where both last.")
    return {
        "precision": hits / said if said else 0.0,
        "recall": hits / true,
        "f1": 2 * hits / (said + true),
        "frames": len(reference),
        "voiced_reference": true,
        "voiced_generated": said,
        "voiced_in_both": hits,
    }


def _voicing_card(id: str, title: str, measures: str) -> Card:
    return Card(
        id=id,
        title=title,
        measures=measures,
        group="F0",
        low=0,
        high=1,
        better=Better.HIGHER,
        needs=Need.REFERENCE,
        sample_rate=RATE,
        paper=HARVEST_PAPER,
        requires=("pyworld",),
        pip_extra="pyworld-prebuilt",
        shortest_s=SHORTEST_S,
        longest_s=LONGEST_S,
    )


@metric(
    _voicing_card(
        "vuv_precision",
        "Voicing precision",
        "Share of frames voiced in the generated sound that are voiced in the reference.",
    ),
    F0Settings,
)
def vuv_precision(case: Case, settings: F0Settings) -> Measured:
    """From 0 to 1; no number where nothing generated is voiced."""
    found = _voicing(case, settings)
    if not found["voiced_generated"]:
        raise NotApplicable(Reason.UNVOICED, "The generated sound has no voiced frame.")
    return Measured(found["precision"], details=found)


@metric(
    _voicing_card(
        "vuv_recall",
        "Voicing recall",
        "Share of frames voiced in the reference that are voiced in the generated sound.",
    ),
    F0Settings,
)
def vuv_recall(case: Case, settings: F0Settings) -> Measured:
    """From 0 to 1."""
    found = _voicing(case, settings)
    return Measured(found["recall"], details=found)


@metric(
    _voicing_card(
        "vuv_f1", "Voicing F1", "Harmonic mean of precision and recall of voiced frames."
    ),
    F0Settings,
)
def vuv_f1(case: Case, settings: F0Settings) -> Measured:
    """From 0 to 1."""
    found = _voicing(case, settings)
    return Measured(found["f1"], details=found)


@metric(
    Card(
        id="periodicity_rmse",
        title="Periodicity RMSE",
        measures="Root mean square difference of periodicity over all frames; 0 where unvoiced. "
        "With Harvest the correlation of 20 ms with the next period, with Praat its strength, with "
        "SwiftF0 its confidence.",
        group="F0",
        low=0,
        high=1,
        better=Better.LOWER,
        needs=Need.REFERENCE,
        sample_rate=RATE,
        paper="Morrison et al., Chunked Autoregressive GAN, ICLR 2022",
        requires=("pyworld",),
        pip_extra="pyworld-prebuilt",
        shortest_s=SHORTEST_S,
        longest_s=LONGEST_S,
    ),
    F0Settings,
)
def periodicity_rmse(case: Case, settings: F0Settings) -> Measured:
    """From 0 to 1."""
    found = contours(case, settings.tracker)
    check_voiced(found[0].voiced, "The reference")
    reference, generated = meet(
        case, settings.align, lambda sound: contour(sound, settings.tracker).periodicity
    )
    return Measured(rms(generated - reference), details={"frames": len(reference)})
