"""Sound of Vevo and VevoSing: normalised mels at 24 kHz, the vocoder that speaks them, and its level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engines.networks.blocks.convnext import Vocos
from engines.networks.blocks.mel import VEVO_24K
from engines.networks.blocks.resampling import resample
from engines.networks.weights import build_exactly, read_weights

SAMPLE_RATE, SPEECH_RATE = 24000, 16000
MEAN, VARIANCE = -4.92, 8.14
LEVEL_DBFS = -25.0
WINDOW = "head.istft.window"


@dataclass(frozen=True)
class VocoderConfig:
    """Sizes under the published names; the defaults are the published ones."""

    input_channels: int = 128
    dim: int = 1024
    intermediate_dim: int = 4096
    num_layers: int = 30
    n_fft: int = 1920
    hop_size: int = 480

    def build(self) -> Vocos:
        """The network, with weights of its own."""
        return Vocos(
            inputs=self.input_channels,
            dim=self.dim,
            inner=self.intermediate_dim,
            layers=self.num_layers,
            n_fft=self.n_fft,
            hop=self.hop_size,
        )


def vocoder_from_published(file: Path, config: VocoderConfig) -> Vocos:
    """The vocoder of a published file, where the window may be missing."""
    state = read_weights(file)
    state.setdefault(WINDOW, torch.hann_window(config.n_fft))
    return build_exactly(config.build, state, what="the vocoder")


def log_mel(samples: Tensor) -> Tensor:
    """Samples (B, L) at 24 kHz to log mels (B, 128, L // 480)."""
    return VEVO_24K.log_mel(samples)


def normalised_mel(samples: Tensor) -> Tensor:
    """Samples (B, L) at 24 kHz to the mels (B, L // 480, 128) that flow and vocoder work on."""
    return (log_mel(samples).transpose(1, 2) - MEAN) / math.sqrt(VARIANCE)


def for_speech(samples: Tensor) -> Tensor:
    """Samples (B, L) at 24 kHz to 16 kHz."""
    return resample(samples, SAMPLE_RATE, SPEECH_RATE)


def levelled(samples: Tensor, dbfs: float = LEVEL_DBFS) -> Tensor:
    """The same sound with its root mean square at ``dbfs``, where published results stand."""
    level = 20 * torch.log10(samples.square().mean().sqrt() + 1e-9)
    return samples * 10 ** ((dbfs - level) / 20)
