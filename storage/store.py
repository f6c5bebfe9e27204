"""The store: the one door to the data folder. It opens, upgrades and mends, and holds the tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from storage.audio.files import AudioFiles
from storage.base.db import Database
from storage.base.errors import translated
from storage.base.lock import lock_folder
from storage.base.settings import Settings
from storage.clips.library import Clips
from storage.learning.adapters import Adapters
from storage.learning.datasets import (
    Datasets,
)
from storage.learning.judgements import (
    Judgements,
)
from storage.learning.links import Links
from storage.learning.listening import Tests
from storage.learning.prompts import Prompts
from storage.learning.runs import Runs
from storage.learning.templates import Templates
from storage.project.importing import recover
from storage.work.batches import Batches
from storage.work.evaluations import Evaluations
from storage.work.jobs import Jobs
from storage.work.presets import Presets
from storage.work.scores import Scores

if TYPE_CHECKING:
    from filelock import BaseFileLock

FOLDERS = ("audio", "adapters", "datasets", "runs", "models", "cache", "work", "trash")
DATABASE = "studio.db"


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
