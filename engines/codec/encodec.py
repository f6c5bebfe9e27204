"""EnCodec (Défossez et al. 2022) through ``transformers``: 24, 32 and 48 kHz, and the studio's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from engines.audio import Joiner
from engines.base import Card, Device, Task, Weights
from engines.codec.base import CodecEngine, CodecParams
from engines.codec.frames import Extra, FrameCodec, Tick
from engines.parts.published import need_mb, placed
from engines.parts.studio_tiny import FOLDER
from engines.parts.transformers_models import whole_model

FILES = ("config.json", "model.safetensors")
PARAMETERS = 24_000_000


class EncodecModelName(StrEnum):
    """The published weights."""

    KHZ_24 = "encodec-24khz"
    KHZ_48 = "encodec-48khz"
    KHZ_32 = "encodec-32khz"


class EncodecParams(CodecParams):
    """Parameters of one round trip."""

    model: EncodecModelName = Field(
        EncodecModelName.KHZ_24,
        title="Model",
        description="24 kHz mono for all sounds, 48 kHz stereo, or 32 kHz mono for music.",
    )


class EncodecFrames(FrameCodec):
    """Models without chunks of their own."""

    def __init__(self, model: Any):
        config = model.config
        self.model = model
        self.rate, self.channels = config.sampling_rate, config.audio_channels
        self.hop = int(np.prod(config.upsampling_ratios))
        self.sizes = (config.codebook_size,) * model.quantizer.get_num_quantizers_for_bandwidth(
            config.target_bandwidths[-1]
        )

    def encode(self, samples: np.ndarray, count: int) -> np.ndarray:
        import torch

        with torch.inference_mode():
            wave = torch.from_numpy(samples)[None].to(self.model.device)
            hidden = self.model.encoder(wave)
            codes = self.model.quantizer.encode(hidden, self.model.config.target_bandwidths[-1])
        return codes[:count, 0].cpu().numpy()

    def decode(self, codes: np.ndarray, extra: Extra) -> np.ndarray:
        import torch

        with torch.inference_mode():
            given = torch.from_numpy(np.ascontiguousarray(codes))[:, None].to(self.model.device)
            return self.model.decoder(self.model.quantizer.decode(given))[0].float().cpu().numpy()


class EncodecChunks(EncodecFrames):
    """Models that hear chunks of a second, each at its own level, which overlap a little."""

    def __init__(self, model: Any):
        super().__init__(model)
        self.chunk, self.stride = model.config.chunk_length, model.config.chunk_stride

    def _starts(self, samples: int) -> range:
        return range(0, max(1, samples - (self.chunk - self.stride)), self.stride)

    def _frames(self, samples: int, start: int) -> int:
        return -(-min(self.chunk, samples - start) // self.hop)

    def encoded(
        self, samples: np.ndarray, count: int, tick: Tick
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        parts, scales = [], []
        starts = self._starts(samples.shape[-1])
        for number, start in enumerate(starts):
            tick(number, len(starts))
            heard = samples[:, start : start + self.chunk]
            scale = np.float32(np.sqrt(np.square(heard.mean(axis=0)).mean()) + 1e-8)
            if not self.model.config.normalize:
                scale = np.float32(1)
            parts.append(self.encode(np.ascontiguousarray(heard / scale), count))
            scales.append(scale)
        return np.concatenate(parts, axis=1), {"scales": np.array(scales, np.float32)}

    def decoded(
        self, codes: np.ndarray, extra: Extra, samples: int, tick: Tick
    ) -> Iterator[np.ndarray]:
        joiner = Joiner(self.rate, (self.chunk - self.stride) / self.rate)
        starts, at, given = self._starts(samples), 0, 0
        for number, start in enumerate(starts):
            tick(number, len(starts))
            frames = self._frames(samples, start)
            made = self.decode(codes[:, at : at + frames], {}) * extra["scales"][number]
            at += frames
            made = made[:, : min(self.chunk, samples - start)]
            ready = joiner.feed(made)
            if number == len(starts) - 1 and (tail := joiner.finish()).shape[-1]:
                ready = np.concatenate([ready, tail], axis=-1)
            ready = ready[:, : samples - given]
            given += ready.shape[-1]
            if ready.shape[-1]:
                yield ready


def _published(name: EncodecModelName, title: str, license: str, size: int = 0) -> Weights:
    repo = f"facebook/{name.replace('-', '_')}"
    return Weights(
        name, title, repo=repo, files=FILES, size_bytes=size, license=license,
        non_commercial="NC" in license,
    )  # fmt: skip


class Encodec(CodecEngine):
    """The three published models."""

    card = Card(
        id="encodec",
        title="EnCodec",
        task=Task.CODEC,
        summary="The neural codec for all sounds that most token models build on: 1.5 to 24 kbit/s.",
        license_code="Apache-2.0 (Transformers)",
        license_weights="MIT (24 and 48 kHz), CC-BY-NC-4.0 (32 kHz)",
        sample_rate=24_000,
        non_commercial=True,
        paper="https://arxiv.org/abs/2210.13438",
        home="https://huggingface.co/facebook/encodec_24khz",
        memory_mb={"float32": need_mb(2 * PARAMETERS)},
        requires=("transformers", "torch"),
        pip_extra="transformers torch",
        notes="Only the 32 kHz model, which MusicGen uses, is limited to non-commercial use.",
    )
    Params = EncodecParams
    counts: ClassVar[Mapping[str, int]] = {
        EncodecModelName.KHZ_24: 32,
        EncodecModelName.KHZ_48: 16,
        EncodecModelName.KHZ_32: 4,
    }

    def weights(self) -> Sequence[Weights]:
        """24 kHz first."""
        return (
            _published(EncodecModelName.KHZ_24, "EnCodec, 24 kHz mono", "MIT"),
            _published(EncodecModelName.KHZ_48, "EnCodec, 48 kHz stereo", "MIT"),
            _published(EncodecModelName.KHZ_32, "EnCodec, 32 kHz mono", "CC-BY-NC-4.0"),
        )

    def open(self, weights: Weights, folder: Path, device: Device) -> FrameCodec:
        """The network, with or without chunks as its configuration says."""
        from transformers import EncodecModel

        model = whole_model(EncodecModel, folder, weights.title).to(device.device)
        chunked = model.config.chunk_length_s is not None
        return EncodecChunks(model) if chunked else EncodecFrames(model)


class StudioTinyCodec(CodecEngine):
    """The EnCodec inside the MusicGen that ships with the studio."""

    card = Card(
        id="studio-tiny-codec",
        title="Studio tiny codec",
        task=Task.CODEC,
        summary="The small EnCodec of the embedded music model: 16 kHz, 0.6 to 2.4 kbit/s.",
        license_code="Apache-2.0 (Transformers)",
        license_weights="MIT",
        sample_rate=16_000,
        paper="https://arxiv.org/abs/2210.13438",
        memory_mb={"float32": 40},
        requires=("transformers", "torch"),
        pip_extra="transformers torch",
        notes="Trained on synthetic music with a few instruments; speech comes back rough.",
    )
    counts: ClassVar[Mapping[str, int]] = {"studio-tiny-codec": 4}

    def weights(self) -> Sequence[Weights]:
        """The one that ships."""
        return (Weights("studio-tiny-codec", "Studio tiny codec", license="MIT", embedded=True),)

    def folder(self, weights: Weights) -> Path:
        """Inside the installed studio."""
        return FOLDER

    def open(self, weights: Weights, folder: Path, device: Device) -> FrameCodec:
        """The codec's part of the music model."""
        from transformers import EncodecConfig, EncodecModel

        from engines.networks.weights import build_exactly, read_config, read_weights, section

        config = EncodecConfig(**section(read_config(folder / "config.json"), "audio_encoder"))
        prefix = "audio_encoder."
        state = {
            key.removeprefix(prefix): tensor.float()
            for key, tensor in read_weights(folder / "model.safetensors").items()
            if key.startswith(prefix)
        }
        model = EncodecModel(config)
        made = build_exactly(lambda: model, state, what="the studio's codec")
        return EncodecFrames(placed(made, device))
