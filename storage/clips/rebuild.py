"""Rows of clips from the sound files alone, for a data folder whose database was lost.

Each file holds the settings it was made with (``storage.audio.embedded``). What only the database knew,
such as favourites, tags, notes and judgements, doesn't come back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storage.audio.embedded import Embedded, read_tags
from storage.audio.files import AudioFiles
from storage.base.db import Database
from storage.base.errors import StorageError
from storage.clips.library import Clips
from storage.clips.rows import ClipRow

NAME = re.compile(r"[0-9a-f]{64}\.(flac|wav)")


def count_lost(db: Database, files: AudioFiles) -> int:
    """How many sounds lie in the audio folder when there is not one row of a clip; 0 otherwise."""
    if db.query("SELECT 1 FROM clips LIMIT 1"):
        return 0
    return len(sounds_without_rows(db, files))


def sounds_without_rows(db: Database, files: AudioFiles) -> list[Path]:
    """The sounds of the audio folder that no clip has, the oldest first."""
    known = {row["file"] for row in db.query("SELECT file FROM clips")}
    found = [
        path
        for path in files.root.glob("*/*")
        if NAME.fullmatch(path.name) and files.relative(path) not in known
    ]
    return sorted(found, key=lambda path: (path.stat().st_mtime, path.name))


def tags_of(path: Path) -> Embedded | None:
    """The settings inside a sound of the audio folder, None when there are none that can be read.

    Raises ``StorageError`` when the content is not what the name says: the file is damaged.
    """
    if hashlib.sha256(path.read_bytes()).hexdigest() != path.stem:
        raise StorageError(f"{path.name} is damaged: its content is not that of its name.")
    try:
        return read_tags(path)
    except StorageError:
        return None


def adopt(clips: Clips, path: Path, tags: Embedded, values: Mapping[str, Any]) -> ClipRow:
    """Add the row of a sound that lies in the audio folder; its time is that of the file.

    ``values`` are the columns ``task``, ``peak_db``, ``loudness_lufs``, ``duration_s``,
    ``sample_rate`` and ``channels``.
    """
    moment = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="milliseconds")
    return clips.adopt(path, tags, {**values, "created_at": moment})
