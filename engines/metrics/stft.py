"""Distances of short-time spectra: multi-resolution STFT and log-spectral distance."""

from __future__ import annotations

from dataclasses import dataclass

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
from engines.metrics.spectra import magnitudes

# n_fft, hop_length, win_length
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
RESOLUTIONS_PAPER = "Yamamoto et al., Parallel WaveGAN, ICASSP 2020"
CLAMP = 1e-7  # of power, as in the published code
LSD_FFT, LSD_HOP = 2048, 512
LSD_CLAMP = 1e-10  # of power: -100 dB


@dataclass(frozen=True)
class Resolution:
    """One resolution's distances."""

    n_fft: int
    convergence: float
    log_magnitude: float


def _resolutions(case: Case, settings: SampleSettings) -> list[Resolution]:
    def make() -> list[Resolution]:
        reference, generated = case.samples(align=settings.align)
        check_length(reference, 2048)
        return [_distances(reference, generated, *each) for each in RESOLUTIONS]

    return case.once(("resolutions", settings.align), make)


def check_length(samples: np.ndarray, n_fft: int) -> None:
    """Raise ``NotApplicable`` for fewer samples than one window."""
    if len(samples) < n_fft:
        raise NotApplicable(
            Reason.TOO_SHORT, f"{len(samples)} samples are fewer than one window of {n_fft}."
        )


def _distances(
    reference: np.ndarray, generated: np.ndarray, n_fft: int, hop: int, win: int
) -> Resolution:
    apart = level = logs = 0.0
    count = 0
    both = zip(
        magnitudes(reference, n_fft, hop, win),
        magnitudes(generated, n_fft, hop, win),
        strict=True,
    )
    least = np.float32(np.sqrt(CLAMP))
    for a, b in both:
        a, b = np.maximum(a, least), np.maximum(b, least)
        apart += float(np.square(a - b).sum(dtype=np.float64))
        level += float(np.square(a).sum(dtype=np.float64))
        logs += float(np.abs(np.log(a / b)).sum(dtype=np.float64))
        count += a.size
    return Resolution(n_fft, float(np.sqrt(apart / level)), logs / count)


def _card(id: str, title: str, measures: str, unit: str = "") -> Card:
    return Card(
        id=id,
        title=title,
        measures=measures,
        group="Spectral",
        unit=unit,
        low=0,
        better=Better.LOWER,
        needs=Need.REFERENCE,
        paper=RESOLUTIONS_PAPER,
        shortest_s=0.05,
    )


@metric(
    _card(
        "mrstft",
        "Multi-resolution STFT",
        "Spectral convergence plus log-magnitude distance, mean of three resolutions (1024, 2048, "
        "512; Hann).",
    ),
    SampleSettings,
)
def mrstft(case: Case, settings: SampleSettings) -> Measured:
    """The sum of the two below."""
    each = _resolutions(case, settings)
    value = float(np.mean([r.convergence + r.log_magnitude for r in each]))
    details = {str(r.n_fft): [r.convergence, r.log_magnitude] for r in each}
    return Measured(value, details=details)


@metric(
    _card(
        "spectral_convergence",
        "Spectral convergence",
        "Norm of the difference of magnitudes over that of the reference, mean of three "
        "resolutions.",
    ),
    SampleSettings,
)
def spectral_convergence(case: Case, settings: SampleSettings) -> float:
    """From 0, without unit."""
    return float(np.mean([r.convergence for r in _resolutions(case, settings)]))


@metric(
    _card(
        "log_magnitude",
        "Log STFT magnitude",
        "Mean absolute difference of log magnitudes, mean of three resolutions.",
        "neper",
    ),
    SampleSettings,
)
def log_magnitude(case: Case, settings: SampleSettings) -> float:
    """From 0, natural logarithm."""
    return float(np.mean([r.log_magnitude for r in _resolutions(case, settings)]))


@metric(
    Card(
        id="lsd",
        title="Log-spectral distance",
        measures="Mean over frames of the root mean square difference of log power spectra "
        "(2048, hop 512, Hann, not below -100 dB).",
        group="Spectral",
        unit="dB",
        low=0,
        better=Better.LOWER,
        needs=Need.REFERENCE,
        paper="Gray & Markel, Distance Measures for Speech Processing, IEEE ASSP 24 (1976)",
        shortest_s=0.05,
    ),
    SampleSettings,
)
def lsd(case: Case, settings: SampleSettings) -> Measured:
    """In dB: ``10 log10`` of power."""
    reference, generated = case.samples(align=settings.align)
    check_length(reference, LSD_FFT)
    frames = []
    both = zip(
        magnitudes(reference, LSD_FFT, LSD_HOP),
        magnitudes(generated, LSD_FFT, LSD_HOP),
        strict=True,
    )
    least = np.float32(np.sqrt(LSD_CLAMP))
    for a, b in both:
        apart = 20 * np.log10(np.maximum(a, least) / np.maximum(b, least))
        frames.append(np.sqrt(np.mean(np.square(apart), axis=1)))
    each = np.concatenate(frames)
    return Measured(float(each.mean(dtype=np.float64)), details={"frames": len(each)})
