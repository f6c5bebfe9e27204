"""What DiffComoSVC and TransformerSVC call a Conformer: the Transformer of VITS and a projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from engines.networks.blocks.relative_transformer import RelativeTransformer

EPS = 1e-4


class Conformer(nn.Module):
    """Conditions (B, C, T) to mels (B, n_mels, T); masked frames become the bias of the projection.

    Keys ``conformer_encoder, projection``.
    """

    def __init__(
        self,
        channels: int,
        n_mels: int,
        inner: int,
        heads: int,
        layers: int,
        *,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.conformer_encoder = RelativeTransformer(
            channels, inner, heads, layers, dropout=dropout, eps=EPS, mask_each=True
        )
        self.projection = nn.Conv1d(channels, n_mels, 1)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Conformer:
        """From the names of the published configuration."""
        return cls(
            given["input_dim"],
            given["output_dim"],
            given["filter_channels"],
            given["n_heads"],
            given["n_layers"],
            dropout=given["dropout"],
        )

    def forward(self, condition: Tensor, mask: Tensor) -> Tensor:
        """``mask`` (B, 1, T) is 0 where a clip has ended."""
        return self.projection(self.conformer_encoder(condition, mask))
