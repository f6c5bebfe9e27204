"""NSF-HiFiGAN: HiFi-GAN with a harmonic source that follows F0 (Wang et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.draws import Draw
from engines.networks.vocoders.hifigan import SLOPE, HifiganConfig, HifiganGenerator

SINE_LEVEL = 0.1
VOICED_NOISE = 0.003


@dataclass(frozen=True)
class NsfHifiganConfig(HifiganConfig):
    """``harmonic_num`` overtones besides the fundamental; ``sample_rate`` in Hz."""

    harmonic_num: int = 8
    sample_rate: int = 24000


class HarmonicSource(nn.Module):
    """F0 (B, T) in Hz, 0 where unvoiced, to an excitation (B, T * hop, 1)."""

    def __init__(self, harmonics: int, sample_rate: int, hop: int) -> None:
        super().__init__()
        self.harmonics, self.sample_rate, self.hop = harmonics, sample_rate, hop
        self.l_linear = nn.Linear(harmonics + 1, 1)

    def forward(self, f0: Tensor, phase: Tensor, noise: Tensor) -> Tensor:
        """``phase`` (B, H+1) is uniform in [0, 1), with 0 for the fundamental.

        ``noise`` (B, T * hop, H+1) is normal.
        """
        multiples = torch.arange(1, self.harmonics + 2, device=f0.device)
        cycles = (f0[:, :, None] * multiples / self.sample_rate) % 1
        cycles[:, 0] = cycles[:, 0] + phase
        sines = SINE_LEVEL * torch.sin(2 * math.pi * self._phase(cycles)).to(f0.dtype)
        voiced = (f0 > 0).to(f0.dtype).repeat_interleave(self.hop, 1)[:, :, None]
        level = voiced * VOICED_NOISE + (1 - voiced) * SINE_LEVEL / 3
        return self.l_linear(sines * voiced + level * noise).tanh()

    def _phase(self, cycles: Tensor) -> Tensor:
        """Accumulated cycles of each sample in float64, a whole cycle taken off wherever one is full."""
        coarse = cycles.double().cumsum(1).to(cycles.dtype) * self.hop
        length = cycles.shape[1] * self.hop
        fine = F.interpolate(coarse.transpose(1, 2), length, mode="linear", align_corners=True)
        fine = fine.transpose(1, 2) % 1
        wrap = torch.zeros_like(fine)
        wrap[:, 1:] = -(fine[:, 1:] < fine[:, :-1]).to(fine.dtype)
        each = cycles.repeat_interleave(self.hop, 1)
        return (each + wrap).double().cumsum(1)


class NsfHifiganGenerator(HifiganGenerator):
    """Mel (B, ``inputs``, T) and F0 (B, T) to samples (B, 1, T * hop) in [-1, 1].

    ``as_published`` repeats the original's fault: the source is overwritten by the signal itself, so F0
    has no effect. Only weights trained with that fault need it.
    """

    config: NsfHifiganConfig

    def __init__(
        self, config: NsfHifiganConfig, inputs: int, *, as_published: bool = False
    ) -> None:
        super().__init__(config, inputs)
        self.as_published = as_published
        self.m_source = HarmonicSource(config.harmonic_num, config.sample_rate, config.hop)
        rates = list(config.upsample_rates)
        self.noise_convs = nn.ModuleList(
            self._source_conv(config.channels(stage + 1), math.prod(rates[stage + 1 :]))
            for stage in range(len(rates))
        )

    @staticmethod
    def _source_conv(channels: int, stride: int) -> nn.Conv1d:
        if stride == 1:
            return nn.Conv1d(1, channels, 1)
        return nn.Conv1d(1, channels, 2 * stride, stride=stride, padding=stride // 2)

    def draw(self, f0: Tensor, draw: Draw, draw_uniform: Draw) -> tuple[Tensor, Tensor]:
        """Phase and noise for ``forward``, from uniform numbers and then normal ones."""
        batch, frames = f0.shape
        harmonics = self.config.harmonic_num + 1
        phase = draw_uniform((batch, harmonics)).to(f0, copy=True)
        phase[:, 0] = 0
        return phase, draw((batch, frames * self.config.hop, harmonics)).to(f0)

    def forward(self, mel: Tensor, f0: Tensor, phase: Tensor, noise: Tensor) -> Tensor:  # type: ignore[override]
        source = self.m_source(f0, phase, noise).transpose(1, 2)
        x = self.conv_pre(mel)
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, SLOPE))
            added = x if self.as_published else self.noise_convs[stage](source)
            length = min(x.shape[-1], added.shape[-1])
            x = self.refine(x[..., :length] + added[..., :length], stage)
        return self.finish(x)
