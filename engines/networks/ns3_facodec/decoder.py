"""FACodec's quantisers, speaker embedding and decoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.convolutions import Linear, fold_weight_norm
from engines.networks.blocks.dac import decoder_stack
from engines.networks.blocks.quantizers import ResidualQuantizer, nearest_by_direction
from engines.networks.ns3_facodec.encoder import PROSODY_BINS, layers
from engines.networks.ns3_facodec.heads import HEADS, PHONES, SPEAKERS, Predictor, adversary
from engines.networks.ns3_facodec.transformer import FacodecTransformer, FacodecTransformerSizes
from engines.networks.weights import build_exactly, read_weights, sizes_in


@dataclass(frozen=True)
class FacodecDecoderConfig:
    """Sizes under the published names; ``codebook_size_*`` are logarithms to base 2 of the sizes.

    ``use_gr_*`` say which adversaries of training the weights hold.
    """

    in_channels: int = 256
    upsample_initial_channel: int = 1024
    up_ratios: Sequence[int] = (5, 5, 4, 2)
    vq_num_q_p: int = 1
    vq_num_q_c: int = 2
    vq_num_q_r: int = 3
    vq_dim: int = 256
    codebook_dim: int = 8
    codebook_size_prosody: int = 10
    codebook_size_content: int = 10
    codebook_size_residual: int = 10
    use_gr_residual_f0: bool = True
    use_gr_residual_phone: bool = True
    use_gr_x_timbre: bool = True

    @property
    def groups(self) -> list[tuple[int, int]]:
        """Layers and codebook size of prosody, content and residual."""
        return [
            (self.vq_num_q_p, 2**self.codebook_size_prosody),
            (self.vq_num_q_c, 2**self.codebook_size_content),
            (self.vq_num_q_r, 2**self.codebook_size_residual),
        ]

    def split(self, codes: Tensor) -> tuple[Tensor, ...]:
        """Codes (K, B, T) by group."""
        return codes.split([count for count, _ in self.groups])


class LinearQuantizer(nn.Module):
    """A factorised quantiser between two linear layers. Keys ``in_proj, out_proj, _codebook``."""

    def __init__(self, dim: int, size: int, codebook_dim: int) -> None:
        super().__init__()
        self.in_proj, self.out_proj = Linear(dim, codebook_dim), Linear(codebook_dim, dim)
        self._codebook = nn.Embedding(size, codebook_dim)

    def encode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Quantised ``z`` (B, D, T) and its indices (B, T)."""
        codes = nearest_by_direction(self.in_proj(z.transpose(1, 2)), self._codebook.weight)
        return self.decode(codes), codes

    def decode(self, codes: Tensor) -> Tensor:
        """Indices (B, T) to vectors (B, D, T)."""
        return self.out_proj(self._codebook(codes)).transpose(1, 2)


@dataclass(frozen=True)
class Quantized:
    """The parts of speech, each (B, C, T), and all codes (K, B, T) in that order."""

    prosody: Tensor
    content: Tensor
    residual: Tensor
    codes: Tensor

    @property
    def embedding(self) -> Tensor:
        """Their sum (B, C, T), which the decoder hears."""
        return self.prosody + self.content + self.residual


class TimbreDecoder(nn.Module):
    """Turns an embedding and a speaker into samples. Keys ``timbre_linear, model``."""

    def __init__(self, config: FacodecDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.timbre_linear = nn.Linear(config.in_channels, 2 * config.in_channels)
        self.model = decoder_stack(
            layers(),
            inputs=config.in_channels,
            width=config.upsample_initial_channel,
            strides=config.up_ratios,
        )

    def inference(self, embedding: Tensor, speaker: Tensor) -> Tensor:
        """Samples (B, 1, T * hop) of an embedding (B, C, T) with the timbre of ``speaker`` (B, C)."""
        gamma, beta = self.timbre_linear(speaker)[:, None].chunk(2, -1)
        x = F.layer_norm(embedding.transpose(1, 2), embedding.shape[1:2])
        return self.model((gamma * x + beta).transpose(1, 2))


class FacodecDecoder(TimbreDecoder):
    """Version 1: quantisers, speaker and decoder. With ``heads`` the predictors of training too.

    ``as_published`` gives row b of a batch position b (see ``FacodecTransformer``).
    """

    FILE = "ns3_facodec_decoder.bin"

    def __init__(
        self,
        config: FacodecDecoderConfig,
        sizes: FacodecTransformerSizes | None = None,
        *,
        heads: bool = False,
        as_published: bool = False,
    ) -> None:
        super().__init__(config)
        self.sizes = sizes or FacodecTransformerSizes()
        self.quantizer = nn.ModuleList(
            ResidualQuantizer(
                [LinearQuantizer(config.vq_dim, size, config.codebook_dim) for _ in range(count)],
                key="layers",
            )
            for count, size in config.groups
        )
        self.timbre_encoder = FacodecTransformer(self.sizes, as_published=as_published)
        if heads:
            self._add_heads(config)

    def _add_heads(self, config: FacodecDecoderConfig) -> None:
        channels = config.in_channels
        self.f0_predictor = Predictor(channels, 1, 1)
        self.phone_predictor = Predictor(channels, PHONES)
        if config.use_gr_residual_f0:
            self.res_f0_predictor = adversary(channels, 1, 1)
        if config.use_gr_residual_phone:
            self.res_phone_predictor = adversary(channels, PHONES)
        if config.use_gr_x_timbre:
            self.x_timbre_predictor = adversary(channels, SPEAKERS)

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The decoder of its file in ``folder``, without the heads of training (two thirds of the bytes).

        Raises ``WeightsError`` naming the file or keys that don't fit.
        """
        sizes = sizes_in(folder, "transformer", FacodecTransformerSizes())
        config = sizes_in(folder, "decoder", FacodecDecoderConfig())
        state = read_weights(folder / cls.FILE)
        decoder = build_exactly(lambda: cls(config, sizes), state, what=cls.FILE, ignore=HEADS)
        fold_weight_norm(decoder)
        return decoder

    def prosody_input(self, z: Tensor, mel: Tensor | None) -> Tensor:
        """What is quantised as prosody: here the latents themselves."""
        return z

    def quantize(self, z: Tensor, mel: Tensor | None = None) -> Quantized:
        """Latents (B, C, T), and for version 2 the lowest mels (B, 20, T), in three groups.

        Content is found in all of ``z``; the residual in what prosody and content leave over.
        """
        first, second, third = self.quantizer
        prosody, prosody_codes = first.encode(self.prosody_input(z, mel))  # type: ignore[operator]
        content, content_codes = second.encode(z)  # type: ignore[operator]
        residual, rest_codes = third.encode(z - (prosody + content))  # type: ignore[operator]
        codes = torch.cat([prosody_codes, content_codes, rest_codes])
        return Quantized(prosody, content, residual, codes)

    def vq2emb(self, codes: Tensor, *, residual: bool = True) -> Tensor:
        """Codes (K, B, T) to an embedding (B, C, T); without ``residual`` the last group is left out."""
        groups = zip(self.quantizer, self.config.split(codes), strict=True)
        parts = [quantizer.decode(rows) for quantizer, rows in groups]  # type: ignore[operator]
        return torch.stack(parts if residual else parts[:-1]).sum(0)

    def timbre(self, z: Tensor) -> Tensor:
        """The speaker over time, (B, T, C), from latents (B, C, T) that aren't quantised."""
        return self.timbre_encoder(z.transpose(1, 2))

    def speaker(self, z: Tensor) -> Tensor:
        """The speaker embedding (B, C)."""
        return self.timbre(z).mean(1)


class FacodecDecoderV2(FacodecDecoder):
    """Version 2: its prosody is the lowest mels. Further keys ``melspec_linear, melspec_encoder``."""

    FILE = "ns3_facodec_decoder_v2.bin"

    def __init__(
        self,
        config: FacodecDecoderConfig,
        sizes: FacodecTransformerSizes | None = None,
        *,
        heads: bool = False,
        as_published: bool = False,
    ) -> None:
        super().__init__(config, sizes, heads=heads, as_published=as_published)
        self.melspec_linear = nn.Linear(PROSODY_BINS, self.sizes.encoder_hidden)
        self.melspec_encoder = FacodecTransformer(self.sizes, as_published=as_published)

    def prosody_input(self, z: Tensor, mel: Tensor | None) -> Tensor:
        """The mel after its transformer, (B, C, T)."""
        if mel is None:
            raise ValueError("Version 2 quantises the prosody of a mel: give the mel too.")
        return self.melspec_encoder(self.melspec_linear(mel.transpose(1, 2))).transpose(1, 2)


class FacodecRedecoder(TimbreDecoder):
    """Decodes codes of version 1 with another speaker. Its tables have ``vq_dim`` channels."""

    FILE = "ns3_facodec_redecoder.bin"

    def __init__(
        self,
        config: FacodecDecoderConfig,
        sizes: FacodecTransformerSizes | None = None,
        *,
        as_published: bool = False,
    ) -> None:
        super().__init__(config)
        names = ("prosody_embs", "content_embs", "residual_embs")
        for name, (count, size) in zip(names, config.groups, strict=True):
            tables = (nn.Embedding(size, config.vq_dim) for _ in range(count))
            self.add_module(name, nn.ModuleList(tables))
        self.timbre_cond_prosody_enc = FacodecTransformer(
            sizes or FacodecTransformerSizes(), conditional=True, as_published=as_published
        )

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The redecoder of its file in ``folder``; ``WeightsError`` names what doesn't fit."""
        sizes = sizes_in(folder, "transformer", FacodecTransformerSizes())
        default = FacodecDecoderConfig(upsample_initial_channel=1280)
        config = sizes_in(folder, "redecoder", default)
        state = read_weights(folder / cls.FILE)
        redecoder = build_exactly(lambda: cls(config, sizes), state, what=cls.FILE)
        fold_weight_norm(redecoder)
        return redecoder

    def vq2emb(self, codes: Tensor, speaker: Tensor, *, residual: bool = False) -> Tensor:
        """Codes (K, B, T) and a speaker (B, C) to an embedding (B, C, T).

        The residual carries what is left of the first speaker; conversion leaves it out.
        """
        prosody, content, rest = self.config.split(codes)
        x = self._rows("prosody_embs", prosody)
        x = self.timbre_cond_prosody_enc(x, speaker[:, None].expand_as(x))
        x = x + self._rows("content_embs", content)
        if residual:
            x = x + self._rows("residual_embs", rest)
        return x.transpose(1, 2)

    def _rows(self, name: str, codes: Tensor) -> Tensor:
        """Sum of the rows (B, T, C) of a group of tables."""
        tables = self.get_submodule(name).children()
        return torch.stack([table(row) for table, row in zip(tables, codes, strict=True)]).sum(0)
