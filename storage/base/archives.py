"""Zip files from elsewhere, read without believing them.

``opened`` judges the directory of a zip before anything in it is read, and in bounded memory: how
many files it names, where they would be written, what they unpack to.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from storage.base.errors import StorageError, disk_full, free_bytes, translated
from storage.base.ids import PART_PREFIX, new_id

MAX_FILES = 200_000
MAX_DIRECTORY_BYTES = 64 * 2**20
MAX_RATIO = 1100  # what deflate can reach is 1032
SMALL = 64 * 2**20  # up to here an entry may be packed as tightly as it likes
MAX_SOUND_RATIO = 100  # of larger ones: sound that is heard packs ten times at most
MAX_FILE_BYTES = 2**30  # what is read as a sound
MAX_UNPACKED = 8 * 2**30
BLOCK = 2**20
PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
END, END_64, LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
END_BYTES, LOCATOR_BYTES, END_64_BYTES, COMMENT_BYTES = 22, 20, 56, 65_535
DAMAGE = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError)

Step = Callable[[int], None]  # told how many more bytes are done; may raise to stop


def no_step(_: int) -> None:
    """A ``Step`` for callers who need not know."""


@contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """A new empty folder below ``parent``, removed at the end whatever happens."""
    folder = parent / f"{PART_PREFIX}{new_id()}"
    with translated(parent):
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Archive:
    """An open zip; ``entries`` are its files by name. Made by ``opened``."""

    def __init__(self, path: Path, archive: zipfile.ZipFile):
        self.name = path.name
        self.entries = {e.filename: e for e in archive.infolist() if not e.is_dir()}
        self._archive = archive

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """Read an entry. Raises ``StorageError`` for one that is damaged."""
        with self._whole(), self._archive.open(self.entries[name]) as source:
            yield source

    def extract(self, name: str, to: Path | None, step: Step = no_step) -> str:
        """Write an entry to the file ``to`` (None: nowhere); returns the SHA-256 of its content."""
        digest = hashlib.sha256()
        with self.open(name) as source:
            if to is None:
                _copy(source, None, digest.update, step)
            else:
                with translated(to), to.open("xb") as file:
                    _copy(source, file, digest.update, step)
        return digest.hexdigest()

    def unpack(
        self,
        target: Path,
        wanted: Callable[[str], bool] = bool,
        max_bytes: int = MAX_UNPACKED,
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> dict[str, Path]:
        """Write the files whose names ``wanted`` accepts below ``target``; where each one lies.

        Raises ``StorageError`` for files or a total that are too large or packed too tightly to be
        sound, ``DiskFull`` when they don't fit; both before anything is written.
        """
        chosen = [name for name in self.entries if wanted(name)]
        for name in chosen:
            _refuse_bomb(self.entries[name], self.name, max_file_bytes)
        self.refuse_size(chosen, target, max_bytes)
        unpacked = {}
        for name in chosen:
            to = unpacked[name] = target / name.replace("\\", "/")
            with translated(to):
                to.parent.mkdir(parents=True, exist_ok=True)
            self.extract(name, to)
        return unpacked

    def refuse_size(self, names: list[str], target: Path, max_bytes: int | None = None) -> int:
        """The bytes that these entries unpack to.

        Raises ``StorageError`` when they are more than ``max_bytes``, ``DiskFull`` when they do not
        fit where ``target`` lies.
        """
        total = sum(self.entries[name].file_size for name in names)
        if max_bytes is not None and total > max_bytes:
            raise StorageError(
                f"{self.name} unpacks to {total / 1e6:,.0f} MB; at most {max_bytes / 1e6:,.0f} MB "
                "are taken. Split it."
            )
        if total > free_bytes(target):
            raise disk_full(target)
        return total

    @contextmanager
    def _whole(self) -> Iterator[None]:
        try:
            yield
        except DAMAGE as error:
            raise damaged(self.name, error) from error


def damaged(name: str, error: Exception | str) -> StorageError:
    """The error to raise for a zip that cannot be read to its end."""
    return StorageError(
        f"{name} is not a whole zip file ({error}). It may be cut short or of another kind: pack it "
        "again, or send it again."
    )


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open a zip and judge its directory.

    Raises ``StorageError`` for what is no zip, for too many files, names that lead out of a folder
    or come twice, links, passwords, and entries that lie over each other or claim to unpack to more
    than compression can do.
    """
    with translated(path), path.open("rb") as file:
        _refuse_directory(file, path.name)
        try:
            archive = zipfile.ZipFile(file)
        except (*DAMAGE, ValueError, UnicodeDecodeError) as error:
            raise damaged(path.name, error) from error
        with archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise StorageError(f"{path.name} holds {twice!r} twice; which one is meant?")
            for entry in entries:
                refuse_entry(entry, path.name)
            if sum(entry.compress_size for entry in entries) > path.stat().st_size:
                raise StorageError(
                    f"{path.name} claims to hold more than its size: its files lie over each "
                    "other. It is refused; do not trust where it came from."
                )
            yield Archive(path, archive)


def refuse_entry(entry: zipfile.ZipInfo, archive: str) -> None:
    """Raise ``StorageError`` for an entry that is not a plain file or folder below the zip's own."""
    name = entry.filename
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0]:
        raise StorageError(
            f"{archive} holds {name!r}, which would be written outside its folder. It is "
            "refused; do not trust where it came from."
        )
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise StorageError(f"{archive} holds a link, {name!r}. Pack the file itself.")
    if entry.flag_bits & 1:
        raise StorageError(f"{archive} cannot be read: {name!r} is encrypted. Pack it without a "
                           "password.")  # fmt: skip
    if entry.compress_type not in PLAIN:
        raise StorageError(f"{archive} holds {name!r} in a compression other than deflate.")
    stored = entry.compress_type == zipfile.ZIP_STORED
    most = entry.compress_size * (1 if stored else MAX_RATIO) + (0 if stored else BLOCK)
    if entry.file_size > most:
        raise StorageError(
            f"{archive} holds {name!r}, which claims to unpack from {entry.compress_size:,} to "
            f"{entry.file_size:,} bytes. It is refused; do not trust where it came from."
        )


def _refuse_bomb(entry: zipfile.ZipInfo, archive: str, max_bytes: int) -> None:
    """Raise ``StorageError`` for a file that is too large, or packed as only silence can be."""
    size, packed = entry.file_size, max(entry.compress_size, 1)
    if size > max_bytes:
        raise StorageError(
            f"{archive} holds {entry.filename!r}, which unpacks to {size / 1e6:,.0f} MB; at most "
            f"{max_bytes / 1e6:,.0f} MB are taken for one file. Split it."
        )
    if size > SMALL and size > MAX_SOUND_RATIO * packed:
        raise StorageError(
            f"{archive} holds {entry.filename!r}, which unpacks to {size // packed:,} times its size, "
            f"{size / 1e6:,.0f} MB: that is silence and no recording. Send it as FLAC if it is needed."
        )


def _refuse_directory(file: BinaryIO, name: str) -> None:
    """Read the end of a zip and refuse a directory that would not fit into memory.

    ``zipfile`` reads the whole directory at once, however long it claims to be.
    """
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - END_BYTES - COMMENT_BYTES)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(END)
    if at < 0 or len(tail) - at < END_BYTES:
        raise damaged(name, "it has no directory at its end")
    files, directory = struct.unpack("<HL", tail[at + 10 : at + 16])
    locator = start + at - LOCATOR_BYTES
    if locator >= END_64_BYTES:
        file.seek(locator - END_64_BYTES)
        record = file.read(END_64_BYTES + LOCATOR_BYTES)
        if record[:4] == END_64 and record[END_64_BYTES:][:4] == LOCATOR:
            files, directory = struct.unpack("<QQ", record[32:48])
    if files > MAX_FILES or directory > MAX_DIRECTORY_BYTES:
        raise StorageError(f"{name} holds {files:,} files; at most {MAX_FILES:,} fit.")


def _copy(
    source: IO[bytes], to: IO[bytes] | None, digest: Callable[[bytes], None], step: Step
) -> None:
    while block := source.read(BLOCK):
        digest(block)
        if to is not None:
            to.write(block)
        step(len(block))
