"""Tempo and key of one sound."""

from __future__ import annotations

import numpy as np

from engines.metrics.base import (
    Better,
    Card,
    Measured,
    Need,
    NotApplicable,
    Reason,
    Settings,
    metric,
)
from engines.metrics.case import Case

RATE = 22_050
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
# probe-tone ratings, Krumhansl & Kessler (1982), from the tonic upwards
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


@metric(
    Card(
        id="tempo",
        title="Tempo",
        measures="Beats a minute: the strongest period of onsets, with a preference for 120.",
        group="Music",
        unit="BPM",
        low=0,
        better=Better.NEITHER,
        needs=Need.NOTHING,
        sample_rate=RATE,
        paper="Ellis, Beat Tracking by Dynamic Programming, JNMR 36 (2007), as in librosa",
        license_code="ISC",
        shortest_s=2.0,
    )
)
def tempo(case: Case, settings: Settings) -> Measured:
    """In BPM; half and double are the usual mistakes."""
    import librosa

    onsets = librosa.onset.onset_strength(y=case.generated.at(RATE), sr=RATE)
    if not onsets.any() or np.ptp(onsets) == 0:
        raise NotApplicable(Reason.CONSTANT, "There are no onsets to count.")
    return Measured(float(librosa.feature.tempo(onset_envelope=onsets, sr=RATE)[0]))


@metric(
    Card(
        id="key",
        title="Key",
        measures="The major or minor key whose profile fits the pitch classes best; the number is "
        "how well (correlation).",
        group="Music",
        low=-1,
        high=1,
        better=Better.NEITHER,
        needs=Need.NOTHING,
        sample_rate=RATE,
        paper="Krumhansl & Schmuckler, in Krumhansl, Cognitive Foundations of Musical Pitch (1990)",
        license_code="ISC",
        shortest_s=1.0,
    )
)
def key(case: Case, settings: Settings) -> Measured:
    """``label`` is the key, such as "A minor"; the value the correlation with its profile."""
    import librosa

    chroma = librosa.feature.chroma_stft(y=case.generated.at(RATE), sr=RATE, n_fft=8192)
    classes = chroma.mean(axis=1)
    if np.ptp(classes) == 0:
        raise NotApplicable(Reason.CONSTANT, "All pitch classes are equally strong.")
    fits = {
        f"{NAMES[tonic]} {mode}": float(np.corrcoef(classes, np.roll(profile, tonic))[0, 1])
        for mode, profile in (("major", MAJOR), ("minor", MINOR))
        for tonic in range(12)
    }
    ranked = sorted(fits, key=lambda name: -fits[name])
    details = {"second": ranked[1], "second_fit": fits[ranked[1]]}
    return Measured(fits[ranked[0]], label=ranked[0], details=details)
