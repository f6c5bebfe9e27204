"""VALL-E of the Amphion toolkit: English speech that goes on from a recording, code by code."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from engines.base import Card, Device, Job, StudioError, Task, Weights
from engines.parts.checkpoints import ARGS, CHECKPOINT, Checkpoints
from engines.parts.encodec import PART, RATE, Encodec
from engines.parts.published import file_bytes, generator
from engines.parts.references import check_length, read_sound, reference_text
from engines.tts.front_ends.symbols import SymbolText
from engines.tts.normalize import expand_abbreviations
from engines.tts.prompted import PromptedParams, PromptedSpeech, Step

NEEDED = (ARGS, "symbols.dict", CHECKPOINT)
PARAMETERS = 367_386_628
SHORTEST_S, LONGEST_S = 0.5, 10.0


class Mode(StrEnum):
    """What the clip holds."""

    SPEAK = "speak"
    CONTINUE = "continue"


class ValleParams(PromptedParams):
    """Parameters of one reading and its variations."""

    reference_text: str = Field(
        "",
        max_length=1000,
        title="Words of the reference",
        description="What is said in the reference, word for word.",
        json_schema_extra={"lines": 2},
    )
    model: str = Field(
        "valle-libritts",
        max_length=500,
        title="Model",
        description="Checkpoint: trained on LibriTTS or on 6,000 hours of Libri-Light, or a folder in "
        "models/own that holds a VALL-E of the Amphion toolkit.",
        json_schema_extra={"choices": True},
    )
    mode: Mode = Field(
        Mode.SPEAK,
        title="Clip",
        description="The text alone, or the reference and the text as its continuation.",
        json_schema_extra={
            "labels": {Mode.SPEAK: "The text", Mode.CONTINUE: "Reference and continuation"}
        },
    )
    temperature: float = Field(
        1.0,
        ge=0.1,
        le=2,
        title="Temperature",
        description="Of the first codebook: lower is steadier, higher livelier.",
        json_schema_extra={"step": 0.05},
    )
    top_k: int = Field(
        0,
        ge=0,
        le=1024,
        title="Top k",
        description="Draw from the k likeliest codes; 0 draws from all, as published.",
        json_schema_extra={"advanced": True},
    )
    top_p: float = Field(
        1.0,
        ge=0.05,
        le=1,
        title="Top p",
        description="Draw from the likeliest codes that make up this probability; 1 is off.",
        json_schema_extra={"step": 0.05, "advanced": True},
    )
    frames_per_phone: int = Field(
        16,
        ge=4,
        le=32,
        title="Frames per phone",
        description="Bounds the length: so many frames of 1/75 s for each phone, at most.",
        json_schema_extra={"advanced": True},
    )


def _weights(name: str, title: str, repo: str) -> Weights:
    return Weights(
        id=name, title=title, repo=repo, files=NEEDED, size_bytes=file_bytes(PARAMETERS),
        license="MIT", languages=("en",), parts=(PART.weights,),
    )  # fmt: skip


class Valle(Checkpoints, PromptedSpeech):
    """Two transformers over EnCodec's codes: the first codebook is drawn, the others are filled."""

    card = Card(
        id="valle",
        title="VALL-E",
        task=Task.TTS,
        summary="English speech in the voice of a reference of a few seconds, or as its continuation.",
        license_code="MIT; GPL-3.0-or-later (eSpeak NG in piper-tts)",
        license_weights="MIT; CC-BY-NC-4.0 (EnCodec)",
        sample_rate=RATE,
        languages=("en",),
        non_commercial=True,
        paper="https://arxiv.org/abs/2301.02111",
        home="https://huggingface.co/amphion/valle-libritts",
        memory_mb={"float32": 1650, "bfloat16": 850, "float16": 850},
        requires=("torch", "transformers", "piper"),
        pip_extra="torch transformers piper-tts",
        notes="References of 3 s work best: the models were trained with prompts of up to 3 s.",
    )
    Params = ValleParams
    model_type = "VALLE"
    needed = NEEDED
    parts = (PART,)
    lowers = True
    max_chunk_chars = 120
    published = (
        _weights("valle-libritts", "English – LibriTTS", "amphion/valle-libritts"),
        _weights("valle-librilight", "English – Libri-Light 6k", "amphion/valle_librilight_6k"),
    )

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._codec: Any = None
        self._prompt: Any = None
        self._begun = False

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` without a transcript, or for a reference that is too short or long."""
        super().check(params)
        reference_text(params.reference_text)
        check_length(params.reference, "reference", shortest_s=SHORTEST_S, longest_s=LONGEST_S)

    def read(self, folder: Path, params: Any) -> Any:
        """The network."""
        from engines.networks.valle.network import Valle as Network

        return Network.from_published(folder)

    def load_parts(self, device: Device, params: Any) -> None:
        """EnCodec."""
        self._codec = PART.load(self.cache, device, Encodec.from_published)

    def unload(self) -> None:
        """Forget the network and drop EnCodec."""
        self._codec = self._prompt = None
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
        """The codes of the reference (1, P, K)."""
        import torch

        sound = read_sound(params.reference, "reference", shortest_s=SHORTEST_S)
        books = self._network.config.num_quantizers
        with torch.inference_mode():
            codes = self._codec.encode(sound.tensor(self._codec.rate, self._device), books)
        self._prompt, self._begun = codes.transpose(1, 2), params.mode is Mode.CONTINUE

    def speak_all(
        self, text: str, params: Any, rngs: Sequence[np.random.Generator], step: Step
    ) -> list[np.ndarray]:
        """One chunk in all variations; the codes of all are drawn together."""
        import torch

        from engines.networks.valle.sampling import ValleSampling, generate

        front_end = SymbolText.read(self._folder)
        said = expand_abbreviations(reference_text(params.reference_text), "en")
        phones = front_end.ids(f"{said} {text}")
        made = generate(
            self._network,
            torch.tensor([phones], device=self._device),
            self._prompt,
            generators=[generator(rng) for rng in rngs],
            how=ValleSampling(
                params.temperature, params.top_k, params.top_p, params.frames_per_phone
            ),
            enrolled=len(front_end.ids(said)),
            progress=step,
        )
        if not all(len(codes) for codes in made):
            raise StudioError(
                "The model ended before the first sound. Try another seed, or check the words of the "
                "reference.",
                "reference_text",
            )
        if self._begun:
            made = [torch.cat([self._prompt[0], codes]) for codes in made]
            self._begun = False
        with torch.inference_mode():
            return [
                self._codec.sound(self._codec.latents(codes.T[None]))[0].float().cpu().numpy()
                for codes in made
            ]
