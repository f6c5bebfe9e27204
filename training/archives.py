"""Zip files: packing folders, and unpacking what came from elsewhere without believing it."""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from engines.base import StudioError
from storage.errors import disk_full, free_bytes, translated
from storage.ids import new_id

MAX_FILES = 200_000
BLOCK = 2**20


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A new empty folder below ``parent``, removed at the end whatever happens."""
    folder = parent / f".part-{new_id()}"
    with translated(parent):
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
    part = target.with_name(f".part-{new_id()}.zip")
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
    path: Path, target: Path, wanted: Callable[[str], bool], max_bytes: int | None = None
) -> list[Path]:
    """Unpack the files whose names ``wanted`` accepts, with their folders, below ``target``.

    Raises ``StudioError`` for what is no zip, for any name that leads out of the folder, links,
    encrypted or damaged entries and more than ``max_bytes`` in all; ``DiskFull`` before it starts.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            for entry in entries:
                _refuse(entry, path.name)
            chosen = [entry for entry in entries if wanted(entry.filename)]
            _refuse_size(chosen, path.name, target, max_bytes)
            return [_extract(archive, entry, target) for entry in chosen]
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise StudioError(f"{path.name} is not a whole zip file ({error}).") from error
    except RuntimeError as error:  # what zipfile says of a password
        raise StudioError(
            f"{path.name} cannot be read: {error}. Pack it without a password."
        ) from error


def names_in(path: Path) -> list[str]:
    """The names of all entries of a zip."""
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def _refuse(entry: zipfile.ZipInfo, archive: str) -> None:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
        raise StudioError(
            f"{archive} holds {entry.filename!r}, which would be written outside its folder. It is "
            "refused; do not trust where it came from."
        )
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise StudioError(f"{archive} holds a link, {entry.filename!r}. Pack the file itself.")


def _refuse_size(
    entries: list[zipfile.ZipInfo], archive: str, target: Path, max_bytes: int | None
) -> None:
    total = sum(entry.file_size for entry in entries)
    if len(entries) > MAX_FILES:
        raise StudioError(f"{archive} holds {len(entries):,} files; at most {MAX_FILES:,} fit.")
    if max_bytes is not None and total > max_bytes:
        raise StudioError(
            f"{archive} unpacks to {total / 1e6:,.0f} MB; at most {max_bytes / 1e6:,.0f} MB fit."
        )
    if total > free_bytes(target):
        raise disk_full(target)


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> Path:
    to = target / entry.filename.replace("\\", "/")
    # zipfile stops at the declared size, so the sum above is what is written at most
    with archive.open(entry) as source, translated(to):
        to.parent.mkdir(parents=True, exist_ok=True)
        with to.open("wb") as file:
            shutil.copyfileobj(source, file, BLOCK)
    return to
