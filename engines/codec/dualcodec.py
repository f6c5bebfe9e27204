"""DualCodec (Li et al. 2025): a semantic codebook from w2v-BERT, acoustic ones for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from engines.base import Card, Device, Task, Weights
from engines.codec.base import CodecEngine, CodecParams
from engines.codec.frames import Extra, FrameCodec
from engines.parts import dualcodec
from engines.parts.maskgct import ENCODED, SPEECH_PART
from engines.parts.published import need_mb, parts_mb

if TYPE_CHECKING:
    from engines.networks.dualcodec.codec import DualCodec as Network
    from engines.networks.dualcodec.features import DualCodecFeatures


class DualCodecModel(StrEnum):
    """The published weights."""

    HZ_12 = dualcodec.HZ_12
    HZ_25 = dualcodec.HZ_25


class DualCodecParams(CodecParams):
    """Parameters of one round trip."""

    model: DualCodecModel = Field(
        DualCodecModel.HZ_12,
        title="Model",
        description="12.5 frames a second with 8 codebooks (1.2 kbit/s), or 25 with 12 (3.1 kbit/s).",
    )


class DualCodecFrames(FrameCodec):
    """The codec with its features; the features' last frame ends with the sound's, so one more is heard."""

    spare = 2

    def __init__(self, network: Network, features: DualCodecFeatures, device: str):
        config = network.config
        self.network, self.features, self.device = network, features, device
        self.rate, self.hop = config.sample_rate, config.hop
        self.sizes = (config.semantic_codebook_size,) + (config.codebook_size,) * config.n_codebooks

    def encode(self, samples: np.ndarray, count: int) -> np.ndarray:
        import torch

        with torch.inference_mode():
            wave = torch.from_numpy(samples).to(self.device)
            codes = self.network.encode(wave[None], self.features(wave[0]), count)
        return codes[:, 0].cpu().numpy()

    def decode(self, codes: np.ndarray, extra: Extra) -> np.ndarray:
        import torch

        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(codes))[:, None].to(self.device)
            return self.network.decode(given)[0].cpu().numpy()


class DualCodec(CodecEngine):
    """Both published models."""

    card = Card(
        id="dualcodec",
        title="DualCodec",
        task=Task.CODEC,
        summary="Speech at 24 kHz in 12.5 or 25 frames a second, with a semantic codebook first.",
        license_code="MIT",
        license_weights="MIT",
        sample_rate=24_000,
        languages=("en", "zh", "de", "fr", "ja", "ko"),
        paper="https://arxiv.org/abs/2505.13000",
        home="https://huggingface.co/amphion/dualcodec",
        memory_mb={"float32": need_mb(102_291_874 + ENCODED)},
        requires=("transformers", "torch"),
        pip_extra="transformers torch",
        notes="w2v-BERT 2.0 (2.3 GB) is downloaded too; other engines share it.",
    )
    Params = DualCodecParams
    counts: ClassVar[Mapping[str, int]] = {
        name: count for name, (*_, count) in dualcodec.VARIANTS.items()
    }

    def weights(self) -> Sequence[Weights]:
        """12.5 Hz first."""
        return tuple(dualcodec.CODECS.values())

    def open(self, weights: Weights, folder: Path, device: Device) -> FrameCodec:
        """The codec, and the encoder of its features."""
        network = dualcodec.codec(self.cache, device, weights.id)
        features = dualcodec.features(self.cache, device, weights.id)
        return DualCodecFrames(network, features, device.device)

    def shared_mb(self, dtype: str, params: object = None) -> dict[str, int]:
        """w2v-BERT and the codec, which other engines use too."""
        codec = dualcodec.CODEC_PARTS[self.chosen(params) or dualcodec.HZ_12]
        return parts_mb([SPEECH_PART, codec], self.cache, dtype)
