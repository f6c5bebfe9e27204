"""Taking listening tests: in which order each person hears what, and what was answered.

A test never changes once it is made. The order of its trials is a Williams design over the raters;
the order inside a trial is drawn from test, trial and rater, so that who comes back sees the same.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engines.base import StudioError
from engines.statistics import williams
from engines.studio.judging.designs import REFERENCE
from storage import ClipRow, Store, TestRow, TrialRow


@dataclass(frozen=True)
class Presentation:
    """One trial for one rater: ``shown`` are indices into ``trial.stimuli`` in the order shown.

    ``position`` counts from 1 in the rater's own order, ``done`` are the trials answered so far, and
    ``answer`` is what the rater said before, in the order shown: ``choice`` 1, 2 or 0, or ``scores``.
    """

    test: TestRow
    trial: TrialRow
    shown: tuple[int, ...]
    clips: tuple[ClipRow, ...]
    reference: ClipRow | None
    position: int
    of: int
    done: int
    answer: dict[str, Any] | None


class Listening:
    """Taking the tests of one store."""

    def __init__(self, store: Store):
        self._store = store

    def present(self, test_id: str, rater: str, position: int | None = None) -> Presentation | None:
        """The trial at ``position`` (from 1) in the rater's order, or the first not answered.

        None when all are answered. Raises ``StudioError`` for a position that is not there.
        """
        test = self._store.tests.get(test_id)
        trials = self.order(test_id, rater)
        answers = {vote.trial_id: vote.answer for vote in self._store.tests.votes(test_id, rater)}
        if position is None:
            open_ones = [n for n, trial in enumerate(trials, 1) if trial.id not in answers]
            if not open_ones:
                return None
            position = open_ones[0]
        if not 1 <= position <= len(trials):
            raise StudioError(
                f"This test has trials 1 to {len(trials)}, not {position}.", "position"
            )
        trial = trials[position - 1]
        shown = self.shown(test, trial, rater)
        given = answers.get(trial.id)
        reference = next((s for s in trial.stimuli if s.role == REFERENCE), None)
        return Presentation(
            test,
            trial,
            shown,
            tuple(self._store.clips.held(trial.stimuli[index].clip_id) for index in shown),
            self._store.clips.held(reference.clip_id) if reference else None,
            position,
            len(trials),
            len(answers),
            as_shown(test.kind, given, shown) if given is not None else None,
        )

    def order(self, test_id: str, rater: str) -> list[TrialRow]:
        """The trials of a test in the order of one rater: row n of a Williams square for the n-th."""
        trials = self._store.tests.trials(test_id)
        random.Random(test_id).shuffle(trials)
        if len(trials) < 2:
            return trials
        rows = williams(len(trials))
        return [trials[index] for index in rows[self._number(test_id, rater) % len(rows)]]

    def _number(self, test_id: str, rater: str) -> int:
        """How many others began this test before ``rater``."""
        began: dict[str, str] = {}  # ids grow with time, and a changed vote keeps its id
        for vote in self._store.tests.votes(test_id):
            began[vote.rater] = min(vote.id, began.get(vote.rater, vote.id))
        mine = began.pop(rater, "~")
        return sum(first < mine for first in began.values())

    def shown(self, test: TestRow, trial: TrialRow, rater: str) -> tuple[int, ...]:
        """In which order a rater sees the stimuli of a trial.

        In A/B tests half of a rater's trials are turned round.
        """
        if test.kind == "ab":
            ids = sorted(each.id for each in self._store.tests.trials(test.id))
            random.Random(f"{test.id} {rater}").shuffle(ids)
            return (0, 1) if ids.index(trial.id) % 2 else (1, 0)
        order = list(range(len(trial.stimuli)))
        random.Random(f"{test.id} {trial.id} {rater}").shuffle(order)
        return tuple(order)

    def vote(
        self,
        trial_id: str,
        rater: str,
        answer: Mapping[str, Any],
        seconds: float | None = None,
    ) -> Presentation | None:
        """Keep an answer, given in the order shown; a second one replaces the first.

        ``answer`` is ``{"choice": 1 | 2 | 0, "strength": 1 to 3}`` for A/B, ``{"scores": [...]}`` for
        MOS (1 to 5) and MUSHRA (0 to 100). Returns the rater's next open trial, or None. Raises
        ``StudioError`` for an answer that does not fit.
        """
        trial = self._store.tests.trial(trial_id)
        test = self._store.tests.get(trial.test_id)
        shown = self.shown(test, trial, rater)
        self._store.tests.vote(trial.id, rater, as_stored(test.kind, answer, shown), seconds)
        return self.present(test.id, rater)


def as_stored(kind: str, answer: Mapping[str, Any], shown: Sequence[int]) -> dict[str, Any]:
    """An answer in the order shown as one in the order of the trial's stimuli."""
    if kind == "ab":
        return _choice(answer, shown)
    scores = answer.get("scores")
    low, high = (1, 5) if kind == "mos" else (0, 100)
    if not isinstance(scores, Sequence) or isinstance(scores, str) or len(scores) != len(shown):
        raise StudioError(
            f"Give {len(shown)} score(s), one for each clip in the order shown.", "scores"
        )
    values = [0] * len(shown)
    for index, score in zip(shown, scores, strict=True):
        number = _whole(score)
        if number is None or not low <= number <= high:
            raise StudioError(
                f"A score is a whole number from {low} to {high}, not {score!r}.", "scores"
            )
        values[index] = number
    return {"scores": values}


def _choice(answer: Mapping[str, Any], shown: Sequence[int]) -> dict[str, Any]:
    choice, strength = _whole(answer.get("choice")), _whole(answer.get("strength", 1))
    if choice not in (0, 1, 2):
        raise StudioError(
            f"Choose 1 (the first), 2 (the second) or 0 (no difference), not {answer.get('choice')!r}.",
            "choice",
        )
    if strength not in (1, 2, 3):
        raise StudioError(
            f"Strength is 1 (slightly), 2 (noticeably) or 3 (clearly), not {answer.get('strength')!r}.",
            "strength",
        )
    return {"choice": shown[choice - 1] if choice else None, "strength": strength}


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        return None
    return int(value)


def as_shown(kind: str, answer: Mapping[str, Any], shown: Sequence[int]) -> dict[str, Any]:
    """A stored answer in the order shown; undoes ``as_stored``."""
    if kind != "ab":
        return {"scores": [answer["scores"][index] for index in shown]}
    choice = answer["choice"]
    place = 0 if choice is None else list(shown).index(choice) + 1
    return {"choice": place, "strength": answer.get("strength", 1)}
