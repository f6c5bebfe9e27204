"""What VITS's generator and discriminators are trained on, with the published weights of the terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from engines.networks.blocks.adversarial import Judgement, feature_matching, least_squares_to_one
from engines.networks.blocks.mel import MelRecipe

MEL_WEIGHT, KL_WEIGHT, FEATURE_WEIGHT = 45.0, 1.0, 2.0
MEL_EPSILON = 1e-6


@dataclass(frozen=True)
class GeneratorLoss:
    """Each term with its weight, and their sum."""

    mel: Tensor
    kl: Tensor
    features: Tensor
    adversarial: Tensor
    duration: Tensor | float = 0.0

    @property
    def total(self) -> Tensor:
        return self.mel + self.kl + self.features + self.adversarial + self.duration


def output_mel(preprocess: Mapping[str, Any]) -> MelRecipe:
    """The mel that the generated sound is compared by, of the block ``preprocess`` of an ``args.json``."""
    return MelRecipe(
        sample_rate=preprocess["sample_rate"],
        n_fft=preprocess["n_fft"],
        hop=preprocess["hop_size"],
        n_mels=preprocess["n_mel"],
        fmin=preprocess["fmin"],
        fmax=preprocess["fmax"],
        win=preprocess["win_size"],
        epsilon=MEL_EPSILON,
    )


def divergence(
    z_p: Tensor, log_scale_q: Tensor, mean_p: Tensor, log_scale_p: Tensor, mask: Tensor
) -> Tensor:
    """KL divergence of posterior and prior at the drawn latent: summed over channels, per frame.

    Latents, means and log scales (B, C, T); ``mask`` (B, 1, T).
    """
    squares = 0.5 * (z_p - mean_p).square() * (-2 * log_scale_p).exp()
    return ((log_scale_p - log_scale_q - 0.5 + squares) * mask).sum() / mask.sum()


def generator_loss(
    *,
    mel: Tensor,
    target_mel: Tensor,
    divergence: Tensor,
    fake: list[Judgement],
    real: list[Judgement],
    duration: Tensor | float = 0.0,
) -> GeneratorLoss:
    """The generator's loss from the log mels of a segment, and the judgements of both segments."""
    return GeneratorLoss(
        mel=MEL_WEIGHT * (target_mel - mel).abs().mean(),
        kl=KL_WEIGHT * divergence,
        features=FEATURE_WEIGHT * feature_matching(real, fake),
        adversarial=least_squares_to_one(fake),
        duration=duration,
    )
