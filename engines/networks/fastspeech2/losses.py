"""What FastSpeech2 is trained on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from engines.networks.fastspeech2.network import Mels, Targets


@dataclass(frozen=True)
class FastSpeech2Loss:
    """Means over what isn't padding: absolute differences of mels, squared ones of the rest."""

    mel: Tensor
    coarse_mel: Tensor
    pitch: Tensor
    energy: Tensor
    duration: Tensor

    @property
    def total(self) -> Tensor:
        return self.mel + self.coarse_mel + self.pitch + self.energy + self.duration


def squared_error(x: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of (B, N) where ``mask`` is True."""
    return (x[mask] - target[mask].to(x)).square().mean()


def fastspeech2_loss(mels: Mels, targets: Targets, mel: Tensor) -> FastSpeech2Loss:
    """The loss of ``FastSpeech2.forward`` against the recording's ``mel`` (B, T, n_mel)."""
    frames, tokens = mels.frame_mask, mels.token_mask
    log_durations = (targets.durations + 1.0).log()
    return FastSpeech2Loss(
        mel=(mels.mel[frames] - mel[frames]).abs().mean(),
        coarse_mel=(mels.coarse_mel[frames] - mel[frames]).abs().mean(),
        pitch=squared_error(mels.pitch, targets.pitch, tokens),
        energy=squared_error(mels.energy, targets.energy, tokens),
        duration=squared_error(mels.log_durations, log_durations, tokens),
    )
