"""VITS checkpoints of the Amphion toolkit: LJ Speech, and any that its recipe trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from engines.base import Card, Seed, StudioError, Task, Weights
from engines.parts.checkpoints import ARGS, CHECKPOINT, Checkpoints
from engines.parts.published import file_bytes, generator
from engines.tts.front_ends.symbols import SymbolText
from engines.tts.normalize import expand_abbreviations
from engines.tts.speech import NoiseScale, SpeechEngine, SpeechParams

NEEDED = (ARGS, "symbols.dict", CHECKPOINT)
PARAMETERS = 39_736_432


class AmphionVitsParams(SpeechParams):
    """Parameters of one reading."""

    model: str = Field(
        "vits-ljspeech",
        max_length=500,
        title="Model",
        description="Checkpoint: the published LJ Speech, or a folder in models/own that holds a VITS "
        "of the Amphion toolkit.",
        json_schema_extra={"choices": True},
    )
    speaker: str = Field(
        "0",
        max_length=200,
        title="Speaker",
        description="Number of the speaker, or its name in spk2id.json, in models that have several.",
        json_schema_extra={"advanced": True},
    )
    speaking_rate: float = Field(
        1.0,
        ge=0.5,
        le=2,
        title="Speaking rate",
        description="2 is twice as fast; one over the length scale.",
        json_schema_extra={"step": 0.05},
    )
    noise_scale: NoiseScale = 0.667
    noise_scale_duration: float = Field(
        0.8,
        ge=0,
        le=1.5,
        title="Duration noise scale",
        description="Variation of the rhythm: 0 gives every sound its most likely duration.",
        json_schema_extra={"step": 0.01, "advanced": True},
    )
    seed: Seed = -1


class AmphionVits(Checkpoints, SpeechEngine):
    """VITS in the toolkit's own format."""

    card = Card(
        id="amphion-vits",
        title="Amphion VITS",
        task=Task.TTS,
        summary="End-to-end English speech of the Amphion toolkit: its LJ Speech voice, and your own "
        "checkpoints with one or several speakers.",
        license_code="MIT; GPL-3.0-or-later (eSpeak NG in piper-tts)",
        license_weights="MIT",
        sample_rate=22_050,
        languages=("en",),
        paper="https://arxiv.org/abs/2106.06103",
        home="https://huggingface.co/amphion/vits-ljspeech",
        memory_mb={"float32": 260},
        requires=("torch", "piper"),
        pip_extra="torch piper-tts",
        notes="The multi-speaker model of the toolkit (Hi-Fi TTS) is not published: train one, or use "
        "VCTK in VITS and MMS.",
    )
    Params = AmphionVitsParams
    model_type = "VITS"
    needed = NEEDED
    published = (
        Weights(
            id="vits-ljspeech", title="English – LJ Speech", repo="amphion/vits-ljspeech",
            files=NEEDED, size_bytes=file_bytes(PARAMETERS), license="MIT", languages=("en",),
        ),
    )  # fmt: skip

    def read(self, folder: Path, params: Any) -> Any:
        """The generator."""
        from engines.networks.vits.network import Vits

        return Vits.from_published(folder)

    def sample_rate(self, params: Any) -> int:
        """Of the checkpoint."""
        return int(self.args(params)["preprocess"].get("sample_rate", 22_050))

    def language(self, params: Any) -> str:
        """English: the front end's only one."""
        return "en"

    def prepare(self, text: str, params: Any) -> str:
        """Abbreviations written out: eSpeak takes their dots for ends of sentences."""
        return expand_abbreviations(text, "en")

    def speak(self, text: str, params: Any, rng: np.random.Generator) -> np.ndarray:
        """One chunk, ``(T,)``."""
        import torch

        from engines.networks.blocks.draws import normal

        blanks = self.args(params)["preprocess"].get("add_blank", True)
        ids = SymbolText.read(self._folder).ids(text, blanks=blanks)
        with torch.inference_mode():
            speech = self._network.synthesise(
                torch.tensor([ids], device=self._device),
                torch.tensor([len(ids)], device=self._device),
                normal(generator(rng)),
                speaker=self._speaker(params),
                noise_scale=params.noise_scale,
                noise_scale_w=params.noise_scale_duration,
                length_scale=1 / params.speaking_rate,
            )
        return speech.audio[0, 0].float().cpu().numpy()

    def _speaker(self, params: Any) -> Any:
        """The row of the speaker (1,); None for a model of one."""
        import torch

        count = self._network.config.n_speakers
        if not count:
            return None
        names = _names(self._folder)
        asked = params.speaker.strip()
        number = names.get(asked, int(asked) if asked.isdecimal() else -1)
        if not 0 <= number < count:
            known = f", or one of {', '.join(list(names)[:8])}" if names else ""
            raise StudioError(
                f"This model has no speaker {asked!r}: choose a number from 0 to {count - 1}{known}.",
                "speaker",
            )
        return torch.tensor([number], device=self._device)


def _names(folder: Path) -> dict[str, int]:
    """Speakers by name, where the checkpoint says so."""
    from engines.networks.weights import read_config

    path = folder / "spk2id.json"
    return {name: int(row) for name, row in read_config(path).items()} if path.is_file() else {}
