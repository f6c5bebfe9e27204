"""Stable Audio Open: latent diffusion of waveforms by a transformer, 44.1 kHz stereo, up to 47 s.

Evans et al. 2024, https://arxiv.org/abs/2407.14358.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from engines.audio import resample
from engines.base import AudioFile, Card, StudioError, Task, Weights
from engines.tta.diffusion import (
    FILES,
    REQUIRES,
    TEXTS,
    DiffusionEngine,
    DiffusionParams,
    duration_field,
    guidance_field,
    model_field,
    steps_field,
)

LICENSE = "Stability AI Community License"
MILLIONS = 1330  # of parameters: transformer 1057, autoencoder 156, T5-base 110, projections


class StableScheduler(StrEnum):
    """How the steps are taken by Stable Audio."""

    PUBLISHED = "published"
    COSINE = "cosine dpm++ sde"
    EDM = "edm dpm++ 2m"


class StableAudioParams(DiffusionParams):
    """Parameters of a sound by Stable Audio Open."""

    model: str = model_field("stable-audio-open-1.0")
    duration_s: float = duration_field(10.0, 47.0)
    steps: int = steps_field(100)
    guidance: float = guidance_field(7.0)
    scheduler: StableScheduler = Field(
        StableScheduler.PUBLISHED, title="Scheduler",
        description="How the steps are taken: “published” is what the checkpoint states (cosine DPM++ SDE).",
        json_schema_extra={"advanced": True},
    )  # fmt: skip
    source: AudioFile | None = Field(
        None, title="Source",
        description="A sound to start from, which the prompt changes; at most as long as the model's window.",
        json_schema_extra={"advanced": True},
    )  # fmt: skip
    noise: float = Field(
        0.6, ge=0.05, le=1, title="Noise on the source",
        description="How much noise the source starts under: 1 leaves hardly anything of it, 0.1 almost all.",
        json_schema_extra={"step": 0.05, "advanced": True},
    )  # fmt: skip


class StableAudio(DiffusionEngine):
    """Stable Audio Open through its pipeline of diffusers."""

    card = Card(
        id="stable-audio",
        title="Stable Audio Open",
        task=Task.TTA,
        summary="Sounds and loops from a prompt, or from a sound and a prompt, 44.1 kHz stereo, up to 47 s.",
        license_code="Apache-2.0 (diffusers)",
        license_weights=LICENSE,
        sample_rate=44_100,
        languages=("en",),
        paper="https://arxiv.org/abs/2407.14358",
        home="https://huggingface.co/stabilityai/stable-audio-open-1.0",
        memory_mb={
            name: round(1.25 * MILLIONS * 1e6 * size / 2**20)
            for name, size in (("float32", 4), ("bfloat16", 2), ("float16", 2))
        },
        requires=(*REQUIRES, "torchsde"),
        pip_extra="diffusers torchsde",
        notes="The repository asks for consent: accept its terms on its page and set HF_TOKEN. The licence "
        "allows commercial use to those with less than one million dollars of yearly revenue. The model "
        "computes its whole window of 47 s, however short the sound.",
    )
    Params = StableAudioParams
    PIPELINE = "StableAudioPipeline"
    PUBLISHED = (
        Weights(
            id="stable-audio-open-1.0", title="Stable Audio Open 1.0",
            repo="stabilityai/stable-audio-open-1.0", files=FILES, optional=TEXTS, license=LICENSE,
            languages=("en",), size_bytes=MILLIONS * 4_000_000,
            advice="Accept its terms on the hub first, and set HF_TOKEN.",
        ),
    )  # fmt: skip
    SCHEDULERS: ClassVar[dict[str, tuple[str, dict[str, Any]]]] = {
        StableScheduler.PUBLISHED: ("", {}),
        StableScheduler.COSINE: ("CosineDPMSolverMultistepScheduler", {}),
        StableScheduler.EDM: ("EDMDPMSolverMultistepScheduler", {}),
    }

    def scheduler(self, params: Any) -> Any:
        """The scheduler; where there is a source, it starts at less noise (on a logarithmic scale)."""
        whole = super().scheduler(params)
        if params.source is None:
            return whole
        least, most = float(whole.config.sigma_min), float(whole.config.sigma_max)
        return type(whole).from_config(
            whole.config, sigma_max=least * (most / least) ** params.noise
        )

    def check(self, params: Any) -> None:
        """As of each of these engines; raises ``StudioError`` for a source that cannot be read too."""
        super().check(params)
        if params.source is not None:
            _length_s(params.source)

    def call(
        self, pipeline: Any, params: Any, seeds: Sequence[int], options: dict[str, Any]
    ) -> Any:
        """One sound a seed, ``(B, C, T)``."""
        import torch

        rate, many = int(pipeline.vae.config.sampling_rate), len(seeds)
        longest_s = pipeline.transformer.config.sample_size * pipeline.vae.hop_length / rate
        if params.duration_s > longest_s:
            raise StudioError(
                f"This checkpoint makes at most {longest_s:.1f} s; {params.duration_s:g} s were asked for.",
                "duration_s",
            )
        negative = params.negative_prompt.strip()
        if params.source is not None:
            sound = torch.from_numpy(_read(params.source, rate)[:, : round(longest_s * rate)])
            given = sound.to(pipeline.device, pipeline.vae.dtype).expand(many, *sound.shape)
            options |= {"initial_audio_waveforms": given, "initial_audio_sampling_rate": rate}
        made = pipeline(
            [params.prompt.strip()] * many,
            negative_prompt=[negative] * many if negative and params.guidance > 1 else None,
            audio_end_in_s=params.duration_s, output_type="np", **options,
        )  # fmt: skip
        return made.audios, rate


def _length_s(path: Path) -> float:
    import soundfile

    try:
        length_s = soundfile.info(str(path)).duration
    except (soundfile.SoundFileError, OSError) as error:
        raise StudioError(
            f"{path.name} is not a sound that can be read: {error}", "source"
        ) from error
    if not 0.1 <= length_s <= 600:
        raise StudioError(
            f"{path.name} lasts {length_s:,.2f} s; give a sound of 0.1 to 600 s.", "source"
        )
    return length_s


def _read(path: Path, rate: int) -> np.ndarray:
    """A sound as ``(2, T)`` at ``rate``."""
    import soundfile

    _length_s(path)
    samples, own = soundfile.read(str(path), dtype="float32", always_2d=True)
    channels = resample(np.ascontiguousarray(samples.T), own, rate)
    return np.repeat(channels, 2, axis=0) if len(channels) == 1 else channels[:2]
