"""One sound or a pair, measured while a person waits."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engines.base import StudioError
from engines.metrics.base import Need, NotApplicable, Score
from engines.metrics.case import Case
from engines.metrics.evaluate import measure
from engines.metrics.sound import Sound
from engines.studio.evaluation.measuring import fitting
from engines.studio.evaluation.plan import Wishes, cards, named, wishes
from engines.studio.evaluation.sources import language_of
from storage import Store

ALONE = (Need.NOTHING, Need.TEXT, Need.TEXT_OR_REFERENCE)
IN_PAIRS = (Need.REFERENCE, Need.TEXT_OR_REFERENCE)


class StoreCache:
    """Scores kept in the studio's own store, as ``engines.metrics.cache.Cache`` asks for."""

    def __init__(self, store: Store):
        self._scores = store.scores

    def get(self, keys: Sequence[str]) -> dict[str, Score]:
        """The scores that are known."""
        return {key: Score.of_json(found) for key, found in self._scores.known(keys).items()}

    def put(self, scores: Mapping[str, Score]) -> None:
        """Keep these, over what was there."""
        self._scores.keep({key: score.as_json() for key, score in scores.items()})


class Desk:
    """Measures single cases, one at a time: a second person waits, not the machine."""

    def __init__(self, store: Store):
        self.cache = StoreCache(store)
        self._store = store
        self._lock = threading.Lock()

    @staticmethod
    def alone(metrics: Iterable[str] = (), **more: Any) -> Wishes:
        """Wishes for one sound: those metrics, or all that need no reference."""
        return wishes(named(metrics) or [card.id for card in cards(ALONE)], **more)

    @staticmethod
    def paired(metrics: Iterable[str] = (), **more: Any) -> Wishes:
        """Wishes for a pair: those metrics, or all that compare two sounds."""
        return wishes(named(metrics) or [card.id for card in cards(IN_PAIRS)], **more)

    @staticmethod
    def case(
        generated: Path, reference: Path | None = None, text: str = "", language: str = "en"
    ) -> Case:
        """Files read as a case; raises ``StudioError`` for what is no sound."""
        try:
            target = Sound.open(reference) if reference is not None else None
            return Case(Sound.open(generated), target, text, language or "en")
        except NotApplicable as why:
            raise StudioError(str(why), "sound") from why

    def clip_case(self, clip_id: str, reference: Path | None = None) -> Case:
        """A clip with its own text; raises ``StorageError`` for an unknown id."""
        clip = self._store.clips.get(clip_id)
        return self.case(clip.path, reference, clip.text, language_of(clip))

    def score(self, case: Case, wanted: Wishes, clip_id: str = "") -> Iterator[Score]:
        """Scores of one case as they come; with ``clip_id`` they are kept with that clip.

        Raises ``StudioError`` for metrics of whole sets.
        """
        if sets := wanted.of_sets:
            raise StudioError(
                f"{', '.join(sets)} compare whole sets of sounds: evaluate folders.", "metrics"
            )
        planned = wanted.planned()
        task = str(self._store.clips.get(clip_id).task) if clip_id else ""
        unfit = fitting(planned, task)[1]
        kept: dict[str, float | None] = {}
        for each in planned:
            score = unfit.get(each.metric.card.id)
            if score is None:
                with self._lock:
                    (score,) = measure(case, [each], self.cache)
            kept[score.metric] = score.value
            yield score
        if clip_id:
            against = case.reference.name if case.reference is not None else ""
            self._store.scores.rate_clip(clip_id, kept, against)
