"""First stage of MaskGCT and Metis: semantic tokens, 50 a second, unmasked after a prompt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.networks.blocks.adaptive_llama import AdaptiveLlama
from engines.networks.blocks.draws import Draw
from engines.networks.blocks.guidance import guided
from engines.networks.blocks.unmasking import Unmasking, unmask
from engines.networks.weights import build_exactly, read_weights

PHONES, PADDING_PHONE = 1024, 1023


@dataclass(frozen=True)
class SemanticConfig:
    """Sizes under the published names; the defaults are those of MaskGCT and Metis.

    ``use_phone_cond`` puts phones before the sequence.
    """

    hidden_size: int = 1536
    num_layers: int = 16
    num_heads: int = 16
    cond_codebook_size: int = 8192
    use_phone_cond: bool = True


class SemanticGenerator(nn.Module):
    """Semantic tokens from noise, along phones or along a condition of each token."""

    def __init__(self, config: SemanticConfig) -> None:
        super().__init__()
        dim, vocabulary = config.hidden_size, config.cond_codebook_size
        self.mask_emb = nn.Embedding(1, dim)
        self.to_logit = nn.Linear(dim, vocabulary)
        self.cond_emb = nn.Embedding(vocabulary, dim)
        if config.use_phone_cond:
            self.phone_emb = nn.Embedding(PHONES, dim, padding_idx=PADDING_PHONE)
        self.diff_estimator = AdaptiveLlama(
            dim, config.num_layers, config.num_heads, condition=config.use_phone_cond
        )

    @classmethod
    def from_published(cls, file: Path, config: SemanticConfig | None = None) -> SemanticGenerator:
        """The text-to-semantic network of a published file."""
        return build_exactly(
            lambda: cls(config or SemanticConfig()),
            read_weights(file),
            what="MaskGCT's text-to-semantic network",
        )

    def phone_prefix(self, phones: Tensor) -> Tensor:
        """Phones (B, N) to the vectors (B, N, C) that stand before the sequence."""
        return self.diff_estimator.cond_mlp(self.phone_emb(phones))

    def sample(
        self,
        prompt: Tensor,
        length: int,
        settings: Unmasking,
        draw: Draw,
        *,
        phones: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Tokens (B, ``length``) after each step, the last of them the result.

        ``prompt`` (B, P) are tokens that stand before, ``phones`` (B, N) those of prompt and target,
        ``condition`` (B, P + length, C) is added to what each token is embedded as. Guidance compares
        with a pass without phones and prompt; the condition stays in both.
        """
        before = self.cond_emb(prompt)
        along: Tensor | float = 0.0
        if condition is not None:
            before = before + condition[:, : prompt.shape[1]]
            along = condition[:, prompt.shape[1] :]
        if phones is not None:
            before = torch.cat([self.phone_prefix(phones), before], dim=1)
        times = torch.tensor(settings.times(), device=before.device)
        scales = self.diff_estimator.scales(times)

        def logits(step: int, tokens: Tensor, masked: Tensor) -> Tensor:
            embedded = self.cond_emb(tokens)
            current = torch.where(masked[..., None], self.mask_emb.weight, embedded) + along
            parts = [torch.cat([before, current], dim=1)]
            if settings.guidance > 0:
                parts.append(current)
            hidden = self.diff_estimator(parts, scales[step, None])
            return self.to_logit(combine(hidden, length, settings))

        return unmask(settings, (prompt.shape[0], length), before.device, logits, draw)


def combine(hidden: list[Tensor], length: int, settings: Unmasking) -> Tensor:
    """The last ``length`` places of the pass with a prompt, guided by the pass without where there is one."""
    given = hidden[0][:, hidden[0].shape[1] - length :]
    if len(hidden) == 1:
        return given
    return guided(
        given,
        hidden[1],
        settings.guidance,
        settings.rescale,
        as_published=settings.as_published,
    )
