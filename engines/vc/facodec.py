"""Conversion by FACodecs: prosody and content of the source are decoded in the timbre of a reference."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from engines.base import AudioFile, Card, Clip, Device, Engine, Job, Params, Task, Weights
from engines.parts import facodecs
from engines.parts.published import Part, parts_mb
from engines.parts.references import LONGEST_SOURCE_S, Sound, check_length, read_sound
from engines.parts.windows import converted, windows

if TYPE_CHECKING:
    import torch

WINDOW_S = 20.0
SHORTEST_REFERENCE_S, LONGEST_REFERENCE_S = 1.0, 60.0


class FacodecConversionParams(Params):
    """Parameters of one conversion."""

    source: AudioFile = Field(title="Source", description="Speech whose words and melody stay.")
    reference: AudioFile = Field(
        title="Reference",
        description="Speech of the voice to take on, 1 to 60 s; 5 to 15 s of clean speech are best.",
    )


class _FacodecEngine(Engine):
    """Reads both sounds, and converts the source window by window."""

    Params = FacodecConversionParams
    rate: int

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._device = "cpu"

    @abstractmethod
    def timbre(self, wave: torch.Tensor) -> torch.Tensor:
        """The timbre (1, C) of samples (1, 1, L)."""

    @abstractmethod
    def convert(self, wave: torch.Tensor, timbre: torch.Tensor) -> torch.Tensor:
        """Samples (1, 1, L) in another timbre."""

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for sounds that can't be read, or are too short or too long."""
        check_length(params.source, "source", shortest_s=0.1, longest_s=LONGEST_SOURCE_S)
        check_length(
            params.reference, "reference",
            shortest_s=SHORTEST_REFERENCE_S, longest_s=LONGEST_REFERENCE_S,
        )  # fmt: skip

    def run(self, params: Any, job: Job) -> Iterator[Clip]:
        """The converted source, emitted window by window; the same each time."""
        import torch

        reference = read_sound(
            params.reference, "reference",
            shortest_s=SHORTEST_REFERENCE_S, longest_s=LONGEST_REFERENCE_S,
        )  # fmt: skip
        source = read_sound(params.source, "source")
        cut = windows(source, WINDOW_S)
        with torch.inference_mode():
            timbre = self.timbre(reference.tensor(self.rate, self._device)[None, None])

        def change(sound: Sound, number: int) -> np.ndarray:
            job.check()
            job.progress(number, len(cut), f"window {number + 1} of {len(cut)}")
            with torch.inference_mode():
                wave = sound.tensor(self.rate, self._device)[None, None]
                return self.convert(wave, timbre)[0, 0].float().cpu().numpy()

        pieces = []
        for piece in converted(source, cut, self.rate, change):
            pieces.append(piece)
            job.emit(piece, self.rate)
        job.progress(1, 1)
        weights = self.weights_for(params)
        revision = self.cache.revision(weights) if weights else ""
        yield Clip(np.concatenate(pieces), self.rate, revision=revision)


class FacodecConversion(_FacodecEngine):
    """FAcodec at 24 kHz."""

    card = Card(
        id="facodec-conversion",
        title="FAcodec conversion",
        task=Task.VC,
        summary="Speech at 24 kHz in the voice of a reference, decoded from FAcodec's prosody and content.",
        license_code="MIT",
        license_weights="MIT",
        sample_rate=24_000,
        paper="https://arxiv.org/abs/2403.03100",
        home="https://huggingface.co/Plachta/FAcodec",
        memory_mb={"float32": facodecs.FACODEC_PART.mb("float32")},
        requires=("torch",),
        pip_extra="torch",
    )
    rate = 24_000

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._network: Any = None

    def weights(self) -> Sequence[Weights]:
        """Those of the codec."""
        return (facodecs.FACODEC,)

    def shared_mb(self, dtype: str, params: Any = None) -> dict[str, int]:
        """The network, which the codec's engine uses too."""
        return parts_mb([facodecs.FACODEC_PART], self.cache, dtype)

    def load(self, device: Device, params: Any = None) -> None:
        """Take the shared network."""
        self._network = facodecs.facodec(self.cache, device)
        self._device = device.device

    def unload(self) -> None:
        """Drop it."""
        self._network = None

    def timbre(self, wave: torch.Tensor) -> torch.Tensor:
        return self._network.timbre(wave)

    def convert(self, wave: torch.Tensor, timbre: torch.Tensor) -> torch.Tensor:
        return self._network.decode(self._network.encode(wave).codes, timbre, residual=False)


class Ns3ConversionModel(StrEnum):
    """Ways to convert."""

    REDECODER = "redecoder"
    V2 = "version-2"


class Ns3ConversionParams(FacodecConversionParams):
    """Parameters of one conversion."""

    model: Ns3ConversionModel = Field(
        Ns3ConversionModel.REDECODER,
        title="Model",
        description="Version 1 with the redecoder made for conversion, or version 2 by itself.",
    )


V1 = Weights(
    "ns3-facodec-v1-redecoder", "NS3 FACodec, version 1 with redecoder", repo=facodecs.NS3,
    files=facodecs.NS3_REDECODER.files, optional=("config.json",),
    size_bytes=facodecs.NS3_REDECODER.size_bytes, license=facodecs.NS3_V1.license,
    parts=(facodecs.NS3_V1,),
)  # fmt: skip


class Ns3Conversion(_FacodecEngine):
    """NS3 FACodec at 16 kHz."""

    card = Card(
        id="ns3-facodec-conversion",
        title="NaturalSpeech 3 FACodec conversion",
        task=Task.VC,
        summary="Speech at 16 kHz in the voice of a reference, by FACodec's redecoder or its version 2.",
        license_code="MIT",
        license_weights="Apache-2.0",
        sample_rate=16_000,
        languages=("en",),
        paper="https://arxiv.org/abs/2403.03100",
        home="https://huggingface.co/amphion/naturalspeech3_facodec",
        memory_mb={
            "float32": facodecs.NS3_V1_PART.mb("float32")
            + facodecs.NS3_REDECODER_PART.mb("float32")
        },
        requires=("torch",),
        pip_extra="torch",
    )
    Params = Ns3ConversionParams
    rate = 16_000

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._codec: Any = None
        self._redecoder: Any = None
        self._name = ""

    def weights(self) -> Sequence[Weights]:
        """The redecoder first."""
        return V1, facodecs.NS3_V2

    def weights_for(self, params: Any) -> Weights:
        """What ``params`` asks for."""
        return V1 if params.model is Ns3ConversionModel.REDECODER else facodecs.NS3_V2

    def _parts(self, params: Any) -> Sequence[Part]:
        if params is not None and params.model is Ns3ConversionModel.V2:
            return (facodecs.NS3_V2_PART,)
        return facodecs.NS3_V1_PART, facodecs.NS3_REDECODER_PART

    def shared_mb(self, dtype: str, params: Any = None) -> dict[str, int]:
        """The networks, which the codec's engine uses too."""
        return parts_mb(self._parts(params), self.cache, dtype)

    def load(self, device: Device, params: Any = None) -> None:
        """Take the shared networks of one version."""
        version_2 = params is not None and params.model is Ns3ConversionModel.V2
        name = "2" if version_2 else "1"
        if self._name == name:
            return
        self.unload()
        self._codec = facodecs.ns3_facodec(self.cache, device, 2 if version_2 else 1)
        self._redecoder = None if version_2 else facodecs.redecoder(self.cache, device)
        self._name, self._device = name, device.device

    def unload(self) -> None:
        """Drop them."""
        self._name, self._codec, self._redecoder = "", None, None

    def timbre(self, wave: torch.Tensor) -> torch.Tensor:
        return self._codec.encode(wave).speaker

    def convert(self, wave: torch.Tensor, timbre: torch.Tensor) -> torch.Tensor:
        from engines.networks.ns3_facodec.codec import convert

        return convert(self._codec, wave, timbre, self._redecoder)
