"""Jets' discriminators, those of HiFi-GAN: three over the samples at falling rates, five over periods."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.adversarial import (
    PERIODS,
    Judgement,
    Layer,
    PeriodDiscriminator,
    SampleDiscriminator,
)

SCALES = 3
SAMPLE_LAYERS = (
    Layer(128, 15),
    Layer(128, 41, stride=2, groups=4),
    Layer(256, 41, stride=2, groups=16),
    Layer(512, 41, stride=4, groups=16),
    Layer(1024, 41, stride=4, groups=16),
    Layer(1024, 41, groups=16),
    Layer(1024, 5),
)
PERIOD_CHANNELS = (32, 128, 512, 1024, 1024)
PERIOD_STRIDES = (3, 3, 3, 3, 1)


class ScaleDiscriminators(nn.Module):
    """Judge the samples as they are, and averaged once and twice. The first has spectral norm."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(
            SampleDiscriminator(layers, spectral=scale == 0) for scale in range(SCALES)
        )

    def forward(self, audio: Tensor) -> list[Judgement]:
        judgements = []
        for scale, discriminator in enumerate(self.discriminators):
            if scale:
                audio = F.avg_pool1d(audio, 4, 2, padding=2)
            judgements.append(discriminator(audio))
        return judgements


class PeriodDiscriminators(nn.Module):
    """Judge the samples folded by each period."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(
            PeriodDiscriminator(period, channels, PERIOD_STRIDES) for period in PERIODS
        )

    def forward(self, audio: Tensor) -> list[Judgement]:
        return [discriminator(audio) for discriminator in self.discriminators]


class JetsDiscriminator(nn.Module):
    """Judges samples (B, 1, L): first the scales, then the periods. Keys ``msd, mpd``."""

    def __init__(
        self,
        sample_layers: Sequence[Layer] = SAMPLE_LAYERS,
        period_channels: Sequence[int] = PERIOD_CHANNELS,
    ) -> None:
        super().__init__()
        self.msd = ScaleDiscriminators(sample_layers)
        self.mpd = PeriodDiscriminators(period_channels)

    def forward(self, audio: Tensor) -> list[Judgement]:
        return [*self.msd(audio), *self.mpd(audio)]
