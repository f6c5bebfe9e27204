"""The prior of NaturalSpeech 2: phones to frames, with predicted durations and pitch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from engines.networks.blocks.attention import Attention
from engines.networks.blocks.lengths import repeat_tokens
from engines.networks.blocks.prompt_encoder import PromptEncoder
from engines.networks.naturalspeech2.config import PredictorConfig, PriorConfig


class PredictorConvolution(nn.Sequential):
    """Convolution, ReLU, norm and dropout: (B, T, C) to (B, T, C). Keys ``0`` and ``2``."""

    def __init__(self, inputs: int, config: PredictorConfig) -> None:
        outputs, kernel = config.filter_size, config.kernel_size
        super().__init__(
            nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2),
            nn.ReLU(),
            nn.LayerNorm(outputs),
            nn.Dropout(config.drop_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self[0](x.transpose(1, 2)).transpose(1, 2)
        return self[3](self[2](self[1](y)))


class PromptAttention(nn.ModuleList):
    """Adds to (B, T, C) what it attends to in the prompt (B, M, C). Keys ``0`` and ``1``, its norm."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__([Attention(channels, heads), nn.LayerNorm(channels)])

    def forward(self, x: Tensor, prompt: Tensor, mask: Tensor | None) -> Tensor:
        attention = cast(Attention, self[0])
        return (attention(self[1](x), attention.memory(prompt), mask) + x) / math.sqrt(2)


class Predictor(nn.Module):
    """One number for each position of (B, T, C), along a prompt (B, M, C). Keys ``conv, cattn, linear``."""

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.every = config.cross_attn_per_layer
        widths = [config.input_size, *[config.filter_size] * (config.conv_layers - 1)]
        self.conv = nn.ModuleList(PredictorConvolution(width, config) for width in widths)
        self.cattn = nn.ModuleList(
            PromptAttention(width, config.attn_head) for width in widths[:: self.every]
        )
        self.linear = nn.Linear(config.filter_size, 1)

    def forward(
        self,
        x: Tensor,
        prompt: Tensor,
        mask: Tensor | None = None,
        prompt_mask: Tensor | None = None,
    ) -> Tensor:
        """(B, T); the masks (B, T) and (B, M) are True inside each item."""
        for layer, convolution in enumerate(self.conv):
            before = x
            if layer % self.every == 0:
                x = self.cattn[layer // self.every](x, prompt, prompt_mask)
            x = convolution(x if mask is None else x * mask[:, :, None])
            if layer:
                x = x + before
        return self.linear(x)[:, :, 0]


@dataclass(frozen=True)
class Prior:
    """What the prior says of an utterance of N phones and T frames.

    ``encoded`` (B, N, C); ``log_durations`` (B, N), of frames + 1; ``durations`` (B, N) whole frames;
    ``log_f0`` (B, T) of Hz; ``pitch_tokens`` (B, T); ``condition`` (B, T, C) leads the diffusion.
    """

    encoded: Tensor
    log_durations: Tensor
    durations: Tensor
    log_f0: Tensor
    pitch_tokens: Tensor
    condition: Tensor


class PriorEncoder(nn.Module):
    """Phones (B, N) along a prompt (B, M, C) to a ``Prior``."""

    pitch_bins: Tensor

    def __init__(self, config: PriorConfig, *, as_published: bool = True) -> None:
        super().__init__()
        hidden = config.encoder.hidden
        edges = torch.linspace(
            math.log(config.pitch_min), math.log(config.pitch_max), config.pitch_bins - 1
        ).exp()
        self.register_buffer("pitch_bins", edges)
        self.enc_emb_tokens = nn.Embedding(config.symbols, hidden, padding_idx=0)
        self.encoder = PromptEncoder(config.encoder, styled=True, as_published=as_published)
        self.encoder.add_module("enc_emb_tokens", self.enc_emb_tokens)  # published under both keys
        self.duration_predictor = Predictor(config.duration)
        self.pitch_predictor = Predictor(config.pitch)
        self.pitch_embedding = nn.Embedding(config.pitch_bins, hidden)

    def encode(
        self,
        phones: Tensor,
        prompt: Tensor,
        mask: Tensor | None = None,
        prompt_mask: Tensor | None = None,
    ) -> Tensor:
        """Hidden states of the phones (B, N, C); the masks (B, N) and (B, M) are True inside."""
        if prompt_mask is None:
            style = prompt.mean(1)
        else:
            inside = prompt_mask[:, :, None]
            style = (prompt * inside).sum(1) / inside.sum(1)
        return self.encoder(self.enc_emb_tokens(phones), mask, style)

    def tokens(self, log_f0: Tensor) -> Tensor:
        """The row of the pitch table for each frame (B, T)."""
        return torch.bucketize(log_f0.exp(), self.pitch_bins)

    def forward(
        self,
        phones: Tensor,
        prompt: Tensor,
        *,
        duration_scale: float = 1.0,
        pitch_scale: float = 1.0,
    ) -> Prior:
        """Durations are multiplied by ``duration_scale`` before they are rounded, F0 by ``pitch_scale``.

        Raises ``ValueError`` when no phone lasts a frame.
        """
        encoded = self.encode(phones, prompt)
        log_durations = self.duration_predictor(encoded, prompt)
        durations = ((log_durations.exp() - 1) * duration_scale).round().clamp(min=0).long()
        frames = int(durations.sum(1).max())
        if not frames:
            raise ValueError("No phone lasts a frame: the text is too short or the speed too high.")
        repeated = repeat_tokens(encoded.transpose(1, 2), durations, frames).transpose(1, 2)
        log_f0 = self.pitch_predictor(repeated, prompt) + math.log(pitch_scale)
        pitch_tokens = self.tokens(log_f0)
        condition = repeated + self.pitch_embedding(pitch_tokens)
        return Prior(encoded, log_durations, durations, log_f0, pitch_tokens, condition)
