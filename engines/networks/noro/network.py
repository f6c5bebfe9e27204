"""Noro: the diffusion of NaturalSpeech 2 over mels, led by content and F0, in the voice of a reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.attention import Attention
from engines.networks.blocks.film_wavenet import FilmWaveNetConfig
from engines.networks.blocks.prompt_encoder import EncoderConfig, PromptEncoder
from engines.networks.blocks.score_diffusion import ScoreDiffusion
from engines.networks.weights import load_exactly, read_config, read_weights

CONTENT = 768
DEFAULT_STEPS, DEFAULT_SIGMA = 200, 1.2
HEAD_SIZE = 64
PUBLISHED_WAVENET = FilmWaveNetConfig(input_size=80, out_size=80, num_layers=47)


@dataclass(frozen=True)
class ReferenceConfig:
    """Sizes of the reference encoder; the defaults are the published ones."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    n_mels: int = 80
    queries: int = 32

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From the published ``reference_encoder``."""
        return cls(EncoderConfig.read(given), given["ref_in_dim"], given["num_query_emb"])


class ReferenceEncoder(nn.Module):
    """A reference's mel (B, n_mels, M) to its voice (B, queries, H).

    Keys ``in_linear, transformer_encoder, query_embs, query_attn``.
    """

    def __init__(self, config: ReferenceConfig, *, as_published: bool = True) -> None:
        super().__init__()
        hidden = config.encoder.hidden
        self.in_linear = nn.Linear(config.n_mels, hidden)
        self.transformer_encoder = PromptEncoder(
            config.encoder, activation=F.silu, as_published=as_published
        )
        self.query_embs = nn.Embedding(config.queries, hidden)
        self.query_attn = Attention(hidden, hidden // HEAD_SIZE)

    def encode(self, mel: Tensor, mask: Tensor | None = None) -> Tensor:
        """Frames (B, M, H) of the reference; ``mask`` (B, M) is True inside each."""
        return self.transformer_encoder(self.in_linear(mel.transpose(1, 2)), mask)

    def gather(self, encoded: Tensor, mask: Tensor | None = None) -> Tensor:
        """The voice (B, queries, H) in the frames of ``encode``."""
        queries = self.query_embs.weight.expand(len(encoded), -1, -1)
        return self.query_attn(queries, self.query_attn.memory(encoded), mask)

    def forward(self, mel: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.gather(self.encode(mel, mask), mask)


class ContentEncoder(nn.Sequential):
    """Content and F0, (B, T, D + 1), to conditions (B, T, H). Keys ``0`` (norm) and ``2`` (convolution)."""

    def __init__(self, content: int, hidden: int) -> None:
        super().__init__(
            nn.LayerNorm(content + 1),
            nn.Identity(),
            nn.Conv1d(content + 1, hidden, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self[2](self[0](x).transpose(1, 2)).transpose(1, 2)


class Noro(nn.Module):
    """Source content and F0 with a reference to a log mel (B, n_mels, T).

    Keys ``reference_encoder, diffusion, content_f0_enc``. ``as_published`` repeats the original's lost
    positions (see ``Positions``).
    """

    def __init__(
        self,
        reference: ReferenceConfig | None = None,
        diffusion: ScoreDiffusion | None = None,
        *,
        content: int = CONTENT,
        as_published: bool = True,
    ) -> None:
        super().__init__()
        reference = reference or ReferenceConfig()
        self.reference_encoder = ReferenceEncoder(reference, as_published=as_published)
        self.diffusion = diffusion or ScoreDiffusion(PUBLISHED_WAVENET)
        self.content_f0_enc = ContentEncoder(content, reference.encoder.hidden)

    @classmethod
    def read(cls, model: Mapping[str, Any], *, as_published: bool = True) -> Self:
        """A network of the ``model`` part of a published configuration."""
        return cls(
            ReferenceConfig.read(model["reference_encoder"]),
            ScoreDiffusion.read(model["diffusion"], "diff_wavenet", "ode_solve_method"),
            content=model["vc_feature"]["content_feature_dim"],
            as_published=as_published,
        )

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The network of ``model.safetensors`` in ``folder``; ``WeightsError`` says what doesn't fit.

        Without an ``args.json`` beside it, it has the published sizes.
        """
        described = folder / "args.json"
        network = cls.read(read_config(described)["model"]) if described.is_file() else cls()
        load_exactly(network, read_weights(folder / "model.safetensors"), what=folder.name)
        return network.eval()

    def condition(self, content: Tensor, f0: Tensor) -> Tensor:
        """Conditions (B, T, H) of content frames (B, T, D) and normalised F0 (B, T)."""
        return self.content_f0_enc(torch.cat([content, f0[:, :, None]], 2))

    def sample(
        self,
        condition: Tensor,
        voice: Tensor,
        z: Tensor,
        *,
        steps: int = DEFAULT_STEPS,
        sigma: float = DEFAULT_SIGMA,
    ) -> Iterator[Tensor]:
        """Log mels (B, n_mels, T) after each step, the last of them the result.

        ``condition`` (B, T, H) and ``voice``, the reference encoder's, may have a batch of 1. ``z`` (B,
        n_mels, T) is normal and divided by ``sigma``.
        """
        return self.diffusion.sample(condition, voice, z / sigma, steps)
