"""The tables of a project file: their columns, what rows point to, which rows go with a selection.

Rows in a file name each other by id, because numbers are those of one database only. Left out are
tables of this machine: jobs, batches, evaluations, kept scores, links to listening tests, the studio's
settings and the templates that come with it.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from storage.base.checks import MAX_NAME_LENGTH
from storage.clips.search import words
from storage.learning.dataset_filter import DatasetFilter, DatasetKind
from storage.learning.dataset_rows import Split
from storage.learning.judgement_rows import Criterion
from storage.learning.listening import Role, TestKind
from storage.learning.runs import WAITING, RunState
from storage.project.columns import (
    ID,
    MAX_TEXT,
    SHA_256,
    Column,
    document,
    flag,
    moment,
    one_of,
    real,
    text,
    whole,
)

Values = dict[str, Any]

LEFT_OUT = {
    "jobs",
    "settings",
    "scores",
    "evaluations",
    "evaluation_items",
    "batches",
    "batch_rows",
    "test_links",
    "link_raters",
}
AUDIO = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}\.(flac|wav)")
WORD = re.compile(r"\S(.*\S)?", re.DOTALL)
RENAMES = 1000


@dataclass(frozen=True)
class Ref:
    """A column that holds ``to`` of a row of ``table``, which a file names by its ``by``."""

    column: str
    table: str
    by: str = "id"
    to: str = "number"
    optional: bool = False


def _nothing(*_: Any) -> None:
    """No change."""


@dataclass(frozen=True)
class Table:
    """One table. ``keys`` are conditions that find the row that is here already, tried in order.

    Rows go with a selection where ``chosen`` holds (``t`` is the table, ``chosen_clips`` and so on
    the selected numbers). A difference in a column of ``free`` is no conflict. Rows with a
    ``parent`` belong to it and are taken only where it is new. ``before`` may change a new row,
    ``after`` adds what belongs to it. ``title`` names the rows in reports; "" are parts of others.
    """

    name: str
    title: str
    columns: Mapping[str, Column]
    order: str = "t.number"
    refs: Mapping[str, Ref] = field(default_factory=dict)
    keys: tuple[str, ...] = ("id = :id",)
    chosen: str = "TRUE"
    free: frozenset[str] = frozenset()
    parent: str = ""
    constant: Mapping[str, Any] = field(default_factory=dict)
    before: Callable[[sqlite3.Connection, Values], None] = _nothing
    after: Callable[[sqlite3.Connection, Values], None] = _nothing


def of_clip(*columns: str) -> str:
    """The condition that these columns hold selected clips."""
    return " AND ".join(f"t.{column} IN chosen_clips" for column in columns)


def _another_name(transaction: sqlite3.Connection, values: Values) -> None:
    """Number the name of a test where another test has it."""
    name = values["name"]
    for count in range(2, RENAMES):
        sql = "SELECT 1 FROM tests WHERE name = ?"
        if not transaction.execute(sql, [values["name"]]).fetchone():
            return
        values["name"] = f"{name[: MAX_NAME_LENGTH - 5]} {count}"


def _next_version(transaction: sqlite3.Connection, values: Values) -> None:
    """Make an adapter the next version of its name where another has its version."""
    sql = "SELECT max(version), max(version = :version) FROM adapters WHERE name = :name"
    last, taken = transaction.execute(sql, values).fetchone()
    if taken:
        values["version"] = last + 1


def _prompt_words(transaction: sqlite3.Connection, values: Values) -> None:
    transaction.execute(
        "INSERT INTO prompt_search (rowid, words) SELECT number, ? FROM prompts WHERE id = ?",
        [words(f"{values['text']}\n{values['rendered']}"), values["id"]],
    )


def _hidden(value: Any) -> str | None:
    return "import" if flag().read(value) else None


id_ = text(pattern=ID)
name = text(MAX_NAME_LENGTH, WORD)
long = text(MAX_TEXT)
short = text()
when = moment()
id_or_none = text(pattern=re.compile(f"({ID.pattern})?", re.ASCII))
filter_ = document(lambda values: DatasetFilter.from_dict(values)).or_null()
ended = [state for state in RunState if state not in WAITING]
CLIP = Ref("clip_number", "clips")
TAG = Ref("tag_id", "tags", "name", "id")

CLIPS = Table(
    "clips",
    "clips",
    {
        "id": id_,
        "hash": text(pattern=SHA_256),
        "file": text(pattern=AUDIO),
        # a clip that was deleted goes with the dataset, test or adapter that still needs it
        "deleted": Column(_hidden, lambda value: value is not None),
        "engine": short,
        "task": short,
        "favorite": flag(),
        "partial": flag(),
        "created_at": when,
        "duration_s": real(0),
        "sample_rate": whole(1),
        "channels": whole(1, 8),
        "peak_db": real(),
        "loudness_lufs": real().or_null(),
        "bytes": whole(1),
        "seed": whole(-(2**63)).or_null(),
        "revision": short,
        "adapter": text(10_000),
        "adapter_scale": real().or_null(),
        "job_id": id_or_none,
        "app_version": short,
        "title": long,
        "text": long,
        "notes": long,
        "settings": document(),
    },
    chosen="t.number IN chosen_clips",
    free=frozenset({"deleted"}),
)

TABLES = (
    CLIPS,
    Table(
        "clip_parents",
        "",
        {"position": whole(), "parent_id": id_},
        order="t.clip_number, t.position",
        refs={"clip": CLIP},
        chosen=of_clip("clip_number"),
        parent="clip",
    ),
    Table(
        "clip_tags",
        "tags",
        {"marked": flag()},
        order="t.clip_number, r_tag.name",
        refs={"clip": CLIP, "tag": TAG},
        keys=("tag_id = :tag_id AND clip_number = :clip_number",),
        chosen=of_clip("clip_number"),
        free=frozenset({"marked"}),
    ),
    Table(
        "marks",
        "marks",
        {"rater": name, "good": flag().or_null(), "created_at": when},
        order="t.clip_number, r_tag.name, t.rater",
        refs={"clip": CLIP, "tag": TAG},
        keys=("tag_id = :tag_id AND clip_number = :clip_number AND rater = :rater",),
        chosen=of_clip("clip_number"),
    ),
    Table(
        "ratings",
        "ratings",
        {
            "criterion": one_of(Criterion),
            "rater": name,
            "value": whole(1, 5),
            "created_at": when,
        },
        order="t.clip_number, t.criterion, t.rater",
        refs={"clip": CLIP},
        keys=("criterion = :criterion AND clip_number = :clip_number AND rater = :rater",),
        chosen=of_clip("clip_number"),
    ),
    Table(
        "preferences",
        "preferences",
        {
            "id": id_,
            "tie": flag(),
            "strength": whole(1, 3),
            "rater": name,
            "source": short,
            "created_at": when,
        },
        refs={
            "chosen": Ref("chosen_number", "clips"),
            "rejected": Ref("rejected_number", "clips"),
        },
        keys=(
            "id = :id",
            "min(chosen_number, rejected_number) = min(:chosen_number, :rejected_number)"
            " AND max(chosen_number, rejected_number) = max(:chosen_number, :rejected_number)"
            " AND rater = :rater",
        ),
        chosen=of_clip("chosen_number", "rejected_number"),
        free=frozenset({"id"}),
    ),
    Table(
        "clip_scores",
        "scores",
        {"metric": short, "value": real(), "against": short, "measured_at": when},
        order="t.clip_number, t.metric",
        refs={"clip": CLIP},
        keys=("metric = :metric AND clip_number = :clip_number",),
        chosen=of_clip("clip_number"),
    ),
    Table(
        "prompts",
        "prompts",
        {
            "id": id_,
            "text": long,
            "attributes": document(),
            "rendered": long,
            "favorite": flag(),
            "uses": whole(1),
            "created_at": when,
            "used_at": when,
        },
        keys=("id = :id", "text = :text AND attributes = :attributes"),
        chosen=":prompts",
        free=frozenset({"id", "rendered", "favorite", "uses", "created_at", "used_at"}),
        after=_prompt_words,
    ),
    Table(
        "templates",
        "templates",
        {
            "id": id_,
            "name": name,
            "category": short,
            "description": long,
            "text": long,
            "attributes": document(),
            "updated_at": when,
        },
        order="t.name, t.id",
        keys=("id = :id", "name = :name AND NOT system"),
        chosen=":prompts AND NOT t.system",
        constant={"system": 0},
        free=frozenset({"id", "updated_at"}),
    ),
    Table(
        "presets",
        "presets",
        {"engine": short, "name": name, "settings": document(), "updated_at": when},
        order="t.engine, t.name",
        keys=("engine = :engine AND name = :name",),
        chosen=":prompts",
        free=frozenset({"updated_at"}),
    ),
    Table(
        "tests",
        "listening tests",
        {
            "id": id_,
            "name": name,
            "kind": one_of(TestKind),
            "criterion": one_of(Criterion),
            "config": document(),
            "adapter_id": id_or_none,
            "archived": flag(),
            "created_at": when,
        },
        chosen="t.number IN chosen_tests",
        free=frozenset({"archived"}),
        before=_another_name,
    ),
    Table(
        "trials",
        "",
        {"id": id_, "position": whole(), "prompt": long},
        refs={"test": Ref("test_number", "tests")},
        chosen="t.test_number IN chosen_tests",
    ),
    Table(
        "stimuli",
        "",
        {"position": whole(), "system": short, "role": one_of(Role)},
        order="t.trial_number, t.position",
        refs={"trial": Ref("trial_number", "trials"), "clip": CLIP},
        chosen="r_trial.test_number IN chosen_tests",
        parent="trial",
    ),
    Table(
        "votes",
        "votes",
        {
            "rater": name,
            "id": id_,
            "answer": document(),
            "seconds": real(0).or_null(),
            "created_at": when,
        },
        order="t.trial_number, t.rater",
        refs={"trial": Ref("trial_number", "trials")},
        keys=("trial_number = :trial_number AND rater = :rater", "id = :id"),
        chosen="r_trial.test_number IN chosen_tests",
        free=frozenset({"id"}),
    ),
    Table(
        "datasets",
        "datasets",
        {
            "id": id_,
            "name": name,
            "kind": one_of(DatasetKind),
            "filter": filter_,
            "items": whole(1),
            "clips": whole(1),
            "prompts": whole(1),
            "seconds": real(0),
            "content_hash": text(pattern=SHA_256),
            "validation_share": real(0, 1),
            "seed": whole(-(2**63)),
            "archived": flag(),
            "notes": long,
            "created_at": when,
        },
        chosen="t.number IN chosen_datasets",
        free=frozenset({"archived"}),
    ),
    Table(
        "dataset_items",
        "",
        {
            "position": whole(),
            "rating": real().or_null(),
            "raters": whole(),
            "strength": real().or_null(),
            "split": one_of(Split),
        },
        order="t.dataset_number, t.position",
        refs={
            "dataset": Ref("dataset_number", "datasets"),
            "clip": CLIP,
            "rejected": Ref("rejected_number", "clips", optional=True),
        },
        chosen="t.dataset_number IN chosen_datasets",
        parent="dataset",
    ),
    Table(
        "experiments",
        "experiments",
        {"id": id_, "name": name, "description": long, "archived": flag(), "created_at": when},
        keys=("id = :id", "name = :name"),
        chosen=":runs",
        free=frozenset({"id", "archived", "created_at"}),
    ),
    Table(
        "runs",
        "training runs",
        {
            "id": id_,
            "name": name,
            "method": short,
            "dataset_id": id_or_none,
            "base": short,
            "config": document(),
            "state": one_of(ended),
            "progress": real(0, 1),
            "epoch": whole(),
            "step": whole(),
            "best": real().or_null(),
            "metrics": document(),
            "error": long,
            "adapter_id": id_or_none,
            "created_at": when,
            "started_at": when.or_null(),
            "finished_at": when.or_null(),
        },
        refs={"experiment": Ref("experiment_id", "experiments", to="id")},
        chosen=":runs AND t.state NOT IN ('queued', 'running')",
    ),
    Table(
        "adapters",
        "adapters",
        {
            "id": id_,
            "name": name,
            "version": whole(1, 10**6),
            "base": short,
            "base_revision": short,
            "hash": text(pattern=SHA_256),
            "source": one_of(("trained", "imported")),
            "run_id": id_or_none,
            "dataset_id": id_or_none,
            "config": document(),
            "metrics": document(),
            "notes": long,
            "archived": flag(),
            "active": flag(),
            "scale": real(0, 2),
            "created_at": when,
            "updated_at": when,
        },
        chosen="t.number IN chosen_adapters",
        free=frozenset({"version", "archived", "active", "scale", "updated_at"}),
        before=_next_version,
    ),
    Table(
        "adapter_clips",
        "",
        {"position": whole()},
        order="t.adapter_number, t.position",
        refs={"adapter": Ref("adapter_number", "adapters"), "clip": CLIP},
        chosen="t.adapter_number IN chosen_adapters",
        parent="adapter",
    ),
)
BY_NAME = {table.name: table for table in TABLES}
# columns that have no place in a file: numbers, and what follows from the rest
OWN = {"number", "folder", "pid", "system"}
