"""Errors of the storage room, in plain sentences, and their translation from system errors."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StorageError(Exception):
    """Something went wrong that a person can understand and mend; the message says how."""


class DiskFull(StorageError):
    """There is no room left where the data folder lies; nothing stored before is affected."""


class DamagedDatabase(StorageError):
    """The database file cannot be read; it was left as it is."""


class NotFound(StorageError):
    """There is no row or file of that name, or it was deleted."""


FULL_ERRNOS = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
LOW_SPACE_BYTES = 2**20


def free_bytes(path: Path) -> int:
    """Free bytes of the file system that holds ``path`` or its nearest existing parent."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def disk_full(path: Path) -> DiskFull:
    """The error to raise when writing at ``path`` found no room."""
    megabytes = free_bytes(path) / 1e6
    return DiskFull(
        f"disk full: {megabytes:.1f} MB free at {path}; what was stored before is safe, the last "
        "step was not stored. Free some space and try again, or start with another --data folder."
    )


def from_os_error(error: OSError, path: Path) -> StorageError:
    """Say in words what the operating system refused at ``path``."""
    if error.errno in FULL_ERRNOS:
        return disk_full(path)
    return StorageError(f"Cannot use {error.filename or path}: {error.strerror or error}.")


def from_sqlite_error(error: sqlite3.DatabaseError, path: Path) -> StorageError | None:
    """Say in words what SQLite refused; None for a mistake of ours, such as wrong SQL."""
    text = str(error)
    if "disk is full" in text or ("disk I/O" in text and free_bytes(path) < LOW_SPACE_BYTES):
        return disk_full(path)
    if "not a database" in text or "malformed" in text:
        return DamagedDatabase(
            f"{path} is damaged ({text}). It was left as it is. Move it away to start with an "
            f"empty history, or put a backup in its place ({path.name}.before-*.bak)."
        )
    if "locked" in text:
        return StorageError(f"{path} is locked by another program; close it and try again.")
    if "readonly" in text or "unable to open" in text or "disk I/O" in text:
        return StorageError(f"Cannot use {path}: {text}. Check the folder, its owner and its disk.")
    return None


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn errors of the system and of SQLite inside the block into ``StorageError``.

    Mistakes of ours (wrong SQL, broken constraints) pass unchanged.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        translation = from_sqlite_error(error, path)
        if translation is None:
            raise
        raise translation from error
    except OSError as error:
        raise from_os_error(error, path) from error
