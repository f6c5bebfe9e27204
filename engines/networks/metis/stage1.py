"""First stage of Metis: MaskGCT's generator, along features of a source instead of phones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.adaptive_llama import INNER, mlp
from engines.networks.blocks.draws import Draw
from engines.networks.blocks.unmasking import Unmasking
from engines.networks.maskgct.semantic import SemanticConfig, SemanticGenerator
from engines.networks.metis.lora import Lora
from engines.networks.weights import WeightsError, build_exactly, read_weights


@dataclass(frozen=True)
class MetisConfig(SemanticConfig):
    """Sizes under the published names. ``cond_dim`` is the width of the features."""

    use_phone_cond: bool = False
    cond_dim: int = 1024


class GatedAdapter(nn.Module):
    """Features (B, T, ``inputs``) to (B, T, C); the gate is 0 at the start of fine-tuning."""

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        self.gate_scale = nn.Parameter(torch.zeros(1))
        self.in_linear = nn.Linear(inputs, INNER * dim)
        self.out_linear = nn.Linear(INNER * dim, dim)

    def forward(self, features: Tensor) -> Tensor:
        return self.gate_scale * self.out_linear(F.silu(self.in_linear(features)))


class MetisGenerator(SemanticGenerator):
    """Semantic tokens along features. ``gated`` False is the adapter of lip to speech."""

    def __init__(self, config: MetisConfig, *, gated: bool = True) -> None:
        super().__init__(config)
        width, inner = config.cond_dim, INNER * config.hidden_size
        self.cond_adapter = (
            GatedAdapter(width, config.hidden_size)
            if gated
            else mlp(width, inner, config.hidden_size)
        )

    @classmethod
    def adapted(
        cls,
        base: Path,
        lora: Path,
        adapter: Path,
        alpha: float,
        config: MetisConfig | None = None,
    ) -> MetisGenerator:
        """The published base with the adapter and the low-rank changes of one task added to it."""
        features = {
            f"cond_adapter.{key.rpartition('cond_adapter.')[2]}": tensor
            for key, tensor in read_weights(adapter).items()
        }
        network = build_exactly(
            lambda: cls(config or MetisConfig()),
            read_weights(base) | features,
            what="Metis",
        )
        changes = Lora.of(network, read_weights(lora))
        if not changes.paths:
            raise WeightsError(f"{lora.name} adapts no layer of Metis.")
        changes.merge_into(network, alpha)
        return network

    @classmethod
    def tuned(cls, file: Path, config: MetisConfig | None = None) -> MetisGenerator:
        """A network that was fine-tuned as a whole, from its one file."""
        return build_exactly(lambda: cls(config or MetisConfig()), read_weights(file), what="Metis")

    def convert(
        self, features: Tensor, prompt: Tensor, settings: Unmasking, draw: Draw
    ) -> Iterator[Tensor]:
        """Tokens (B, T - P) after each step, the last of them the result.

        ``features`` (B, T, ``cond_dim``) are those of prompt and source in one, ``prompt`` (B, P) the
        tokens of the first part, where P may be 0.
        """
        length = features.shape[1] - prompt.shape[1]
        condition = self.cond_adapter(features.to(self.mask_emb.weight))
        return self.sample(prompt, length, settings, draw, condition=condition)
