"""Singing conversions of the Amphion toolkit that nobody published weights for: own checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from engines.base import Card, Job, Task, Weights
from engines.parts.variations import normal_rows, uniform_rows
from engines.svc.amphion import OWN, RANGE, RATE, MelSinger, VariedParams, model_field
from engines.svc.trained import SingerParams, TrainedSinger

HOME = "https://github.com/open-mmlab/Amphion/tree/main/egs/svc"
ADVICE = "Nobody published weights. Train them by the recipe, or put a checkpoint into models/own."


def _to_train(name: str, title: str, parts: Iterable[Any]) -> Weights:
    return Weights(
        name, f"{title}, to train", files=OWN, license="yours", advice=ADVICE,
        parts=tuple(part.weights for part in parts),
    )  # fmt: skip


class DiffComoParams(VariedParams):
    """Parameters of DiffComoSVC."""

    model: str = model_field("diffcomo-svc", "A folder in models/own.")
    steps: int = Field(
        40,
        ge=1,
        le=200,
        title="Steps",
        description="Steps of the diffusion. A distilled checkpoint needs one; the published code takes "
        "always one with it.",
    )


class DiffComoSvc(MelSinger):
    """A Conformer's mel, refined."""

    card = Card(
        id="diffcomo-svc",
        title="DiffComoSVC",
        task=Task.SVC,
        summary="Singing conversion by an EDM diffusion around a first mel, distilled to one step: to "
        "train, no weights are published.",
        license_code="MIT",
        license_weights="yours; Apache-2.0 (Whisper); MIT (ContentVec)",
        sample_rate=RATE,
        paper="https://arxiv.org/abs/2401.01792",
        home=f"{HOME}/DiffComoSVC",
        memory_mb={"float32": 2450},
        requires=("torch", "transformers", "pyworld"),
        pip_extra="torch transformers pyworld-prebuilt",
        notes=RANGE,
    )
    Params = DiffComoParams
    model_type = "DiffComoSVC"
    needed = OWN
    to_train = _to_train("diffcomo-svc", "DiffComoSVC", MelSinger.parts)

    def read(self, folder: Path, params: Any) -> Any:
        """Teacher or student."""
        from engines.networks.svc.diffcomo import DiffComoSvc as Network

        return Network.from_published(folder)

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
        import torch

        draw, frames = normal_rows(generators), features.f0.shape[1]
        z = draw((len(generators), len(scale[0]), frames)).to(self._device)
        mask = torch.ones(1, 1, frames, device=self._device)
        with torch.inference_mode():
            mu = self._network(features, mask).expand(len(z), -1, -1)
        states = self._network.como.sample(mu, z, params.steps, draw)
        return self._sound(self._follow(states, params.steps + 1, job, part), scale)


class TransformerSvcParams(SingerParams):
    """Parameters of TransformerSVC. There is no seed: the model draws no random numbers."""

    model: str = model_field("transformer-svc", "A folder in models/own.")


class TransformerSvc(MelSinger):
    """One pass."""

    card = Card(
        id="transformer-svc",
        title="TransformerSVC",
        task=Task.SVC,
        summary="Singing conversion in one pass by a Conformer or a Transformer: to train, no weights are "
        "published.",
        license_code="MIT",
        license_weights="yours; Apache-2.0 (Whisper); MIT (ContentVec)",
        sample_rate=RATE,
        home=f"{HOME}/TransformerSVC",
        memory_mb={"float32": 2150},
        requires=("torch", "transformers", "pyworld"),
        pip_extra="torch transformers pyworld-prebuilt",
        notes=RANGE,
    )
    Params = TransformerSvcParams
    model_type = "TransformerSVC"
    needed = OWN
    to_train = _to_train("transformer-svc", "TransformerSVC", MelSinger.parts)

    def read(self, folder: Path, params: Any) -> Any:
        """Conditions and regression."""
        from engines.networks.svc.transformer import TransformerSvc as Network

        return Network.from_published(folder)

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
        import torch

        job.progress(*part, f"Part {part[0] + 1} of {part[1]}")
        mask = torch.ones(1, 1, features.f0.shape[1], device=self._device)
        with torch.inference_mode():
            mel = self._network(features, mask)
        return self._sound(mel, scale)


class VitsSvcParams(VariedParams):
    """Parameters of VitsSVC."""

    model: str = model_field("vits-svc", "A folder in models/own.")
    noise_scale: float = Field(
        0.667,
        ge=0,
        le=1.5,
        title="Noise scale",
        description="Variation of the sound itself: 0 is flat, high values get hoarse.",
        json_schema_extra={"step": 0.01, "advanced": True},
    )
    as_published: bool = Field(
        False,
        title="As published",
        description="The original's NSF-HiFiGAN overwrites its source, so that F0 has no effect in it. "
        "Only checkpoints of the original trainer need that fault.",
        json_schema_extra={"advanced": True},
    )


class VitsSvc(TrainedSinger):
    """Latents and their own generator."""

    card = Card(
        id="vits-svc",
        title="VitsSVC",
        task=Task.SVC,
        summary="Singing conversion by VITS with sung content in place of text and NSF-HiFiGAN at its end: "
        "to train, no weights are published.",
        license_code="MIT",
        license_weights="yours; Apache-2.0 (Whisper); MIT (ContentVec)",
        sample_rate=RATE,
        home=f"{HOME}/VitsSVC",
        memory_mb={"float32": 2050},
        requires=("torch", "transformers", "pyworld"),
        pip_extra="torch transformers pyworld-prebuilt",
        notes="F0 is found by WORLD's Harvest, where the original has Praat. The fault of the original's "
        "generator is corrected unless “As published” is on.",
    )
    Params = VitsSvcParams
    model_type = "VitsSVC"
    needed = OWN
    to_train = _to_train("vits-svc", "VitsSVC", TrainedSinger.parts)

    def variant(self, params: Any) -> str:
        """With the fault or without."""
        return f"as published {params is not None and params.as_published}"

    def read(self, folder: Path, params: Any) -> Any:
        """The whole network."""
        from engines.networks.svc.vits import VitsSvc as Network

        faulty = params is not None and params.as_published
        return Network.from_published(folder, as_published=faulty)

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
        import torch

        from engines.networks.svc.features import SingingFeatures

        job.progress(*part, f"Part {part[0] + 1} of {part[1]}")
        rows, frames = len(generators), features.f0.shape[1]
        several = SingingFeatures(
            features.f0.expand(rows, -1),
            features.unvoiced.expand(rows, -1),
            features.energy.expand(rows, -1),
            {kind: each.expand(rows, -1, -1) for kind, each in features.contents.items()},
            features.singer.expand(rows),
        )
        mask = torch.ones(rows, 1, frames, device=self._device)
        with torch.inference_mode():
            audio = self._network.convert(
                several, mask, normal_rows(generators), uniform_rows(generators), params.noise_scale
            )
        return audio[:, 0].float().cpu().numpy()
