"""What DiffComoSVC learns from: the teacher's three losses, and the distillation of the student."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engines.networks.blocks.ssim import ssim_loss
from engines.networks.svc.diffcomo import Como, ComoDecoder

AVERAGE_KEEPS = 0.95


def teacher_losses(
    como: Como, mel: Tensor, mu: Tensor, mask: Tensor, log_sigma: Tensor, noise: Tensor
) -> dict[str, Tensor]:
    """``ssim``, ``prior`` and ``diff``, which the training adds up.

    ``mel`` is normalised and ``mu`` the encoder's, (B, n_mels, T); ``mask`` (B, 1, T). ``log_sigma`` (B,) and
    ``noise`` (B, n_mels, T) are normal.
    """
    return {
        "ssim": ssim_loss(mu, mel),
        "prior": prior_loss(mel, mu, mask),
        "diff": diffusion_loss(como, mel, mu, mask, log_sigma, noise),
    }


def prior_loss(mel: Tensor, mu: Tensor, mask: Tensor) -> Tensor:
    """Negative log-likelihood of ``mel`` under unit normals around ``mu``.

    As in the original it is divided by the number of mel bins twice.
    """
    surprise = 0.5 * ((mel - mu).square() + math.log(2 * math.pi))
    return masked_mean(surprise, mask) / mel.shape[1]


def diffusion_loss(
    como: Como, mel: Tensor, mu: Tensor, mask: Tensor, log_sigma: Tensor, noise: Tensor
) -> Tensor:
    """Weighted square error of the denoised mel (Karras et al. 2022), with the noise centred on ``mu``."""
    config = como.config
    sigma = (config.log_deviation * log_sigma + config.log_mean).exp()
    noisy = mel + (noise + mu) * sigma[:, None, None]
    denoiser = como.decoder.denoise_fn
    clean = config.edm.denoise(denoiser, noisy, sigma, denoiser.contexts(mu))
    weight = config.edm.weight(sigma)[:, None, None]
    return masked_mean(weight * (clean - mel).square(), mask)


def distillation_loss(
    como: Como, mel: Tensor, mu: Tensor, mask: Tensor, level: Tensor, z: Tensor
) -> Tensor:
    """Square distance of the student at one noise level from its average at the next lower one.

    The teacher goes from the one to the other by a Heun step. ``level`` (B,) is uniform in 1 ..
    ``levels`` - 1, ``z`` (B, n_mels, T) normal. Call ``update_average`` before.
    """
    edm, decoder = como.config.edm, como.decoder
    levels = edm.rising(como.config.levels).to(mel)
    high, low = levels[level + 1], levels[level]
    drift = z + mu
    x = mel + high[:, None, None] * drift
    with torch.no_grad():
        teacher = decoder.denoise_fn_pretrained
        contexts = teacher.contexts(mu)

        def slope(at: Tensor, sigma: Tensor) -> Tensor:
            return (at - edm.denoise(teacher, at, sigma, contexts)) / sigma[:, None, None]

        step = (low - high)[:, None, None]
        first = slope(x, high)
        second = slope(x + step * first, low)
        lower = x + step * (first + second) / 2
        average = decoder.denoise_fn_ema
        target = edm.denoise(average, lower, low, average.contexts(mu))
    student = decoder.denoise_fn
    return masked_mean(
        (edm.denoise(student, x, high, student.contexts(mu)) - target).square(), mask
    )


@torch.no_grad()
def update_average(decoder: ComoDecoder, keep: float = AVERAGE_KEEPS) -> None:
    """Move the student's average a little towards the student, in place."""
    pairs = zip(decoder.denoise_fn_ema.parameters(), decoder.denoise_fn.parameters(), strict=True)
    for average, current in pairs:
        average.lerp_(current, 1 - keep)


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of (B, C, T) over the frames where ``mask`` (B, 1, T) is 1."""
    return (x * mask).sum() / (mask.sum() * x.shape[1])
