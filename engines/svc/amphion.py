"""MultipleContentsSVC of the Amphion toolkit, and what its conversions that make a mel share."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from engines.base import Card, Device, Job, Seed, Task, Weights
from engines.parts.checkpoints import ARGS, CHECKPOINT
from engines.parts.mel_vocoder import SINGING, read_vocoder
from engines.parts.published import file_bytes
from engines.parts.singing import CONTENTVEC, WHISPER
from engines.parts.variations import normal_rows
from engines.svc.trained import SingerParams, TrainedSinger

INSIDE = "vocalist_l1_contentvec+whisper"
OWN = (ARGS, "singers.json", CHECKPOINT)
RATE = 24_000
RANGE = (
    "The extrema of the training's mels (mel_min.npy, mel_max.npy) are read from the checkpoint's folder; "
    "where it has none, they are estimated from a recording of the singer or from the source. F0 is found "
    "by WORLD's Harvest, where the original has Praat."
)


def model_field(default: str, what: str) -> Any:
    """The menu of checkpoints."""
    return Field(
        default, max_length=500, title="Model", description=what,
        json_schema_extra={"choices": True},
    )  # fmt: skip


class Sampler(StrEnum):
    """Samplers of the diffusion."""

    PNDM = "pndm"
    DDPM = "ddpm"
    DDIM = "ddim"


class VariedParams(SingerParams):
    """With random numbers, so that there may be several."""

    variations: int = Field(
        1,
        ge=1,
        le=8,
        title="Variations",
        description="How many conversions are made, all at once, each with a seed of its own.",
    )
    seed: Seed = -1


class MelSinger(TrainedSinger):
    """Conversions that make a mel, and BigVGAN the sound of it."""

    parts = (WHISPER, CONTENTVEC, SINGING)

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._vocoder: Any = None

    def load_parts(self, device: Device, params: Any) -> None:
        """The content encoders and the vocoder."""
        super().load_parts(device, params)
        self._vocoder = SINGING.load(
            self.cache, device, lambda folder: read_vocoder(folder, "bigvgan_singing")
        )

    def unload(self) -> None:
        """Forget the network and drop the parts."""
        self._vocoder = None
        super().unload()

    def _sound(self, mels: Any, scale: Any) -> np.ndarray:
        """Samples ``(B, L)`` of normalised mels (B, n_mels, T), one after the other."""
        import torch

        from engines.networks.svc.features import denormalise_mel

        with torch.inference_mode():
            rows = [
                self._vocoder(denormalise_mel(mel[None], *scale))[0, 0].float().cpu().numpy()
                for mel in mels
            ]
        return np.stack(rows)

    def _follow(self, states: Any, total: int, job: Job, part: tuple[int, int]) -> Any:
        """The last of a sampler's states; every step may be cancelled."""
        import torch

        last = None
        with torch.inference_mode():
            for done, state in enumerate(states, 1):
                last = state
                job.check()
                note = f"Part {part[0] + 1} of {part[1]}"
                job.progress(part[0] + min(1, done / total), part[1], note)
        return last


class MultipleContentsParams(VariedParams):
    """Parameters of MultipleContentsSVC."""

    model: str = model_field(
        "vocalist-l1", "The published checkpoint of 15 singers, or a folder in models/own."
    )
    sampler: Sampler = Field(
        Sampler.PNDM, title="Sampler", description="How the noise is taken off.",
        json_schema_extra={"advanced": True},
    )  # fmt: skip
    steps: int = Field(
        1000,
        ge=4,
        le=1000,
        title="Steps",
        description="Steps of the diffusion; 100 are often enough and take a tenth of the time.",
    )


class MultipleContentsSvc(MelSinger):
    """Diffusion over mels."""

    card = Card(
        id="multiplecontents-svc",
        title="MultipleContentsSVC",
        task=Task.SVC,
        summary="Sings it in the voice of one of 15 singers, by diffusion led by Whisper's and "
        "ContentVec's content.",
        license_code="MIT",
        license_weights="MIT; Apache-2.0 (Whisper); MIT (ContentVec)",
        sample_rate=RATE,
        paper="https://arxiv.org/abs/2310.11160",
        home="https://huggingface.co/amphion/singing_voice_conversion",
        memory_mb={"float32": 2500},
        requires=("torch", "transformers", "pyworld"),
        pip_extra="torch transformers pyworld-prebuilt",
        notes=RANGE,
    )
    Params = MultipleContentsParams
    model_type = "DiffWaveNetSVC"
    needed = OWN
    inside = INSIDE
    published = (
        Weights(
            id="vocalist-l1", title="15 singers (vocalist_l1)",
            repo="amphion/singing_voice_conversion",
            files=tuple(f"{INSIDE}/{name}" for name in OWN),
            optional=(f"{INSIDE}/*.npy", f"{INSIDE}/*statistics.json"),
            size_bytes=file_bytes(101_581_155), license="MIT",
            parts=(WHISPER.weights, CONTENTVEC.weights, SINGING.weights),
        ),
    )  # fmt: skip

    def read(self, folder: Path, params: Any) -> Any:
        """Conditions and denoiser."""
        from engines.networks.svc.multiplecontents import MultipleContentsSvc as Network

        return Network.from_published(self.home(folder))

    def convert(
        self,
        features: Any,
        params: Any,
        scale: Any,
        generators: Sequence[Any],
        job: Job,
        part: tuple[int, int],
    ) -> np.ndarray:
        """One window."""
        from engines.networks.svc.schedulers import SAMPLERS, SamplerKind

        draw = normal_rows(generators)
        sampler = SAMPLERS[SamplerKind(params.sampler)](self._network.diffusion, params.steps)
        shape = (len(generators), len(scale[0]), features.f0.shape[1])
        z = draw(shape).to(self._device)
        states = self._network.sample(features, z, sampler, draw)
        return self._sound(self._follow(states, len(sampler.timesteps), job, part), scale)
