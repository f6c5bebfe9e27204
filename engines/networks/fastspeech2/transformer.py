"""Feed-forward Transformer blocks of FastSpeech (Ren et al. 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.convolutions import same_padding
from engines.networks.fastspeech2.config import TransformerConfig


def sinusoids(length: int, channels: int) -> Tensor:
    """Table (``length``, ``channels``) of positions, sine and cosine in turn (Vaswani et al. 2017)."""
    rate = torch.arange(0, channels, 2, dtype=torch.float64) / channels
    angles = torch.arange(length, dtype=torch.float64)[:, None] / 10000**rate
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :channels].float()


class Attention(nn.Module):
    """Self-attention with a residual and a norm after it: (B, T, C) to (B, T, C)."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.w_qs, self.w_ks, self.w_vs = (nn.Linear(channels, channels) for _ in range(3))
        self.layer_norm = nn.LayerNorm(channels)
        self.fc = nn.Linear(channels, channels)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``mask`` (B, T) is True where there is something."""
        query, key, value = (
            linear(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for linear in (self.w_qs, self.w_ks, self.w_vs)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, mask[:, None, None, :])
        return self.layer_norm(self.drop(self.fc(mixed.transpose(1, 2).flatten(2))) + x)


class FeedForward(nn.Module):
    """Two convolutions with a residual and a norm after them: (B, T, C) to (B, T, C)."""

    def __init__(self, channels: int, inner: int, kernels: tuple[int, int], dropout: float) -> None:
        super().__init__()
        first, second = kernels
        self.w_1 = nn.Conv1d(channels, inner, first, padding=same_padding(first))
        self.w_2 = nn.Conv1d(inner, channels, second, padding=same_padding(second))
        self.layer_norm = nn.LayerNorm(channels)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.w_2(self.w_1(x.transpose(1, 2)).relu()).transpose(1, 2)
        return self.layer_norm(self.drop(y) + x)


class Block(nn.Module):
    """Attention and convolutions; padded positions become 0 after each."""

    def __init__(
        self, channels: int, heads: int, inner: int, kernels: tuple[int, int], dropout: float
    ) -> None:
        super().__init__()
        self.slf_attn = Attention(channels, heads, dropout)
        self.pos_ffn = FeedForward(channels, inner, kernels, dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.slf_attn(x, mask) * mask[:, :, None]
        return self.pos_ffn(x) * mask[:, :, None]


class Positioned(nn.Module):
    """Adds positions and runs the blocks. Keys ``position_enc, layer_stack``.

    Inputs longer than the stored table get theirs from the same formula.
    """

    position_enc: Tensor

    def __init__(self, table: int, channels: int, blocks: list[Block]) -> None:
        super().__init__()
        self.register_buffer("position_enc", sinusoids(table, channels)[None])
        self.layer_stack = nn.ModuleList(blocks)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C), padded by zeros, with ``mask`` (B, T) True where there is something."""
        length, channels = x.shape[1:]
        stored = length <= self.position_enc.shape[1]
        table = self.position_enc[:, :length] if stored else sinusoids(length, channels).to(x)
        x = x + table
        for block in self.layer_stack:
            x = block(x, mask)
        return x


class Encoder(Positioned):
    """Symbols (B, N), padded by 0, to hidden states (B, N, C). Also the key ``src_word_emb``."""

    def __init__(self, config: TransformerConfig, symbols: int, max_seq_len: int) -> None:
        channels, heads = config.encoder_hidden, config.encoder_head
        first, second = config.conv_kernel_size
        super().__init__(
            max_seq_len + 1,
            channels,
            [
                Block(
                    channels,
                    heads,
                    config.conv_filter_size,
                    (first, second),
                    config.encoder_dropout,
                )
                for _ in range(config.encoder_layer)
            ],
        )
        self.src_word_emb = nn.Embedding(symbols + 1, channels, padding_idx=0)

    def forward(self, symbols: Tensor, mask: Tensor) -> Tensor:
        return super().forward(self.src_word_emb(symbols), mask)


class Decoder(Positioned):
    """Hidden states of frames (B, T, C) to hidden states (B, T, C)."""

    def __init__(self, config: TransformerConfig, max_seq_len: int) -> None:
        channels, heads = config.decoder_hidden, config.decoder_head
        first, second = config.conv_kernel_size
        super().__init__(
            max_seq_len + 1,
            channels,
            [
                Block(
                    channels,
                    heads,
                    config.conv_filter_size,
                    (first, second),
                    config.decoder_dropout,
                )
                for _ in range(config.decoder_layer)
            ],
        )
