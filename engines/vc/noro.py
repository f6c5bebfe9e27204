"""Noro: voice conversion that noise in the reference hardly disturbs (Wang et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from engines.base import (
    AudioFile,
    Card,
    Clip,
    Device,
    Engine,
    Job,
    Params,
    Seed,
    StudioError,
    Task,
    Weights,
)
from engines.parts.griffin_lim import griffin_lim
from engines.parts.pieces import beginning, silent
from engines.parts.published import (
    Part,
    file_bytes,
    folder_of,
    generator,
    parts_mb,
)
from engines.parts.references import LONGEST_SOURCE_S, Sound, check_length, read_sound
from engines.parts.transformers_models import whole_model
from engines.parts.vevo_settings import part_of, samples_of, told
from engines.parts.windows import converted, windows

if TYPE_CHECKING:
    import torch

    from engines.networks.noro.network import Noro

RATE, HOP = 16_000, 200
WINDOW_S, REFERENCE_S, PITCH_S = 10.0, 30.0, 60.0
SHORTEST_S, SHORTEST_REFERENCE_S = 0.1, 1.0
LAYERS, PAD = 9, 40
CENTRES = "hubert_base_ls960_L9_km500.npy"
WORKING_MB = 400
HUBERT = Weights(
    id="hubert-base-ls960", title="HuBERT base", repo="facebook/hubert-base-ls960",
    files=("config.json", "pytorch_model.bin"), size_bytes=file_bytes(94_371_712),
    license="Apache-2.0",
)  # fmt: skip
NORO = Weights(
    id="noro", title="Noro", files=("model.safetensors", CENTRES), optional=("args.json",),
    license="MIT (code); the publishers name none for the weights", parts=(HUBERT,),
    advice="The publishers keep the weights in a folder of Google Drive that their page links to. Put "
    "model.safetensors into models/own/noro of the data folder, with the centres of HuBERT's features "
    f"as {CENTRES}: numpy.save(name, joblib.load('hubert_base_ls960_L9_km500.bin').cluster_centers_).",
)  # fmt: skip
HEARING = Part(HUBERT, "layers 1 to 9", 73_100_000)
NETWORK = Part(NORO, "model", 245_877_842)
PARTS = (HEARING, NETWORK)


class NoroSource(Params):
    """What is converted, and to whom."""

    source: AudioFile = Field(title="Source", description="The speech to convert, of any length.")
    reference: AudioFile = Field(
        title="Reference",
        description="Speech of the voice to convert to, also with noise; 30 s at most are heard.",
    )
    steps: int = Field(
        200,
        ge=1,
        le=300,
        title="Steps",
        description="Steps of the diffusion; the publishers advise 150 to 300.",
    )
    sigma: float = Field(
        1.2,
        ge=0.95,
        le=1.5,
        title="Sigma",
        description="The noise that the diffusion begins with is divided by it: more is smoother.",
        json_schema_extra={"step": 0.05, "advanced": True},
    )
    iterations: int = Field(
        60,
        ge=1,
        le=500,
        title="Griffin-Lim iterations",
        description="How long the phases of the sound are searched for.",
        json_schema_extra={"advanced": True},
    )


class NoroParams(NoroSource):
    """Parameters of a conversion."""

    seed: Seed = -1


@dataclass(frozen=True)
class Pitch:
    """Mean and deviation of a source's F0 in Hz, gaps filled."""

    mean: float
    deviation: float


class NoroConversion(Engine):
    """Content and pitch of a source in the voice of a reference; 16 kHz."""

    card = Card(
        id="noro",
        title="Noro",
        task=Task.VC,
        summary="Converts speech to the voice of a reference, which may be noisy.",
        license_code="MIT",
        license_weights="not stated (Noro), Apache-2.0 (HuBERT)",
        sample_rate=RATE,
        non_commercial=True,
        paper="https://arxiv.org/abs/2411.19770",
        home="https://github.com/open-mmlab/Amphion/tree/main/models/vc/Noro",
        memory_mb={"float32": sum(part.mb("float32") for part in PARTS) + WORKING_MB},
        requires=("torch", "transformers", "pyworld", "soundfile"),
        pip_extra="torch transformers pyworld soundfile",
        notes="The weights are not on the hub; Models says where they belong. No vocoder of Noro's mel "
        "has been published: the sound is made by Griffin-Lim, which is audibly rougher than a trained "
        "vocoder.",
    )
    Params = NoroParams

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._hubert: Any = None
        self._network: Noro | None = None
        self._centres: torch.Tensor | None = None
        self._device = "cpu"

    def weights(self) -> Sequence[Weights]:
        """The one set, from a person's own folder."""
        return (NORO,)

    def shared_mb(self, dtype: str, params: Any = None) -> Mapping[str, int]:
        """HuBERT and the network."""
        return parts_mb(PARTS, self.cache, dtype)

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a source or a reference that is too short."""
        check_length(params.source, "source", shortest_s=SHORTEST_S, longest_s=LONGEST_SOURCE_S)
        check_length(
            params.reference, "reference", shortest_s=SHORTEST_REFERENCE_S,
            longest_s=LONGEST_SOURCE_S,
        )  # fmt: skip

    def load(self, device: Device, params: Any = None) -> None:
        """Load HuBERT's layers, the centres and the network."""
        if self._network is not None:
            return
        import torch
        from transformers import HubertModel

        from engines.networks.noro.network import Noro

        torch.set_num_threads(device.threads)
        centres = _centres(folder_of(self.cache, NORO) / CENTRES)
        self._hubert = HEARING.load(
            self.cache, device,
            lambda where: whole_model(HubertModel, where, HUBERT.title, num_hidden_layers=LAYERS),
        )  # fmt: skip
        self._centres, self._device = torch.from_numpy(centres).to(device.device), device.device
        self._network = NETWORK.load(self.cache, device, Noro.from_published)

    def unload(self) -> None:
        """Let go of everything."""
        self._hubert = self._network = self._centres = None

    def run(self, params: Any, job: Job) -> Clip:
        """Convert window by window; what is emitted, joined, is the clip, as long as the source."""
        import torch

        source = read_sound(params.source, "source", shortest_s=SHORTEST_S)
        sound = read_sound(params.reference, "reference", shortest_s=SHORTEST_REFERENCE_S)
        with torch.inference_mode():
            voice = self._voice(beginning(sound, REFERENCE_S))
            pitch = _pitch(source)
            cut = windows(source, WINDOW_S)

            def convert(window: Sound, number: int) -> np.ndarray:
                job.check()
                if silent(window):
                    return np.zeros(round(window.duration_s * RATE), np.float32)
                return self._converted(window, number, len(cut), voice, pitch, params, job)

            made = []
            for piece in converted(source, cut, RATE, convert):
                made.append(piece)
                job.emit(piece, RATE)
        return Clip(np.concatenate(made), RATE, title=self.card.title)

    def _voice(self, reference: Sound) -> torch.Tensor:
        from engines.networks.noro.features import MEL, REFERENCE_MULTIPLE, pad_to_multiple

        assert self._network is not None, "run before load"
        samples = reference.tensor(RATE, self._device)[None]
        mel = MEL.log_mel(pad_to_multiple(samples, REFERENCE_MULTIPLE))
        return self._network.reference_encoder(mel)

    def _converted(
        self,
        window: Sound,
        number: int,
        count: int,
        voice: torch.Tensor,
        pitch: Pitch,
        params: Any,
        job: Job,
    ) -> np.ndarray:
        import torch

        from engines.networks.blocks.following import last_of
        from engines.networks.noro.features import (
            MEL,
            SOURCE_MULTIPLE,
            content_frames,
            pad_to_multiple,
        )

        network, centres = self._network, self._centres
        assert network is not None and centres is not None, "run before load"
        samples = pad_to_multiple(window.tensor(RATE, self._device)[None], SOURCE_MULTIPLE)
        padded = torch.nn.functional.pad(samples[:, None], (PAD, PAD), mode="reflect")[:, 0]
        content = content_frames(self._hubert(padded).last_hidden_state, centres)
        f0 = contour(samples[0].cpu().numpy())[: content.shape[1]]
        normal = (f0 - pitch.mean) / (pitch.deviation + 1e-6)
        f0_row = torch.from_numpy(normal.astype(np.float32)).to(self._device)[None]
        condition = network.condition(content, f0_row)
        random = generator(job.rng(number))
        z = torch.randn(1, MEL.n_mels, content.shape[1], generator=random).to(self._device)
        steps = network.sample(condition, voice, z, steps=params.steps, sigma=params.sigma)
        progress = told(job, number, count, part_of(number, count))
        mel = last_of(steps, progress, 0, params.steps)
        return samples_of(griffin_lim(mel, MEL, params.iterations, random, job.check))


def contour(samples: np.ndarray) -> np.ndarray:
    """F0 in Hz each 12.5 ms by DIO and StoneMask, 50 to 500 Hz, unvoiced frames filled between."""
    import pyworld

    from engines.networks.noro.features import F0_MAX, F0_MIN

    signal = samples.astype(np.float64)
    raw, times = pyworld.dio(
        signal, RATE, f0_floor=F0_MIN, f0_ceil=F0_MAX, channels_in_octave=2,
        frame_period=1000 * HOP / RATE,
    )  # fmt: skip
    f0 = pyworld.stonemask(signal, raw, times, RATE)
    voiced = np.flatnonzero(f0 > 0)
    return np.interp(np.arange(len(f0)), voiced, f0[voiced]) if len(voiced) else f0


def _pitch(source: Sound) -> Pitch:
    f0 = contour(source.part(0, PITCH_S).at(RATE))
    if not (f0 > 0).any():
        raise StudioError(
            "There is no voiced speech in the source: nothing could be converted.", "source"
        )
    return Pitch(float(f0.mean()), float(f0.std(ddof=1)))


def _centres(path: Path) -> np.ndarray:
    """The centres ``(K, D)`` float32 of HuBERT's features."""
    try:
        centres = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StudioError(
            f"{path.name} can't be read as an array of NumPy ({error}). {NORO.advice}"
        ) from error
    if centres.ndim != 2:
        raise StudioError(f"{path.name} should have two dimensions and has {centres.ndim}.")
    return np.ascontiguousarray(centres, dtype=np.float32)
