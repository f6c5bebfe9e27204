"""FAcodec and the FACodec of NaturalSpeech 3: prosody, content and detail apart, and a timbre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from engines.base import Card, Device, StudioError, Task, Weights
from engines.codec.base import CodecEngine, CodecParams
from engines.codec.frames import Extra, FrameCodec, Tick
from engines.parts import facodecs
from engines.parts.published import parts_mb

if TYPE_CHECKING:
    import torch

    from engines.networks.facodec.codec import PlachtaFacodec
    from engines.networks.ns3_facodec.codec import Facodec


class FacodecGroups(FrameCodec):
    """Codebooks in groups of which the last, the residual, may be left out; the timbre goes beside them."""

    groups: Sequence[int]
    device: str

    def about(self, samples: np.ndarray, tick: Tick) -> dict[str, np.ndarray]:
        """The mean timbre of all stretches, by their lengths."""
        import torch

        size = round(facodecs.LARGEST_TIMBRE_S * self.rate)
        size = size // self.hop * self.hop
        total, weight = np.zeros(1), 0
        with torch.inference_mode():
            for start in range(0, samples.shape[-1], size):
                tick(start, samples.shape[-1])
                heard = samples[:, start : start + size]
                length = heard.shape[-1]
                if weight and length < size // 4:
                    continue  # a short rest says little of a voice
                least = self.rate // 2
                heard = np.pad(heard, ((0, 0), (0, max(0, least - length))))
                wave = torch.from_numpy(np.ascontiguousarray(heard))[None].to(self.device)
                total = total + length * self.timbre(wave).cpu().numpy()
                weight += length
        return {"timbre": (total / weight).astype(np.float32)}

    def timbre(self, wave: torch.Tensor) -> torch.Tensor:
        """The timbre (1, C) of samples (1, 1, L)."""
        raise NotImplementedError

    def _given(self, codes: np.ndarray, extra: Extra) -> tuple[torch.Tensor, torch.Tensor, bool]:
        """All rows of codes (K, 1, T), the timbre, and whether the residual is meant."""
        import torch

        rows = np.zeros((sum(self.groups), codes.shape[1]), np.int64)
        rows[: len(codes)] = codes
        residual = len(codes) == len(rows)
        given = torch.from_numpy(rows)[:, None].to(self.device)
        return given, torch.from_numpy(extra["timbre"]).to(self.device), residual


class PlachtaFrames(FacodecGroups):
    """FAcodec at 24 kHz: causal, with LSTMs."""

    def __init__(self, network: PlachtaFacodec, device: str):
        from engines.networks.facodec.parts import SAMPLE_RATE

        sizes = network.sizes
        self.network, self.device = network, device
        self.rate, self.hop, self.groups = SAMPLE_RATE, sizes.hop, sizes.groups
        self.sizes = (sizes.codebook_size,) * sum(sizes.groups)

    def encode(self, samples: np.ndarray, count: int) -> np.ndarray:
        import torch

        with torch.inference_mode():
            wave = torch.from_numpy(samples)[None].to(self.device)
            parts = self.network.quantizer.quantize(
                self.network.latents(wave), self.network.mel(wave)
            )
        return parts.codes[:count, 0].cpu().numpy()

    def decode(self, codes: np.ndarray, extra: Extra) -> np.ndarray:
        import torch

        given, timbre, residual = self._given(codes, extra)
        with torch.inference_mode():
            return self.network.decode(given, timbre, residual=residual)[0].cpu().numpy()

    def timbre(self, wave: torch.Tensor) -> torch.Tensor:
        return self.network.timbre(wave)


class Ns3Frames(FacodecGroups):
    """NS3 FACodec at 16 kHz, both versions."""

    def __init__(self, network: Facodec, device: str):
        self.network, self.device = network, device
        self.rate, self.hop = 16_000, network.encoder.config.hop
        groups = network.decoder.config.groups
        self.groups = [count for count, _ in groups]
        self.sizes = tuple(size for count, size in groups for _ in range(count))

    def encode(self, samples: np.ndarray, count: int) -> np.ndarray:
        import torch

        with torch.inference_mode():
            wave = torch.from_numpy(samples)[None].to(self.device)
            return self.network.encode(wave).codes[:count, 0].cpu().numpy()

    def decode(self, codes: np.ndarray, extra: Extra) -> np.ndarray:
        import torch

        given, timbre, residual = self._given(codes, extra)
        with torch.inference_mode():
            return self.network.decode(given, timbre, residual=residual)[0].cpu().numpy()

    def timbre(self, wave: torch.Tensor) -> torch.Tensor:
        return self.network.encode(wave).speaker


class _GroupedEngine(CodecEngine):
    """Takes three codebooks or all six."""

    without_residual: ClassVar[int] = 3

    def _enough(self, asked: int, count: int, weights: Weights) -> int:
        if asked not in (0, self.without_residual, count):
            raise StudioError(
                f"The codebooks of {weights.title} belong together: take {self.without_residual} "
                f"(prosody and content) or all {count}.",
                "codebooks",
            )
        return super()._enough(asked, count, weights)


class FAcodec(_GroupedEngine):
    """FAcodec."""

    card = Card(
        id="facodec",
        title="FAcodec",
        task=Task.CODEC,
        summary="Speech at 24 kHz taken apart into prosody, content, detail and one timbre.",
        license_code="MIT",
        license_weights="MIT",
        sample_rate=24_000,
        paper="https://arxiv.org/abs/2403.03100",
        home="https://huggingface.co/Plachta/FAcodec",
        memory_mb={"float32": facodecs.FACODEC_PART.mb("float32")},
        requires=("torch",),
        pip_extra="torch",
        notes="Made for speech: music does not survive it.",
    )
    counts: ClassVar[Mapping[str, int]] = {"facodec": 6}

    def weights(self) -> Sequence[Weights]:
        """The published ones."""
        return (facodecs.FACODEC,)

    def shared_mb(self, dtype: str, params: object = None) -> dict[str, int]:
        """The network, which the conversion engine uses too."""
        return parts_mb([facodecs.FACODEC_PART], self.cache, dtype)

    def open(self, weights: Weights, folder: Path, device: Device) -> FrameCodec:
        """The shared network."""
        return PlachtaFrames(facodecs.facodec(self.cache, device), device.device)


class Ns3Version(StrEnum):
    """Both published versions."""

    V1 = "ns3-facodec-v1"
    V2 = "ns3-facodec-v2"


class Ns3Params(CodecParams):
    """Parameters of one round trip."""

    model: Ns3Version = Field(
        Ns3Version.V1,
        title="Version",
        description="Version 2 takes the prosody from the lowest mel bands and converts by itself.",
    )


class Ns3Facodec(_GroupedEngine):
    """NS3 FACodec."""

    card = Card(
        id="ns3-facodec",
        title="NaturalSpeech 3 FACodec",
        task=Task.CODEC,
        summary="Speech at 16 kHz taken apart into prosody, content, detail and one speaker.",
        license_code="MIT",
        license_weights="Apache-2.0",
        sample_rate=16_000,
        languages=("en",),
        paper="https://arxiv.org/abs/2403.03100",
        home="https://huggingface.co/amphion/naturalspeech3_facodec",
        memory_mb={"float32": facodecs.NS3_V2_PART.mb("float32")},
        requires=("torch",),
        pip_extra="torch",
        notes="Made for speech: music does not survive it.",
    )
    Params = Ns3Params
    counts: ClassVar[Mapping[str, int]] = {Ns3Version.V1: 6, Ns3Version.V2: 6}

    def weights(self) -> Sequence[Weights]:
        """Version 1 first."""
        return facodecs.NS3_V1, facodecs.NS3_V2

    def _part(self, params: object) -> facodecs.Part:
        chosen = self.weights_for(params or self.Params())
        return facodecs.NS3_V2_PART if chosen.id == Ns3Version.V2 else facodecs.NS3_V1_PART

    def shared_mb(self, dtype: str, params: object = None) -> dict[str, int]:
        """The network, which the conversion engine uses too."""
        return parts_mb([self._part(params)], self.cache, dtype)

    def open(self, weights: Weights, folder: Path, device: Device) -> FrameCodec:
        """The shared network of one version."""
        version = 2 if weights.id == Ns3Version.V2 else 1
        return Ns3Frames(facodecs.ns3_facodec(self.cache, device, version), device.device)
