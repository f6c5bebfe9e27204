"""AudioLDM and AudioLDM 2: latent diffusion of mel-spectrograms, 16 kHz mono.

Liu et al. 2023, https://arxiv.org/abs/2301.12503 and https://arxiv.org/abs/2308.05734.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from pydantic import Field

from engines.base import Card, Task, Weights
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

LICENSE = "CC-BY-NC-SA-4.0"
NOTES = (
    "Weights for non-commercial purposes only. They were trained on 10 s; other lengths work less well. "
    "Captions of sounds in English; the large checkpoints follow them more closely."
)


class Scheduler(StrEnum):
    """How the steps from noise to sound are taken."""

    PUBLISHED = "published"
    DDIM = "ddim"
    DPM = "dpm++ 2m"
    UNIPC = "unipc"
    EULER = "euler"
    ANCESTRAL = "euler ancestral"
    PNDM = "pndm"


SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    Scheduler.PUBLISHED: ("", {}),
    Scheduler.DDIM: ("DDIMScheduler", {}),
    Scheduler.DPM: ("DPMSolverMultistepScheduler", {}),
    Scheduler.UNIPC: ("UniPCMultistepScheduler", {}),
    Scheduler.EULER: ("EulerDiscreteScheduler", {}),
    Scheduler.ANCESTRAL: ("EulerAncestralDiscreteScheduler", {}),
    Scheduler.PNDM: ("PNDMScheduler", {}),
}
SCHEDULER: Any = Field(
    Scheduler.PUBLISHED, title="Scheduler",
    description="How the steps are taken: “published” is what the checkpoint states (DDIM); DPM++ and UniPC "
    "need fewer steps, about 25.",
    json_schema_extra={"advanced": True},
)  # fmt: skip


def _mb(millions: int) -> dict[str, int]:
    """MiB for so many millions of parameters and a quarter for what is computed."""
    return {
        name: round(1.25 * millions * 1e6 * size / 2**20)
        for name, size in (("float32", 4), ("bfloat16", 2), ("float16", 2))
    }


def _published(name: str, title: str, millions: int, optional: tuple[str, ...] = TEXTS) -> Weights:
    return Weights(
        id=name, title=title, repo=f"cvssp/{name}", files=FILES, optional=optional, license=LICENSE,
        non_commercial=True, languages=("en",), size_bytes=millions * 4_000_000,
    )  # fmt: skip


class AudioLDMParams(DiffusionParams):
    """Parameters of a sound by AudioLDM."""

    model: str = model_field("audioldm-s-full-v2")
    duration_s: float = duration_field(10.0, 60.0)
    steps: int = steps_field(100)
    guidance: float = guidance_field(2.5)
    scheduler: Scheduler = SCHEDULER


class AudioLDM(DiffusionEngine):
    """AudioLDM through its pipeline of diffusers."""

    card = Card(
        id="audioldm-diffusers",
        title="AudioLDM",
        task=Task.TTA,
        summary="Sounds from a prompt by latent diffusion, 16 kHz mono.",
        license_code="Apache-2.0 (diffusers)",
        license_weights=LICENSE,
        sample_rate=16_000,
        languages=("en",),
        non_commercial=True,
        paper="https://arxiv.org/abs/2301.12503",
        home="https://huggingface.co/cvssp/audioldm-s-full-v2",
        memory_mb=_mb(421),
        requires=REQUIRES,
        pip_extra="diffusers torchsde",
        notes=NOTES,
    )
    Params = AudioLDMParams
    PIPELINE = "AudioLDMPipeline"
    SCHEDULERS = SCHEDULERS
    PUBLISHED = (
        _published("audioldm-s-full-v2", "Small, version 2", 421, (*TEXTS, "*/*.bin")),
        _published("audioldm-m-full", "Medium", 652, (*TEXTS, "*/*.bin")),
        _published("audioldm-l-full", "Large", 975, (*TEXTS, "*/*.bin")),
        _published("audioldm", "Small, version 1", 421, (*TEXTS, "*/*.bin")),
    )

    def call(
        self, pipeline: Any, params: Any, seeds: Sequence[int], options: dict[str, Any]
    ) -> Any:
        """One sound a seed, ``(B, T)``; the prompt is encoded once."""
        guided, many = params.guidance > 1, len(seeds)
        states = pipeline._encode_prompt(
            params.prompt.strip(),
            pipeline.device,
            many,
            guided,
            params.negative_prompt.strip() or None,
        )
        given = {"prompt_embeds": states[-many:]}
        if guided:
            given["negative_prompt_embeds"] = states[:many]
        made = pipeline(**given, audio_length_in_s=params.duration_s, output_type="np", **options)
        return made.audios, int(pipeline.vocoder.config.sampling_rate)


class AudioLDM2Params(DiffusionParams):
    """Parameters of a sound by AudioLDM 2."""

    model: str = model_field("audioldm2")
    duration_s: float = duration_field(10.0, 60.0)
    steps: int = steps_field(200)
    guidance: float = guidance_field(3.5)
    scheduler: Scheduler = SCHEDULER


class AudioLDM2(DiffusionEngine):
    """AudioLDM 2 through its pipeline of diffusers."""

    card = Card(
        id="audioldm2",
        title="AudioLDM 2",
        task=Task.TTA,
        summary="Sounds and music from a prompt by latent diffusion led by a language model, 16 kHz mono.",
        license_code="Apache-2.0 (diffusers)",
        license_weights=LICENSE,
        sample_rate=16_000,
        languages=("en",),
        non_commercial=True,
        paper="https://arxiv.org/abs/2308.05734",
        home="https://huggingface.co/cvssp/audioldm2",
        memory_mb=_mb(1100),
        requires=REQUIRES,
        pip_extra="diffusers torchsde",
        notes=NOTES,
    )
    Params = AudioLDM2Params
    PIPELINE = "AudioLDM2Pipeline"
    SCHEDULERS = SCHEDULERS
    PUBLISHED = (
        _published("audioldm2", "Sound, 1.1 billion parameters", 1100),
        _published("audioldm2-large", "Sound, 1.5 billion parameters", 1500),
        _published("audioldm2-music", "Music, 1.1 billion parameters", 1100),
    )

    def call(
        self, pipeline: Any, params: Any, seeds: Sequence[int], options: dict[str, Any]
    ) -> Any:
        """One sound a seed, ``(B, T)``; both encoders and the language model read the prompt once."""
        guided, many = params.guidance > 1, len(seeds)
        read = pipeline.encode_prompt(
            params.prompt.strip(), pipeline.device, many, guided,
            negative_prompt=params.negative_prompt.strip() or None,
        )  # fmt: skip
        names = ("prompt_embeds", "attention_mask", "generated_prompt_embeds")
        given = {name: states[-many:] for name, states in zip(names, read, strict=True)}
        if guided:
            given |= {
                f"negative_{name}": states[:many] for name, states in zip(names, read, strict=True)
            }
        made = pipeline(**given, audio_length_in_s=params.duration_s, output_type="np", **options)
        return made.audios, int(pipeline.vocoder.config.sampling_rate)
