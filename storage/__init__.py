"""Everything the studio keeps: one folder with a SQLite file and sound files.

``Store.open(folder)`` is the door. Nothing in here knows of engines, models or the web. The rooms stand
on each other: ``base``, ``audio``, ``clips``, then ``work`` and ``learning``, ``project``, ``store``.
"""

from __future__ import annotations

from storage.audio.coding import Format
from storage.audio.embedded import Embedded, read_tags
from storage.audio.files import AudioFiles, Stored, resolve_under
from storage.base.db import Database
from storage.base.errors import DamagedDatabase, DiskFull, NotFound, StorageError
from storage.base.settings import Settings
from storage.clips.library import Clips
from storage.clips.rows import ClipPage, ClipRow, Count, Lineage
from storage.clips.search import ClipQuery, Sort
from storage.learning.adapters import AdapterRow, Adapters, AdapterSource
from storage.learning.dataset_filter import DatasetFilter, DatasetKind
from storage.learning.datasets import (
    DatasetCount,
    DatasetItem,
    DatasetRow,
    Datasets,
    NewItem,
    Removal,
    Split,
)
from storage.learning.judgements import (
    Criterion,
    Feedback,
    FeedbackStats,
    Judgements,
    MarkRow,
    PreferenceRow,
    RatingRow,
)
from storage.learning.links import LinkRater, LinkRow, Links
from storage.learning.listening import Role, Stimulus, TestKind, TestRow, Tests, TrialRow, VoteRow
from storage.learning.prompts import PromptPage, PromptRow, Prompts
from storage.learning.runs import ExperimentRow, RunRow, Runs, RunState
from storage.learning.templates import TemplateRow, Templates
from storage.store import Store
from storage.work.batches import Batches, BatchItem, BatchRow, NewRow, RowState
from storage.work.evaluations import EvaluationItem, EvaluationRow, Evaluations
from storage.work.jobs import JobRow, Jobs, JobState
from storage.work.presets import Preset, Presets
from storage.work.scores import ClipScore, Scores

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
