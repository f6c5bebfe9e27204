"""Everything the studio keeps: one folder with a SQLite file and sound files.

``Store.open(folder)`` is the door. Nothing in here knows of engines, models or the web.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from storage.adapters import AdapterRow, Adapters, AdapterSource
from storage.batches import Batches, BatchItem, BatchRow, NewRow, RowState
from storage.clip_rows import ClipPage, ClipRow, Count, Lineage
from storage.clips import Clips
from storage.coding import Format
from storage.dataset_filter import DatasetFilter, DatasetKind
from storage.datasets import (
    DatasetCount,
    DatasetItem,
    DatasetRow,
    Datasets,
    NewItem,
    Removal,
    Split,
)
from storage.db import Database
from storage.embedded import Embedded, read_tags
from storage.errors import DamagedDatabase, DiskFull, NotFound, StorageError, translated
from storage.evaluations import EvaluationItem, EvaluationRow, Evaluations
from storage.files import AudioFiles, Stored, resolve_under
from storage.jobs import JobRow, Jobs, JobState
from storage.judgements import (
    Criterion,
    Feedback,
    FeedbackStats,
    Judgements,
    MarkRow,
    PreferenceRow,
    RatingRow,
)
from storage.links import LinkRater, LinkRow, Links
from storage.listening import Role, Stimulus, TestKind, TestRow, Tests, TrialRow, VoteRow
from storage.lock import lock_folder
from storage.presets import Preset, Presets
from storage.project_import import recover
from storage.prompts import PromptPage, PromptRow, Prompts
from storage.runs import ExperimentRow, RunRow, Runs, RunState
from storage.scores import ClipScore, Scores
from storage.search import ClipQuery, Sort
from storage.settings import Settings
from storage.templates import TemplateRow, Templates

if TYPE_CHECKING:
    from filelock import BaseFileLock

FOLDERS = ("audio", "adapters", "datasets", "runs", "models", "cache", "work", "trash")
DATABASE = "studio.db"

__all__ = [
    "AdapterRow",
    "AdapterSource",
    "Adapters",
    "AudioFiles",
    "BatchItem",
    "BatchRow",
    "Batches",
    "ClipPage",
    "ClipQuery",
    "ClipRow",
    "ClipScore",
    "Clips",
    "Count",
    "Criterion",
    "DamagedDatabase",
    "Database",
    "DatasetCount",
    "DatasetFilter",
    "DatasetItem",
    "DatasetKind",
    "DatasetRow",
    "Datasets",
    "DiskFull",
    "Embedded",
    "EvaluationItem",
    "EvaluationRow",
    "Evaluations",
    "ExperimentRow",
    "Feedback",
    "FeedbackStats",
    "Format",
    "JobRow",
    "JobState",
    "Jobs",
    "Judgements",
    "Lineage",
    "LinkRater",
    "LinkRow",
    "Links",
    "MarkRow",
    "NewItem",
    "NewRow",
    "NotFound",
    "PreferenceRow",
    "Preset",
    "Presets",
    "PromptPage",
    "PromptRow",
    "Prompts",
    "RatingRow",
    "Removal",
    "Role",
    "RowState",
    "RunRow",
    "RunState",
    "Runs",
    "Scores",
    "Settings",
    "Sort",
    "Split",
    "Stimulus",
    "StorageError",
    "Store",
    "Stored",
    "TemplateRow",
    "Templates",
    "TestKind",
    "TestRow",
    "Tests",
    "TrialRow",
    "VoteRow",
    "read_tags",
    "resolve_under",
]


@dataclass
class Store:
    """An open data folder. No other process can open it until ``close``."""

    data_dir: Path
    db: Database
    files: AudioFiles
    clips: Clips
    jobs: Jobs
    presets: Presets
    settings: Settings
    prompts: Prompts
    templates: Templates
    judgements: Judgements
    tests: Tests
    links: Links
    datasets: Datasets
    adapters: Adapters
    runs: Runs
    scores: Scores
    evaluations: Evaluations
    batches: Batches
    _lock: BaseFileLock
    notices: list[str] = field(default_factory=list)  # what a person should know of this start

    @classmethod
    def open(cls, data_dir: str | Path) -> Store:
        """Open or create a data folder and its database; deletions of the last time end for good.

        Raises ``StorageError`` when the folder is in use or cannot be written, or its database is
        damaged or too new.
        """
        folder = Path(data_dir).expanduser().resolve()
        with translated(folder):
            for name in FOLDERS:
                (folder / name).mkdir(parents=True, exist_ok=True)
        lock = lock_folder(folder)
        try:
            db = Database.open(folder / DATABASE)
        except BaseException:
            lock.release()
            raise
        files = AudioFiles(folder / "audio")
        clips = Clips(db, files)
        store = cls(
            folder,
            db,
            files,
            clips,
            Jobs(db),
            Presets(db),
            Settings(db),
            Prompts(db),
            Templates(db),
            Judgements(db, clips),
            Tests(db),
            Links(db),
            Datasets(db, files),
            Adapters(db),
            Runs(db),
            Scores(db),
            Evaluations(db, folder),
            Batches(db),
            lock,
        )
        try:
            with translated(folder):
                files.remove_unfinished()
                store.notices += recover(db, folder)
            clips.purge()
        except BaseException:
            store.close()
            raise
        return store

    def folder(self, name: str) -> Path:
        """One of the folders made by ``open``: adapters, datasets, runs, models, cache, work."""
        if name not in FOLDERS:
            raise ValueError(f"{name!r} is none of {', '.join(FOLDERS)}")
        return self.data_dir / name

    def close(self) -> None:
        """Write the database into its one file and free the folder; a second call does nothing."""
        try:
            self.db.close()
        finally:
            self._lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
