"""Energy of generated against reference, in dB on the 5 ms grid."""

from __future__ import annotations

import numpy as np

from engines.metrics.base import Better, Card, FrameSettings, Measured, Need, metric
from engines.metrics.case import Case, meet
from engines.metrics.f0 import pearson, rms
from engines.metrics.sound import Sound
from engines.metrics.spectra import magnitudes
from engines.metrics.world import FRAME_MS, RATE

N_FFT = 1024
FLOOR = 1e-5  # of the norm: -100 dB, so that silence is a number
SHORTEST_S = 0.1
PAPER = "Zhang et al., Amphion, SLT 2024 (frame norm of the STFT, in dB)"


def energy_db(sound: Sound) -> np.ndarray:
    """L2 norm of the magnitudes of each frame in dB, ``(F,)``, at 24 kHz, not below -100 dB."""

    def make() -> np.ndarray:
        hop = round(RATE * FRAME_MS / 1000)
        blocks = magnitudes(sound.at(RATE), N_FFT, hop)
        norms = np.concatenate([np.linalg.norm(block, axis=1) for block in blocks])
        return 20 * np.log10(np.maximum(norms.astype(np.float64), FLOOR))

    return sound.once("energy", make)


@metric(
    Card(
        id="energy_rmse",
        title="Energy RMSE",
        measures="Root mean square difference of frame energy (STFT norm, 1024 at 24 kHz).",
        group="Energy",
        unit="dB",
        low=0,
        better=Better.LOWER,
        needs=Need.REFERENCE,
        sample_rate=RATE,
        paper=PAPER,
        shortest_s=SHORTEST_S,
    ),
    FrameSettings,
)
def energy_rmse(case: Case, settings: FrameSettings) -> Measured:
    """In dB."""
    reference, generated = meet(case, settings.align, energy_db)
    return Measured(rms(generated - reference), details={"frames": len(reference)})


@metric(
    Card(
        id="energy_pearson",
        title="Energy correlation",
        measures="Pearson correlation of frame energy in dB.",
        group="Energy",
        low=-1,
        high=1,
        better=Better.HIGHER,
        needs=Need.REFERENCE,
        sample_rate=RATE,
        paper=PAPER,
        shortest_s=SHORTEST_S,
    ),
    FrameSettings,
)
def energy_pearson(case: Case, settings: FrameSettings) -> Measured:
    """From -1 to 1."""
    reference, generated = meet(case, settings.align, energy_db)
    value = pearson(reference, generated, "The energy of one sound")
    return Measured(value, details={"frames": len(reference)})
