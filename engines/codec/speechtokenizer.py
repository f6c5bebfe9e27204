"""SpeechTokenizer (Zhang et al. 2024): content in the first codebook, timbre and detail in the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from engines.base import Card, Device, Task, Weights
from engines.codec.base import CodecEngine
from engines.codec.frames import Extra, FrameCodec
from engines.parts.published import file_bytes, need_mb, placed

if TYPE_CHECKING:
    from engines.networks.speechtokenizer.codec import SpeechTokenizer as Network

PARAMETERS = 103_675_586
FOLDER = "speechtokenizer_hubert_avg"


class SpeechTokenizerFrames(FrameCodec):
    """The network with an LSTM in each half."""

    def __init__(self, network: Network, device: str):
        config = network.config
        self.network, self.device = network, device
        self.rate, self.hop = config.sample_rate, config.hop
        self.sizes = (config.codebook_size,) * config.n_q

    def encode(self, samples: np.ndarray, count: int) -> np.ndarray:
        import torch

        with torch.inference_mode():
            wave = torch.from_numpy(samples)[None].to(self.device)
            return self.network.encode(wave, count)[:, 0].cpu().numpy()

    def decode(self, codes: np.ndarray, extra: Extra) -> np.ndarray:
        import torch

        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(codes))[:, None].to(self.device)
            return self.network.decode(given)[0].cpu().numpy()


class SpeechTokenizer(CodecEngine):
    """The published model."""

    card = Card(
        id="speechtokenizer",
        title="SpeechTokenizer",
        task=Task.CODEC,
        summary="Speech at 16 kHz as 8 codebooks, of which the first carries what is said.",
        license_code="MIT",
        license_weights="Apache-2.0",
        sample_rate=16_000,
        languages=("en",),
        paper="https://arxiv.org/abs/2308.16692",
        home="https://huggingface.co/fnlp/SpeechTokenizer",
        memory_mb={"float32": need_mb(PARAMETERS)},
        requires=("torch",),
        pip_extra="torch",
    )
    counts: ClassVar[Mapping[str, int]] = {"speechtokenizer": 8}

    def weights(self) -> Sequence[Weights]:
        """The published ones."""
        return (
            Weights(
                "speechtokenizer", "SpeechTokenizer", repo="fnlp/SpeechTokenizer",
                files=(f"{FOLDER}/config.json", f"{FOLDER}/SpeechTokenizer.pt"),
                size_bytes=file_bytes(120_461_002), license="Apache-2.0", languages=("en",),
            ),
        )  # fmt: skip

    def open(self, weights: Weights, folder: Path, device: Device) -> FrameCodec:
        """The network."""
        from engines.networks.speechtokenizer.codec import SpeechTokenizer as Network

        network = placed(Network.from_published(folder / FOLDER), device)
        return SpeechTokenizerFrames(network, device.device)
