"""FACodec's encoders: version 1, and version 2 with a mel in front of its prosody."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.activations import AntiAliased, SnakeBeta
from engines.networks.blocks.convolutions import fold_weight_norm
from engines.networks.blocks.dac import ZeroPadded, encoder_stack
from engines.networks.blocks.mel import FLOOR, MelRecipe, mel_filters
from engines.networks.weights import build_exactly, read_weights, sizes_in

SAMPLE_RATE = 16000
PROSODY_BINS = 20  # the lowest bins of the mel, which hold F0 and loudness and little of the words
MEL_16K = MelRecipe(sample_rate=SAMPLE_RATE, n_fft=1024, hop=200, n_mels=80, fmax=8000, win=800)


def layers() -> ZeroPadded:
    """Zero padding and anti-aliased SnakeBeta."""
    return ZeroPadded(act=lambda channels: AntiAliased(SnakeBeta(channels)), whole=True)


@dataclass(frozen=True)
class FacodecEncoderConfig:
    """Sizes under the published names; the published weights have these."""

    ngf: int = 32
    up_ratios: Sequence[int] = (2, 4, 5, 5)
    out_channels: int = 256

    @property
    def hop(self) -> int:
        """Samples for each frame."""
        return math.prod(self.up_ratios)


class FacodecEncoder(nn.Module):
    """Samples (B, 1, L) at 16 kHz to latents (B, C, T), T about L / hop. Key ``block``."""

    FILE = "ns3_facodec_encoder.bin"

    def __init__(self, config: FacodecEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.block = encoder_stack(
            layers(), width=config.ngf, strides=config.up_ratios, outputs=config.out_channels
        )

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The encoder of its file in ``folder``, norms folded; ``WeightsError`` names what doesn't fit."""
        config = sizes_in(folder, "encoder", FacodecEncoderConfig())
        state = read_weights(folder / cls.FILE)
        encoder = build_exactly(lambda: cls(config), state, what=cls.FILE)
        fold_weight_norm(encoder)
        return encoder

    def whole(self, wav: Tensor) -> Tensor:
        """``wav`` with zeros behind it up to a multiple of the hop, so that no frame is lost."""
        return F.pad(wav, (0, -wav.shape[-1] % self.config.hop))

    def forward(self, wav: Tensor) -> Tensor:
        return self.block(wav)


class MelTransform(nn.Module):
    """Log mels (B, 80, T) of samples (B, L), with the constants that the checkpoint stores."""

    mel_basis: Tensor
    hann_window: Tensor

    def __init__(self) -> None:
        super().__init__()
        recipe = MEL_16K
        filters = mel_filters(
            recipe.sample_rate, recipe.n_fft, recipe.n_mels, recipe.fmin, recipe.fmax
        )
        self.register_buffer("mel_basis", filters.clone())
        self.register_buffer("hann_window", torch.hann_window(recipe.win or recipe.n_fft))

    def forward(self, wav: Tensor) -> Tensor:
        magnitude = MEL_16K.magnitude(wav, self.hann_window)
        return (self.mel_basis @ magnitude).clamp(min=FLOOR).log()


class FacodecEncoderV2(FacodecEncoder):
    """The same, and ``prosody``: what version 2 quantises as prosody. Keys ``block, mel_transform``."""

    FILE = "ns3_facodec_encoder_v2.bin"

    def __init__(self, config: FacodecEncoderConfig) -> None:
        super().__init__(config)
        self.mel_transform = MelTransform()

    def prosody(self, wav: Tensor) -> Tensor:
        """The lowest log mels (B, 20, L / 200) of samples (B, 1, L)."""
        return self.mel_transform(wav[:, 0])[:, :PROSODY_BINS]
