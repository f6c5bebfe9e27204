"""MultipleContentsSVC: a diffusion over mels, led by content frames, pitch, loudness and singer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from engines.networks.blocks.draws import Draw
from engines.networks.svc.conditions import ConditionConfig, ConditionEncoder
from engines.networks.svc.denoiser import Denoiser, DenoiserConfig
from engines.networks.svc.features import SingingFeatures
from engines.networks.svc.published import read_published
from engines.networks.svc.schedulers import Diffusion, Sampler
from engines.networks.weights import load_exactly

N_MELS = 100
DEFAULT_STEPS = 1000


class MultipleContentsSvc(nn.ModuleList):
    """``SingingFeatures`` to normalised mels. Keys ``0`` (conditions) and ``1`` (denoiser)."""

    def __init__(
        self,
        conditions: ConditionConfig,
        denoiser: DenoiserConfig,
        diffusion: Diffusion | None = None,
    ) -> None:
        super().__init__([ConditionEncoder(conditions), Denoiser(denoiser)])
        self.diffusion = diffusion or Diffusion()

    @classmethod
    def read(cls, model: Mapping[str, Any], n_mels: int = N_MELS) -> Self:
        """A network of the ``model`` part of a published ``args.json``."""
        noise = model["diffusion"].get("scheduler_settings", {})
        given = {
            ours: noise[theirs]
            for ours, theirs in (
                ("steps", "num_train_timesteps"),
                ("first", "beta_start"),
                ("last", "beta_end"),
            )
            if theirs in noise
        }
        return cls(
            ConditionConfig.read(model["condition_encoder"]),
            DenoiserConfig.read(model["diffusion"], n_mels),
            Diffusion(**given),
        )

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The network of a published folder, ready to use; ``WeightsError`` says what doesn't fit."""
        config, state = read_published(folder)
        network = cls.read(config["model"], config.get("preprocess", {}).get("n_mel", N_MELS))
        load_exactly(network, state, what=folder.name)
        return network.eval()

    @property
    def conditions(self) -> ConditionEncoder:
        """The condition encoder."""
        return cast(ConditionEncoder, self[0])

    @property
    def denoiser(self) -> Denoiser:
        """Predicts the noise."""
        return cast(Denoiser, self[1])

    def forward(self, mel: Tensor, step: Tensor, features: SingingFeatures) -> Tensor:
        """The noise in normalised ``mel`` (B, n_mels, T) at whole steps (B,)."""
        return self.denoiser(mel, step, self.conditions(features))

    def loss(
        self, mel: Tensor, mask: Tensor, features: SingingFeatures, step: Tensor, noise: Tensor
    ) -> Tensor:
        """Mean square error of the predicted noise where ``mask`` (B, 1, T) is 1.

        ``step`` (B,) is uniform over the whole steps of the diffusion, ``noise`` normal.
        """
        predicted = self(self.diffusion.noisy(mel, noise, step), step, features)
        return ((predicted - noise).square() * mask).sum() / (mask.sum() * mel.shape[1])

    def sample(
        self, features: SingingFeatures, z: Tensor, sampler: Sampler, draw: Draw
    ) -> Iterator[Tensor]:
        """Normalised mels (B, n_mels, T) after each call of the network, the last of them the result.

        ``z`` (B, n_mels, T) is normal; one clip's features may lead a batch of several. ``sampler`` is a
        fresh one of ``self.diffusion``; ``draw`` gives normal numbers of a shape where it wants them.
        """
        return sample(self.denoiser, self.conditions(features), z, sampler, draw)


def sample(
    denoiser: Denoiser, condition: Tensor, z: Tensor, sampler: Sampler, draw: Draw
) -> Iterator[Tensor]:
    """As ``MultipleContentsSvc.sample``, with the condition (B, C, T) known."""
    contexts = denoiser.contexts(condition)
    x = z
    for place, step in enumerate(sampler.timesteps):
        noise = denoiser.denoise(x, torch.full((len(x),), step, device=x.device), contexts)
        fresh = draw(tuple(x.shape)).to(x) if place < sampler.draws else None
        x = sampler.move(place, x, noise, fresh).clamp(-1, 1)
        yield x
