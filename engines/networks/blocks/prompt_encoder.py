"""The Transformer encoder of NaturalSpeech 2 and Noro: pre-norm, a convolution in the feed-forward part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.attention import Attention
from engines.networks.blocks.positions import sinusoid_table

POSITIONS = 5000


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the encoder; the defaults are the published ones."""

    layers: int = 6
    hidden: int = 512
    heads: int = 8
    inner: int = 2048
    kernel: int = 9
    dropout: float = 0.2

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From the published names."""
        return cls(
            layers=given["encoder_layer"],
            hidden=given["encoder_hidden"],
            heads=given["encoder_head"],
            inner=given["conv_filter_size"],
            kernel=given["conv_kernel_size"],
            dropout=given["encoder_dropout"],
        )


class Positions(nn.Module):
    """Adds sinusoids to (B, T, C). Key ``pe`` (5000, 1, C).

    The original mixes up the batch and the time: item b gets row b at all its frames, so that a frame
    doesn't know its place. ``as_published`` repeats it, as weights trained that way need.
    """

    pe: Tensor

    def __init__(self, channels: int, *, as_published: bool) -> None:
        super().__init__()
        self.as_published = as_published
        self.register_buffer("pe", sinusoid_table(POSITIONS, channels)[:, None])

    def forward(self, x: Tensor) -> Tensor:
        if self.as_published:
            return x + self.pe[: x.shape[0]]
        return x + self.pe[: x.shape[1]].transpose(0, 1)


class PlainNorm(nn.LayerNorm):
    """A layer norm that takes no style."""

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        return super().forward(x)


class StyledNorm(nn.Module):
    """A layer norm whose scale and shift are a linear function of a style (B, C). Key ``style``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.style = nn.Linear(channels, 2 * channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.style(style)[:, None].chunk(2, dim=-1)
        return scale * F.layer_norm(x, x.shape[-1:]) + shift


class ConvFeedForward(nn.Module):
    """A convolution, an activation and a linear layer: (B, T, C) to (B, T, C). Keys ``ffn_1, ffn_2``."""

    def __init__(self, config: EncoderConfig, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        padding = config.kernel // 2
        self.ffn_1 = nn.Conv1d(config.hidden, config.inner, config.kernel, padding=padding)
        self.ffn_2 = nn.Linear(config.inner, config.hidden)
        self.activation = activation
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.activation(self.ffn_1(x.transpose(1, 2)).transpose(1, 2))
        return self.ffn_2(self.drop(y))


class EncoderLayer(nn.Module):
    """Attention and feed-forward, each behind its norm and with a residual."""

    def __init__(
        self, config: EncoderConfig, activation: Callable[[Tensor], Tensor], *, styled: bool
    ) -> None:
        super().__init__()
        norm = StyledNorm if styled else PlainNorm
        self.ln_1, self.ln_2 = norm(config.hidden), norm(config.hidden)
        self.self_attn = Attention(config.hidden, config.heads)
        self.ffn = ConvFeedForward(config, activation)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None, style: Tensor | None) -> Tensor:
        y = self.ln_1(x, style)
        x = x + self.drop(self.self_attn(y, self.self_attn.memory(y), mask))
        y = self.ln_2(x, style)
        return x + self.drop(self.ffn(y if mask is None else y * mask[:, :, None]))


class PromptEncoder(nn.Module):
    """(B, T, C) to (B, T, C). Keys ``position_emb, layers, last_ln``.

    With ``styled`` the norms follow a style (B, C) that ``forward`` is given.
    """

    def __init__(
        self,
        config: EncoderConfig,
        *,
        activation: Callable[[Tensor], Tensor] = F.relu,
        styled: bool = False,
        as_published: bool = True,
    ) -> None:
        super().__init__()
        self.position_emb = Positions(config.hidden, as_published=as_published)
        self.layers = nn.ModuleList(
            EncoderLayer(config, activation, styled=styled) for _ in range(config.layers)
        )
        self.last_ln = (StyledNorm if styled else PlainNorm)(config.hidden)

    def forward(self, x: Tensor, mask: Tensor | None = None, style: Tensor | None = None) -> Tensor:
        """``mask`` (B, T) is True inside each item."""
        x = self.position_emb(x)
        for layer in self.layers:
            x = layer(x, mask, style)
        return self.last_ln(x, style)
