"""Flow matching from noise to mels (Lipman et al. 2023), along tokens, behind a prompt's mel."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.networks.blocks.adaptive_llama import INNER, AdaptiveLlama, mlp
from engines.networks.blocks.draws import Draw
from engines.networks.blocks.guidance import guided
from engines.networks.weights import build_exactly, read_weights


@dataclass(frozen=True)
class FlowConfig:
    """Sizes under the published names; the defaults are Vevo's.

    ``cond_scale_factor`` is how many frames a token stands for, a power of 2.
    """

    mel_dim: int = 128
    hidden_size: int = 1024
    num_layers: int = 16
    num_heads: int = 16
    cond_codebook_size: int = 8192
    cond_scale_factor: int = 1


@dataclass(frozen=True)
class FlowSampling:
    """How the flow is followed. ``guidance`` 0 runs without the second pass.

    ``as_published`` couples the rows of a batch in the rescaling (``guidance.guided``).
    """

    steps: int = 32
    guidance: float = 1.0
    rescale: float = 0.75
    as_published: bool = False


def upsampling(dim: int, factor: int) -> nn.Sequential:
    """Transposed convolutions, each with a GELU, for ``factor`` times the frames of (B, ``dim``, T)."""
    layers: list[nn.Module] = []
    for _ in range(int(math.log2(factor))):
        layers += [nn.ConvTranspose1d(dim, dim, 4, stride=2, padding=1), nn.GELU()]
    return nn.Sequential(*layers)


class FlowEstimator(AdaptiveLlama):
    """The velocity of mels: parts (B, T, C), of ``mel_mlp`` plus ``cond_mlp``, to (B, T, mel)."""

    def __init__(self, config: FlowConfig) -> None:
        dim = config.hidden_size
        super().__init__(dim, config.num_layers, config.num_heads)
        self.mel_mlp = mlp(config.mel_dim, INNER * dim, dim)
        self.mel_out_mlp = mlp(dim, INNER * dim, config.mel_dim)

    def forward(self, parts, scales, masks=None) -> list[Tensor]:
        return [self.mel_out_mlp(hidden) for hidden in super().forward(parts, scales, masks)]


class FlowTransformer(nn.Module):
    """Tokens and a prompt's mel to a mel. Keys ``cond_emb, diff_estimator`` and ``resampling_layers``."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.mel_dim, self.factor = config.mel_dim, config.cond_scale_factor
        self.cond_emb = nn.Embedding(config.cond_codebook_size, config.hidden_size)
        if self.factor > 1:
            self.resampling_layers = upsampling(config.hidden_size, self.factor)
        self.diff_estimator = FlowEstimator(config)

    @classmethod
    def from_published(cls, file: Path, config: FlowConfig) -> FlowTransformer:
        """The network of a published file."""
        return build_exactly(lambda: cls(config), read_weights(file), what="the flow transformer")

    def condition(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) to what the flow goes along (B, T * factor, C)."""
        embedded = self.cond_emb(tokens)
        if self.factor == 1:
            return embedded
        return self.resampling_layers(embedded.transpose(1, 2)).transpose(1, 2)

    def sample(
        self, condition: Tensor, prompt: Tensor, settings: FlowSampling, draw: Draw
    ) -> Iterator[Tensor]:
        """Mels (B, T - A, mel) after each step, the last of them the result.

        ``condition`` is (B, T, C), ``prompt`` (B, A, mel) the mel of its first A frames; ``draw`` gives
        normal numbers, once. Steps are Euler's, each with the velocity at its middle time. Guidance
        compares with a pass without prompt and condition.
        """
        estimator, before = self.diff_estimator, prompt.shape[1]
        length = condition.shape[1] - before
        along = estimator.cond_mlp(condition)
        prefix = estimator.mel_mlp(prompt.to(condition)) + along[:, :before]
        nothing = estimator.cond_mlp(torch.zeros_like(condition[:1, :1]))
        size = 1 / settings.steps
        times = torch.tensor([(step + 0.5) * size for step in range(settings.steps)])
        scales = estimator.scales(times.to(condition.device))
        x = draw((condition.shape[0], length, self.mel_dim)).to(condition.device, torch.float32)
        for step in range(settings.steps):
            embedded = estimator.mel_mlp(x.to(condition))
            parts = [torch.cat([prefix, embedded + along[:, before:]], dim=1)]
            if settings.guidance > 0:
                parts.append(embedded + nothing)
            given, *free = estimator(parts, scales[step, None])
            velocity = given[:, before:]
            if free:
                velocity = guided(
                    velocity,
                    free[0],
                    settings.guidance,
                    settings.rescale,
                    as_published=settings.as_published,
                )
            x = x + size * velocity.float()
            yield x
