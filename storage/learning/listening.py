"""Listening tests: named sessions of trials, what is heard in each, and one vote a person and trial.

Answers name stimuli by their stored position, however they were shown. Clips of a test stay on disk
as long as the test does, even when they are deleted from the history.
"""

from __future__ import annotations

import builtins
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storage.base.checks import choice, proper_name
from storage.base.db import Database, clean
from storage.base.errors import NotFound, StorageError
from storage.base.ids import new_id, utc_now
from storage.clips.rows import clip_numbers
from storage.learning.judgements import STRENGTHS, Criterion


class TestKind(StrEnum):
    """How a test asks: which of two, a score from 1 to 5, or from 0 to 100 beside a reference."""

    __test__ = False  # no test of ours

    AB = "ab"
    MOS = "mos"
    MUSHRA = "mushra"


class Role(StrEnum):
    """What a stimulus is for: judged, the hidden original, or the bad example that sets the scale."""

    JUDGED = ""
    REFERENCE = "reference"
    ANCHOR = "anchor"


SCORES = {TestKind.MOS: (1, 5), TestKind.MUSHRA: (0, 100)}


@dataclass(frozen=True)
class Stimulus:
    """A clip in a trial; ``system`` names what made it, such as an adapter's label or "base"."""

    clip_id: str
    system: str
    role: Role | str = Role.JUDGED


@dataclass(frozen=True)
class TestRow:
    """One test. ``trials`` is their number, ``raters`` how many people have voted so far."""

    __test__ = False

    id: str
    name: str
    kind: TestKind
    criterion: Criterion
    config: dict[str, Any]
    adapter_id: str
    created_at: str
    trials: int
    raters: int
    archived: bool


@dataclass(frozen=True)
class TrialRow:
    """One question of a test."""

    id: str
    test_id: str
    position: int
    prompt: str
    stimuli: tuple[Stimulus, ...]


@dataclass(frozen=True)
class VoteRow:
    """One answer.

    AB: ``{"choice": position or None for a tie, "strength": 1 to 3}``; MOS and MUSHRA:
    ``{"scores": [one a stimulus]}``. ``seconds`` is how long it took, where known.
    """

    id: str
    trial_id: str
    test_id: str
    rater: str
    answer: dict[str, Any]
    seconds: float | None
    created_at: str


TEST_ROWS = """
    SELECT id, name, kind, criterion, config, adapter_id, created_at, archived,
        (SELECT count(*) FROM trials WHERE test_number = tests.number) AS trials,
        (SELECT count(DISTINCT rater) FROM votes JOIN trials ON trials.number = trial_number
            WHERE test_number = tests.number) AS raters
    FROM tests
"""

TRIAL_ROWS = """
    SELECT trials.id, tests.id AS test_id, trials.position, prompt,
        (SELECT json_group_array(json_array(clip_id, system, role)) FROM (
            SELECT clips.id AS clip_id, system, role FROM stimuli
            JOIN clips ON clips.number = clip_number
            WHERE trial_number = trials.number ORDER BY stimuli.position)) AS stimuli
    FROM trials JOIN tests ON tests.number = test_number
"""

VOTE_ROWS = """
    SELECT votes.id, trials.id AS trial_id, tests.id AS test_id, rater, answer, seconds,
        votes.created_at
    FROM votes JOIN trials ON trials.number = trial_number JOIN tests ON tests.number = test_number
"""


class Tests:
    """All listening tests. Methods raise ``NotFound`` for ids that are not there."""

    __test__ = False

    def __init__(self, database: Database):
        self._database = database

    def create(
        self,
        name: str,
        kind: str,
        trials: Sequence[tuple[str, Sequence[Stimulus]]],
        criterion: str = "overall",
        config: Mapping[str, Any] | None = None,
        adapter_id: str = "",
    ) -> TestRow:
        """Store a test with its trials, each a prompt and what is heard, in this order.

        Raises ``StorageError`` for a name in use, a test without trials, an AB trial without
        exactly two stimuli and a MUSHRA trial without a reference.
        """
        kind, name = choice(TestKind, kind, "kind of test"), proper_name("a test", name)
        criterion = choice(Criterion, criterion, "criterion")
        if not trials:
            raise StorageError("A test needs at least one trial; choose clips to compare.")
        for _, stimuli in trials:
            _check_stimuli(kind, stimuli)
        id = new_id()
        with self._database.write() as transaction:
            self._refuse_taken(transaction, name)
            cursor = transaction.execute(
                "INSERT INTO tests (id, name, kind, criterion, config, adapter_id, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [id, name, kind, criterion, json.dumps(dict(config or {})), adapter_id, utc_now()],
            )
            for position, (prompt, stimuli) in enumerate(trials):
                self._add_trial(transaction, cursor.lastrowid, position, prompt, stimuli)
        return self.get(id)

    def _add_trial(
        self,
        transaction: sqlite3.Connection,
        test_number: int | None,
        position: int,
        prompt: str,
        stimuli: Sequence[Stimulus],
    ) -> None:
        trial = transaction.execute(
            "INSERT INTO trials (id, test_number, position, prompt) VALUES (?, ?, ?, ?)",
            [new_id(), test_number, position, clean(prompt)],
        )
        numbers = clip_numbers(self._database, [stimulus.clip_id for stimulus in stimuli])
        transaction.executemany(
            "INSERT INTO stimuli (trial_number, position, clip_number, system, role)"
            " VALUES (?, ?, ?, ?, ?)",
            [
                (trial.lastrowid, place, number, stimulus.system, Role(stimulus.role))
                for place, (number, stimulus) in enumerate(zip(numbers, stimuli, strict=True))
            ],
        )

    # reading

    def get(self, id: str) -> TestRow:
        """The test with this id."""
        rows = self._database.query(f"{TEST_ROWS} WHERE id = ?", [id])
        if not rows:
            raise NotFound(f"There is no test {id}; it may have been deleted.")
        return to_test(rows[0])

    def list(self, archived: bool = False) -> builtins.list[TestRow]:
        """The tests that are (or are not) archived, newest first."""
        rows = self._database.query(
            f"{TEST_ROWS} WHERE archived = ? ORDER BY number DESC", [archived]
        )
        return [to_test(row) for row in rows]

    def trials(self, test_id: str) -> builtins.list[TrialRow]:
        """The trials of a test in order."""
        self.get(test_id)
        rows = self._database.query(
            f"{TRIAL_ROWS} WHERE tests.id = ? ORDER BY trials.position", [test_id]
        )
        return [to_trial(row) for row in rows]

    def trial(self, id: str) -> TrialRow:
        """The trial with this id."""
        rows = self._database.query(f"{TRIAL_ROWS} WHERE trials.id = ?", [id])
        if not rows:
            raise NotFound(f"There is no trial {id}; its test may have been deleted.")
        return to_trial(rows[0])

    def votes(self, test_id: str, rater: str = "") -> builtins.list[VoteRow]:
        """The votes in a test, by trial and rater; with ``rater`` only that person's."""
        self.get(test_id)
        rows = self._database.query(
            f"{VOTE_ROWS} WHERE tests.id = :test AND :rater IN ('', rater)"
            " ORDER BY trials.position, rater",
            {"test": test_id, "rater": rater},
        )
        return [to_vote(row) for row in rows]

    # voting

    def vote(
        self, trial_id: str, rater: str, answer: Mapping[str, Any], seconds: float | None = None
    ) -> VoteRow:
        """Store an answer (see ``VoteRow``); the same person's earlier one is replaced.

        Raises ``StorageError`` for an answer that does not fit the test, and for an archived test.
        """
        rater = proper_name("a rater", rater)
        trial = self.trial(trial_id)
        test = self.get(trial.test_id)
        if test.archived:
            raise StorageError(f"{test.name!r} is archived; take it out of the archive to vote.")
        checked = json.dumps(checked_answer(test.kind, answer, len(trial.stimuli)))
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO votes (trial_number, rater, id, answer, seconds, created_at)"
                " SELECT number, ?, ?, ?, ?, ? FROM trials WHERE id = ?"
                " ON CONFLICT (trial_number, rater) DO UPDATE SET answer = excluded.answer,"
                " seconds = excluded.seconds, created_at = excluded.created_at",
                [rater, new_id(), checked, seconds, utc_now(), trial_id],
            )
            rows = transaction.execute(
                f"{VOTE_ROWS} WHERE trials.id = ? AND rater = ?", [trial_id, rater]
            ).fetchall()
        if not rows:
            raise NotFound(f"There is no trial {trial_id}; its test may have been deleted.")
        return to_vote(rows[0])

    # changing

    def rename(self, id: str, name: str) -> TestRow:
        """Give a test another name. Raises ``StorageError`` when it is in use."""
        name = proper_name("a test", name)
        with self._database.write() as transaction:
            self._refuse_taken(transaction, name, but=id)
            transaction.execute("UPDATE tests SET name = ? WHERE id = ?", [name, id])
        return self.get(id)

    def archive(self, id: str, archived: bool = True) -> TestRow:
        """Put a test away or take it back."""
        with self._database.write() as transaction:
            transaction.execute("UPDATE tests SET archived = ? WHERE id = ?", [archived, id])
        return self.get(id)

    def delete(self, id: str) -> None:
        """Remove a test with its trials and votes for good."""
        with self._database.write() as transaction:
            removed = transaction.execute("DELETE FROM tests WHERE id = ?", [id])
            if removed.rowcount == 0:
                raise NotFound(f"There is no test {id}; it may have been deleted.")

    @staticmethod
    def _refuse_taken(transaction: sqlite3.Connection, name: str, but: str = "") -> None:
        taken = transaction.execute(
            "SELECT name FROM tests WHERE name = ? AND id != ?", [name, but]
        ).fetchone()
        if taken:
            raise StorageError(f"There is a test named {taken[0]!r} already; choose another name.")


def _check_stimuli(kind: TestKind, stimuli: Sequence[Stimulus]) -> None:
    """Refuse a trial that cannot be asked."""
    roles = [choice(Role, stimulus.role, "role of a stimulus") for stimulus in stimuli]
    if kind is TestKind.AB and len(stimuli) != 2:
        raise StorageError(f"A trial of an A/B test has two clips, not {len(stimuli)}.")
    if kind is TestKind.MUSHRA and roles.count(Role.REFERENCE) != 1:
        raise StorageError(
            "A trial of a MUSHRA test has one hidden reference, "
            f"not {roles.count(Role.REFERENCE)}; choose the original sound."
        )
    if not any(role is Role.JUDGED for role in roles):
        raise StorageError("A trial needs at least one clip to judge.")


def checked_answer(kind: TestKind, answer: Mapping[str, Any], stimuli: int) -> dict[str, Any]:
    """The answer as it is stored. Raises ``StorageError`` when it does not fit."""
    if kind is TestKind.AB:
        chosen, strength = answer.get("choice", ""), answer.get("strength", 1)
        if chosen is not None and not _is_whole(chosen, 0, stimuli - 1):
            raise StorageError(f"The choice is 0, 1 or none for a tie, not {chosen!r}.")
        if not _is_whole(strength, STRENGTHS[0], STRENGTHS[-1]):
            raise StorageError(f"The strength is 1 (slightly), 2 or 3 (clearly), not {strength!r}.")
        return {"choice": None if chosen is None else int(chosen), "strength": int(strength)}
    low, high = SCORES[kind]
    scores = answer.get("scores")
    if not isinstance(scores, list | tuple) or len(scores) != stimuli:
        raise StorageError(f"Give a score to each of the {stimuli} sounds of this trial.")
    for score in scores:
        if not _is_whole(score, low, high):
            raise StorageError(f"A score is a whole number from {low} to {high}, not {score!r}.")
    return {"scores": [int(score) for score in scores]}


def _is_whole(value: Any, low: int, high: int) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and low <= value <= high and value == int(value)


def to_test(row: sqlite3.Row) -> TestRow:
    """The dataclass of one row of ``TEST_ROWS``."""
    values: dict[str, Any] = dict(row)
    values |= {"kind": TestKind(values["kind"]), "criterion": Criterion(values["criterion"])}
    values |= {"config": json.loads(values["config"]), "archived": bool(values["archived"])}
    return TestRow(**values)


def to_trial(row: sqlite3.Row) -> TrialRow:
    """The dataclass of one row of ``TRIAL_ROWS``."""
    stimuli = tuple(
        Stimulus(clip_id, system, Role(role))
        for clip_id, system, role in json.loads(row["stimuli"])
    )
    return TrialRow(row["id"], row["test_id"], row["position"], row["prompt"], stimuli)


def to_vote(row: sqlite3.Row) -> VoteRow:
    """The dataclass of one row of ``VOTE_ROWS``."""
    return VoteRow(**dict(row) | {"answer": json.loads(row["answer"])})
