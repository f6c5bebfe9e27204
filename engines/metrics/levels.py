"""Levels of one sound: loudness, peak, clipping, silence, and an estimate of its noise."""

from __future__ import annotations

import numpy as np

from engines.audio import as_channels, measure
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
from engines.metrics.sound import SILENT_PEAK

FULL_SCALE = 0.999  # 16 bit rounds the loudest sample to 0.99997
CLIPPED_RUN = 3  # samples at full scale in a row: fewer can be a loud peak
FRAME_S = 0.02
QUIET_DB = -60.0  # re the loudest frame
NOISE_SHARE = 0.1  # of frames that are taken for pauses
LEAST_RANGE_DB = 3.0


def _card(id: str, title: str, measures: str, **more: object) -> Card:
    values: dict = {"group": "Levels", "better": Better.NEITHER, "needs": Need.NOTHING, **more}
    return Card(id=id, title=title, measures=measures, **values)


@metric(
    _card(
        "loudness",
        "Loudness",
        "Integrated loudness of all channels (gated, K-weighted).",
        unit="LUFS",
        high=10,
        paper="EBU R 128; ITU-R BS.1770-4",
        takes_silence=True,
        all_channels=True,
    )
)
def loudness(case: Case, settings: Settings) -> Measured:
    """In LUFS; the standard gives none below 0.4 s, to silence, or beyond five channels."""
    sound = case.generated
    levels = sound.once("levels", lambda: measure(sound.samples, sound.sample_rate))
    if levels.loudness_lufs is not None:
        return Measured(levels.loudness_lufs, details={"peak_db": levels.peak_db})
    if sound.duration_s < 0.4:
        raise NotApplicable(Reason.TOO_SHORT, "Loudness needs at least 0.4 s.")
    if sound.channels > 5:
        raise NotApplicable(Reason.CHANNELS, "Loudness is defined for up to five channels.")
    raise NotApplicable(Reason.SILENT, "Nothing is above the gate of -70 LUFS.")


@metric(
    _card(
        "peak",
        "Sample peak",
        "Largest magnitude of any sample in any channel.",
        unit="dBFS",
        all_channels=True,
    )
)
def peak(case: Case, settings: Settings) -> float:
    """In dB re full scale; 0 is the largest a 16-bit file can hold."""
    return float(20 * np.log10(case.generated.peak))


@metric(
    _card(
        "clipping",
        "Clipping",
        "Share of samples that stand at full scale (0.999) for three or more in a row.",
        unit="%",
        low=0,
        high=100,
        better=Better.LOWER,
        takes_silence=True,
        all_channels=True,
    )
)
def clipping(case: Case, settings: Settings) -> Measured:
    """In percent of all samples of all channels."""
    clipped, places = 0, 0
    for channel in as_channels(case.generated.samples):
        for sign in (1, -1):
            lengths = _runs(channel * sign >= FULL_SCALE)
            long = lengths[lengths >= CLIPPED_RUN]
            clipped += int(long.sum())
            places += len(long)
    return Measured(100 * clipped / case.generated.samples.size, details={"places": places})


def _runs(flags: np.ndarray) -> np.ndarray:
    """Lengths of the runs of True in ``(T,)``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return edges[1::2] - edges[::2]


def _frame_power(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Mean square of each 20 ms, ``(F,)``; the rest at the end is left out."""
    length = max(1, round(FRAME_S * sample_rate))
    frames = samples[: len(samples) // length * length].reshape(-1, length).astype(np.float64)
    return np.mean(np.square(frames), axis=1)


@metric(
    _card(
        "silence",
        "Silence",
        "Share of 20 ms frames more than 60 dB below the loudest one.",
        unit="%",
        low=0,
        high=100,
        takes_silence=True,
        shortest_s=FRAME_S,
    )
)
def silence(case: Case, settings: Settings) -> Measured:
    """In percent; a silent sound is 100. Details tell the silence at both ends in seconds."""
    sound = case.generated
    power = _frame_power(sound.mono(), sound.sample_rate)
    floor = max(float(power.max()) * 10 ** (QUIET_DB / 10), SILENT_PEAK**2)
    heard = np.flatnonzero(power > floor)
    if not len(heard):
        whole = sound.duration_s
        return Measured(100.0, details={"leading_s": whole, "trailing_s": whole})
    details = {
        "leading_s": float(heard[0] * FRAME_S),
        "trailing_s": float((len(power) - 1 - heard[-1]) * FRAME_S),
    }
    return Measured(100 * (1 - len(heard) / len(power)), details=details)


@metric(
    _card(
        "snr_estimate",
        "SNR, estimated",
        "Power of the sound over that of its quietest 20 ms frames, taken for steady noise in "
        "pauses. An estimate: it needs pauses, and reverberation counts as noise.",
        unit="dB",
        better=Better.HIGHER,
        paper="after the NIST Speech Quality Assurance package (stnr)",
        shortest_s=0.5,
    )
)
def snr_estimate(case: Case, settings: Settings) -> Measured:
    """In dB; digital silence in the pauses has no noise, hence no number."""
    sound = case.generated
    power = np.sort(_frame_power(sound.mono(), sound.sample_rate))
    noise = float(np.median(power[: max(3, round(2 * NOISE_SHARE * len(power)))]))
    if noise <= SILENT_PEAK**2:
        raise NotApplicable(Reason.SILENT, "The pauses are digital silence: there is no noise.")
    total = float(power.mean())
    if 10 * np.log10(power[-1] / noise) < LEAST_RANGE_DB or total <= noise:
        raise NotApplicable(Reason.NO_PAUSES, "There are no pauses to take the noise from.")
    noise_db = float(10 * np.log10(noise))
    return Measured(float(10 * np.log10((total - noise) / noise)), details={"noise_dbfs": noise_db})
