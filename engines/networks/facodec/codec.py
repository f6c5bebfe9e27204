"""FAcodec's quantisers and the codec: samples to codes and timbre, and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks.convolutions import fold_weight_norm
from engines.networks.blocks.dac import Reflected, decoder_stack, encoder_stack
from engines.networks.blocks.quantizers import FactorizedQuantizer, ResidualQuantizer
from engines.networks.facodec.parts import (
    FacodecSizes,
    NormalizedMel,
    ProsodyEncoder,
    StyleEncoder,
)
from engines.networks.weights import (
    WeightsError,
    load_exactly,
    read_weights,
    sizes_in,
    strip_prefix,
)

FILE = "pytorch_model.bin"
CONSTANTS = ("to_mel.",)


@dataclass(frozen=True)
class SpeechParts:
    """The quantised parts of speech, each (B, C, T), and all codes (K, B, T) in that order."""

    prosody: Tensor
    content: Tensor
    residual: Tensor
    codes: Tensor


class FacodecQuantizer(ProsodyEncoder):
    """Three residual quantisers, the style encoder, and the norm that the timbre steers."""

    def __init__(self, sizes: FacodecSizes) -> None:
        super().__init__(sizes)
        self.sizes = sizes
        self.prosody_quantizer, self.content_quantizer, self.residual_quantizer = (
            self._stack(count) for count in sizes.groups
        )
        self.timbre_encoder = StyleEncoder(sizes)
        self.timbre_linear = nn.Linear(sizes.latent, 2 * sizes.latent)
        self.to_mel = NormalizedMel()

    def _stack(self, count: int) -> ResidualQuantizer:
        sizes = self.sizes
        return ResidualQuantizer(
            [
                FactorizedQuantizer(
                    sizes.latent,
                    sizes.codebook_size,
                    sizes.codebook_dim,
                    names=("in_proj", "out_proj"),
                )
                for _ in range(count)
            ]
        )

    @property
    def stacks(self) -> tuple[ResidualQuantizer, ResidualQuantizer, ResidualQuantizer]:
        """Prosody, content and residual."""
        return self.prosody_quantizer, self.content_quantizer, self.residual_quantizer

    def quantize(self, x: Tensor, mel: Tensor) -> SpeechParts:
        """Latents (B, C, T) and mels (B, 80, T'), cut to the shorter, in three groups.

        Prosody comes from the mel alone, content from all of ``x``, the residual from what both leave.
        """
        prosody_input = self.prosody(mel)
        frames = min(x.shape[-1], prosody_input.shape[-1])
        x = x[..., :frames]
        prosody, prosody_codes = self.prosody_quantizer.encode(prosody_input[..., :frames])
        content, content_codes = self.content_quantizer.encode(x)
        residual, rest_codes = self.residual_quantizer.encode(x - prosody - content)
        codes = torch.cat([prosody_codes, content_codes, rest_codes])
        return SpeechParts(prosody, content, residual, codes)

    def vectors(self, codes: Tensor) -> SpeechParts:
        """The parts that codes (K, B, T) stand for."""
        groups = codes.split(self.sizes.groups)
        prosody, content, residual = (
            stack.decode(rows) for stack, rows in zip(self.stacks, groups, strict=True)
        )
        return SpeechParts(prosody, content, residual, codes)

    def style(self, vectors: Tensor, timbre: Tensor) -> Tensor:
        """Vectors (B, C, T), normalised a frame, scaled and shifted by the timbre (B, C)."""
        gamma, beta = self.timbre_linear(timbre)[:, None].chunk(2, -1)
        x = F.layer_norm(vectors.transpose(1, 2), vectors.shape[1:2])
        return (gamma * x + beta).transpose(1, 2)


@dataclass(frozen=True)
class CodesAndTimbre:
    """Codes (K, B, T) of prosody, content and residual, and the timbre (B, C)."""

    codes: Tensor
    timbre: Tensor


class PlachtaFacodec(nn.Module):
    """24 kHz speech (B, 1, L) at 80 frames a second. Each call starts from a silent past.

    The original keeps its LSTMs' state from call to call; then a result depends on what was computed
    before.
    """

    def __init__(self, sizes: FacodecSizes) -> None:
        super().__init__()
        self.sizes = sizes
        layers = Reflected(causal=sizes.causal)
        encoder = encoder_stack(
            layers,
            width=sizes.encoder_dim,
            strides=sizes.encoder_rates,
            outputs=sizes.latent,
            lstm=sizes.lstm,
        )
        decoder = decoder_stack(
            layers,
            inputs=sizes.latent,
            width=sizes.decoder_dim,
            strides=sizes.decoder_rates,
            lstm=sizes.lstm,
        )
        self.encoder = nn.ModuleDict({"block": encoder})
        self.quantizer = FacodecQuantizer(sizes)
        self.decoder = nn.ModuleDict({"model": decoder})

    @classmethod
    def from_published(cls, folder: Path) -> Self:
        """The codec of ``pytorch_model.bin`` in ``folder``, without discriminator and predictors.

        Raises ``WeightsError`` naming the file, network or keys that are missing or don't fit.
        """
        codec = cls(sizes_in(folder, "facodec", FacodecSizes()))
        stored = read_weights(folder / FILE)
        stored = stored.get("net", stored)
        for name, part in codec.named_children():
            if name not in stored:
                raise WeightsError(f"{FILE} holds no {name}. Download the model again.")
            state = strip_prefix(stored[name], "module.")
            load_exactly(part, state, what=f"{FILE}'s {name}", optional=CONSTANTS)
        fold_weight_norm(codec)
        return codec.eval()

    def latents(self, wav: Tensor) -> Tensor:
        """Samples (B, 1, L) before quantisation: (B, C, ceil(L / hop))."""
        return self.encoder["block"](wav)

    def mel(self, wav: Tensor) -> Tensor:
        """Normalised log mels (B, 80, floor(L / 300)) of samples (B, 1, L)."""
        return self.quantizer.to_mel(wav[:, 0])

    def timbre(self, wav: Tensor) -> Tensor:
        """The timbre (B, C) of samples (B, 1, L)."""
        return self.quantizer.timbre_encoder(self.mel(wav))

    def encode(self, wav: Tensor) -> CodesAndTimbre:
        """Codes and timbre of samples (B, 1, L), which are filled up with zeros to whole frames."""
        wav = F.pad(wav, (0, -wav.shape[-1] % self.sizes.hop))
        parts = self.quantizer.quantize(self.latents(wav), self.mel(wav))
        return CodesAndTimbre(parts.codes, self.timbre(wav))

    def decode(self, codes: Tensor, timbre: Tensor, *, residual: bool = True) -> Tensor:
        """Samples (B, 1, T * hop) of codes (K, B, T) in a timbre (B, C).

        The residual carries what is left of the first timbre; conversion leaves it out.
        """
        parts = self.quantizer.vectors(codes)
        vectors = parts.prosody + parts.content
        return self.synthesize(vectors + parts.residual if residual else vectors, timbre)

    def synthesize(self, vectors: Tensor, timbre: Tensor) -> Tensor:
        """Samples (B, 1, T * hop) of summed vectors (B, C, T) in a timbre (B, C)."""
        return self.decoder["model"](self.quantizer.style(vectors, timbre))

    def convert(self, source: Tensor, reference: Tensor) -> Tensor:
        """``source`` (B, 1, L) in the timbre of ``reference`` (B, 1, L'), both at 24 kHz."""
        return self.decode(self.encode(source).codes, self.timbre(reference), residual=False)
