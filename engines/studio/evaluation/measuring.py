"""Measuring many sounds: item by item, then whole sets. Knows of no store: a shell uses it too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from engines.metrics.base import Need, Reason, Score
from engines.metrics.cache import Cache, key_of
from engines.metrics.distribution import SET_CARDS, compare_sets
from engines.metrics.evaluate import PASSING, Planned
from engines.metrics.pairing import Item
from engines.metrics.running import Result, run
from engines.studio.evaluation.plan import Wishes, config

FEW = 6  # items that are measured sooner here than processes start


@dataclass(frozen=True)
class SetScore:
    """What a metric says of all sounds of one system against all references."""

    system: str
    score: Score


def measure_items(
    items: Sequence[Item],
    wishes: Wishes,
    cache: Cache | None = None,
    processes: int | None = None,
    check: Callable[[], None] = lambda: None,
    tasks: Mapping[int, str] | None = None,
) -> Iterator[Result]:
    """Results in the order of ``items``, as they come.

    ``processes`` are as many as cores by default, and none for a few items. ``tasks`` name what made
    those items (by place) that are clips: a prompt is not what somebody says, and a spoken text no
    description of a sound.
    """
    planned = wishes.planned()
    if processes is None:
        processes = 0 if len(items) <= FEW else min(os.cpu_count() or 1, len(items))
    known = tasks or {}
    for task, places in groupby(range(len(items)), key=lambda place: known.get(place, "")):
        some = [items[place] for place in places]
        fit, unfit = fitting(planned, task)
        for result in run(some, fit, cache, processes, check):
            yield _in_order(result, planned, unfit) if unfit else result


def fitting(planned: Sequence[Planned], task: str) -> tuple[list[Planned], dict[str, Score]]:
    """The metrics that mean something for clips of a task, and why the others do not."""
    if not task:
        return list(planned), {}
    spoken = task in config()["spoken_tasks"]
    wrong = Need.TEXT if spoken else Need.TEXT_OR_REFERENCE
    why = (
        "Its text is what is spoken, not a description of the sound."
        if spoken
        else "Its text is what was asked for, not what somebody says."
    )
    unfit = {
        each.metric.card.id: Score(
            each.metric.card.id, None, Reason.NO_TEXT, why, version=each.metric.card.version
        )
        for each in planned
        if each.metric.card.needs is wrong
    }
    return [each for each in planned if each.metric.card.id not in unfit], unfit


def _in_order(result: Result, planned: Sequence[Planned], unfit: Mapping[str, Score]) -> Result:
    found = {**{score.metric: score for score in result.scores}, **unfit}
    return replace(result, scores=tuple(found[each.metric.card.id] for each in planned))


def measure_sets(
    items: Sequence[Item],
    wishes: Wishes,
    cache: Cache | None = None,
    check: Callable[[], None] = lambda: None,
) -> list[SetScore]:
    """The wanted distances between each system's sounds and their references."""
    found = []
    for system in dict.fromkeys(item.system for item in items):
        some = [item for item in items if item.system == system]
        scores = _set_scores(some, wishes, cache, check)
        found += [SetScore(system, scores[each]) for each in wishes.of_sets]
    return found


def _set_scores(
    items: Sequence[Item], wishes: Wishes, cache: Cache | None, check: Callable[[], None]
) -> dict[str, Score]:
    wanted, embedding = wishes.of_sets, str(wishes.options.embedding)
    generated = sorted({item.generated for item in items})
    reference = sorted({item.reference for item in items if item.reference is not None})
    if not wanted or not reference:
        why = "There are no references to compare the set with."
        return {each: Score(each, None, Reason.NO_REFERENCE, why) for each in wanted}
    keys = _set_keys(reference, generated, embedding, check)
    known = cache.get(list(keys.values())) if cache and keys else {}
    if keys and all(keys[each] in known for each in wanted):
        return {each: known[keys[each]] for each in wanted}
    scores = {
        score.metric: score
        for score in compare_sets(reference, generated, embedding, lambda path: check())
    }
    if cache and keys:
        fresh = {keys[name]: score for name, score in scores.items()}
        cache.put({key: score for key, score in fresh.items() if score.reason not in PASSING})
    return scores


def _set_keys(
    reference: Sequence[Path], generated: Sequence[Path], embedding: str, check: Callable[[], None]
) -> dict[str, str]:
    """Cache keys by metric; none where a file cannot be read."""
    try:
        sides = ["-".join(sorted(_hashed(side, check))) for side in (reference, generated)]
    except OSError:
        return {}
    return {name: key_of(name, card.version, embedding, *sides) for name, card in SET_CARDS.items()}


def _hashed(paths: Sequence[Path], check: Callable[[], None]) -> Iterator[str]:
    for path in paths:
        check()
        with path.open("rb") as file:
            yield hashlib.file_digest(file, "sha256").hexdigest()
