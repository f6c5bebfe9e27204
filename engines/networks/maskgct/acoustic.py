"""Second stage of MaskGCT: codes of the acoustic codec, layer after layer, along semantic tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from engines.networks.blocks.adaptive_llama import AdaptiveLlama
from engines.networks.blocks.draws import Draw
from engines.networks.blocks.unmasking import Unmasking, unmask
from engines.networks.maskgct.semantic import combine
from engines.networks.weights import build_exactly, read_weights


@dataclass(frozen=True)
class AcousticConfig:
    """Sizes under the published names. ``num_quantizer`` is 1 or 12 in the published networks."""

    num_quantizer: int = 12
    hidden_size: int = 1024
    num_layers: int = 16
    num_heads: int = 16
    codebook_size: int = 1024
    cond_codebook_size: int = 8192


class AcousticGenerator(nn.Module):
    """Acoustic codes of ``num_quantizer`` layers, each unmasked in the light of those before."""

    def __init__(self, config: AcousticConfig) -> None:
        super().__init__()
        dim, layers = config.hidden_size, config.num_quantizer
        self.layer_emb = nn.Embedding(layers, dim)
        self.mask_emb = nn.Embedding(1, dim)
        self.token_emb = nn.ModuleList(
            nn.Embedding(config.codebook_size, dim) for _ in range(layers)
        )
        self.to_logits = nn.ModuleList(nn.Linear(dim, config.codebook_size) for _ in range(layers))
        self.cond_emb = nn.Embedding(config.cond_codebook_size, dim)
        self.diff_estimator = AdaptiveLlama(
            dim, config.num_layers, config.num_heads, empty_embedding=True
        )

    @classmethod
    def from_published(cls, file: Path, config: AcousticConfig) -> AcousticGenerator:
        """One of the two networks of a published file."""
        return build_exactly(
            lambda: cls(config),
            read_weights(file),
            what=f"the semantic-to-acoustic network of {config.num_quantizer} layers",
        )

    @property
    def layers(self) -> int:
        """Layers of codes that the network makes."""
        return len(self.token_emb)

    def embed(self, codes: Tensor) -> Tensor:
        """The sum of the layers' embeddings: codes (B, T, Q) to (B, T, C), for any Q up to ``layers``."""
        tables = zip(self.token_emb, codes.unbind(-1), strict=False)
        parts = [table(layer) for table, layer in tables]
        return torch.stack(parts).sum(0)

    def sample(
        self,
        semantic: Tensor,
        prompt: Tensor,
        steps: Sequence[int],
        settings: Unmasking,
        draw: Draw,
        *,
        known: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Codes (B, T, Q) after each step, the last of them the result; layers to come are 0.

        ``semantic`` (B, A + T) are tokens of prompt and target, ``prompt`` (B, A, at least Q) codes,
        ``known`` (B, T, G) the target's first layers, which are kept. ``steps`` has an entry for each
        layer, those of known layers unused. Guidance compares with a pass without the prompt; the
        semantic tokens stay in both.
        """
        batch, before = semantic.shape[0], prompt.shape[1]
        length = semantic.shape[1] - before
        start = 0 if known is None else known.shape[-1]
        condition = self.cond_emb(semantic)
        codes = torch.zeros(batch, length, self.layers, dtype=torch.long, device=semantic.device)
        total = condition.new_zeros(batch, length, condition.shape[-1])
        if known is not None:
            codes[..., :start] = known
            total = self.embed(known)
        prefix = self.embed(prompt[..., : self.layers])
        for layer in range(start, self.layers):
            along = self.diff_estimator.cond_mlp(condition + self.layer_emb.weight[layer])
            waiting = self.layers - 1 - layer  # each layer to come stands as one mask
            base = total + self.mask_emb.weight * waiting + along[:, before:]
            for tokens in self._layer(
                layer, prefix + along[:, :before], base, replace(settings, steps=steps[layer]), draw
            ):
                codes[..., layer] = tokens
                yield codes.clone()
            total = total + self.token_emb[layer](codes[..., layer])

    def _layer(
        self, layer: int, prefix: Tensor, base: Tensor, settings: Unmasking, draw: Draw
    ) -> Iterator[Tensor]:
        """Tokens (B, T) of one layer: ``prefix`` (B, A, C) stands before, ``base`` (B, T, C) is added."""
        table, head = self.token_emb[layer], self.to_logits[layer]
        scales = self.diff_estimator.scales(torch.tensor(settings.times(), device=base.device))
        length = base.shape[1]

        def logits(step: int, tokens: Tensor, masked: Tensor) -> Tensor:
            embedded = torch.where(masked[..., None], self.mask_emb.weight, table(tokens))
            current = base + embedded
            parts = [torch.cat([prefix, current], dim=1)]
            if settings.guidance > 0:
                parts.append(current)
            return head(combine(self.diff_estimator(parts, scales[step, None]), length, settings))

        return unmask(settings, (base.shape[0], length), base.device, logits, draw)
