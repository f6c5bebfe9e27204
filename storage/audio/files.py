"""The audio folder: files named by the hash of their content, written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage.audio import coding
from storage.audio.coding import Format
from storage.audio.embedded import Embedded, read_tags
from storage.base.errors import NotFound, StorageError, translated
from storage.base.ids import PART_PREFIX

if TYPE_CHECKING:
    import numpy as np

MAX_DURATION_S = 3600.0
MAX_BYTES = 2**30


def resolve_under(root: Path, path: str | Path) -> Path:
    """The absolute path of ``path``, which may be relative to ``root`` and must lie inside it.

    Links are followed first. Raises ``StorageError`` when it leads elsewhere.
    """
    root = root.resolve()
    resolved = (root / path).resolve()
    if not resolved.is_relative_to(root):
        raise StorageError(f"{path} lies outside {root}, which is not allowed.")
    return resolved


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` so that after any failure the old state or the new one is there.

    Raises ``DiskFull`` or another ``StorageError``; the unfinished file is removed.
    """
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=PART_PREFIX, dir=path.parent)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)  # noqa: PTH105 - one atomic step, also over an existing file
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        if hasattr(os, "O_DIRECTORY"):
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


@dataclass(frozen=True)
class Stored:
    """A file in the audio folder: SHA-256 of its content, where it is, its size."""

    hash: str
    path: Path
    bytes: int


@dataclass(frozen=True)
class Encoded:
    """A file that is ready to be stored."""

    hash: str
    suffix: str
    content: bytes


class AudioFiles:
    """The files of all clips, below ``root``; deleted ones wait in ``trash`` beside it."""

    def __init__(self, root: Path):
        self.root = Path(root).resolve()
        self.trash = self.root.parent / "trash"
        self.root.mkdir(parents=True, exist_ok=True)
        self.trash.mkdir(parents=True, exist_ok=True)

    # writing

    def encode(self, samples: np.ndarray, sample_rate: int, tags: Embedded) -> Encoded:
        """Encode float samples ``(T,)`` or ``(C, T)`` without storing anything.

        The file is 24-bit FLAC. FLAC holds whole numbers and would clip values beyond -1 or 1, and
        levels are never changed here: such a sound becomes a 32-bit float WAV file instead.
        """
        samples = coding.as_channels(samples)
        loud = coding.exceeds_full_scale(samples)
        encoding = coding.WAV_FLOAT if loud else coding.FLAC_24
        content = coding.encode(samples, sample_rate, encoding, tags)
        return Encoded(hashlib.sha256(content).hexdigest(), ".wav" if loud else ".flac", content)

    def keep(self, encoded: Encoded) -> Stored:
        """Store an encoded file under its hash; does nothing more when it is there already."""
        path = self.root / encoded.hash[:2] / (encoded.hash + encoded.suffix)
        if not path.exists():
            write_whole(path, encoded.content)
        return Stored(encoded.hash, path, len(encoded.content))

    def write(self, samples: np.ndarray, sample_rate: int, tags: Embedded) -> Stored:
        """``encode``, then ``keep``: same samples and tags give the same file."""
        return self.keep(self.encode(samples, sample_rate, tags))

    def import_file(
        self, path: Path, max_duration_s: float = MAX_DURATION_S, max_bytes: int = MAX_BYTES
    ) -> Stored:
        """Store a sound file from outside as it is decoded, with the tags of ours it holds."""
        sound = coding.decode(Path(path), max_duration_s, max_bytes)
        return self.write(sound.samples, sound.sample_rate, read_tags(Path(path)) or Embedded())

    # reading

    def decode(
        self, path: Path, max_duration_s: float = MAX_DURATION_S, max_bytes: int = MAX_BYTES
    ) -> tuple[np.ndarray, int]:
        """Samples, float32 ``(C, T)``, and sample rate in Hz of any sound file.

        Raises ``StorageError`` for files that are too long (seen in the header, before decoding),
        too large, damaged, empty, or not sound.
        """
        sound = coding.decode(Path(path), max_duration_s, max_bytes)
        return sound.samples, sound.sample_rate

    def export(
        self, path: Path, format: Format | str, to: Path, tags: Embedded | None = None
    ) -> Path:
        """Save a stored file at ``to`` in another format with its tags, or with ``tags``.

        WAV is 24-bit, or 32-bit float where the clip is. Raises ``StorageError`` when the format
        cannot hold the sound: its sample rate, its channels or, in FLAC, values beyond full scale.
        """
        source, format = resolve_under(self.root, path), Format(format)
        own = read_tags(source) or Embedded()
        if source.suffix == f".{format}" and tags in (None, own):
            with translated(to):
                write_whole(Path(to), source.read_bytes())
            return Path(to)
        sound = coding.decode(source, float("inf"), MAX_BYTES * 4)
        is_float = sound.subtype == "FLOAT"
        if format == Format.FLAC and is_float and coding.exceeds_full_scale(sound.samples):
            raise StorageError(
                "This clip goes beyond full scale, which FLAC cannot hold without clipping. "
                "Save it as WAV, or lower its level first."
            )
        encoding = {
            Format.FLAC: coding.FLAC_24,
            Format.WAV: coding.WAV_FLOAT if is_float else coding.WAV_24,
            Format.MP3: coding.MP3,
            Format.OGG: coding.OGG,
        }[format]
        write_whole(
            Path(to), coding.encode(sound.samples, sound.sample_rate, encoding, tags or own)
        )
        return Path(to)

    # names and the trash

    def relative(self, path: str | Path) -> str:
        """The name of a stored file within the audio folder, as rows hold it."""
        return resolve_under(self.root, path).relative_to(self.root).as_posix()

    def discard(self, path: str | Path) -> None:
        """Move a stored file to the trash. Raises ``NotFound`` when it is not there."""
        self._move(path, self.root, self.trash)

    def undiscard(self, path: str | Path) -> Path:
        """Bring a file back from the trash; a file that is in place again already stays.

        ``path`` is where it was. Raises ``NotFound`` when it is in neither place.
        """
        target = resolve_under(self.root, path)
        if not target.exists():
            self._move(path, self.trash, self.root)
        else:
            self.forget(path)
        return target

    def forget(self, path: str | Path) -> None:
        """Remove one file from the trash for good, if it is there."""
        with translated(self.trash):
            (self.trash / self.relative(path)).unlink(missing_ok=True)

    def empty_trash(self) -> int:
        """Remove all files in the trash for good; returns how many there were."""
        number = sum(entry.is_file() for entry in self.trash.rglob("*"))
        with translated(self.trash):
            for entry in self.trash.iterdir():
                remove(entry)
        return number

    def remove_unfinished(self) -> None:
        """Remove what a killed process left half-written. Only for the one process that writes."""
        for part in self.root.rglob(f"{PART_PREFIX}*"):
            remove(part)

    def _move(self, path: str | Path, start: Path, end: Path) -> None:
        name = self.relative(path)
        if not (start / name).is_file():
            raise NotFound(f"There is no file {start / name}; it was moved or removed.")
        with translated(end):
            (end / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(start / name, end / name)
