"""Mimi, the codec of Moshi (Défossez et al. 2024), through ``transformers``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from engines.base import Card, Device, Task, Weights
from engines.codec.base import CodecEngine
from engines.codec.frames import Extra, FrameCodec
from engines.parts.published import file_bytes, need_mb
from engines.parts.transformers_models import whole_model

PARAMETERS = 96_200_000


class MimiFrames(FrameCodec):
    """Causal convolutions around transformers that look back ten seconds."""

    window_s, context_s = 20.0, 10.0

    def __init__(self, model: Any):
        config = model.config
        self.model = model
        self.rate = config.sampling_rate
        self.hop = round(config.sampling_rate / config.frame_rate)
        self.sizes = (config.codebook_size,) * config.num_quantizers

    def encode(self, samples: np.ndarray, count: int) -> np.ndarray:
        import torch

        with torch.inference_mode():
            wave = torch.from_numpy(samples)[None].to(self.model.device)
            return self.model.encode(wave, num_quantizers=count).audio_codes[0].cpu().numpy()

    def decode(self, codes: np.ndarray, extra: Extra) -> np.ndarray:
        import torch

        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(codes))[None].to(self.model.device)
            return self.model.decode(given).audio_values[0].float().cpu().numpy()


class Mimi(CodecEngine):
    """The published model."""

    card = Card(
        id="mimi",
        title="Mimi",
        task=Task.CODEC,
        summary="The codec of Moshi: speech at 24 kHz in 12.5 frames a second, the first codebook semantic.",
        license_code="Apache-2.0 (Transformers)",
        license_weights="CC-BY-4.0",
        sample_rate=24_000,
        paper="https://arxiv.org/abs/2410.00037",
        home="https://huggingface.co/kyutai/mimi",
        memory_mb={"float32": need_mb(PARAMETERS)},
        requires=("transformers", "torch"),
        pip_extra="transformers torch",
        notes="Moshi uses the first 8 of its 32 codebooks (1.1 kbit/s).",
    )
    counts: ClassVar[Mapping[str, int]] = {"mimi": 32}

    def weights(self) -> Sequence[Weights]:
        """The published ones."""
        return (
            Weights(
                "mimi", "Mimi", repo="kyutai/mimi", files=("config.json", "model.safetensors"),
                size_bytes=file_bytes(PARAMETERS), license="CC-BY-4.0",
            ),
        )  # fmt: skip

    def open(self, weights: Weights, folder: Path, device: Device) -> FrameCodec:
        """The network."""
        from transformers import MimiModel

        return MimiFrames(whole_model(MimiModel, folder, weights.title).to(device.device))
