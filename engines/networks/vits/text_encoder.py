"""The prior of VITS: symbols to the mean and scale of each token's latent."""

from __future__ import annotations

import math

from torch import Tensor, nn

from engines.networks.blocks.relative_transformer import RelativeTransformer
from engines.networks.vits.config import VitsConfig


class TextEncoder(nn.Module):
    """Symbols (B, N) to hidden states (B, hidden, N) and means and log scales (B, inter, N)."""

    def __init__(self, config: VitsConfig) -> None:
        super().__init__()
        hidden = config.hidden_channels
        self.emb = nn.Embedding(config.text_token_num, hidden)
        nn.init.normal_(self.emb.weight, 0.0, hidden**-0.5)
        self.encoder = RelativeTransformer(
            hidden,
            config.filter_channels,
            config.n_heads,
            config.n_layers,
            kernel=config.kernel_size,
            dropout=config.p_dropout,
        )
        self.proj = nn.Conv1d(hidden, 2 * config.inter_channels, 1)

    def forward(self, symbols: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``mask`` (B, 1, N) of 0 and 1."""
        x = (self.emb(symbols) * math.sqrt(self.emb.embedding_dim)).transpose(1, 2)
        x = self.encoder(x, mask)
        mean, log_scale = (self.proj(x) * mask).chunk(2, 1)
        return x, mean, log_scale
