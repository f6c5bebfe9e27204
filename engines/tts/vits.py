"""VITS checkpoints in the Transformers format: LJ Speech, VCTK and the languages of MMS."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from engines.base import Card, Choice, Device, NotReady, Seed, StudioError, Task, Weights
from engines.onnx.session import give_memory_back
from engines.tts.normalize import expand_abbreviations, normalize
from engines.tts.phonemes import espeak_ipa
from engines.tts.speech import DEFAULT, NoiseScale, SpeechEngine, SpeechParams
from engines.tts.text import check_speakable, is_spoken

FIRST = "vits-ljs"
MMS_LANGUAGES = Path(__file__).parents[2] / "configs" / "mms_languages.json"
FILES = ("config.json", "model.safetensors", "vocab.json", "tokenizer_config.json",
         "special_tokens_map.json")  # fmt: skip
NEEDED = FILES[:4]


class VitsParams(SpeechParams):
    """Parameters of one reading."""

    model: str = Field(
        FIRST,
        title="Model",
        description="Checkpoint: vits-ljs, vits-vctk, mms-tts- with a language code, or the name "
        "of a folder in models/own of the data folder that holds a VITS model of Transformers.",
        max_length=500,
        json_schema_extra={"choices": True},
    )
    speaker: int = Field(
        0,
        ge=0,
        le=10_000,
        title="Speaker",
        description="Number of the speaker, in models that have several (vits-vctk has 109).",
        json_schema_extra={"advanced": True},
    )
    speaking_rate: float = Field(
        1.0,
        ge=0.5,
        le=2,
        title="Speaking rate",
        description="2 is twice as fast.",
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


@cache
def _published() -> tuple[Weights, ...]:
    """The checkpoints that can be downloaded, English first."""
    ljs = Weights(
        id="vits-ljs", title="English – VITS, LJ Speech", repo="kakao-enterprise/vits-ljs",
        revision="3bcb8321394f671bd948ebf0d086d694dda95464", files=FILES, license="MIT",
        languages=("en-US",),
    )  # fmt: skip
    vctk = Weights(
        id="vits-vctk", title="English – VITS, VCTK, 109 speakers",
        repo="kakao-enterprise/vits-vctk", files=FILES, license="MIT", languages=("en-GB",),
    )  # fmt: skip
    languages = json.loads(MMS_LANGUAGES.read_text(encoding="utf-8"))
    return (ljs, vctk, *(_mms(code, name) for code, name in languages.items()))


def _mms(code: str, name: str) -> Weights:
    return Weights(
        id=f"mms-tts-{code}",
        title=f"{name} – MMS",
        repo=f"facebook/mms-tts-{code}",
        files=FILES,
        license="CC-BY-NC-4.0",
        non_commercial=True,
        languages=(code.split("-")[0],),
    )


class Vits(SpeechEngine):
    """VITS in PyTorch; the noise comes from the job's seed."""

    card = Card(
        id="vits",
        title="VITS and MMS",
        task=Task.TTS,
        summary="End-to-end speech of Transformers: two English models, MMS in more than a hundred "
        "languages, and your own checkpoints.",
        license_code="Apache-2.0 (Transformers); GPL-3.0-or-later (eSpeak NG in piper-tts, for "
        "models trained on phonemes)",
        license_weights="MIT (vits-ljs, vits-vctk), CC-BY-NC-4.0 (mms-tts)",
        sample_rate=22_050,
        languages=tuple(sorted({code for item in _published() for code in item.languages})),
        non_commercial=True,
        paper="https://arxiv.org/abs/2106.06103",
        home="https://huggingface.co/docs/transformers/model_doc/vits",
        memory_mb={"float32": 430},
        requires=("transformers", "torch", "piper", "num2words"),
        pip_extra="transformers torch piper-tts num2words",
        notes="MMS (https://arxiv.org/abs/2305.13516) is for non-commercial use, the English VITS "
        "models are not so limited. MMS speaks at 16 kHz and ignores punctuation but for pauses. "
        "Some MMS languages need their text romanised: pip install uroman.",
    )
    Params = VitsParams

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._name = ""
        self._model: Any = None
        self._tokenizer: Any = None
        self._phonemes = False
        self._asked: dict[str, Weights] = {}

    # models

    def weights(self) -> Sequence[Weights]:
        """The published checkpoints, those asked for by language code, then a person's own."""
        own = [
            Weights(id=name, title=f"{name} (your own)", license="your own", embedded=True)
            for name, folder in self.cache.own().items()
            if all((folder / file).is_file() for file in NEEDED)
        ]
        return [*_published(), *self._asked.values(), *own]

    def weights_for(self, params: Any) -> Weights:
        """The checkpoint that ``params`` names; a person's own counts as embedded."""
        name = FIRST if params.model == DEFAULT else params.model.strip()
        for item in self.weights():
            if name in (item.id, item.repo):
                return item
        code = name.removeprefix("facebook/").removeprefix("mms-tts-")
        if "mms-tts-" in name and code.replace("-", "").replace("_", "").isalnum():
            return self._asked.setdefault(code, _mms(code, code))
        raise StudioError(
            f"{name!r} is neither a known model nor a folder in models/own. Choose one from the "
            "list, write mms-tts- and a language code, or put a folder with "
            f"{', '.join(NEEDED)} there.",
            "model",
        )

    def choices(self, name: str) -> Sequence[Choice]:
        """Published checkpoints; empty for other parameters."""
        return [Choice(item.id, item.title) for item in self.weights()] if name == "model" else ()

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for an unknown model or a folder without one."""
        super().check(params)
        weights = self.weights_for(params)
        if weights.embedded:
            self._folder(weights)

    def _folder(self, weights: Weights) -> Path:
        """Where the files are; raises if they are not here or of another kind of model."""
        folder = self.cache.own()[weights.id] if weights.embedded else self.cache.path(weights)
        if folder is None:
            raise NotReady(f"The model {weights.id} is not downloaded yet.", "model")
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
        if kind != "vits":
            raise StudioError(f"{weights.id} holds a model of type {kind!r}, not 'vits'.", "model")
        return folder

    # loading

    def load(self, device: Device, params: Any = None) -> None:
        """Load the checkpoint that ``params`` names; the one before is forgotten."""
        weights = self.weights_for(params or VitsParams.model_validate({"text": "-"}))
        if self._name == weights.id:
            return
        folder = self._folder(weights)
        import torch
        from transformers import VitsModel, VitsTokenizer

        self.unload()
        tokenizer = VitsTokenizer.from_pretrained(folder, local_files_only=True)
        if tokenizer.is_uroman and importlib.util.find_spec("uroman") is None:
            raise NotReady(
                f"{weights.title} needs its text in Latin letters: pip install uroman", "model"
            )
        self._phonemes = bool(tokenizer.phonemize)
        tokenizer.phonemize = False  # done here, without the package phonemizer
        model: Any = VitsModel.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        torch.set_num_threads(device.threads)
        self._model, self._tokenizer = model.to(device.device).eval(), tokenizer
        self._name = weights.id

    def unload(self) -> None:
        """Forget the checkpoint."""
        self._name, self._model, self._tokenizer = "", None, None
        give_memory_back()

    # speaking

    def sample_rate(self, params: Any) -> int:
        """As the checkpoint was trained: 22,050 or 16,000 Hz."""
        return int(self._model.config.sampling_rate)

    def language(self, params: Any) -> str:
        """Of the checkpoint; a folder's tokenizer states its own."""
        languages = self.weights_for(params).languages
        return languages[0] if languages else str(self._tokenizer.language or "en")

    def prepare(self, text: str, params: Any) -> str:
        """Words instead of numbers; raises ``StudioError`` for letters the model never learnt."""
        language = self.language(params)
        if self._phonemes:
            return expand_abbreviations(text, language)
        text = normalize(text, language)
        check_speakable(self._letters(text), self._knows, self.weights_for(params).title)
        return text

    def _letters(self, text: str) -> str:
        """The text as the tokenizer sees it, before it drops what it does not know."""
        tokenizer = self._tokenizer
        if tokenizer.normalize:
            text = tokenizer._preprocess_char(tokenizer.normalize_text(text))
        if tokenizer.is_uroman:
            import uroman

            text = uroman.Uroman().romanize_string(text)
        return text

    def _knows(self, char: str) -> bool:
        return char in self._tokenizer.encoder

    def speak(self, text: str, params: Any, rng: np.random.Generator) -> np.ndarray:
        """One chunk, ``(T,)``."""
        import torch

        model = self._model
        spoken = espeak_ipa(text, "en-us") if self._phonemes else text
        inputs = self._tokenizer(spoken, return_tensors="pt").to(model.device)
        if not any(map(is_spoken, self._tokenizer.decode(inputs["input_ids"][0]))):
            return np.zeros(0, np.float32)
        model.speaking_rate = params.speaking_rate
        model.noise_scale = params.noise_scale
        model.noise_scale_duration = params.noise_scale_duration
        cuda = [model.device] if model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda), torch.inference_mode():
            torch.manual_seed(int(rng.integers(2**63)))
            waveform = model(**inputs, **self._speaker(params)).waveform
        return waveform[0].float().cpu().numpy()

    def _speaker(self, params: Any) -> dict[str, int]:
        count = self._model.config.num_speakers
        if params.speaker >= max(count, 1):
            raise StudioError(
                f"This model has {max(count, 1)} speaker(s): choose a number from 0 to "
                f"{max(count, 1) - 1}.",
                "speaker",
            )
        return {"speaker_id": params.speaker} if count > 1 else {}
