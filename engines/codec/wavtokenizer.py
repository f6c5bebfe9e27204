"""WavTokenizer (Ji et al. 2025) through ``transformers``: one codebook, 40 or 75 frames a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from engines.base import Card, Device, NotReady, Task, Weights
from engines.codec.base import CodecEngine
from engines.codec.frames import Extra, FrameCodec
from engines.parts.published import need_mb
from engines.parts.transformers_models import whole_model

PARAMETERS = 80_000_000


class WavTokenizerFrames(FrameCodec):
    """LSTMs in the encoder, attention over the window in the decoder."""

    def __init__(self, model: Any):
        config = model.config
        self.model = model
        self.rate, self.hop = config.sampling_rate, int(np.prod(config.upsampling_ratios))
        self.sizes = (config.codebook_size,)

    def encode(self, samples: np.ndarray, count: int) -> np.ndarray:
        import torch

        with torch.inference_mode():
            wave = torch.from_numpy(samples)[None].to(self.model.device)
            return self.model.encode(wave).audio_codes[0].cpu().numpy()

    def decode(self, codes: np.ndarray, extra: Extra) -> np.ndarray:
        import torch

        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(codes))[None].to(self.model.device)
            return self.model.decode(given).audio_values[0].float().cpu().numpy()


class WavTokenizer(CodecEngine):
    """The published model for speech, music and sounds."""

    card = Card(
        id="wavtokenizer",
        title="WavTokenizer",
        task=Task.CODEC,
        summary="One codebook for speech, music and sounds at 24 kHz: 40 tokens a second, 0.5 kbit/s.",
        license_code="Apache-2.0 (Transformers)",
        license_weights="MIT",
        sample_rate=24_000,
        paper="https://arxiv.org/abs/2408.16532",
        home="https://huggingface.co/swiss-ai/wavtokenizer-large-unify-40token",
        memory_mb={"float32": need_mb(PARAMETERS)},
        requires=("transformers", "torch"),
        pip_extra="transformers torch",
    )
    counts: ClassVar[Mapping[str, int]] = {"wavtokenizer": 1}

    def weights(self) -> Sequence[Weights]:
        """Those in the layout of ``transformers``."""
        return (
            Weights(
                "wavtokenizer", "WavTokenizer, unified, 40 tokens/s",
                repo="swiss-ai/wavtokenizer-large-unify-40token",
                files=("config.json", "model.safetensors"), license="MIT",
            ),
        )  # fmt: skip

    def open(self, weights: Weights, folder: Path, device: Device) -> FrameCodec:
        """The network."""
        try:
            from transformers import WavTokenizerModel
        except ImportError as error:
            raise NotReady(
                "WavTokenizer needs transformers 5.24 or newer: pip install -U transformers"
            ) from error
        return WavTokenizerFrames(
            whole_model(WavTokenizerModel, folder, weights.title).to(device.device)
        )
