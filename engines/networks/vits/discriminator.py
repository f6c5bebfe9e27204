"""VITS's discriminators: one over the samples, five over periods."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from engines.networks.blocks.adversarial import (
    PERIODS,
    Judgement,
    Layer,
    PeriodDiscriminator,
    SampleDiscriminator,
)

SAMPLE_LAYERS = (
    Layer(16, 15),
    Layer(64, 41, stride=4, groups=4),
    Layer(256, 41, stride=4, groups=16),
    Layer(1024, 41, stride=4, groups=64),
    Layer(1024, 41, stride=4, groups=256),
    Layer(1024, 5),
)
PERIOD_CHANNELS = (32, 128, 512, 1024, 1024)
PERIOD_STRIDES = (3, 3, 3, 3, 1)


class VitsDiscriminator(nn.Module):
    """Judges samples (B, 1, L). Keys ``discriminators.0`` (samples) and ``.1`` to ``.5`` (periods)."""

    def __init__(
        self,
        sample_layers: Sequence[Layer] = SAMPLE_LAYERS,
        period_channels: Sequence[int] = PERIOD_CHANNELS,
    ) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(
            [
                SampleDiscriminator(sample_layers),
                *(PeriodDiscriminator(p, period_channels, PERIOD_STRIDES) for p in PERIODS),
            ]
        )

    def forward(self, audio: Tensor) -> list[Judgement]:
        return [discriminator(audio) for discriminator in self.discriminators]
