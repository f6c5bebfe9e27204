"""The convolutional autoencoder of latent diffusion (Rombach et al. 2022), over spectrograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.unet import ResidualBlock2d, Upsample2d

GROUPS, EPS = 32, 1e-6
LOGVAR_RANGE = (-30.0, 20.0)


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes under the published names.

    ``ch`` times ``ch_mult`` are the widths of the levels, each half the size of the one before.
    ``embed_dim`` None is ``z_channels``; ``attention``: in the middle of both halves.
    """

    ch: int
    ch_mult: Sequence[int]
    num_res_blocks: int
    z_channels: int
    in_channels: int = 1
    out_ch: int = 1
    embed_dim: int | None = None
    attention: bool = False

    @property
    def widths(self) -> list[int]:
        """Channels of each level."""
        return [self.ch * factor for factor in self.ch_mult]

    @property
    def reduction(self) -> int:
        """Spectrogram places for each place of the latent, in both directions."""
        return 2 ** (len(self.ch_mult) - 1)


class Posterior(NamedTuple):
    """Mean and logarithm of the variance of a latent, both (B, ``embed_dim``, H, W)."""

    mean: Tensor
    logvar: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """The latent that normal ``noise`` of the same shape picks."""
        return self.mean + (0.5 * self.logvar).exp() * noise


def residual(inputs: int, outputs: int) -> ResidualBlock2d:
    """A block under the published keys."""
    return ResidualBlock2d(inputs, outputs, groups=GROUPS, eps=EPS, shortcut="nin_shortcut")


class ImageAttention(nn.Module):
    """One-headed attention among all places of (B, C, H, W), and the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, eps=EPS)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (layer(y).flatten(2).transpose(1, 2) for layer in (self.q, self.k, self.v))
        attended = F.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(attended.transpose(1, 2).reshape(x.shape))


class AutoencoderMiddle(nn.Module):
    """Two blocks, with attention between them or not. Keys ``block_1, attn_1, block_2``."""

    def __init__(self, channels: int, *, attention: bool) -> None:
        super().__init__()
        self.block_1 = residual(channels, channels)
        self.attn_1 = ImageAttention(channels) if attention else None
        self.block_2 = residual(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block_1(x)
        if self.attn_1 is not None:
            x = self.attn_1(x)
        return self.block_2(x)


class PaddedDownsample(nn.Module):
    """Half the size: a zero at the right and at the bottom, then a convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class AutoencoderLevel(nn.Module):
    """Blocks of one size, then ``downsample`` or ``upsample`` if there is another."""

    def __init__(self, inputs: int, outputs: int, blocks: int, **resize: nn.Module) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            residual(outputs if place else inputs, outputs) for place in range(blocks)
        )
        for name, module in resize.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        for name, module in self.named_children():
            if name != "block":
                x = module(x)
        return x


class AutoencoderEncoder(nn.Module):
    """(B, ``in_channels``, H, W) to (B, 2 * ``z_channels``, H / r, W / r)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths = config.widths
        self.conv_in = nn.Conv2d(config.in_channels, config.ch, 3, padding=1)
        self.down = nn.ModuleList(
            AutoencoderLevel(
                widths[level - 1] if level else config.ch,
                width,
                config.num_res_blocks,
                **({"downsample": PaddedDownsample(width)} if level + 1 < len(widths) else {}),
            )
            for level, width in enumerate(widths)
        )
        self.mid = AutoencoderMiddle(widths[-1], attention=config.attention)
        self.norm_out = nn.GroupNorm(GROUPS, widths[-1], eps=EPS)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config.z_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.down:
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class AutoencoderDecoder(nn.Module):
    """(B, ``z_channels``, H, W) to (B, ``out_ch``, r H, r W); level 0 is the largest, and the last."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths = config.widths
        self.conv_in = nn.Conv2d(config.z_channels, widths[-1], 3, padding=1)
        self.mid = AutoencoderMiddle(widths[-1], attention=config.attention)
        self.up = nn.ModuleList(
            AutoencoderLevel(
                widths[min(level + 1, len(widths) - 1)],
                width,
                config.num_res_blocks + 1,
                **({"upsample": Upsample2d(width)} if level else {}),
            )
            for level, width in enumerate(widths)
        )
        self.norm_out = nn.GroupNorm(GROUPS, widths[0], eps=EPS)
        self.conv_out = nn.Conv2d(widths[0], config.out_ch, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.mid(self.conv_in(z))
        for level in reversed(self.up):
            x = level(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Autoencoder(nn.Module):
    """A spectrogram (B, 1, H, W) to and from a latent (B, ``embed_dim``, H / r, W / r)."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        embed = config.embed_dim or config.z_channels
        self.encoder = AutoencoderEncoder(config)
        self.decoder = AutoencoderDecoder(config)
        self.quant_conv = nn.Conv2d(2 * config.z_channels, 2 * embed, 1)
        self.post_quant_conv = nn.Conv2d(embed, config.z_channels, 1)

    def encode(self, mel: Tensor) -> Posterior:
        """The distribution of latents of a spectrogram."""
        mean, logvar = self.quant_conv(self.encoder(mel)).chunk(2, 1)
        return Posterior(mean, logvar.clamp(*LOGVAR_RANGE))

    def decode(self, z: Tensor) -> Tensor:
        """The spectrogram of a latent."""
        return self.decoder(self.post_quant_conv(z))
