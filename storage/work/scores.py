"""What metrics said: scores by what they were computed from, and the scores of clips.

A score is JSON that this room does not look into. Its key stands for everything that it depends on, so
a kept score never becomes wrong and is never removed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.base.db import Database
from storage.base.ids import utc_now
from storage.clips.rows import Count, clip_numbers


@dataclass(frozen=True)
class ClipScore:
    """A clip's value of one metric. ``against`` says what it was compared with: a name, or ""."""

    metric: str
    value: float
    against: str
    measured_at: str


class Scores:
    """All scores. Methods on clips raise ``NotFound`` for ids that are not there."""

    def __init__(self, database: Database):
        self._database = database

    # by key

    def known(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The scores that are kept under these keys."""
        rows = self._database.query(
            "SELECT key, score FROM scores WHERE key IN (SELECT value FROM json_each(?))",
            [json.dumps(list(keys))],
        )
        return {row["key"]: json.loads(row["score"]) for row in rows}

    def keep(self, scores: Mapping[str, Mapping[str, Any]]) -> None:
        """Keep scores by key, over what was there."""
        rows = [(key, json.dumps(score)) for key, score in scores.items()]
        if rows:
            with self._database.write() as transaction:
                transaction.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", rows)

    # of clips

    def rate_clip(
        self, clip_id: str, values: Mapping[str, float | None], against: str = ""
    ) -> list[ClipScore]:
        """Keep what metrics said last of a clip; None takes an earlier value back."""
        (number,) = clip_numbers(self._database, [clip_id])
        now = utc_now()
        rows = [
            (m, number, value, against, now) for m, value in values.items() if value is not None
        ]
        gone = [(metric, number) for metric, value in values.items() if value is None]
        with self._database.write() as transaction:
            transaction.executemany(
                "INSERT OR REPLACE INTO clip_scores VALUES (?, ?, ?, ?, ?)", rows
            )
            transaction.executemany(
                "DELETE FROM clip_scores WHERE metric = ? AND clip_number = ?", gone
            )
        return self.of_clip(clip_id)

    def of_clip(self, clip_id: str) -> list[ClipScore]:
        """What metrics said last of a clip, by metric."""
        rows = self._database.query(
            "SELECT metric, value, against, measured_at FROM clip_scores WHERE clip_number = ?"
            " ORDER BY metric",
            clip_numbers(self._database, [clip_id]),
        )
        return [ClipScore(**dict(row)) for row in rows]

    def clip_metrics(self) -> list[Count]:
        """The metrics with scores of clips, and of how many clips that are not deleted."""
        rows = self._database.query(
            "SELECT metric AS name, count(*) AS clips FROM clip_scores"
            " WHERE clip_number NOT IN (SELECT number FROM clips WHERE deleted IS NOT NULL)"
            " GROUP BY metric ORDER BY metric"
        )
        return [Count(**dict(row)) for row in rows]
