"""Zip files: packing folders, and unpacking what came from elsewhere (``storage.base.archives``)."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.base import StudioError
from storage import DiskFull, StorageError
from storage.audio.files import PART_PREFIX
from storage.base.archives import MAX_FILE_BYTES, MAX_UNPACKED, opened, scratch
from storage.base.errors import translated
from storage.base.ids import new_id

__all__ = ["names_in", "pack", "scratch", "unpack", "written_whole"]


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """A folder to fill, which appears as ``target`` only when the block ends without an error."""
    with scratch(target.parent) as folder:
        yield folder
        with translated(target):
            folder.rename(target)


def pack(target: Path, files: dict[str, Path | str]) -> Path:
    """A zip with ``files`` by their names in it, each a file to copy or a text; whole or not at all.

    Sounds and weights do not get smaller, so nothing is compressed.
    """
    part = target.with_name(f"{PART_PREFIX}{new_id()}.zip")
    try:
        with translated(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
                for name, content in files.items():
                    if isinstance(content, Path):
                        archive.write(content, name)
                    else:
                        archive.writestr(name, content)
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def unpack(
    path: Path,
    target: Path,
    wanted: Callable[[str], bool],
    max_bytes: int = MAX_UNPACKED,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> list[Path]:
    """Unpack the files whose names ``wanted`` accepts, with their folders, below ``target``.

    Raises ``StudioError`` for what is no zip, for any name that leads out of the folder, links,
    encrypted or damaged entries, files that are too large or packed too tightly, and more than
    ``max_bytes`` in all; ``DiskFull`` before it starts.
    """
    try:
        with opened(path) as archive:
            return list(archive.unpack(target, wanted, max_bytes, max_file_bytes).values())
    except DiskFull:
        raise
    except StorageError as error:
        raise StudioError(str(error)) from error


def names_in(path: Path) -> list[str]:
    """The names of all entries of a zip."""
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()
