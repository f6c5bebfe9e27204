"""The Descript Audio Codec (Kumar et al. 2023) through ``transformers``: 16, 24 and 44.1 kHz."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from engines.base import Card, Device, Task, Weights
from engines.codec.base import CodecEngine, CodecParams
from engines.codec.frames import Extra, FrameCodec
from engines.parts.published import file_bytes, need_mb
from engines.parts.transformers_models import whole_model

FILES = ("config.json", "model.safetensors")
PARAMETERS = 76_700_000


class DacModelName(StrEnum):
    """The published weights."""

    KHZ_44 = "dac-44khz"
    KHZ_24 = "dac-24khz"
    KHZ_16 = "dac-16khz"


class DacParams(CodecParams):
    """Parameters of one round trip."""

    model: DacModelName = Field(
        DacModelName.KHZ_44,
        title="Model",
        description="44.1 kHz with 9 codebooks (8 kbit/s), 24 kHz with 32, or 16 kHz with 12.",
    )


class DacFrames(FrameCodec):
    """Convolutions alone: with a second of context each frame has the codes that it has in the whole."""

    context_s = 1.0

    def __init__(self, model: Any):
        config = model.config
        self.model = model
        self.rate, self.hop = config.sampling_rate, int(np.prod(config.downsampling_ratios))
        self.sizes = (config.codebook_size,) * config.n_codebooks

    def encode(self, samples: np.ndarray, count: int) -> np.ndarray:
        import torch

        with torch.inference_mode():
            wave = torch.from_numpy(samples)[None].to(self.model.device)
            return self.model.encode(wave, n_quantizers=count).audio_codes[0].cpu().numpy()

    def decode(self, codes: np.ndarray, extra: Extra) -> np.ndarray:
        import torch

        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(codes))[None].to(self.model.device)
            latents = self.model.quantizer.from_codes(given)[0]
            return self.model.decoder(latents)[0].float().cpu().numpy()


class Dac(CodecEngine):
    """The three published models."""

    card = Card(
        id="dac",
        title="DAC",
        task=Task.CODEC,
        summary="The Descript Audio Codec: speech, music and sounds at up to 44.1 kHz in 8 kbit/s.",
        license_code="Apache-2.0 (Transformers)",
        license_weights="MIT",
        sample_rate=44_100,
        paper="https://arxiv.org/abs/2306.06546",
        home="https://huggingface.co/descript/dac_44khz",
        memory_mb={"float32": need_mb(PARAMETERS)},
        requires=("transformers", "torch"),
        pip_extra="transformers torch",
    )
    Params = DacParams
    counts: ClassVar[Mapping[str, int]] = {
        DacModelName.KHZ_44: 9,
        DacModelName.KHZ_24: 32,
        DacModelName.KHZ_16: 12,
    }

    def weights(self) -> Sequence[Weights]:
        """44.1 kHz first."""
        titles = {
            DacModelName.KHZ_44: "DAC, 44.1 kHz",
            DacModelName.KHZ_24: "DAC, 24 kHz",
            DacModelName.KHZ_16: "DAC, 16 kHz",
        }
        return tuple(
            Weights(
                name, title, repo=f"descript/{name.replace('-', '_')}", files=FILES,
                size_bytes=file_bytes(PARAMETERS), license="MIT",
            )
            for name, title in titles.items()
        )  # fmt: skip

    def open(self, weights: Weights, folder: Path, device: Device) -> FrameCodec:
        """The network."""
        from transformers import DacModel

        return DacFrames(whole_model(DacModel, folder, weights.title).to(device.device))
