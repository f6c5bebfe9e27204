"""Taking in a project file: all of it or nothing, and never over what is here.

Everything is checked before anything is stored. Then files wait in a folder of their own beside the
store, a journal names where they go, and within one transaction they are moved there and the rows are
added. After a crash ``recover`` takes back the files of a transaction that did not come to its end.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from storage.audio.files import resolve_under, write_whole
from storage.base.archives import BLOCK, Archive, Step, damaged, no_step, opened
from storage.base.db import Database
from storage.base.errors import StorageError, translated
from storage.base.ids import new_id
from storage.project.format import (
    ADAPTER_FILES,
    ADAPTER_WEIGHTS,
    FOLDERS,
    DataFolder,
    Manifest,
    check_names,
    read_manifest,
    read_rows,
    wrong_row,
)
from storage.project.merge import Merge, Merged, checked
from storage.project.tables import CLIPS, TABLES

log = logging.getLogger(__name__)

STAGE_PREFIX = "import-"
ASIDE_PREFIX = "damaged-"
JOURNAL = "journal.json"
STREAMINFO = slice(18, 26)  # of a FLAC file: rate, channels, bits and number of samples
HALF_A_SAMPLE = 0.5
MAX_CONFIG_BYTES = 2**20


class _DryRun(Exception):
    """Ends a transaction that was only to be looked at."""


@dataclass(frozen=True)
class _Sound:
    """What a clip says of its file: rate in Hz, channels, seconds."""

    sample_rate: int
    channels: int
    duration_s: float


@dataclass
class _Project:
    """A project file that was checked as far as its rows of clips go."""

    archive: Archive
    manifest: Manifest
    clip_ids: set[str] = field(default_factory=set)
    sounds: dict[str, _Sound] = field(default_factory=dict)  # by member


def look(path: Path) -> Manifest:
    """The manifest of a project file whose names and sizes are right."""
    with opened(path) as archive:
        manifest = read_manifest(archive)
        check_names(archive, manifest)
        return manifest


def dry_run(store: DataFolder, path: Path, step: Step = no_step) -> tuple[Manifest, Merged]:
    """Check a project file wholly and say what an import would do; nothing is changed.

    ``step`` is told of the bytes of content that were read.
    """
    with opened(path) as archive:
        project = _checked(archive, store)
        for name in project.manifest.members:
            _take(project, name, None, step)
        try:
            with store.db.write() as transaction:
                merge = _merge(project, transaction)
                raise _DryRun
        except _DryRun:
            return project.manifest, merge.merged


def take_in(store: DataFolder, path: Path, step: Step = no_step) -> tuple[Manifest, Merged]:
    """Import a project file; see ``dry_run`` for what it checks before.

    Raises ``StorageError`` for a file that cannot be, ``DiskFull`` when there is no room. In these
    cases, and when ``step`` raises, nothing is changed.
    """
    stage = store.folder("work") / f"{STAGE_PREFIX}{new_id()}"
    with opened(path) as archive:
        project = _checked(archive, store)
        try:
            with translated(stage):
                stage.mkdir(parents=True)
                moves = _stage(project, store, stage, step)
            with store.clips.changed() as transaction:
                merge = _merge(project, transaction)
                merge.finish()
                _publish(store, stage, moves)
                _check_places(project, store)
        except BaseException:
            recover(store.db, store.data_dir)
            raise
    shutil.rmtree(stage, ignore_errors=True)
    return project.manifest, merge.merged


# checking


def _checked(archive: Archive, store: DataFolder) -> _Project:
    """A project file after everything that can be known without reading its sounds."""
    project = _Project(archive, read_manifest(archive))
    check_names(archive, project.manifest)
    missing = [name for name in project.manifest.members if not _is_here(store, name)]
    archive.refuse_size(missing, store.data_dir)
    _read_clips(project)
    return project


def _read_clips(project: _Project) -> None:
    """Fill in what the rows of clips say; each sound belongs to a clip and each clip has one."""
    archive, members = project.archive, project.manifest.members
    for line, row in enumerate(read_rows(archive, project.manifest, "clips"), 1):
        try:
            clip = checked(CLIPS, row)
        except ValueError as error:
            raise wrong_row("clips", line, error) from error
        name = f"audio/{clip['file']}"
        if name not in members:
            raise wrong_row("clips", line, f"its sound {name} is not in {archive.name}")
        if clip["bytes"] != members[name].bytes:
            raise wrong_row("clips", line, f"{name} does not have {clip['bytes']:,} bytes")
        sound = _Sound(clip["sample_rate"], clip["channels"], clip["duration_s"])
        if project.sounds.setdefault(name, sound) != sound:
            raise wrong_row("clips", line, f"another clip says something else of {name}")
        project.clip_ids.add(clip["id"])
    for name in members:
        if name.startswith("audio/") and name not in project.sounds:
            raise StorageError(f"{archive.name} holds {name!r}, which belongs to no clip.")


def _take(project: _Project, name: str, to: Path | None, step: Step) -> None:
    """Read a member to its end, into ``to`` if given, and check its hash and what it is."""
    archive = project.archive
    if to is not None:
        to.parent.mkdir(parents=True, exist_ok=True)
    if archive.extract(name, to, step) != project.manifest.members[name].sha256:
        raise damaged(archive.name, f"the checksum of {name} is wrong")
    if name in project.sounds:
        _check_sound(archive, name, project.sounds[name])
    elif name.startswith("adapters/"):
        _check_adapter(archive, name)


def _check_sound(archive: Archive, name: str, clip: _Sound) -> None:
    """Refuse a file whose header is not that of the clip's sound."""
    with archive.open(name) as file:
        head = file.read(BLOCK)
    if name.endswith(".flac") and head[:4] == b"fLaC" and len(head) > STREAMINFO.stop:
        bits = int.from_bytes(head[STREAMINFO], "big")
        found: tuple[int, int, float] = (bits >> 44, (bits >> 41 & 7) + 1, bits & (2**36 - 1))
    else:
        found = _header(head, archive.entries[name])
    wanted = (clip.sample_rate, clip.channels, clip.duration_s * clip.sample_rate)
    if found[:2] != wanted[:2] or abs(found[2] - wanted[2]) > HALF_A_SAMPLE:
        raise StorageError(
            f"{name} of {archive.name} is not the sound that its clip tells of: rate, channels or "
            "length differ."
        )


def _header(head: bytes, entry: zipfile.ZipInfo) -> tuple[int, int, float]:
    """Rate in Hz, channels and frames of a float WAV file; zeros for what is none."""
    import soundfile

    try:
        with soundfile.SoundFile(BytesIO(head)) as file:
            if file.format != "WAV" or file.subtype != "FLOAT":
                return 0, 0, 0
            at = head.find(b"data")
            size = int.from_bytes(head[at + 4 : at + 8], "little")
            if at < 0 or at + 8 + size > entry.file_size:
                return 0, 0, 0
            return file.samplerate, file.channels, size / 4 / file.channels
    except soundfile.SoundFileError:
        return 0, 0, 0


def _check_adapter(archive: Archive, name: str) -> None:
    """Refuse weights that are no safetensors, and a configuration that is no JSON object."""
    size = archive.entries[name].file_size
    with archive.open(name) as file:
        if name.endswith(ADAPTER_WEIGHTS):
            length = int.from_bytes(file.read(8), "little")
            right = length <= size - 8 and file.read(1) == b"{"
        else:
            right = size <= MAX_CONFIG_BYTES and isinstance(_parsed(file.read()), dict)
    if not right:
        raise StorageError(f"{name} of {archive.name} is not a file of an adapter.")


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


# storing


def _is_here(store: DataFolder, name: str) -> bool:
    """Whether a member need not be stored: its sound is here, or its adapter or run is known.

    Raises ``StorageError`` when a folder of the name of a new one is in the way.
    """
    room, id, *_ = name.split("/")
    if room in FOLDERS:
        if _is_known(store.db, name):
            return True
        if (store.data_dir / room / id).exists():
            raise StorageError(
                f"{store.data_dir / room / id} is in the way of what the file holds; no {room[:-1]} "
                "of that name is known. Move the folder away and import again."
            )
        return False
    return room == "rows" or (store.data_dir / name).exists()


def _stage(project: _Project, store: DataFolder, stage: Path, step: Step) -> list[str]:
    """Unpack and check every file; the names of those that wait in ``stage``, as its journal."""
    moves = []
    for name in project.manifest.members:
        is_here = _is_here(store, name)
        _take(project, name, None if is_here else stage / name, step)
        moves += [] if is_here else [name]
    if hasattr(os, "sync"):
        os.sync()  # files are on the disk before rows speak of them
    write_whole(stage / JOURNAL, json.dumps(moves).encode())
    return moves


def _merge(project: _Project, transaction: sqlite3.Connection) -> Merge:
    merge = Merge(transaction, project.clip_ids)
    for table in TABLES:
        rows = read_rows(project.archive, project.manifest, table.name)
        merge.add(table, _with_files(project, table.name, rows) if table.name in FOLDERS else rows)
    return merge


def _with_files(
    project: _Project, room: str, rows: Iterator[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """The rows of adapters or runs; each folder belongs to one and has the files it needs."""
    members = project.manifest.members
    folders = {name.split("/")[1] for name in members if name.startswith(f"{room}/")}
    for line, row in enumerate(rows, 1):
        folders.discard(str(row.get("id")))
        if room == "adapters":
            files = [members.get(f"adapters/{row.get('id')}/{file}") for file in ADAPTER_FILES]
            if None in files or files[-1].sha256 != row.get("hash"):  # type: ignore[union-attr]
                raise wrong_row(room, line, "its files are missing or have another hash")
        yield row
    if folders:
        raise StorageError(f"{project.archive.name} holds files of no {room[:-1]}: {min(folders)}.")


def _publish(store: DataFolder, stage: Path, moves: list[str]) -> None:
    """Move the files to their places; one that has come to be there in the meantime stays."""
    for name in moves:
        place = resolve_under(store.data_dir, name)
        if not place.exists():
            with translated(place):
                place.parent.mkdir(parents=True, exist_ok=True)
                (stage / name).rename(place)


def _check_places(project: _Project, store: DataFolder) -> None:
    """Raise ``StorageError`` if a sound is not in its place after all."""
    for name in project.sounds:
        if not (store.data_dir / name).exists():
            raise StorageError(f"{name} was removed while it was imported. Import the file again.")


# after a crash


def recover(db: Database, data_dir: Path) -> list[str]:
    """Take back what an import that did not end has left: files that no row speaks of.

    A journal that cannot be read is put aside with its folder, and told of in the answer: what an
    import left stays then, and harms nothing.
    """
    notices = []
    with db.write_lock:
        for stage in sorted((data_dir / "work").glob(f"{STAGE_PREFIX}*")):
            journal = stage / JOURNAL
            if journal.is_file():
                names = _journaled(journal, data_dir)
                if names is None:
                    notices.append(_put_aside(stage))
                    continue
                for name in names:
                    _take_back(db, stage / name, resolve_under(data_dir, name), name)
            shutil.rmtree(stage, ignore_errors=True)
    return notices


def _journaled(journal: Path, data_dir: Path) -> list[str] | None:
    """The names in a journal; None unless each could be that of a file of an import."""
    try:
        names = json.loads(journal.read_text(encoding="utf-8"))
        if not isinstance(names, list):
            return None
        for name in names:
            resolve_under(data_dir, name)
            if name.split("/")[0] not in ("audio", *FOLDERS) or name.count("/") < 2:
                return None
    except (ValueError, TypeError, AttributeError, RecursionError, StorageError):
        return None
    return names


def _put_aside(stage: Path) -> str:
    """Keep a stage that cannot be understood where no start looks at it; what to say of it."""
    place = stage.with_name(f"{ASIDE_PREFIX}{stage.name}")
    stage.rename(place)
    notice = (
        f"The journal of an import that did not end is damaged. It was put aside as {place}. Nothing "
        "of yours was changed; import the project again if clips of it are missing, then delete "
        "that folder."
    )
    log.warning(notice)
    return notice


def _take_back(db: Database, waits: Path, place: Path, name: str) -> None:
    if waits.exists() or not place.exists() or _is_known(db, name):
        return  # was never moved, or the transaction came to its end
    log.info("an import did not end; %s goes again", name)
    place.unlink()
    if name.split("/")[0] in FOLDERS and not any(place.parent.iterdir()):
        place.parent.rmdir()


def _is_known(db: Database, name: str) -> bool:
    room, rest = name.split("/", 1)
    sql, value = {
        "audio": ("SELECT 1 FROM clips WHERE file = ? LIMIT 1", rest),
        "adapters": ("SELECT 1 FROM adapters WHERE id = ?", rest.split("/")[0]),
        "runs": ("SELECT 1 FROM runs WHERE id = ?", rest.split("/")[0]),
    }[room]
    return bool(db.query(sql, [value]))
