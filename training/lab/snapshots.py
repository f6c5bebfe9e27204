"""Dataset folders of the studio: frozen snapshots, and their export to files.

A snapshot's sounds are hard links to the files of its clips (copies where the disk has no links):
they cost no room, and stay when a clip is deleted.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.base import StudioError
from storage import NotFound, Removal, StorageError
from storage.audio.files import PART_PREFIX
from storage.base.csv_tables import csv_table
from storage.base.errors import translated
from training.folders import CARD, SPLITS, card, json_lines, line, sounds
from training.lab.archives import pack, written_whole
from training.lab.imports import Imported, import_folder

if TYPE_CHECKING:
    from storage import DatasetFilter, DatasetItem, DatasetRow, Store

log = logging.getLogger(__name__)

NO_LINKS = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}


class ExportFormat(StrEnum):
    """What a dataset can be saved as."""

    AUDIOFOLDER = "audiofolder"
    JSONL = "jsonl"
    CSV = "csv"


class Snapshots:
    """Datasets of a store with their folders ``data/datasets/<id>``."""

    def __init__(self, store: Store):
        self._store = store
        self._root = store.folder("datasets")
        self._exports = store.folder("cache") / "exports"

    def create(
        self, name: str, filter: DatasetFilter, validation_share: float, seed: int
    ) -> DatasetRow:
        """Freeze what ``filter`` finds: the rows, then the folder; neither stays without the other."""
        row = self._store.datasets.create(name, filter, validation_share, seed)
        return self._written(row)

    def import_folder(self, path: Path, name: str, validation_share: float, seed: int) -> Imported:
        """A folder, zip or table from elsewhere as clips and a dataset; see ``Lab.import_folder``."""
        return import_folder(self._store, self._written, path, name, validation_share, seed)

    def folder(self, dataset_id: str) -> Path:
        """Where a dataset's folder is; written again if somebody removed it."""
        row = self._store.datasets.get(dataset_id)
        folder = self._root / row.id
        if not (folder / CARD).is_file():
            self._write(row)
        return folder

    def mend(self) -> None:
        """Write folders that a crash kept from being written; remove what was half-written, and
        exports, which were made to be fetched at once."""
        for left in [self._exports, *self._root.glob(f"{PART_PREFIX}*")]:
            shutil.rmtree(left, ignore_errors=True)
        datasets = self._store.datasets
        for row in [*datasets.list(), *datasets.list(archived=True)]:
            try:
                self.folder(row.id)
            except (StudioError, StorageError) as problem:
                log.warning("the folder of dataset %s cannot be written: %s", row.name, problem)

    def rename(self, dataset_id: str, name: str) -> DatasetRow:
        """Change the name; the folder keeps the one it was frozen with."""
        return self._store.datasets.rename(dataset_id, name)

    def delete(self, dataset_id: str) -> str:
        """``"deleted"`` with its folder, or ``"archived"``."""
        outcome = self._store.datasets.delete(dataset_id)
        if outcome is Removal.DELETED:
            shutil.rmtree(self._root / dataset_id, ignore_errors=True)
        return outcome

    def export(self, dataset_id: str, format: str) -> Path:
        """Write a dataset to a file of ``format`` and return it."""
        try:
            wanted = ExportFormat(format)
        except ValueError as error:
            raise StudioError(
                f"A dataset can be saved as {', '.join(ExportFormat)}, not {format!r}.", "format"
            ) from error
        row = self._store.datasets.get(dataset_id)
        stem = self._exports / f"{file_name(row.name)}-{row.id[-6:]}"
        if wanted is ExportFormat.AUDIOFOLDER:
            folder = self.folder(dataset_id)
            files: dict[str, Path | str] = {
                path.relative_to(folder).as_posix(): path
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            }
            return pack(stem.with_name(stem.name + ".zip"), files)
        rows = [
            line(item) | {"split": item.split} for item in self._store.datasets.items(dataset_id)
        ]
        text = json_lines(rows) if wanted is ExportFormat.JSONL else _csv(rows)
        target = stem.with_name(f"{stem.name}.{wanted}")
        with translated(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="")
        return target

    # writing

    def _written(self, row: DatasetRow) -> DatasetRow:
        try:
            self._write(row)
        except BaseException:
            self._store.datasets.delete(row.id)
            raise
        return row

    def _write(self, row: DatasetRow) -> None:
        target = self._root / row.id
        shutil.rmtree(target, ignore_errors=True)
        items = self._store.datasets.items(row.id)
        with written_whole(target) as folder:
            for split in SPLITS:
                chosen = [item for item in items if item.split == split]
                if chosen:
                    _write_split(folder / split, chosen)
            with translated(folder):
                text = json.dumps(card(row), ensure_ascii=False, indent=1) + "\n"
                (folder / CARD).write_text(text, encoding="utf-8")


def _write_split(folder: Path, items: list[DatasetItem]) -> None:
    with translated(folder):
        folder.mkdir(parents=True)
        text = json_lines(map(line, items))
        (folder / "metadata.jsonl").write_text(text, encoding="utf-8")
        start = f"{folder}{os.sep}"
        for name, source in sounds(items).items():
            _link(source, start + name)


def _link(source: Path, target: str) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError as error:
        raise NotFound(
            f"The sound {source.name} of this dataset is not in {source.parent}; another program "
            "removed it. Put it back, or leave the clip out."
        ) from error
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copyfile(source, target)


def _csv(rows: list[dict[str, Any]]) -> str:
    columns = list(rows[0]) if rows else ["file_name", "prompt"]
    return csv_table(columns, ([row.get(name, "") for name in columns] for row in rows), "\r\n")


def file_name(name: str, length: int = 60) -> str:
    """``name`` as part of a file name on any system."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:length] or "unnamed"
