"""NaturalSpeech 2 as a whole: prompt, prior, diffusion; EnCodec turns its latents into sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from engines.networks.blocks.attention import Attention
from engines.networks.blocks.film_wavenet import FilmWaveNetConfig
from engines.networks.blocks.prompt_encoder import PromptEncoder
from engines.networks.blocks.score_diffusion import ScoreDiffusion
from engines.networks.naturalspeech2.config import PriorConfig, PromptConfig
from engines.networks.naturalspeech2.prior import PriorEncoder
from engines.networks.weights import load_exactly, newest_checkpoint, read_config, read_weights

LATENTS = 128
DEFAULT_STEPS, DEFAULT_SIGMA = 200, 1.2
ENCODEC = "quantizer."  # EnCodec's own codebooks, repeated in the published checkpoint


class NaturalSpeech2(nn.Module):
    """Phones and a prompt's latents to latents (B, ``latents``, T) of EnCodec at 24 kHz, 75 Hz.

    Keys ``prior_encoder, diffusion, prompt_encoder, prompt_lin, query_emb, query_attn``. ``as_published``
    repeats the original's lost positions (see ``Positions``).
    """

    def __init__(
        self,
        prior: PriorConfig | None = None,
        prompt: PromptConfig | None = None,
        diffusion: ScoreDiffusion | None = None,
        *,
        latents: int = LATENTS,
        as_published: bool = True,
    ) -> None:
        super().__init__()
        prompt = prompt or PromptConfig()
        hidden = prompt.encoder.hidden
        self.prior_encoder = PriorEncoder(prior or PriorConfig(), as_published=as_published)
        self.diffusion = diffusion or ScoreDiffusion(FilmWaveNetConfig())
        self.prompt_encoder = PromptEncoder(prompt.encoder, as_published=as_published)
        self.prompt_lin = nn.Linear(latents, hidden)
        self.query_emb = nn.Embedding(prompt.queries, hidden)
        self.query_attn = Attention(hidden, prompt.query_heads)

    @classmethod
    def read(cls, model: Mapping[str, Any], *, as_published: bool = True) -> Self:
        """A network of a published configuration."""
        return cls(
            PriorConfig.read(model["prior_encoder"]),
            PromptConfig.read(model),
            ScoreDiffusion.read(model["diffusion"], "wavenet", "ode_solver"),
            latents=model["latent_dim"],
            as_published=as_published,
        )

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The network of a published folder, ready to use; ``WeightsError`` says what doesn't fit.

        Without an ``args.json`` in ``folder`` it has the published sizes.
        """
        described = folder / "args.json"
        network = cls.read(read_config(described)["model"]) if described.is_file() else cls()
        state = read_weights(newest_checkpoint(folder / "checkpoint"))
        load_exactly(network, state, what=folder.name, ignore=[ENCODEC])
        return network.eval()

    def hear(self, latents: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The prompt's frames (B, M, H) and its voice (B, queries, H), of its latents (B, C, M).

        ``latents`` are sums of EnCodec's codebook vectors; ``mask`` (B, M) is True inside each prompt.
        """
        prompt = self.prompt_encoder(self.prompt_lin(latents.transpose(1, 2)), mask)
        queries = self.query_emb.weight.expand(len(prompt), -1, -1)
        return prompt, self.query_attn(queries, self.query_attn.memory(prompt), mask)

    def sample(
        self,
        condition: Tensor,
        voice: Tensor,
        z: Tensor,
        *,
        steps: int = DEFAULT_STEPS,
        sigma: float = DEFAULT_SIGMA,
    ) -> Iterator[Tensor]:
        """Latents (B, C, T) after each step, the last of them for EnCodec's decoder.

        ``condition`` (B, T, H) is a ``Prior``'s, ``voice`` what ``hear`` gave; either may have a batch of
        1. ``z`` (B, C, T) is normal and divided by ``sigma``.
        """
        return self.diffusion.sample(condition, voice, z / sigma, steps)
