"""What PicoAudio is trained on and with: its mel, and the weighted error of v."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from engines.networks.blocks.diffusion import NoiseSchedule
from engines.networks.blocks.mel import MelRecipe
from engines.networks.blocks.unet import Prepared
from engines.networks.picoaudio.network import PicoAudio

MEL = MelRecipe(
    sample_rate=16000, n_fft=1024, hop=160, n_mels=64, fmax=8000, centred=True, epsilon=0.0
)
FRAMES = 1024
PEAK = 0.5
SNR_GAMMA = 5.0


def normalise(wav: Tensor, samples: int = FRAMES * MEL.hop) -> Tensor:
    """Samples (B, L) without their mean and with a peak of 0.5, cut or filled with zeros: (B, samples)."""
    wav = wav - wav.mean(1, keepdim=True)
    wav = PEAK * wav / (wav.abs().amax(1, keepdim=True) + 1e-8)
    wav = F.pad(wav, (0, max(0, samples - wav.shape[1])))[:, :samples]
    return PEAK * wav / wav.abs().amax(1, keepdim=True)


def log_mel(wav: Tensor, frames: int = FRAMES) -> Tensor:
    """Log mel (B, frames, 64) of normalised samples (B, L); rows behind the sound are 0."""
    mel = MEL.log_mel(wav).transpose(1, 2)[:, :frames]
    return F.pad(mel, (0, 0, 0, frames - mel.shape[1]))


def velocity_loss(
    network: PicoAudio,
    schedule: NoiseSchedule,
    latent: Tensor,
    steps: Tensor,
    noise: Tensor,
    channels: Tensor,
    prepared: Prepared,
    *,
    snr_gamma: float = SNR_GAMMA,
) -> Tensor:
    """Mean of the squared error of v, each row weighted by min(snr, gamma) / snr (Hang et al. 2023).

    ``latent`` and ``noise`` are (B, 8, 256, 16), ``steps`` (B,) from 0 on, ``channels`` (B, 2, 256, 16).
    """
    kept = schedule.kept.to(latent)[steps]
    signal, spread = (part.sqrt()[:, None, None, None] for part in (kept, 1 - kept))
    predicted = network(signal * latent + spread * noise, steps, channels, prepared)
    error = (predicted - (signal * noise - spread * latent)).square().mean((1, 2, 3))
    snr = kept / (1 - kept)
    return (error * (snr.clamp(max=snr_gamma) / snr)).mean()
