"""Judgements: what people think of clips, as ratings, preferences and marks, each by a named rater.

A rating is one number per clip, rater and criterion, a preference one per pair of clips and rater, a
mark one per clip, tag and rater: who judges again changes the judgement. Judgements of a deleted
clip are hidden with it and go when it is purged.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator, Sequence
from itertools import combinations

from storage.base.checks import choice, proper_name
from storage.base.db import Database
from storage.base.errors import NotFound, StorageError
from storage.base.ids import new_id, utc_now
from storage.clips.library import Clips
from storage.clips.rows import clip_numbers, insert_words
from storage.clips.tags import attach, detach, normal_tag
from storage.learning.judgement_rows import (
    PREFERENCE_ROWS,
    RATING_ROWS,
    Criterion,
    Feedback,
    FeedbackStats,
    MarkRow,
    PreferenceRow,
    RatingRow,
    to_preference,
    to_rating,
)

RATINGS = (1, 2, 3, 4, 5)
STRENGTHS = (1, 2, 3)

__all__ = [
    "Criterion",
    "Feedback",
    "FeedbackStats",
    "Judgements",
    "MarkRow",
    "PreferenceRow",
    "RatingRow",
]


class Judgements:
    """All judgements. Methods raise ``NotFound`` for ids that are not there."""

    def __init__(self, database: Database, clips: Clips):
        self._database = database
        self._clips = clips

    # ratings

    def rate(self, clip_id: str, criterion: str, value: int, rater: str) -> RatingRow:
        """Rate a clip from 1 to 5; an earlier rating by the same person is replaced.

        Raises ``StorageError`` for any other value and for an unknown criterion.
        """
        criterion = choice(Criterion, criterion, "criterion")
        rater = proper_name("a rater", rater)
        if isinstance(value, bool) or value not in RATINGS:
            raise StorageError(f"A rating is a whole number from 1 to 5, not {value!r}.")
        with self._database.write() as transaction:
            number = clip_numbers(self._database, [clip_id])[0]
            transaction.execute(
                "INSERT OR REPLACE INTO ratings (criterion, clip_number, rater, value, created_at)"
                " VALUES (?, ?, ?, ?, ?)",
                [criterion, number, rater, int(value), utc_now()],
            )
            rows = transaction.execute(
                f"{RATING_ROWS} AND criterion = ? AND clip_number = ? AND rater = ?",
                [criterion, number, rater],
            )
            return to_rating(rows.fetchone())

    def unrate(self, clip_id: str, criterion: str, rater: str) -> None:
        """Take a rating back; does nothing when there is none."""
        values = [choice(Criterion, criterion, "criterion"), proper_name("a rater", rater)]
        with self._database.write() as transaction:
            number = clip_numbers(self._database, [clip_id])[0]
            transaction.execute(
                "DELETE FROM ratings WHERE criterion = ? AND rater = ? AND clip_number = ?",
                [*values, number],
            )

    def ratings(self, clip_id: str) -> builtins.list[RatingRow]:
        """All ratings of a clip, by criterion and rater."""
        number = clip_numbers(self._database, [clip_id])[0]
        rows = self._database.query(
            f"{RATING_ROWS} AND clip_number = ? ORDER BY criterion, rater", [number]
        )
        return [to_rating(row) for row in rows]

    def rated_by(self, rater: str) -> set[str]:
        """Ids of the clips that a person has rated, by any criterion."""
        rows = self._database.query(
            "SELECT DISTINCT clips.id FROM ratings CROSS JOIN clips ON clips.number = clip_number"
            " WHERE rater = ? AND deleted IS NULL",
            [rater],
        )
        return {row[0] for row in rows}

    def ratings_table(self, criterion: str = "") -> Iterator[RatingRow]:
        """All ratings ("": of all criteria) in the order of criteria and clips."""
        condition = "AND criterion = ?" if criterion else ""
        values = [choice(Criterion, criterion, "criterion")] if criterion else []
        rows = self._database.query(
            f"{RATING_ROWS} {condition} ORDER BY criterion, clip_number, rater", values
        )
        return map(to_rating, rows)

    # preferences

    def prefer(
        self,
        chosen_id: str,
        rejected_id: str,
        *,
        rater: str,
        tie: bool = False,
        strength: int = 1,
        source: str = "ab",
    ) -> PreferenceRow:
        """Say that one clip is better than another of the same prompt, or that it is a tie.

        What the same person said of the same two clips before is replaced. Raises ``StorageError``
        for clips of different prompts, a clip with itself and a strength other than 1, 2, 3.
        """
        pairs = [(chosen_id, rejected_id)]
        return self._prefer(pairs, rater=rater, tie=tie, strength=strength, source=source)[0]

    def rank(
        self, clip_ids: Sequence[str], rater: str, *, strength: int = 1, source: str = "rank"
    ) -> builtins.list[PreferenceRow]:
        """Order clips of one prompt, the best first: every pair of them becomes a preference.

        Returns all n(n-1)/2, the pairs of the best clip first. All are stored or, when one cannot
        be, none. Raises ``StorageError`` as ``prefer`` does and for fewer than two clips.
        """
        if len(clip_ids) < 2:
            raise StorageError(f"A ranking needs at least two clips, not {len(clip_ids)}.")
        pairs = list(combinations(clip_ids, 2))
        return self._prefer(pairs, rater=rater, tie=False, strength=strength, source=source)

    def _prefer(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        rater: str,
        tie: bool,
        strength: int,
        source: str,
    ) -> builtins.list[PreferenceRow]:
        rater = proper_name("a rater", rater)
        if isinstance(strength, bool) or strength not in STRENGTHS:
            raise StorageError(
                f"The strength of a preference is 1 (slightly), 2 or 3 (clearly), not {strength!r}."
            )
        with self._database.write() as transaction:
            numbers = self._comparable(pairs)
            ids = [
                transaction.execute(
                    "INSERT INTO preferences (id, chosen_number, rejected_number, tie, strength,"
                    " rater, source, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (min(chosen_number, rejected_number),"
                    " max(chosen_number, rejected_number), rater) DO UPDATE SET"
                    " chosen_number = excluded.chosen_number,"
                    " rejected_number = excluded.rejected_number, tie = excluded.tie,"
                    " strength = excluded.strength, source = excluded.source,"
                    " created_at = excluded.created_at RETURNING id",
                    [new_id(), numbers[chosen], numbers[rejected], bool(tie), int(strength), rater,
                     source, utc_now()],
                ).fetchone()[0]
                for chosen, rejected in pairs
            ]  # fmt: skip
            return [self.preference(id) for id in ids]

    def _comparable(self, pairs: Sequence[tuple[str, str]]) -> dict[str, int]:
        """The numbers of these clips by id. Raises ``StorageError`` if they cannot be compared."""
        for first, second in pairs:
            if first == second:
                raise StorageError("A clip cannot be compared with itself; choose two clips.")
        ids = list(dict.fromkeys(id for pair in pairs for id in pair))
        numbers = dict(zip(ids, clip_numbers(self._database, ids), strict=True))
        rows = self._database.query(
            "SELECT text FROM clips WHERE number IN (SELECT value FROM json_each(?))",
            [json.dumps([*numbers.values()])],
        )
        texts = {row["text"] for row in rows}
        if len(texts) > 1:
            first, second = sorted(texts)[:2]
            raise StorageError(
                f"These clips answer different prompts ({_short(first)} and {_short(second)}); "
                "only clips of the same prompt can be compared."
            )
        return numbers

    def preference(self, id: str) -> PreferenceRow:
        """The preference with this id."""
        rows = self._database.query(f"{PREFERENCE_ROWS} WHERE preferences.id = ?", [id])
        if not rows:
            raise NotFound(f"There is no preference {id}; it may have been taken back.")
        return to_preference(rows[0])

    def unprefer(self, id: str) -> None:
        """Take a preference back."""
        with self._database.write() as transaction:
            removed = transaction.execute("DELETE FROM preferences WHERE id = ?", [id])
            if removed.rowcount == 0:
                raise NotFound(f"There is no preference {id}; it may have been taken back.")

    def preferences(self, clip_id: str = "", limit: int = 100) -> builtins.list[PreferenceRow]:
        """The newest preferences of all clips, or of one, which was chosen or rejected there."""
        condition, values = "", []
        if clip_id:
            condition = "WHERE preferences.number IN (SELECT number FROM preferences WHERE"
            condition += " chosen_number = ? UNION SELECT number FROM preferences WHERE"
            condition += " rejected_number = ?)"
            values = clip_numbers(self._database, [clip_id]) * 2
        rows = self._database.query(
            f"{PREFERENCE_ROWS} {condition} ORDER BY preferences.created_at DESC,"
            " preferences.number DESC LIMIT ?",
            [*values, limit],
        )
        return [to_preference(row) for row in rows]

    def preference_table(self) -> Iterator[PreferenceRow]:
        """All preferences, oldest first."""
        return map(
            to_preference, self._database.query(f"{PREFERENCE_ROWS} ORDER BY preferences.number")
        )

    def pairs_of(self, rater: str) -> set[frozenset[str]]:
        """The pairs of clip ids that a person has compared."""
        rows = self._database.query(
            "SELECT chosen.id, rejected.id FROM preferences"
            " CROSS JOIN clips AS chosen ON chosen.number = chosen_number"
            " CROSS JOIN clips AS rejected ON rejected.number = rejected_number WHERE rater = ?",
            [rater],
        )
        return {frozenset((row[0], row[1])) for row in rows}

    def times_compared(self) -> dict[str, int]:
        """How often each clip was compared, by anybody; clips that never were are left out."""
        rows = self._database.query(
            "SELECT id, sum(times) FROM (SELECT chosen_number AS clip, count(*) AS times"
            " FROM preferences GROUP BY chosen_number UNION ALL SELECT rejected_number, count(*)"
            " FROM preferences GROUP BY rejected_number)"
            " CROSS JOIN clips ON number = clip GROUP BY id"
        )
        return {row[0]: row[1] for row in rows}

    # marks

    def mark(self, clip_id: str, tag: str, rater: str, good: bool | None = None) -> MarkRow:
        """Give a clip a tag as praise (True), complaint (False) or neither (None).

        The clip gets the tag, so that searches and filters find it. The same person's earlier mark
        with this tag is replaced.
        """
        rater = proper_name("a rater", rater)
        with self._clips.changed() as transaction:
            number = clip_numbers(self._database, [clip_id])[0]
            tag_id = attach(transaction, number, tag, marked=True)
            transaction.execute(
                "INSERT OR REPLACE INTO marks (tag_id, clip_number, rater, good, created_at)"
                " VALUES (?, ?, ?, ?, ?)",
                [tag_id, number, rater, None if good is None else bool(good), utc_now()],
            )
            insert_words(transaction, [number])
        return next(
            row for row in self.marks(clip_id) if _same(row.tag, tag) and row.rater == rater
        )

    def unmark(self, clip_id: str, tag: str, rater: str) -> None:
        """Take a mark back; a tag that only marks have put there goes with the last of them."""
        rater = proper_name("a rater", rater)
        with self._clips.changed() as transaction:
            number = clip_numbers(self._database, [clip_id])[0]
            mine = "clip_number = ? AND tag_id = (SELECT id FROM tags WHERE name = ?)"
            values = [number, normal_tag(tag)]
            transaction.execute(f"DELETE FROM marks WHERE {mine} AND rater = ?", [*values, rater])
            bare = transaction.execute(
                f"SELECT 1 FROM clip_tags WHERE {mine} AND marked"
                f" AND NOT EXISTS (SELECT 1 FROM marks WHERE {mine})",
                values * 2,
            ).fetchone()
            if bare:
                detach(transaction, number, tag)
                insert_words(transaction, [number])

    def marks(self, clip_id: str) -> builtins.list[MarkRow]:
        """All marks of a clip, by tag and rater."""
        rows = self._database.query(
            "SELECT name AS tag, rater, good, created_at FROM marks"
            " JOIN tags ON tags.id = tag_id WHERE clip_number = ? ORDER BY name, rater",
            clip_numbers(self._database, [clip_id]),
        )
        return [
            MarkRow(
                clip_id=clip_id,
                tag=row["tag"],
                rater=row["rater"],
                good=None if row["good"] is None else bool(row["good"]),
                created_at=row["created_at"],
            )
            for row in rows
        ]

    # together

    def feedback(self, clip_id: str) -> Feedback:
        """Everything that was said about one clip."""
        return Feedback(
            tuple(self.ratings(clip_id)),
            tuple(self.marks(clip_id)),
            tuple(self.preferences(clip_id, limit=-1)),
            self._clips.get(clip_id).notes,
        )

    def stats(self) -> FeedbackStats:
        """How much was judged, over all clips that are not deleted."""
        hidden = "(SELECT number FROM clips WHERE deleted IS NOT NULL)"
        ratings = f"ratings WHERE clip_number NOT IN {hidden}"
        preferences = (
            f"preferences WHERE chosen_number NOT IN {hidden} AND rejected_number NOT IN {hidden}"
        )
        marks = f"marks WHERE clip_number NOT IN {hidden}"
        totals = self._database.query(
            f"SELECT (SELECT count(DISTINCT clip_number) FROM {ratings}),"
            f" (SELECT count(*) FROM (SELECT rater FROM {ratings} UNION"
            f" SELECT rater FROM {preferences} UNION SELECT rater FROM {marks})),"
            f" (SELECT count(*) FROM {preferences}),"
            f" (SELECT count(*) FROM {preferences} AND tie), (SELECT count(*) FROM {marks})"
        )[0]
        rows = self._database.query(
            f"SELECT criterion, count(*), avg(value) FROM {ratings} GROUP BY criterion"
        )
        order = {criterion.value: place for place, criterion in enumerate(Criterion)}
        by_criterion = {
            row[0]: (row[1], row[2]) for row in sorted(rows, key=lambda row: order[row[0]])
        }
        clips_rated, raters, compared, ties, marked = totals
        number = sum(count for count, _ in by_criterion.values())
        return FeedbackStats(clips_rated, number, raters, compared, ties, marked, by_criterion)


def _same(one: str, other: str) -> bool:
    """Whether two tags are the same: upper and lower case of ASCII do not differ."""
    return normal_tag(one).encode().lower() == normal_tag(other).encode().lower()


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")
