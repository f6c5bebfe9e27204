"""Content tokens of Vevo: a convolutional RepCodec with 32 codes, so few that style is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.convolutions import same_padding
from engines.networks.blocks.quantizers import nearest
from engines.networks.weights import WeightsError, build_exactly, read_weights


@dataclass(frozen=True)
class ContentConfig:
    """Sizes under the published names; all strides are 1. The defaults are the published ones."""

    input_channels: int = 1024
    output_channels: int = 1024
    encode_channels: int = 1024
    decode_channels: int = 1024
    code_dim: int = 1024
    codebook_size: int = 32
    enc_ratios: Sequence[float] = (1, 1)
    dec_ratios: Sequence[float] = (1, 1)
    enc_kernel_size: int = 3
    dec_kernel_size: int = 3
    enc_block_dilations: Sequence[int] = (1, 1)
    enc_block_kernel_size: int = 3
    dec_block_dilations: Sequence[int] = (1, 1)
    dec_block_kernel_size: int = 3
    bias: bool = True


class SameConv(nn.Module):
    """A convolution that keeps the length. Key ``conv``."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, dilation: int = 1, bias: bool = False
    ) -> None:
        super().__init__()
        padding = same_padding(kernel, dilation)
        self.conv = nn.Conv1d(
            inputs, outputs, kernel, padding=padding, dilation=dilation, bias=bias
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class ResidualUnit(nn.Module):
    """A dilated and a plain convolution, each behind an ELU, added to the input."""

    def __init__(self, channels: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = SameConv(channels, channels, kernel, dilation=dilation)
        self.conv2 = nn.Conv1d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.elu(self.conv1(F.elu(x))))


class ContentBlock(nn.Module):
    """Residual units and a convolution, which comes first with ``widening_first``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        dilations: Sequence[int],
        *,
        bias: bool,
        widening_first: bool,
    ) -> None:
        super().__init__()
        inside = outputs if widening_first else inputs
        self.widening_first = widening_first
        self.res_units = nn.Sequential(
            *(ResidualUnit(inside, kernel, dilation) for dilation in dilations)
        )
        self.conv = SameConv(inputs, outputs, 3, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.widening_first:
            return self.res_units(self.conv(x))
        return self.conv(self.res_units(x))


class ContentEncoder(nn.Module):
    """Features (B, C, T) to (B, C', T). Keys ``conv, conv_blocks``."""

    def __init__(self, config: ContentConfig) -> None:
        super().__init__()
        widths = [int(config.encode_channels * ratio) for ratio in (1, *config.enc_ratios)]
        self.conv = SameConv(config.input_channels, widths[0], config.enc_kernel_size)
        self.conv_blocks = nn.Sequential(
            *(
                ContentBlock(
                    inputs,
                    outputs,
                    config.enc_block_kernel_size,
                    config.enc_block_dilations,
                    bias=config.bias,
                    widening_first=False,
                )
                for inputs, outputs in pairwise(widths)
            )
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.conv_blocks(self.conv(features))


class ContentDecoder(nn.Module):
    """Code vectors (B, D, T) back to features (B, C, T). Keys ``conv1, conv_blocks, conv2``."""

    def __init__(self, config: ContentConfig) -> None:
        super().__init__()
        widths = [int(config.decode_channels * ratio) for ratio in (*config.dec_ratios, 1)]
        self.conv1 = SameConv(config.code_dim, widths[0], config.dec_kernel_size)
        self.conv_blocks = nn.Sequential(
            *(
                ContentBlock(
                    inputs,
                    outputs,
                    config.dec_block_kernel_size,
                    config.dec_block_dilations,
                    bias=config.bias,
                    widening_first=True,
                )
                for inputs, outputs in pairwise(widths)
            )
        )
        self.conv2 = SameConv(widths[-1], config.output_channels, config.dec_kernel_size)

    def forward(self, vectors: Tensor) -> Tensor:
        return self.conv2(self.conv_blocks(self.conv1(vectors)))


class Projector(nn.Module):
    """Encoder channels to those of the codes. Key ``project``."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.project = SameConv(inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(x)


class ColumnCodebook(nn.Module):
    """Codes as columns of ``embed`` (D, N), with the averages that training moved them by."""

    embed: Tensor

    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        self.register_buffer("embed", torch.randn(dim, size))
        self.register_buffer("cluster_size", torch.zeros(size))
        self.register_buffer("embed_avg", torch.zeros(dim, size))


class ContentQuantizer(nn.Module):
    """The nearest of the codes. Key ``codebook.layers.0``."""

    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        self.codebook = nn.Module()
        self.codebook.layers = nn.ModuleList([ColumnCodebook(dim, size)])

    @property
    def rows(self) -> Tensor:
        """The codes as rows (N, D)."""
        return self.get_buffer("codebook.layers.0.embed").transpose(0, 1)

    def encode(self, z: Tensor) -> Tensor:
        """Vectors (B, D, T) to tokens (B, T)."""
        return nearest(z.transpose(1, 2), self.rows)

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) to vectors (B, D, T)."""
        return F.embedding(tokens, self.rows).transpose(1, 2)


class ContentCodec(nn.Module):
    """Features of HuBERT, as they are, to content tokens. Conversion doesn't need the ``decoder``."""

    def __init__(self, config: ContentConfig, *, decoder: bool = True) -> None:
        super().__init__()
        self.encoder = ContentEncoder(config)
        if decoder:
            self.decoder = ContentDecoder(config)
        last = int(config.encode_channels * config.enc_ratios[-1])
        self.projector = Projector(last, config.code_dim)
        self.quantizer = ContentQuantizer(config.code_dim, config.codebook_size)

    @classmethod
    def from_published(cls, file: Path, config: ContentConfig | None = None) -> ContentCodec:
        """The tokeniser of a published checkpoint, whose weights lie under ``model.repcodec``."""
        try:
            state = read_weights(file)["model"]["repcodec"]
        except (KeyError, TypeError) as error:
            raise WeightsError(f"{file.name} has no weights under model.repcodec.") from error
        return build_exactly(
            lambda: cls(config or ContentConfig(), decoder=False),
            state,
            what="the content tokeniser",
            ignore=("decoder.",),
        )

    def latents(self, features: Tensor) -> Tensor:
        """Features (B, T, C) to the vectors (B, D, T) that are quantised."""
        return self.projector(self.encoder(features.transpose(1, 2)))

    def encode(self, features: Tensor) -> Tensor:
        """Features (B, T, C) to tokens (B, T)."""
        return self.quantizer.encode(self.latents(features))

    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) to features (B, T, C)."""
        return self.decoder(self.quantizer.decode(tokens)).transpose(1, 2)


def deduplicated(tokens: Tensor) -> Tensor:
    """Tokens (T,) without those that equal the one before: what is said, not how long."""
    return torch.unique_consecutive(tokens)
