"""The dataset folder: an audiofolder as the ``datasets`` library reads it, one format for frozen
snapshots, exports and imports.

``dataset.json`` says what it is; ``train/`` and ``validation/`` hold ``metadata.jsonl`` and the
sounds it names. A row of a supervised dataset has ``file_name``, one of preferences
``chosen_file_name`` and ``rejected_file_name``. Plain audiofolders from elsewhere are read too.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.base import StudioError
from storage import StorageError, resolve_under
from storage.base.csv_tables import plain

if TYPE_CHECKING:
    from storage import DatasetItem, DatasetRow

FORMAT = 1
CARD = "dataset.json"
TRAIN, VALIDATION = "train", "validation"
SPLITS = (TRAIN, VALIDATION)
METADATA = ("metadata.jsonl", "metadata.csv")
CAPTIONS = ("prompt", "text", "caption", "transcription")
SOUNDS = {".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif", ".au", ".caf"}
VALIDATION_NAMES = {"validation", "valid", "val", "dev", "test", "eval"}


def card(row: DatasetRow) -> dict[str, Any]:
    """What ``dataset.json`` says."""
    return {
        "format": FORMAT,
        "id": row.id,
        "name": row.name,
        "kind": str(row.kind),
        "filter": row.filter.to_dict() if row.filter else None,
        "created_at": row.created_at,
        "items": row.items,
        "prompts": row.prompts,
        "content_hash": row.content_hash,
        "validation_share": row.validation_share,
        "seed": row.seed,
    }


def line(item: DatasetItem) -> dict[str, Any]:
    """The metadata of one item; file names are the hashes of the sounds."""
    if not item.rejected_id:
        return {
            "file_name": sound_name(item.hash, item.file),
            "prompt": item.prompt,
            "rating": item.rating,
            "raters": item.raters,
            "hash": item.hash,
            "clip": item.clip_id,
            "duration_s": item.duration_s,
        }
    return {
        "chosen_file_name": sound_name(item.hash, item.file),
        "rejected_file_name": sound_name(item.rejected_hash, item.rejected_file),
        "prompt": item.prompt,
        "strength": item.strength,
        "raters": item.raters,
        "chosen_hash": item.hash,
        "rejected_hash": item.rejected_hash,
        "chosen_clip": item.clip_id,
        "rejected_clip": item.rejected_id,
    }


def sound_name(hash: str, file: Path | None) -> str:
    """The name of a sound in a dataset folder."""
    return hash + os.path.splitext(file or "")[1]  # noqa: PTH122 - many thousands are asked for


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def sounds(items: Iterable[DatasetItem]) -> dict[str, Path]:
    """Names of all sounds of ``items`` in a dataset folder, and their files in the store."""
    found = {}
    for item in items:
        found[sound_name(item.hash, item.file)] = item.file
        if item.rejected_file:
            found[sound_name(item.rejected_hash, item.rejected_file)] = item.rejected_file
    return found


# --- reading --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One row of a folder: ``files`` is the sound, or the chosen and the rejected one.

    ``hashes`` are the content hashes that the row states, "" where it does not. ``rating`` and
    ``strength`` are None where it has none; ``split`` is "" where the folder has no splits.
    """

    where: str
    prompt: str
    files: tuple[Path, ...]
    hashes: tuple[str, ...]
    split: str = ""
    rating: float | None = None
    raters: int = 0
    strength: float | None = None


@dataclass(frozen=True)
class Problem:
    """A row or file that cannot be used, and why."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


def read(path: Path) -> tuple[list[Entry], list[Problem]]:
    """All rows of a dataset folder, or of one ``.jsonl`` or ``.csv`` file.

    Files need not exist yet. Raises ``StudioError`` when there is nothing to read, rows of both
    kinds are mixed, or a path leads out of the folder.
    """
    root, tables = _tables(path)
    entries: list[Entry] = []
    problems: list[Problem] = []
    for table in tables:
        for where, row in _rows(table, root):
            found = _entry(where, row, table, root)
            (problems if isinstance(found, Problem) else entries).append(found)  # type: ignore[arg-type]
    if not tables:
        entries, problems = _captioned(root)
    if not entries and not problems:
        raise StudioError(
            f"{path.name} holds no sounds with captions. Expected metadata.jsonl or metadata.csv "
            "with file_name and prompt, or name.txt beside name.wav.",
            "path",
        )
    if len({len(entry.files) for entry in entries}) > 1:
        raise StudioError(
            f"{path.name} mixes single sounds and pairs. Import them as two datasets.", "path"
        )
    return entries, problems


def _tables(path: Path) -> tuple[Path, list[Path]]:
    if path.is_file() and path.suffix.lower() in (".jsonl", ".csv"):
        return path.parent, [path]
    if not path.is_dir():
        raise StudioError(
            f"{path.name} is not here, or is no folder, zip, .jsonl or .csv file.", "path"
        )
    tables = sorted(table for name in METADATA for table in path.rglob(name))
    return path, tables


def _rows(table: Path, root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows with where they stand, for messages."""
    name = table.relative_to(root).as_posix()
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            if table.suffix.lower() == ".csv":
                for number, row in enumerate(csv.DictReader(file), 2):
                    cells = {k: plain(v) if isinstance(v, str) else v for k, v in row.items()}
                    yield f"{name}, line {number}", cells
                return
            for number, text in enumerate(file, 1):
                if text.strip():
                    row = json.loads(text)
                    if not isinstance(row, dict):
                        raise StudioError(f"{name}, line {number} is no JSON object.", "path")
                    yield f"{name}, line {number}", row
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise StudioError(f"{name} cannot be read: {error}.", "path") from error
    except OSError as error:
        raise StudioError(f"{name} cannot be read: {error.strerror}.", "path") from error


def _entry(where: str, row: dict[str, Any], table: Path, root: Path) -> Entry | Problem:
    pair = bool(row.get("chosen_file_name") or row.get("rejected_file_name"))
    columns = ("chosen_file_name", "rejected_file_name") if pair else ("file_name",)
    names = [str(row.get(column) or "").strip() for column in columns]
    missing = [column for column, name in zip(columns, names, strict=True) if not name]
    if missing:
        return Problem(where, f"has no {' and no '.join(missing)}")
    prompt = next((str(row[name]) for name in CAPTIONS if row.get(name)), "")
    if not prompt.strip():
        return Problem(where, f"has no caption (one of {', '.join(CAPTIONS)})")
    try:
        files = tuple(resolve_under(root, table.parent / name) for name in names)
        numbers = [_number(row, column) for column in ("rating", "strength", "raters")]
    except StorageError as error:
        raise StudioError(
            f"{where}: {' and '.join(names)} lies outside the folder; nothing was imported.", "path"
        ) from error
    except ValueError as error:
        return Problem(where, str(error))
    hash_columns = ("chosen_hash", "rejected_hash") if pair else ("hash",)
    return Entry(
        where,
        prompt,
        files,
        tuple(str(row.get(column) or "") for column in hash_columns),
        str(row.get("split") or "") or split_of(table.parent.relative_to(root)),
        numbers[0],
        int(numbers[2] or 0),
        numbers[1],
    )


def _number(row: Mapping[str, Any], column: str) -> float | None:
    value = row.get(column)
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"has {column} {value!r}, which is no number") from None


def split_of(folder: Path) -> str:
    """The split that a folder's name stands for: train, validation, or "" for neither."""
    names = {part.lower() for part in folder.parts}
    if names & VALIDATION_NAMES:
        return VALIDATION
    return TRAIN if names & {"train", "training"} else ""


def _captioned(root: Path) -> tuple[list[Entry], list[Problem]]:
    """``name.txt`` beside ``name.wav``."""
    entries: list[Entry] = []
    problems: list[Problem] = []
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in SOUNDS or not path.is_file():
            continue
        where = path.relative_to(root).as_posix()
        words = path.with_suffix(".txt")
        try:
            file = resolve_under(root, path)
            prompt = " ".join(words.read_text(encoding="utf-8-sig").split())
        except StorageError as error:
            raise StudioError(
                f"{where} is a link out of the folder; nothing was imported.", "path"
            ) from error
        except FileNotFoundError:
            problems.append(Problem(where, f"has no caption: {words.name} is not beside it"))
            continue
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(where, f"its caption cannot be read ({error})"))
            continue
        if not prompt:
            problems.append(Problem(where, f"{words.name} is empty"))
            continue
        split = split_of(path.parent.relative_to(root))
        entries.append(Entry(where, prompt, (file,), ("",), split))
    return entries, problems
