"""What a person sends for a batch: a table, sounds, a zip or a folder of both."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from engines.base import StudioError
from engines.studio.batch.reading import TABLES
from storage import DiskFull, StorageError
from storage.base.archives import opened

MAX_FILES = 20_000
MAX_UNPACKED = 4 * 2**30
SOUNDS = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aif", ".aiff", ".au", ".caf")
IGNORED = ("__MACOSX",)


@dataclass(frozen=True)
class Sent:
    """A table, or None, and other files by the name that a table may call them."""

    table: Path | None
    files: Mapping[str, Path] = field(default_factory=dict)

    def find(self, name: str) -> Path | None:
        """The file of that name, with or without the folders before it."""
        wanted = PurePosixPath(name.strip().replace("\\", "/"))
        return self.files.get(str(wanted)) or self.files.get(wanted.name)

    @property
    def sounds(self) -> dict[str, Path]:
        """The sounds among the files, each once, by the shortest path that tells them apart."""
        listed = {path: name for name, path in sorted(self.files.items(), key=lambda i: len(i[0]))}
        return {
            name: path
            for path, name in sorted(listed.items(), key=lambda item: item[1])
            if path.suffix.lower() in SOUNDS
        }


def gather(given: Iterable[Path], into: Path) -> Sent:
    """What was sent, sorted; zips are unpacked below ``into``.

    Raises ``StudioError`` for more than one table, for nothing that can be used and for zips that
    are damaged or too large.
    """
    tables: list[Path] = []
    files: dict[str, Path] = {}
    for path in given:
        for name, found in _inside(path, into):
            if found.suffix.lower() in TABLES:
                tables.append(found)
            else:
                files.setdefault(name, found)
                files.setdefault(PurePosixPath(name).name, found)
    if len(tables) > 1:
        named = ", ".join(table.name for table in tables[:5])
        raise StudioError(f"There is more than one table ({named}); send one at a time.")
    if not tables and not any(path.suffix.lower() in SOUNDS for path in files.values()):
        raise StudioError(
            "There is neither a table (CSV, JSON, JSON Lines) nor a sound in what was sent."
        )
    return Sent(tables[0] if tables else None, files)


def _inside(path: Path, into: Path) -> list[tuple[str, Path]]:
    """A file, or the files of a folder or zip, with their names."""
    if path.is_dir():
        found = sorted(item for item in path.rglob("*") if item.is_file())
        named = [(item.relative_to(path).as_posix(), item) for item in found]
    elif path.suffix.lower() == ".zip":
        named = _unpacked(path, into)
    elif path.is_file():
        named = [(path.name, path)]
    else:
        raise StudioError(f"There is no file {path}.")
    kept = [
        (name, item)
        for name, item in named
        if not any(part.startswith(".") or part in IGNORED for part in PurePosixPath(name).parts)
    ]
    if len(kept) > MAX_FILES:
        raise StudioError(
            f"{path.name} holds {len(kept):,} files; at most {MAX_FILES:,} are taken."
        )
    return kept


def _unpacked(path: Path, into: Path) -> list[tuple[str, Path]]:
    try:
        with opened(path) as archive:
            if len(archive.entries) > MAX_FILES:
                raise StudioError(
                    f"{path.name} holds {len(archive.entries):,} files; at most {MAX_FILES:,} are "
                    "taken. Split it."
                )
            return list(archive.unpack(into, max_bytes=MAX_UNPACKED).items())
    except DiskFull:
        raise
    except StorageError as error:
        raise StudioError(str(error)) from error


def settled(path: Path, into: Path) -> Path:
    """``path``, or its copy below ``into`` where it stays until its row is made."""
    if path.resolve().is_relative_to(into.resolve()):
        return path
    into.mkdir(parents=True, exist_ok=True)
    target, number = into / path.name, 1
    while target.exists():
        number += 1
        target = into / f"{path.stem}-{number}{path.suffix}"
    try:
        os.link(path, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(path, target)
    return target
