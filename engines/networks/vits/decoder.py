"""VITS's decoder: HiFi-GAN over latents, with the speaker added to its input."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.vocoders.hifigan import SLOPE, HifiganConfig, HifiganGenerator


class LatentDecoder(HifiganGenerator):
    """Latents (B, ``inputs``, T) to samples (B, 1, T * hop). Its outer convolutions have no weight norm."""

    def __init__(self, config: HifiganConfig, inputs: int, speaker: int) -> None:
        super().__init__(config, inputs)
        self.conv_pre = nn.Conv1d(inputs, config.channels(0), 7, padding=3)
        last = config.channels(len(config.upsample_rates))
        self.conv_post = nn.Conv1d(last, 1, 7, padding=3, bias=False)
        if speaker:
            self.cond = nn.Conv1d(speaker, config.channels(0), 1)

    def forward(self, latents: Tensor, speaker: Tensor | None = None) -> Tensor:
        """``speaker`` is (B, speaker, 1)."""
        x = self.conv_pre(latents)
        if speaker is not None:
            x = x + self.cond(speaker)
        for stage, up in enumerate(self.ups):
            x = self.refine(up(F.leaky_relu(x, SLOPE)), stage)
        return self.finish(x)
