"""The condition encoder: pitch, loudness, content and singer as one sum for each frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engines.networks.svc.features import SingingFeatures, coarse_pitch
from engines.networks.weights import WeightsError

QUIETEST, LOUDEST = 1e-30, 1.5
CONTENTS = ("whisper", "contentvec")


@dataclass(frozen=True)
class ConditionConfig:
    """Sizes of the condition encoder. ``contents`` maps each kind of content frame to its width."""

    dim: int
    contents: Mapping[str, int]
    pitch_bins: int = 256
    loudness_bins: int = 256
    singers: int = 512
    f0_min: float = 50.0
    f0_max: float = 1100.0

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> ConditionConfig:
        """From the ``condition_encoder`` of a published ``args.json``.

        Raises ``WeightsError`` for one that concatenates or takes content of another kind.
        """
        others = [
            key for key in ("use_wenet", "use_mert", "use_singer_encoder") if given.get(key, False)
        ]
        if given["merge_mode"] != "add" or others:
            raise WeightsError(
                "The condition encoder must add Whisper and ContentVec frames to the singer's row; "
                f"this one has {', '.join(others) or given['merge_mode']}."
            )
        return cls(
            dim=given["output_melody_dim"],
            contents={
                kind: given[f"{kind}_dim"] for kind in CONTENTS if given.get(f"use_{kind}", False)
            },
            pitch_bins=given["n_bins_melody"],
            loudness_bins=given["n_bins_loudness"],
            singers=given["singer_table_size"],
            f0_min=given["f0_min"],
            f0_max=given["f0_max"],
        )


class _Melody(nn.Module):
    """Coarse pitch and voicing (B, T) to (B, T, ``dim``)."""

    def __init__(self, bins: int, dim: int) -> None:
        super().__init__()
        self.nn = nn.Embedding(bins, dim)
        self.uv_embedding = nn.Embedding(2, dim)

    def forward(self, pitch: Tensor, unvoiced: Tensor) -> Tensor:
        return self.nn(pitch) + self.uv_embedding(unvoiced)


class _Loudness(nn.Module):
    """Energy (B, T) to (B, T, ``dim``), by logarithmically spaced bins."""

    def __init__(self, bins: int, dim: int) -> None:
        super().__init__()
        edges = torch.linspace(math.log(QUIETEST), math.log(LOUDEST), bins - 1).exp()
        self.energy_bins = nn.Parameter(edges, requires_grad=False)
        self.nn = nn.Embedding(bins, dim)

    def forward(self, energy: Tensor) -> Tensor:
        return self.nn(torch.bucketize(energy, self.energy_bins))


class _Projection(nn.Module):
    """Content frames (B, T, D) to (B, T, ``dim``)."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.nn = nn.Linear(width, dim)

    def forward(self, content: Tensor) -> Tensor:
        return self.nn(content)


class _Singers(nn.Module):
    """Rows (B,) to (B, ``dim``)."""

    def __init__(self, count: int, dim: int) -> None:
        super().__init__()
        self.nn = nn.Embedding(count, dim)

    def forward(self, singer: Tensor) -> Tensor:
        return self.nn(singer)


class ConditionEncoder(nn.Module):
    """``SingingFeatures`` of T frames to (B, ``dim``, T)."""

    def __init__(self, config: ConditionConfig) -> None:
        super().__init__()
        self.config = config
        for kind, width in config.contents.items():
            self.add_module(f"{kind}_encoder", _Projection(width, config.dim))
        self.melody_encoder = _Melody(config.pitch_bins, config.dim)
        self.loudness_encoder = _Loudness(config.loudness_bins, config.dim)
        self.singer_encoder = _Singers(config.singers, config.dim)

    def pitch(self, f0: Tensor) -> Tensor:
        """The bin of the pitch table for F0 (B, T) in Hz."""
        return coarse_pitch(f0, self.config.pitch_bins, self.config.f0_min, self.config.f0_max)

    def forward(self, features: SingingFeatures) -> Tensor:
        total = self.melody_encoder(self.pitch(features.f0), features.unvoiced)
        total = total + self.loudness_encoder(features.energy)
        total = total + self.singer_encoder(features.singer)[:, None]
        for kind in self.config.contents:
            total = total + self.get_submodule(f"{kind}_encoder")(features.contents[kind])
        return total.transpose(1, 2)
