"""Writing a project file: rows and files of one moment, in bounded memory."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from storage.base.archives import BLOCK, Step
from storage.base.errors import StorageError, disk_full, free_bytes, translated
from storage.base.ids import PART_PREFIX, new_id, utc_now
from storage.clips import search
from storage.clips.search import ClipQuery
from storage.project.format import (
    ADAPTER_FILES,
    MANIFEST,
    RUN_FILES,
    DataFolder,
    Manifest,
    Member,
    rows_name,
)
from storage.project.tables import TABLES, Table

ROW_BYTES = 1500  # of a clip with its judgements, about, before it is packed
LARGE = 2**31 - BLOCK
NEEDED = """
    SELECT clip_number FROM dataset_items WHERE dataset_number IN chosen_datasets
    UNION SELECT rejected_number FROM dataset_items
        WHERE dataset_number IN chosen_datasets AND rejected_number IS NOT NULL
    UNION SELECT clip_number FROM stimuli JOIN trials ON number = trial_number
        WHERE test_number IN chosen_tests
    UNION SELECT clip_number FROM adapter_clips WHERE adapter_number IN chosen_adapters
"""
INCOMPLETE = {
    "datasets": "SELECT dataset_number FROM dataset_items WHERE clip_number NOT IN chosen_clips"
    " OR (rejected_number IS NOT NULL AND rejected_number NOT IN chosen_clips)",
    "tests": "SELECT test_number FROM stimuli JOIN trials ON number = trial_number"
    " WHERE clip_number NOT IN chosen_clips",
    "adapters": "SELECT adapter_number FROM adapter_clips WHERE clip_number NOT IN chosen_clips",
}


@dataclass(frozen=True)
class Selection:
    """What of a store goes into a project file; the default is everything.

    ``clips`` None are those that something else chosen needs. Of datasets and adapters None means
    all, else these ids. ``tests``: listening tests with their votes; ``prompts``: prompts,
    templates and presets; ``runs``: training runs, without their checkpoints. Judgements, tags and
    scores go with their clips.
    """

    clips: ClipQuery | None = field(default_factory=ClipQuery)
    datasets: tuple[str, ...] | None = None
    adapters: tuple[str, ...] | None = None
    tests: bool = True
    prompts: bool = True
    runs: bool = True


@dataclass(frozen=True)
class Contents:
    """How much a selection is now: rows by table, bytes of all files (those of rows estimated)."""

    rows: dict[str, int]
    bytes: int


@dataclass(frozen=True)
class Exported:
    """A project file; ``left_out`` says what could not go into it."""

    path: Path
    bytes: int
    rows: dict[str, int]
    left_out: tuple[str, ...]


@contextmanager
def chosen(store: DataFolder, selection: Selection) -> Iterator[sqlite3.Connection]:
    """The store as it is at this moment, with temporary tables of the numbers that were chosen."""
    with translated(store.db.path):
        store.db.connection()  # raises when the store is closed
        address = f"{store.db.path.as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as reader:
            reader.row_factory = sqlite3.Row
            reader.execute("BEGIN")
            _choose(reader, selection)
            yield reader


def _choose(reader: sqlite3.Connection, selection: Selection) -> None:
    for table in ("clips", "tests", "datasets", "adapters"):
        reader.execute(f"CREATE TEMP TABLE chosen_{table} (number INTEGER PRIMARY KEY)")
    for table, ids in (("datasets", selection.datasets), ("adapters", selection.adapters)):
        among = "" if ids is None else " WHERE id IN (SELECT value FROM json_each(?))"
        values = [] if ids is None else [json.dumps(ids)]
        _put(reader, table, f"SELECT number FROM {table}{among}", values)
    if selection.tests:
        _put(reader, "tests", "SELECT number FROM tests")
    if selection.clips is not None:
        found = search.matching(selection.clips)
        _put(reader, "clips", found.sql, found.parameters)
    _put(reader, "clips", NEEDED)


def _put(reader: sqlite3.Connection, table: str, sql: str, values: Sequence[Any] = ()) -> None:
    reader.execute(f"INSERT OR IGNORE INTO chosen_{table} {sql}", values)


def measure(store: DataFolder, selection: Selection) -> Contents:
    """How much a selection is."""
    with chosen(store, selection) as reader:
        rows = {
            table.name: reader.execute(
                f"SELECT count(*) FROM ({_select(table)})", _switches(selection)
            ).fetchone()[0]
            for table in TABLES
        }
        sounds = reader.execute(
            "SELECT ifnull(sum(bytes), 0) FROM (SELECT DISTINCT file, bytes FROM clips"
            " WHERE number IN chosen_clips)"
        ).fetchone()[0]
        files = sum(path.stat().st_size for _, path in _folders(store, reader, selection.runs))
    return Contents(rows, sounds + files + rows["clips"] * ROW_BYTES)


def export(
    store: DataFolder, selection: Selection, target: Path, app_version: str, step: Step
) -> Exported:
    """Write a project file, whole or not at all; ``step`` is told of the bytes of files written.

    Clips whose file another program removed are left out, and what needs them with them. Raises
    ``DiskFull`` before it starts or when the room ends, ``StorageError`` for an empty selection.
    """
    needed = measure(store, selection)
    if not any(needed.rows.values()):
        raise StorageError("Nothing is chosen, or nothing is here yet; there is nothing to export.")
    part = target.with_name(f"{PART_PREFIX}{new_id()}.zip")
    try:
        with translated(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if needed.bytes > free_bytes(target.parent):
                raise disk_full(target.parent)
            with (
                chosen(store, selection) as reader,
                zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive,
            ):
                exported = _write(store, selection, reader, archive, app_version, step)
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return Exported(target, target.stat().st_size, *exported)


def _write(
    store: DataFolder,
    selection: Selection,
    reader: sqlite3.Connection,
    archive: zipfile.ZipFile,
    app_version: str,
    step: Step,
) -> tuple[dict[str, int], tuple[str, ...]]:
    """All members; files come first, so that rows tell only of those that are there."""
    members: dict[str, Member] = {}
    left_out = []
    for file, title in reader.execute(
        "SELECT file, max(title) FROM clips WHERE number IN chosen_clips"
        " GROUP BY file ORDER BY min(number)"
    ).fetchall():
        try:
            members[f"audio/{file}"] = _add(archive, f"audio/{file}", _sound(store, file), step)
        except FileNotFoundError:
            left_out.append(f"the clip {title!r}: its file {file} is not in the audio folder")
            reader.execute(
                "DELETE FROM chosen_clips WHERE number IN (SELECT number FROM clips"
                " WHERE file = ?)",
                [file],
            )
    left_out += _drop_incomplete(store, reader)
    for name, path in _folders(store, reader, selection.runs):
        members[name] = _add(archive, name, path, step)
    rows = {}
    for table in TABLES:
        found = reader.execute(_select(table), _switches(selection))
        rows[table.name], members[rows_name(table.name)] = _add_rows(archive, table, found)
    manifest = Manifest(app_version, utc_now(), rows, members)
    archive.writestr(_entry(MANIFEST, zipfile.ZIP_DEFLATED), manifest.to_json())
    return rows, tuple(left_out)


def _sound(store: DataFolder, file: str) -> Path:
    """A clip's file, which is in the trash when the clip was deleted since the export began."""
    path = store.files.root / file
    return path if path.exists() else store.files.trash / file


def _drop_incomplete(store: DataFolder, reader: sqlite3.Connection) -> list[str]:
    """Leave out what needs a clip that is left out, and adapters that have lost their files."""
    dropped = []
    for table, sql in INCOMPLETE.items():
        numbers = {row[0] for row in reader.execute(sql)}
        if table == "adapters":
            rows = reader.execute("SELECT number, folder FROM adapters").fetchall()
            numbers |= {
                number
                for number, folder in rows
                if not all((store.data_dir / folder / file).is_file() for file in ADAPTER_FILES)
            }
        for number in sorted(numbers):
            gone = reader.execute(f"DELETE FROM chosen_{table} WHERE number = ?", [number])
            if gone.rowcount:
                sql = f"SELECT name FROM {table} WHERE number = ?"
                name = reader.execute(sql, [number]).fetchone()[0]
                dropped.append(f"{name!r} of the {table}: a file of it is missing")
    return dropped


def _folders(
    store: DataFolder, reader: sqlite3.Connection, runs: bool
) -> Iterator[tuple[str, Path]]:
    """The files of adapters and runs, with their names in the zip."""
    rows = reader.execute(
        "SELECT id, folder FROM adapters WHERE number IN chosen_adapters ORDER BY number"
    ).fetchall()
    listed: list[tuple[str, str, Path, Sequence[str]]] = [
        ("adapters", id, store.data_dir / folder, ADAPTER_FILES) for id, folder in rows
    ]
    if runs:
        sql = "SELECT id FROM runs WHERE state NOT IN ('queued', 'running') ORDER BY number"
        root = store.folder("runs")
        listed += [("runs", row[0], root / row[0], RUN_FILES) for row in reader.execute(sql)]
    for room, id, folder, files in listed:
        for file in files:
            if (folder / file).is_file():
                yield f"{room}/{id}/{file}", folder / file


def _select(table: Table) -> str:
    """The query of a table's rows as they stand in a file."""
    columns = [f"t.{column} AS {column}" for column in table.columns]
    columns += [f"r_{name}.{ref.by} AS {name}" for name, ref in table.refs.items()]
    joins = [
        f"{'LEFT ' if ref.optional else ''}JOIN {ref.table} AS r_{name}"
        f" ON r_{name}.{ref.to} = t.{ref.column}"
        for name, ref in table.refs.items()
    ]
    return (
        f"SELECT {', '.join(columns)} FROM {table.name} AS t {' '.join(joins)}"
        f" WHERE {table.chosen} ORDER BY {table.order}"
    )


def _switches(selection: Selection) -> dict[str, bool]:
    return {"prompts": selection.prompts, "runs": selection.runs}


def _entry(name: str, compression: int) -> zipfile.ZipInfo:
    """An entry without a time: the same content gives the same bytes."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = compression
    entry.external_attr = 0o644 << 16
    return entry


class _Hashed:
    """Writes to an entry of a zip, counting and hashing."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self._digest = hashlib.sha256()
        self._bytes = 0

    def write(self, block: bytes) -> None:
        self._file.write(block)
        self._digest.update(block)
        self._bytes += len(block)

    def member(self) -> Member:
        return Member(self._digest.hexdigest(), self._bytes)


def _add(archive: zipfile.ZipFile, name: str, path: Path, step: Step) -> Member:
    """A file as it is, not packed: sounds and weights do not get smaller."""
    with path.open("rb") as source:
        text = not name.endswith((".flac", ".wav", ".safetensors"))
        entry = _entry(name, zipfile.ZIP_DEFLATED if text else zipfile.ZIP_STORED)
        large = path.stat().st_size > LARGE
        with archive.open(entry, "w", force_zip64=large) as file:
            to = _Hashed(file)
            while block := source.read(BLOCK):
                to.write(block)
                step(len(block))
    return to.member()


def _add_rows(archive: zipfile.ZipFile, table: Table, found: sqlite3.Cursor) -> tuple[int, Member]:
    """The rows of a table, one line each."""
    write: dict[str, Callable[[Any], Any]] = {
        name: column.write for name, column in table.columns.items()
    }
    count = 0
    entry = _entry(rows_name(table.name), zipfile.ZIP_DEFLATED)
    with archive.open(entry, "w", force_zip64=True) as file:
        to = _Hashed(file)
        for row in found:
            values = {name: write[name](row[name]) for name in table.columns}
            values |= {name: row[name] for name in table.refs}
            to.write((json.dumps(values, ensure_ascii=False) + "\n").encode())
            count += 1
    return count, to.member()
