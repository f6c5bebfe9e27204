"""MusicGen checkpoints on disk: what a folder holds, and bringing it into memory.

Only ``config.json`` and the safetensors headers are read until ``load`` is called; nothing is
fetched from anywhere and no pickle is opened.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engines.base import StudioError
from engines.music.musicgen.params import MusicGenParams

KINDS = ("musicgen", "musicgen_melody")
TRAINED_S = 30.0  # what the published checkpoints were trained on
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
GENERATION = "generation_config.json"
SAMPLING = ("guidance_scale", "temperature", "top_k", "top_p")
REVISION_CHARS = 40  # as long as a commit


@dataclass(frozen=True)
class Checkpoint:
    """What a folder's configuration says of its MusicGen.

    ``frame_rate`` is in frames/s, ``hop_length`` in samples a frame; ``codebooks`` counts those of
    all ``channels``. ``max_s`` is the longest sound of one window. ``config`` is the whole file.
    """

    folder: Path
    kind: str
    sample_rate: int
    frame_rate: int
    hop_length: int
    codebooks: int
    channels: int
    max_s: float
    hidden_size: int
    num_layers: int
    text_hidden_size: int
    vocab_size: int
    pad: int
    num_chroma: int
    chroma_length: int
    config: dict[str, Any]

    @property
    def melody(self) -> bool:
        """Whether the model is conditioned on chroma."""
        return self.kind == "musicgen_melody"

    def frames(self, duration_s: float) -> int:
        """Frames that ``duration_s`` seconds take, at least one."""
        return max(1, round(duration_s * self.frame_rate))

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor, read from the safetensors headers alone."""
        return {name: shape for file in self.files() for name, shape in _header(file)}

    def files(self) -> list[Path]:
        """The safetensors files; raises ``StudioError`` if there are none or one is missing."""
        if (self.folder / WEIGHTS).is_file():
            return [self.folder / WEIGHTS]
        if not (self.folder / INDEX).is_file():
            raise StudioError(
                f"{self.folder.name} has no {WEIGHTS}. Weights must be safetensors; convert a "
                "pickled checkpoint with model.save_pretrained.",
                "model",
            )
        mapping = _read(self.folder / INDEX)["weight_map"]
        files = [self.folder / name for name in sorted(set(mapping.values()))]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise StudioError(
                f"{self.folder.name} lacks {', '.join(missing)}. Download it again.", "model"
            )
        return files


@dataclass
class Loaded:
    """A checkpoint in memory: the Transformers model in eval mode, its tokenizer, its facts."""

    model: Any
    tokenizer: Any
    checkpoint: Checkpoint

    @property
    def device(self) -> Any:
        """Where the model is."""
        return self.model.device


def is_musicgen(folder: Path) -> bool:
    """Whether the folder's ``config.json`` names a MusicGen."""
    try:
        return _read(folder / "config.json").get("model_type") in KINDS
    except StudioError:
        return False


def fingerprint(folder: Path) -> str:
    """What stands for the commit of a person's own weights: the start of their SHA-256."""
    files = sorted(folder.glob("*.safetensors"))
    joined = "".join(_hash_once(path, path.stat().st_mtime_ns) for path in files)
    return hashlib.sha256(joined.encode()).hexdigest()[:REVISION_CHARS]


@functools.cache
def _hash_once(path: Path, changed_ns: int) -> str:
    """The hash of a large file, counted again only when it has changed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(folder: Path) -> Checkpoint:
    """Facts from ``folder/config.json``; raises ``StudioError`` if it holds no MusicGen."""
    config = _read(folder / "config.json")
    kind = config.get("model_type")
    if kind not in KINDS:
        raise StudioError(
            f"{folder.name} holds a model of type {kind!r}, not a MusicGen "
            f"({' or '.join(KINDS)} in the Transformers format).",
            "model",
        )
    audio, decoder = config.get("audio_encoder") or {}, config.get("decoder") or {}
    text = config.get("text_encoder") or {}
    if audio.get("model_type", "encodec") != "encodec":
        raise StudioError(
            f"{folder.name} turns codes into sound with {audio['model_type']!r}; only EnCodec is "
            "supported.",
            "model",
        )
    sample_rate = int(audio.get("sampling_rate", 24_000))
    hop_length = math.prod(audio.get("upsampling_ratios", (8, 5, 4, 2)))
    frame_rate = math.ceil(sample_rate / hop_length)
    checkpoint = Checkpoint(
        folder=folder,
        kind=kind,
        sample_rate=sample_rate,
        frame_rate=frame_rate,
        hop_length=hop_length,
        codebooks=int(decoder.get("num_codebooks", 4)),
        channels=int(decoder.get("audio_channels", 1)),
        max_s=_longest_s(folder, decoder, frame_rate),
        hidden_size=int(decoder.get("hidden_size", 1024)),
        num_layers=int(decoder.get("num_hidden_layers", 24)),
        text_hidden_size=int(text.get("d_model", 512)),
        vocab_size=int(decoder.get("vocab_size", 2048)),
        pad=int(decoder.get("pad_token_id", 2048)),
        num_chroma=int(config.get("num_chroma", 12)),
        chroma_length=int(config.get("chroma_length", 235)),
        config=config,
    )
    _agree(checkpoint, audio)
    return checkpoint


def sampling(folder: Path) -> dict[str, float]:
    """What ``folder/generation_config.json`` states of guidance, temperature, top-k and top-p, where it is
    within the bounds of the engine's parameters of the same names."""
    if not (folder / GENERATION).is_file():
        return {}
    stated, found = _read(folder / GENERATION), {}
    for name in SAMPLING:
        try:
            MusicGenParams.model_validate({"prompt": "any", name: stated[name]}, strict=True)
        except (KeyError, ValidationError):
            continue
        found[name] = stated[name]
    return found


def warm() -> None:
    """Import what ``load`` needs: seconds, of which every later load is free."""
    from transformers import AutoTokenizer, MusicgenForConditionalGeneration  # noqa: F401


def load(folder: Path, dtype: str = "float32", device: str = "cpu") -> Loaded:
    """Load the checkpoint in ``folder`` from its safetensors files.

    The decoder is in ``dtype``; T5 and EnCodec stay in float32, where they cost little and keep
    their quality. Raises ``StudioError`` for a folder without a complete MusicGen.
    """
    import torch
    import transformers
    from safetensors import SafetensorError

    checkpoint = describe(folder)
    checkpoint.files()
    name = "MusicgenMelody" if checkpoint.melody else "Musicgen"
    model_class = getattr(transformers, f"{name}ForConditionalGeneration")
    try:
        model, info = model_class.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32,
            output_loading_info=True,
        )  # fmt: skip
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise StudioError(f"{folder.name} cannot be loaded: {error}", "model") from error
    wrong = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
    if wrong:
        raise StudioError(
            f"{folder.name} lacks weights or has them in another shape: {', '.join(wrong[:3])}"
            f"{' and others' if len(wrong) > 3 else ''}. Download or save it again.",
            "model",
        )
    model.decoder.to(getattr(torch, dtype))
    return Loaded(model.to(device).eval(), tokenizer, checkpoint)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudioError(f"{path.parent.name} has no {path.name}.", "model") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StudioError(f"{path.parent.name}/{path.name} is not JSON: {error}", "model") from None
    if not isinstance(content, dict):
        raise StudioError(f"{path.parent.name}/{path.name} holds no settings.", "model")
    return content


def _longest_s(folder: Path, decoder: dict[str, Any], frame_rate: int) -> float:
    """The shortest of 30 s, the positions there are, and the maximum the publisher states."""
    limits = [TRAINED_S, int(decoder.get("max_position_embeddings", 2048)) / frame_rate]
    if (folder / GENERATION).is_file():
        stated = _read(folder / GENERATION).get("max_length")
        limits += [int(stated) / frame_rate] if stated else []
    return min(limits)


def _agree(checkpoint: Checkpoint, audio: dict[str, Any]) -> None:
    """Raise unless EnCodec yields as many codebooks as the decoder predicts for each channel."""
    bandwidth = (audio.get("target_bandwidths") or [1.5])[0]
    entries = int(audio.get("codebook_size", 1024))
    per_channel = int(bandwidth * 1000 // (math.log2(entries) * checkpoint.frame_rate)) or 1
    if per_channel * checkpoint.channels != checkpoint.codebooks:
        raise StudioError(
            f"{checkpoint.folder.name}: the decoder predicts {checkpoint.codebooks} codebooks and "
            f"its EnCodec has {per_channel} for each of {checkpoint.channels} channel(s).",
            "model",
        )


def _header(file: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - not a dict
                yield name, tuple(tensors.get_slice(name).get_shape())
    except (SafetensorError, OSError) as error:
        raise StudioError(f"{file.name} is not a readable safetensors file: {error}") from error
