"""Loudness to a target and silence cut: what a person runs of levels and silence, without weights."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import numpy as np
from pydantic import Field

from engines.audio import measure
from engines.base import Card, Clip, Job, Report, StudioError, Task
from engines.restore import levels, silence
from engines.restore.base import RestoreEngine, SourceParams, info, read, shaped


class Measure(StrEnum):
    """What is brought to its target."""

    LOUDNESS = "loudness"
    PEAK = "peak"


class LoudnessParams(SourceParams):
    """Parameters of one normalisation."""

    measure: Measure = Field(
        Measure.LOUDNESS,
        title="Normalise",
        description="Loudness brings the sound to the target and limits its peaks; peak brings the true "
        "peak to the ceiling.",
    )
    target_lufs: float = Field(
        -16.0,
        ge=-40,
        le=-5,
        title="Target loudness",
        description="Integrated loudness (ITU-R BS.1770): -23 for European broadcast, -16 for podcasts, "
        "-14 for streaming.",
        json_schema_extra={"unit": "LUFS", "step": 0.5},
    )
    ceiling_dbtp: float = Field(
        -1.0,
        ge=-20,
        le=0,
        title="True peak ceiling",
        description="No peak, also between samples, is higher. A look-ahead limiter holds it.",
        json_schema_extra={"unit": "dBTP", "step": 0.1},
    )


class Loudness(RestoreEngine):
    """Loudness or true peak to a target."""

    card = Card(
        id="loudness",
        title="Loudness",
        task=Task.RESTORE,
        summary="Brings a sound to a target loudness in LUFS, and holds its true peak below a ceiling.",
        license_code="MIT",
        license_weights="none",
        sample_rate=0,
        paper="https://www.itu.int/rec/R-REC-BS.1770",
        notes="Keeps the sample rate and the channels of the source.",
    )
    Params = LoudnessParams

    def run(self, params: Any, job: Job) -> Iterator[Clip | Report]:
        """The source at its new level, and its levels before and after."""
        rate = info(params.source).samplerate
        samples = read(params.source)
        job.progress(1, 4, "Measuring")
        job.check()
        if params.measure is Measure.PEAK:
            made = levels.normalise_peak(samples, params.ceiling_dbtp)
        else:
            made = levels.normalise_loudness(samples, rate, params.target_lufs, params.ceiling_dbtp)
        job.progress(3, 4, "Measuring")
        job.check()
        yield Clip(shaped(made.samples), rate, title="Normalised")
        before, after = measure(samples, rate), measure(made.samples, rate)
        yield Report(
            {
                "loudness before (LUFS)": _rounded(before.loudness_lufs),
                "loudness after (LUFS)": _rounded(after.loudness_lufs),
                "true peak before (dBTP)": _rounded(levels.true_peak_db(samples)),
                "true peak after (dBTP)": _rounded(levels.true_peak_db(made.samples)),
                "gain (dB)": _rounded(made.gain_db),
                "limited by (dB)": _rounded(made.limited_db),
            }
        )


class TrimParams(SourceParams):
    """Parameters of one cut."""

    threshold_db: float = Field(
        silence.THRESHOLD_DB,
        ge=-80,
        le=-10,
        title="Threshold",
        description="What lies below, relative to the loudest 10 ms, is silence.",
        json_schema_extra={"unit": "dB", "step": 1},
    )
    pad_s: float = Field(
        0.05,
        ge=0,
        le=2,
        title="Padding",
        description="How much silence is kept at each end.",
        json_schema_extra={"unit": "s", "step": 0.01},
    )
    max_pause_s: float = Field(
        0.0,
        ge=0,
        le=10,
        title="Longest pause",
        description="Longer pauses inside are cut to this length; 0 keeps them as they are.",
        json_schema_extra={"unit": "s", "step": 0.1},
    )


class Trim(RestoreEngine):
    """Silence off both ends, and out of long pauses."""

    card = Card(
        id="trim",
        title="Trim silence",
        task=Task.RESTORE,
        summary="Cuts silence off both ends of a sound, and shortens long pauses.",
        license_code="MIT",
        license_weights="none",
        sample_rate=0,
        notes="Keeps the sample rate and the channels of the source; each cut is faded over 5 ms.",
    )
    Params = TrimParams

    def run(self, params: Any, job: Job) -> Iterator[Clip | Report]:
        """What sounds, and how much was cut."""
        rate = info(params.source).samplerate
        samples = read(params.source)
        job.progress(1, 2, "Looking for silence")
        job.check()
        out = silence.trimmed(samples, rate, params.threshold_db, params.pad_s)
        if not out.shape[-1]:
            raise StudioError(
                f"{params.source.name} is silent from end to end: nothing would be left. "
                "Choose another sound.",
                "source",
            )
        if params.max_pause_s > 0:
            out = silence.shortened(out, rate, params.max_pause_s, params.threshold_db)
        yield Clip(shaped(out), rate, title="Trimmed")
        before_s, after_s = samples.shape[-1] / rate, out.shape[-1] / rate
        yield Report(
            {
                "length before (s)": round(before_s, 2),
                "length after (s)": round(after_s, 2),
                "cut (s)": round(before_s - after_s, 2),
            }
        )


def _rounded(value: float | None) -> float | None:
    """Two decimals; None for what silence doesn't have."""
    return None if value is None or not np.isfinite(value) else round(float(value), 2)
