"""VitsSVC: VITS with sung content in place of text, and its generator at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engines.networks.blocks.couplings import CouplingFlow, PosteriorEncoder
from engines.networks.blocks.relative_transformer import RelativeTransformer
from engines.networks.svc.conditions import ConditionConfig, ConditionEncoder
from engines.networks.svc.features import SingingFeatures

FLOW_KERNEL = 5
DEFAULT_NOISE_SCALE = 0.667
SPECTRUM_BINS = 513


@dataclass(frozen=True)
class VitsSvcConfig:
    """Sizes of VitsSVC. ``speaker`` counts the channels of a singer's vector."""

    hidden: int
    inner: int
    heads: int
    layers: int
    kernel: int
    latents: int
    flow_layers: int
    speaker: int
    singers: int
    dropout: float = 0.1

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> VitsSvcConfig:
        """From the ``vits`` part of an ``args.json``."""
        return cls(
            hidden=given["hidden_channels"],
            inner=given["filter_channels"],
            heads=given["n_heads"],
            layers=given["n_layers"],
            kernel=given["kernel_size"],
            latents=given["inter_channels"],
            flow_layers=given["n_flow_layer"],
            speaker=given["gin_channels"],
            singers=given["n_speakers"],
            dropout=given["p_dropout"],
        )


class ContentPrior(nn.Module):
    """Conditions (B, C, T) to mean and log deviation (B, ``latents``, T). Keys ``f0_emb, enc_, proj``.

    ``f0_emb`` is in the checkpoints and has no use.
    """

    def __init__(self, config: VitsSvcConfig, pitch_bins: int) -> None:
        super().__init__()
        self.f0_emb = nn.Embedding(pitch_bins, config.hidden)
        self.enc_ = RelativeTransformer(
            config.hidden,
            config.inner,
            config.heads,
            config.layers,
            kernel=config.kernel,
            dropout=config.dropout,
        )
        self.proj = nn.Conv1d(config.hidden, 2 * config.latents, 1)

    def forward(self, condition: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_deviation = (self.proj(self.enc_(condition, mask)) * mask).chunk(2, dim=1)
        return mean, log_deviation


class VitsSvc(nn.Module):
    """``SingingFeatures`` to latents (B, ``latents``, T) that ``dec``, a vocoder's generator, makes audible.

    Keys ``condition_encoder, emb_g, enc_p, enc_q, flow, dec``.
    """

    def __init__(
        self, config: VitsSvcConfig, conditions: ConditionConfig, generator: nn.Module
    ) -> None:
        super().__init__()
        hidden, speaker = config.hidden, config.speaker
        self.condition_encoder = ConditionEncoder(conditions)
        self.emb_g = nn.Embedding(config.singers, speaker)
        self.enc_p = ContentPrior(config, conditions.pitch_bins)
        self.enc_q = PosteriorEncoder(SPECTRUM_BINS, config.latents, hidden, speaker=speaker)
        self.flow = CouplingFlow(
            config.latents, hidden, FLOW_KERNEL, config.flow_layers, speaker=speaker
        )
        self.dec = generator

    def latents(
        self,
        features: SingingFeatures,
        mask: Tensor,
        noise: Tensor,
        noise_scale: float = DEFAULT_NOISE_SCALE,
    ) -> Tensor:
        """What the generator takes; ``mask`` (B, 1, T), ``noise`` (B, ``latents``, T) normal."""
        mean, log_deviation = self.enc_p(self.condition_encoder(features), mask)
        z = (mean + noise * torch.exp(log_deviation) * noise_scale) * mask
        speaker = self.emb_g(features.singer)[:, :, None]
        return self.flow.inverse(z, mask, speaker) * mask
