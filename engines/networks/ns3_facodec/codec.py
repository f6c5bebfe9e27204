"""FACodec as a whole: speech to codes and a speaker, back to speech, and speech of another speaker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from torch import Tensor, nn

from engines.networks.ns3_facodec.decoder import (
    FacodecDecoder,
    FacodecDecoderV2,
    FacodecRedecoder,
)
from engines.networks.ns3_facodec.encoder import FacodecEncoder, FacodecEncoderV2


@dataclass(frozen=True)
class Encoded:
    """Codes (K, B, T) of prosody, content and residual, and the speaker (B, C)."""

    codes: Tensor
    speaker: Tensor


class Facodec(nn.Module):
    """Version 1 or 2: 16 kHz speech (B, 1, L) at 80 frames a second."""

    def __init__(self, encoder: FacodecEncoder, decoder: FacodecDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    @classmethod
    def from_published(cls, folder: Path, *, version: int = 1) -> Self:
        """Encoder and decoder of ``version`` 1 or 2 from their files in ``folder``.

        Raises ``WeightsError`` naming the file or keys that don't fit.
        """
        if version == 2:
            return cls(
                FacodecEncoderV2.from_published(folder), FacodecDecoderV2.from_published(folder)
            )
        return cls(FacodecEncoder.from_published(folder), FacodecDecoder.from_published(folder))

    def encode(self, wav: Tensor) -> Encoded:
        """Codes and speaker of samples (B, 1, L), with T = ceil(L / hop)."""
        wav = self.encoder.whole(wav)
        z, mel = self.encoder(wav), None
        if isinstance(self.encoder, FacodecEncoderV2):
            mel = self.encoder.prosody(wav)
            frames = min(z.shape[-1], mel.shape[-1])
            z, mel = z[..., :frames], mel[..., :frames]
        return Encoded(self.decoder.quantize(z, mel).codes, self.decoder.speaker(z))

    def decode(self, codes: Tensor, speaker: Tensor, *, residual: bool = True) -> Tensor:
        """Samples (B, 1, T * hop); version 2 converts by another ``speaker`` without ``residual``."""
        return self.decoder.inference(self.decoder.vq2emb(codes, residual=residual), speaker)


def convert(
    codec: Facodec, source: Tensor, speaker: Tensor, redecoder: FacodecRedecoder | None = None
) -> Tensor:
    """``source`` (B, 1, L) in the voice of ``speaker`` (B, C), as (B, 1, T * hop).

    Version 1 needs the ``redecoder``, version 2 its own decoder.
    """
    codes = codec.encode(source).codes
    if redecoder is None:
        return codec.decode(codes, speaker, residual=False)
    return redecoder.inference(redecoder.vq2emb(codes, speaker), speaker)
