"""The format of a project file: a zip with rows as JSON Lines, the files they speak of, a manifest.

``project.json`` says what the format is and lists every other file with its size and SHA-256:

* ``rows/<table>.jsonl``, one row a line (see ``storage.project.tables``);
* ``audio/<ha>/<hash>.flac`` (or ``.wav``), sounds named by the SHA-256 of their content;
* ``adapters/<id>/``, the two files of a PEFT adapter;
* ``runs/<id>/``, configuration, state, curves and log of a training run, without its weights.

Rows are JSON as Python writes it: a silent clip has a peak of ``-Infinity``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from storage.audio.files import AudioFiles
from storage.base.archives import Archive, damaged
from storage.base.db import Database
from storage.base.errors import StorageError
from storage.clips.library import Clips
from storage.project.columns import ID, SHA_256, brief
from storage.project.tables import AUDIO, BY_NAME

FORMAT = "amphion-studio-project"
VERSION = 1
MANIFEST = "project.json"
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
ADAPTER_WEIGHTS = ADAPTER_FILES[1]
RUN_FILES = ("config.yaml", "run.json", "metrics.jsonl", "log.txt")
MAX_MANIFEST_BYTES = 64 * 2**20
MAX_LINE_BYTES = 32 * 2**20
MAX_TEXT_BYTES = 2**30  # of one table or text file
SPARE = 100  # how much smaller a table or text may be packed than it is
FOLDERS = {"adapters": ADAPTER_FILES, "runs": RUN_FILES}


@dataclass(frozen=True)
class Member:
    """A file in a project file: SHA-256 and size of its content."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """``project.json``: ``rows`` maps a table to its number of rows; the time is ISO 8601 in UTC."""

    app_version: str
    created_at: str
    rows: Mapping[str, int]
    members: Mapping[str, Member] = field(default_factory=dict)
    format: str = FORMAT
    version: int = VERSION

    def to_json(self) -> str:
        """The text of the file."""
        return json.dumps(asdict(self), indent=1) + "\n"


def rows_name(table: str) -> str:
    """Where the rows of a table are."""
    return f"rows/{table}.jsonl"


def read_manifest(archive: Archive) -> Manifest:
    """The manifest of a project file.

    Raises ``StorageError`` where there is none, of another version, or one that does not say what
    the file holds.
    """
    if MANIFEST not in archive.entries:
        raise StorageError(
            f"{archive.name} has no {MANIFEST}: it is no project of this studio. A dataset is taken "
            "in by Datasets, an adapter by Adapters."
        )
    if archive.entries[MANIFEST].file_size > MAX_MANIFEST_BYTES:
        raise StorageError(f"{archive.name} has a {MANIFEST} of an impossible size.")
    with archive.open(MANIFEST) as file:
        try:
            values = json.loads(file.read())
        except (ValueError, RecursionError) as error:
            raise StorageError(f"{MANIFEST} of {archive.name} is damaged ({error}).") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise StorageError(f"{MANIFEST} of {archive.name} is not that of a studio's project.")
    if values.get("version") != VERSION:
        raise StorageError(
            f"{archive.name} has version {brief(values.get('version'))} of the format; this studio "
            f"reads version {VERSION}. Update the studio that is older."
        )
    try:
        return _manifest(values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StorageError(f"{MANIFEST} of {archive.name} is damaged ({error}).") from error


def _manifest(values: dict[str, Any]) -> Manifest:
    members = {name: Member(**member) for name, member in values["members"].items()}
    for name, member in members.items():
        if not (SHA_256.fullmatch(member.sha256) and isinstance(member.bytes, int)):
            raise ValueError(f"{name!r} has no right hash and size")
    rows = dict(values["rows"])
    for table, count in rows.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise ValueError(f"{table!r} has {brief(count)} rows")
    return Manifest(str(values["app_version"]), str(values["created_at"]), rows, members)


def check_names(archive: Archive, manifest: Manifest) -> None:
    """Refuse a file whose content is not what its manifest lists, or has no place in a project."""
    listed, there = set(manifest.members), set(archive.entries) - {MANIFEST}
    for name in sorted(listed - there):
        raise StorageError(f"{archive.name} should hold {name!r}, but it is missing.")
    for name in sorted(there - listed):
        raise StorageError(f"{archive.name} holds {name!r}, of which its manifest says nothing.")
    if set(manifest.rows) != set(BY_NAME) or any(rows_name(t) not in listed for t in BY_NAME):
        raise StorageError(f"{archive.name} does not hold the tables that a project has.")
    for name, member in manifest.members.items():
        entry = archive.entries[name]
        if entry.file_size != member.bytes:
            raise damaged(
                archive.name, f"{name} has {entry.file_size:,} bytes instead of {member.bytes:,}"
            )
        _check_place(name, member, entry, archive.name)


def _check_place(name: str, member: Member, entry: zipfile.ZipInfo, archive: str) -> None:
    """Refuse a name that no project has, and sizes beyond reason."""
    room, _, rest = name.partition("/")
    if room == "audio":
        right = bool(AUDIO.fullmatch(rest)) and rest[3:67] == member.sha256
    elif room == "rows":
        right = rest.removesuffix(".jsonl") in BY_NAME and rest.endswith(".jsonl")
    else:
        id, _, file = rest.partition("/")
        right = file in FOLDERS.get(room, ()) and bool(ID.fullmatch(id))
    if not right:
        raise StorageError(f"{archive} holds {name!r}, which is not part of a project.")
    if room == "audio" or name.endswith(ADAPTER_WEIGHTS):
        return
    most = min(MAX_TEXT_BYTES, entry.compress_size * SPARE + 2**20)
    if member.bytes > most:
        raise StorageError(
            f"{archive} holds {name!r}, which unpacks from {entry.compress_size:,} to "
            f"{member.bytes:,} bytes. It is refused; do not trust where it came from."
        )


def read_rows(archive: Archive, manifest: Manifest, table: str) -> Iterator[dict[str, Any]]:
    """The rows of a table, one at a time. Raises ``StorageError`` naming the line that is wrong."""
    count = 0
    with archive.open(rows_name(table)) as file:
        while line := file.readline(MAX_LINE_BYTES):
            count += 1
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise wrong_row(table, count, error) from error
            if not isinstance(values, dict):
                raise wrong_row(table, count, "it is no object")
            yield values
    if count != manifest.rows[table]:
        raise StorageError(f"{rows_name(table)} has {count:,} rows, not {manifest.rows[table]:,}.")


def wrong_row(table: str, line: int, problem: Exception | str) -> StorageError:
    """The error to raise for a row that cannot be."""
    return StorageError(f"Line {line:,} of {rows_name(table)} is wrong: {problem}. Nothing was "
                        "imported.")  # fmt: skip


class DataFolder(Protocol):
    """The parts of a store that project files are written from and taken into."""

    @property
    def data_dir(self) -> Path: ...

    @property
    def db(self) -> Database: ...

    @property
    def files(self) -> AudioFiles: ...

    @property
    def clips(self) -> Clips: ...

    def folder(self, name: str) -> Path: ...
