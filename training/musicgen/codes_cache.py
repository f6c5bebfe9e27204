"""Codes of sounds and text states of prompts, computed once and kept on disk by content.

A clip that the base made is learned from by the very codes it was made of: they stand in its file.
Other sounds are encoded.

A file is named by a hash of everything that decides what is in it: the sound's bytes, the codec's
weights and configuration, the length it is cut to; or the text, the text encoder's weights and the
tokenizer. So epochs and later runs never touch codec or text encoder, and nothing goes stale.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.base import StudioError
from storage import StorageError, read_tags
from storage.audio.files import write_whole
from storage.base.errors import translated

if TYPE_CHECKING:
    import torch

    from engines.music.musicgen.checkpoint import Loaded

log = logging.getLogger(__name__)

VERSION = "2"  # raise when the way that sounds or texts are prepared changes
CODEC, TEXT = "audio_encoder", "text_encoder"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "spiece.model",
    "special_tokens_map.json",
)
BLOCK = 2**22


@dataclass(frozen=True)
class Text:
    """A prompt as the text encoder says it: ``states`` (S, H_text) float32, without padding."""

    states: torch.Tensor


class CodesCache:
    """Codes and text states in ``folder`` for the base model in ``base``; ``tick`` is called for each
    item, so that whoever watches sees life."""

    def __init__(
        self, folder: Path, base: Path, tick: Callable[[int, int], None] = lambda *_: None
    ):
        self._folder = folder
        self._base = base
        self._tick = tick

    # filling

    def fill(
        self, loaded: Loaded, sounds: Iterable[Path], texts: Iterable[str], max_duration_s: float
    ) -> None:
        """Compute what is missing. Raises ``StudioError`` for a sound that cannot be read or is
        shorter than a frame, ``StorageError`` for a full disk."""
        jobs: list[Callable[[], None]] = []
        for path in dict.fromkeys(sounds):
            file = self._sound_file(path, max_duration_s)
            if not file.is_file():
                jobs.append(
                    functools.partial(self._encode_sound, loaded, path, file, max_duration_s)
                )
        for text in dict.fromkeys(texts):
            file = self._text_file(text)
            if not file.is_file():
                jobs.append(functools.partial(self._encode_text, loaded, text, file))
        if jobs:
            log.info("encoding %d sounds and texts that are new", len(jobs))
        for number, job in enumerate(jobs):
            self._tick(number, len(jobs))
            job()

    def _encode_sound(self, loaded: Loaded, path: Path, file: Path, max_duration_s: float) -> None:
        import soundfile
        import torch

        from engines.music.musicgen import codes

        try:
            with soundfile.SoundFile(path) as sound:
                sample_rate = sound.samplerate
                samples = sound.read(round(max_duration_s * sample_rate), "float32", always_2d=True)
        except (soundfile.LibsndfileError, OSError) as error:
            raise StudioError(
                f"{path.name} cannot be read as a sound: {error}.", "dataset"
            ) from error
        if len(samples) < sample_rate / loaded.checkpoint.frame_rate:
            raise StudioError(
                f"{path.name} is shorter than one frame of the codec "
                f"({1 / loaded.checkpoint.frame_rate:g} s); remove it from the dataset.",
                "dataset",
            )
        frames = codes.known(loaded, _written(path), samples.T, sample_rate)
        if frames is None:
            frames = codes.encode_audio(loaded, samples.T, sample_rate)
        _write(file, {"codes": torch.as_tensor(frames).to(torch.int16)})

    def _encode_text(self, loaded: Loaded, text: str, file: Path) -> None:
        from engines.music.musicgen import codes

        found = codes.encode_text(loaded, [text])  # alone, so that no batch changes the result
        _write(file, {"states": found.states[0][found.mask[0].bool()].float().cpu()})

    # reading

    def codes(self, path: Path, max_duration_s: float) -> torch.Tensor:
        """Codes of a sound, (K, T) int64."""
        return _read(self._sound_file(path, max_duration_s), "codes").long()

    def text(self, text: str) -> Text:
        """States of a prompt."""
        return Text(_read(self._text_file(text), "states"))

    # names

    def _sound_file(self, path: Path, max_duration_s: float) -> Path:
        parts = (self._codec, _file_hash(path), f"{max_duration_s:g}")
        return self._folder / "codes" / f"{_digest(*parts)}.safetensors"

    def _text_file(self, text: str) -> Path:
        return self._folder / "texts" / f"{_digest(self._text_encoder, text)}.safetensors"

    @functools.cached_property
    def _codec(self) -> str:
        return fingerprint(self._base, CODEC)

    @functools.cached_property
    def _text_encoder(self) -> str:
        found = [self._base / name for name in TOKENIZER_FILES]
        return _digest(
            fingerprint(self._base, TEXT), *(_file_hash(p) for p in found if p.is_file())
        )


def fingerprint(base: Path, part: str) -> str:
    """Hash of one part of a model folder: the configuration and weights whose names begin with it."""
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256(json.dumps(config.get(part, {}), sort_keys=True).encode())
    for name, content in _tensors(base, part):
        digest.update(name.encode())
        digest.update(content)
    return digest.hexdigest()


def _tensors(base: Path, part: str) -> Iterator[tuple[str, bytes]]:
    """Names with dtype and shape, and raw bytes, read straight from the files."""
    from engines.music.musicgen.checkpoint import describe

    for path in describe(base).files():
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header: Mapping[str, Any] = json.loads(file.read(size))
            for name in sorted(header):
                if name.startswith(f"{part}."):
                    entry = header[name]
                    start, end = entry["data_offsets"]
                    file.seek(8 + size + start)
                    yield f"{name} {entry['dtype']} {entry['shape']}", file.read(end - start)


@functools.lru_cache(maxsize=65536)
def _hash_of(path: Path, _size: int, _changed: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _file_hash(path: Path) -> str:
    """SHA-256 of a file, computed once in a process while it stays as it is."""
    status = path.stat()
    return _hash_of(path, status.st_size, status.st_mtime_ns)


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps([VERSION, *parts]).encode()).hexdigest()


def _written(path: Path) -> str:
    """The codes that a clip's file holds, or "". One whose settings are damaged is a sound still."""
    try:
        tags = read_tags(path)
    except StorageError as problem:
        log.warning("%s: %s", path.name, problem)
        return ""
    return tags.codes if tags else ""


def _write(file: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    from safetensors.torch import save

    write_whole(file, save({name: tensor.contiguous() for name, tensor in tensors.items()}))


def _read(file: Path, name: str) -> torch.Tensor:
    from safetensors.torch import load_file

    with translated(file):
        return load_file(file)[name]
