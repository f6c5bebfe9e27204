"""What Jets' generator and discriminators are trained on, with the weights of the recipe."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engines.networks.blocks.adversarial import Judgement, feature_matching, least_squares_to_one
from engines.networks.blocks.lengths import length_mask
from engines.networks.blocks.mel import mel_filters
from engines.networks.fastspeech2.losses import squared_error
from engines.networks.jets.network import Training

MEL_WEIGHT, FEATURE_WEIGHT, ALIGNMENT_WEIGHT = 45.0, 2.0, 2.0
SAMPLE_RATE, N_FFT, HOP, N_MELS = 22050, 1024, 256, 80
FLOOR = 1e-10


@dataclass(frozen=True)
class GeneratorLoss:
    """Terms of the generator's loss.

    ``mel``, ``adversarial`` and ``features`` carry their weights; the others are plain.
    """

    mel: Tensor
    adversarial: Tensor
    features: Tensor
    duration: Tensor
    pitch: Tensor
    energy: Tensor
    forward_sum: Tensor
    binarisation: Tensor

    @property
    def sound(self) -> Tensor:
        """What the sound is judged by."""
        return self.mel + self.adversarial + self.features

    @property
    def variance(self) -> Tensor:
        """Durations, pitch and energy."""
        return self.duration + self.pitch + self.energy

    @property
    def alignment(self) -> Tensor:
        """The alignment, weighted."""
        return ALIGNMENT_WEIGHT * (self.forward_sum + self.binarisation)

    @property
    def total(self) -> Tensor:
        return self.sound + self.variance + self.alignment


def log10_mel(audio: Tensor) -> Tensor:
    """Common logarithms of mels (B, 80, T) up to half the sample rate, from samples (B, 1, L)."""
    window = torch.hann_window(N_FFT, device=audio.device)
    spectrum = torch.stft(
        audio[:, 0], N_FFT, HOP, window=window, pad_mode="reflect", return_complex=True
    )
    power = spectrum.real.square() + spectrum.imag.square()
    amplitude = power.clamp(min=FLOOR).sqrt()
    filters = mel_filters(SAMPLE_RATE, N_FFT, N_MELS, 0.0, None).to(amplitude)
    return (filters @ amplitude).clamp(min=FLOOR).log10()


def mel_difference(audio: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the log mels of samples (B, 1, L)."""
    return (log10_mel(audio) - log10_mel(target)).abs().mean()


def generator_loss(
    out: Training, target: Tensor, *, fake: list[Judgement], real: list[Judgement]
) -> GeneratorLoss:
    """The loss of ``Jets.forward`` against the samples ``target`` (B, 1, S * hop) of the same segment."""
    mask = length_mask(out.tokens, out.pitch.shape[1])
    durations = out.alignment.durations
    return GeneratorLoss(
        mel=MEL_WEIGHT * mel_difference(out.audio, target),
        adversarial=least_squares_to_one(fake),
        features=FEATURE_WEIGHT * feature_matching(real, fake),
        duration=squared_error(out.log_durations, (durations + 1).log(), mask),
        pitch=squared_error(out.pitch, out.token_pitch, mask),
        energy=squared_error(out.energy, out.token_energy, mask),
        forward_sum=out.alignment.forward_sum_loss(out.tokens, out.frames),
        binarisation=out.alignment.binarisation_loss(),
    )


@dataclass(frozen=True)
class DiscriminatorLoss:
    """Squared distance of real scores from 1 and of generated ones from 0, means over discriminators."""

    real: Tensor
    fake: Tensor

    @property
    def total(self) -> Tensor:
        return self.real + self.fake


def discriminator_loss(real: list[Judgement], fake: list[Judgement]) -> DiscriminatorLoss:
    """What the discriminators are trained on."""
    zeros = torch.stack([judgement.scores.square().mean() for judgement in fake])
    return DiscriminatorLoss(real=least_squares_to_one(real) / len(real), fake=zeros.mean())
