"""Judging: what can be asked of a clip, what to hear next, and the listening tests.

``Judging`` is the facade that the Judge tab, the endpoints and the tests talk to. Ratings,
preferences and marks lie in ``store.judgements``; tests in ``store.tests``.
"""

from __future__ import annotations

import functools
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from engines.base import StudioError
from engines.statistics import Strengths
from engines.studio.judging.designs import ANCHOR_ENGINE, Design, Designer
from engines.studio.judging.links import TestLinks
from engines.studio.judging.listening import Listening, Presentation
from engines.studio.judging.results import (
    Comparison,
    PairResult,
    Results,
    pair_results,
    results,
    strengths_of,
    votes_csv,
)
from storage import ClipQuery, ClipRow, Sort, Store, TestRow
from storage.base.csv_tables import csv_table

CONFIG = Path(__file__).parents[3] / "configs" / "judging.json"
NOBODY = "me"
LOOKED_AT = 2000  # so many of the newest clips that match are looked through for pairs and queues
PAGE = 500
MAX_RANKED = 6
RATING_COLUMNS = (
    "clip",
    "prompt",
    "engine",
    "adapter",
    "criterion",
    "value",
    "rater",
    "created_at",
)
PREFERENCE_COLUMNS = (
    "prompt", "chosen", "rejected", "chosen_engine", "rejected_engine", "chosen_adapter",
    "rejected_adapter", "tie", "strength", "rater", "source", "created_at",
)  # fmt: skip


@functools.cache
def config() -> dict[str, Any]:
    """Questions, tags, grades and words of ``configs/judging.json``."""
    return json.loads(CONFIG.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class CriterionInfo:
    """A criterion as a person reads it: ``question`` of one sound, ``ab`` of two, ``mushra`` of several
    beside a reference."""

    id: str
    title: str
    question: str
    ab: str
    mushra: str

    def asked(self, kind: str) -> str:
        """The question of a kind of test."""
        return {"ab": self.ab, "mushra": self.mushra}.get(str(kind), self.question)


@dataclass(frozen=True)
class ClipFilter:
    """Which clips to judge; empty means any. ``text`` are words of the prompt, title, tags or notes."""

    task: str = ""
    engine: str = ""
    text: str = ""


@dataclass(frozen=True)
class Choice:
    """Clips of one prompt to choose between, in the order in which they are shown."""

    prompt: str
    clips: tuple[ClipRow, ...]


def criteria_for(task: str) -> list[CriterionInfo]:
    """What clips of a task are rated by, ``overall`` first."""
    return [criterion(name) for name in _of(task)["criteria"]]


def criterion(name: str) -> CriterionInfo:
    """One criterion by its id; raises ``StudioError`` naming the known ones."""
    known = config()["criteria"]
    if name not in known:
        raise StudioError(
            f"There is no criterion {name!r}; there are {', '.join(known)}.", "criterion"
        )
    return CriterionInfo(name, **known[name])


def tags_for(task: str) -> tuple[list[str], list[str]]:
    """Suggested good and bad tags for clips of a task."""
    return _of(task)["good"], _of(task)["bad"]


def _of(task: str) -> dict[str, list[str]]:
    tasks = config()["tasks"]
    return tasks.get(str(task), tasks[""])


def must_listen_s(duration_s: float) -> float:
    """Seconds that a clip must be heard before a choice counts."""
    return round(min(float(config()["must_listen_s"]), 0.9 * duration_s), 2)


class Judging:
    """Ratings, preferences and listening tests of one store."""

    def __init__(self, store: Store):
        self.store = store
        self.judgements = store.judgements
        self.designer = Designer(store)
        self.listening = Listening(store)
        self.links = TestLinks(store, self.listening)

    # what to hear

    def clips(self, chosen: ClipFilter = ClipFilter(), limit: int = LOOKED_AT) -> Iterator[ClipRow]:
        """Clips that can be judged, newest first: those that match, without anchors."""
        page, pages = 1, 1
        seen = 0
        while page <= pages and seen < limit:
            found = self.store.clips.search(
                ClipQuery(
                    text=chosen.text,
                    task=chosen.task,
                    engine=chosen.engine,
                    sort=Sort.CREATED,
                    page=page,
                    page_size=min(PAGE, limit),
                )
            )
            for clip in found.rows:
                if clip.engine != ANCHOR_ENGINE:
                    yield clip
            seen += len(found.rows)
            page, pages = page + 1, found.pages

    def queue(
        self,
        rater: str,
        chosen: ClipFilter = ClipFilter(),
        *,
        unrated: bool = True,
        limit: int = 200,
    ) -> list[str]:
        """Ids of clips to rate, newest first; ``unrated``: without those that ``rater`` has rated."""
        done = self.judgements.rated_by(rater) if unrated else set()
        found = (clip.id for clip in self.clips(chosen) if clip.id not in done)
        return [clip_id for clip_id, _ in zip(found, range(limit), strict=False)]

    def groups(self, chosen: ClipFilter = ClipFilter(), least: int = 2) -> dict[str, list[ClipRow]]:
        """Clips by prompt (their text), prompts of at least ``least`` different sounds only."""
        found: dict[str, dict[str, ClipRow]] = defaultdict(dict)
        for clip in self.clips(chosen):
            if clip.text:
                found[clip.text].setdefault(clip.hash, clip)
        return {text: list(each.values()) for text, each in found.items() if len(each) >= least}

    def next_pair(
        self,
        rater: str,
        chosen: ClipFilter = ClipFilter(),
        *,
        new: bool = True,
        skip: Sequence[frozenset[str]] = (),
        rng: random.Random | None = None,
    ) -> Choice | None:
        """Two clips of one prompt on random sides: those that were compared least, by anybody.

        ``new``: only pairs that ``rater`` has not judged; ``skip``: pairs of ids to leave out. None
        when there is no such pair.
        """
        rng = rng or random.Random()
        mine, times = self._compared(rater)
        best: list[tuple[ClipRow, ClipRow]] = []
        fewest = None
        for clips in self.groups(chosen).values():
            for pair in combinations(clips, 2):
                ids = frozenset(clip.id for clip in pair)
                if ids in skip or (new and ids in mine):
                    continue
                heard = sum(times[clip.id] for clip in pair)
                if fewest is None or heard < fewest:
                    best, fewest = [], heard
                if heard == fewest:
                    best.append(pair)
        if not best:
            return None
        pair = rng.choice(best)
        return Choice(pair[0].text, tuple(rng.sample(pair, 2)))

    def next_ranking(
        self,
        rater: str,
        chosen: ClipFilter = ClipFilter(),
        *,
        size: int = 4,
        new: bool = True,
        skip: Sequence[frozenset[str]] = (),
        rng: random.Random | None = None,
    ) -> Choice | None:
        """Up to ``size`` clips of one prompt in random order, where ``rater`` has compared least.

        ``new``: leave out sets of which ``rater`` has judged every pair. None when no prompt has
        three clips.
        """
        rng = rng or random.Random()
        mine, times = self._compared(rater)
        best: Choice | None = None
        most = -1.0
        for text, clips in self.groups(chosen, least=3).items():
            ordered = sorted(clips, key=lambda clip: (times[clip.id], rng.random()))
            several = ordered[: max(3, min(size, MAX_RANKED))]
            ids = frozenset(clip.id for clip in several)
            unheard = sum(frozenset((a.id, b.id)) not in mine for a, b in combinations(several, 2))
            if ids in skip or (new and not unheard):
                continue
            worth = unheard + rng.random()
            if worth > most:
                most, best = worth, Choice(text, tuple(rng.sample(several, len(several))))
        return best

    def _compared(self, rater: str) -> tuple[set[frozenset[str]], Counter[str]]:
        """The pairs that ``rater`` has judged, and how often each clip was judged by anybody."""
        return self.judgements.pairs_of(rater), Counter(self.judgements.times_compared())

    # tests

    def create_test(
        self, name: str, design: Design, *, criterion: str = "overall", adapter_id: str = ""
    ) -> TestRow:
        """Make a named listening test; see ``Designer.create``."""
        return self.designer.create(name, design, criterion=criterion, adapter_id=adapter_id)

    def present(self, test_id: str, rater: str, position: int | None = None) -> Presentation | None:
        """The next trial of a test for a rater; see ``Listening.present``."""
        return self.listening.present(test_id, rater, position)

    def vote(
        self, trial_id: str, rater: str, answer: Mapping[str, Any], seconds: float | None = None
    ) -> Presentation | None:
        """Keep the answer to a trial; see ``Listening.vote``."""
        return self.listening.vote(trial_id, rater, answer, seconds)

    def results(self, test_id: str, *, screened: bool = False) -> Results:
        """What a test has shown so far; see ``engines.studio.judging.results``."""
        tests = self.store.tests
        return results(tests.get(test_id), tests.trials(test_id), tests.votes(test_id), screened)

    def csv(self, test_id: str) -> str:
        """Every vote of a test as CSV."""
        tests = self.store.tests
        return votes_csv(tests.get(test_id), tests.trials(test_id), tests.votes(test_id))

    # over all

    def system_of(self, clip: ClipRow) -> str:
        """What made a clip, in words: its engine, and its adapter with the scale."""
        return self.designer.system_of(clip)

    def standing(self) -> tuple[tuple[PairResult, ...], Strengths | None]:
        """Engines with their adapters over all preferences: pairs and strengths.

        Comparisons inside one system say nothing here and are left out.
        """
        names: dict[str, None] = {}
        comparisons = []
        for row in self.judgements.preference_table():
            chosen = self.designer.system_name(row.chosen_engine, row.chosen_adapter)
            rejected = self.designer.system_name(row.rejected_engine, row.rejected_adapter)
            if chosen != rejected:
                names |= {chosen: None, rejected: None}
                comparisons.append(Comparison(chosen, rejected, row.tie, row.strength))
        if not comparisons:
            return (), None
        listed = sorted(names)
        return pair_results(listed, comparisons), strengths_of(listed, comparisons)

    def ratings_csv(self) -> str:
        """Every rating as CSV."""
        rows = (
            (row.clip_id, row.prompt, row.engine, row.adapter, str(row.criterion), row.value,
             row.rater, row.created_at)
            for row in self.judgements.ratings_table()
        )  # fmt: skip
        return csv_table(RATING_COLUMNS, rows)

    def preferences_csv(self) -> str:
        """Every preference as CSV."""
        rows = (
            (row.prompt, row.chosen_id, row.rejected_id, row.chosen_engine, row.rejected_engine,
             row.chosen_adapter, row.rejected_adapter, int(row.tie), row.strength, row.rater,
             row.source, row.created_at)
            for row in self.judgements.preference_table()
        )  # fmt: skip
        return csv_table(PREFERENCE_COLUMNS, rows)
