"""DiffComoSVC: a Conformer's mel, refined by an EDM diffusion around it, then distilled to one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

from torch import Tensor, nn

from engines.networks.blocks.draws import Draw
from engines.networks.svc.conditions import ConditionConfig, ConditionEncoder
from engines.networks.svc.conformer import Conformer
from engines.networks.svc.denoiser import Denoiser, DenoiserConfig
from engines.networks.svc.edm import Edm, sample_student, sample_teacher
from engines.networks.svc.features import SingingFeatures
from engines.networks.svc.published import read_published
from engines.networks.weights import load_exactly

DEFAULT_STEPS = 40
EDM_NAMES = ("sigma_data", "sigma_min", "sigma_max", "rho")


@dataclass(frozen=True)
class ComoConfig:
    """Noise of the diffusion and of its training.

    ln sigma of the teacher's training is normal with ``log_mean`` and ``log_deviation``; the student is
    taught between ``levels`` noise levels.
    """

    edm: Edm = field(default_factory=Edm)
    log_mean: float = -1.2
    log_deviation: float = 1.2
    levels: int = 40

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> ComoConfig:
        """From the ``comosvc`` part of an ``args.json``."""
        edm = Edm(**{name: given[name] for name in EDM_NAMES})
        return cls(edm, given["P_mean"], given["P_std"], given["n_timesteps"])


class ComoDecoder(nn.Module):
    """The denoiser; a student also holds its running average and the teacher that it learns from.

    Keys ``denoise_fn``, and of a student ``denoise_fn_ema, denoise_fn_pretrained``.
    """

    def __init__(self, config: DenoiserConfig, *, student: bool) -> None:
        super().__init__()
        self.student = student
        self.denoise_fn = Denoiser(config)
        if student:
            self.denoise_fn_ema = Denoiser(config)
            self.denoise_fn_pretrained = Denoiser(config)

    def begin_student(self) -> None:
        """Make the average and the teacher copies of the denoiser, frozen."""
        weights = self.denoise_fn.state_dict()
        for copy in (self.denoise_fn_ema, self.denoise_fn_pretrained):
            copy.load_state_dict(weights)
            copy.requires_grad_(False)


class Como(nn.Module):
    """Conditions (B, C, T) to normalised mels (B, n_mels, T). Keys ``encoder, decoder``."""

    def __init__(
        self, encoder: Conformer, denoiser: DenoiserConfig, config: ComoConfig, *, student: bool
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.decoder = ComoDecoder(denoiser, student=student)

    @classmethod
    def read(
        cls, como: Mapping[str, Any], diffusion: Mapping[str, Any], *, student: bool | None = None
    ) -> Self:
        """From the ``comosvc`` and ``diffusion`` parts of an ``args.json``.

        ``student`` None means what the configuration's ``distill`` says.
        """
        return cls(
            Conformer.read(como),
            DenoiserConfig.read(diffusion, como["output_dim"]),
            ComoConfig.read(como),
            student=como["distill"] if student is None else student,
        )

    def sample(self, mu: Tensor, z: Tensor, steps: int, draw: Draw) -> Iterator[Tensor]:
        """Mels (B, n_mels, T) after each evaluation of the denoiser, the last of them the result.

        ``mu`` (B, n_mels, T) is what ``encoder`` gave, ``z`` normal. A teacher takes ``steps`` + 1 Euler
        steps. A student takes ``steps`` consistency steps (the original always one), with normal numbers
        of ``draw`` for all but the first.
        """
        decoder, edm = self.decoder, self.config.edm
        if decoder.student:
            return sample_student(edm, decoder.denoise_fn_ema, mu, z, steps, draw)
        return sample_teacher(edm, decoder.denoise_fn, mu, z, steps)


class DiffComoSvc(nn.ModuleList):
    """``SingingFeatures`` to normalised mels. Keys ``0`` (conditions) and ``1`` (encoder, decoder)."""

    def __init__(self, conditions: ConditionConfig, como: Como) -> None:
        super().__init__([ConditionEncoder(conditions), como])

    @classmethod
    def read(cls, model: Mapping[str, Any], *, student: bool | None = None) -> Self:
        """A network of the ``model`` part of an ``args.json``; ``student`` as in ``Como.read``."""
        return cls(
            ConditionConfig.read(model["condition_encoder"]),
            Como.read(model["comosvc"], model["diffusion"], student=student),
        )

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The network of a trained folder, ready to use; ``WeightsError`` says what doesn't fit."""
        config, state = read_published(folder)
        network = cls.read(config["model"])
        load_exactly(network, state, what=folder.name)
        return network.eval()

    @property
    def conditions(self) -> ConditionEncoder:
        """The condition encoder."""
        return cast(ConditionEncoder, self[0])

    @property
    def como(self) -> Como:
        """Encoder and decoder."""
        return cast(Como, self[1])

    def forward(self, features: SingingFeatures, mask: Tensor) -> Tensor:
        """The encoder's mel (B, n_mels, T); ``mask`` (B, 1, T) is 0 where a clip has ended."""
        return self.como.encoder(self.conditions(features), mask)

    def sample(
        self, features: SingingFeatures, mask: Tensor, z: Tensor, steps: int, draw: Draw
    ) -> Iterator[Tensor]:
        """As ``Como.sample``, from the features; one clip's may lead a batch of several ``z``."""
        return self.como.sample(self(features, mask), z, steps, draw)
