"""What VITS's generator and discriminators are trained on, with the published weights of the terms."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from engines.networks.blocks.adversarial import Judgement, feature_matching, least_squares_to_one

MEL_WEIGHT, KL_WEIGHT, FEATURE_WEIGHT = 45.0, 1.0, 2.0


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
