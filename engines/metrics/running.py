"""Running metrics over many items: in processes, in bounded memory, with what is known left out."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from engines.base import StudioError
from engines.metrics.base import Score
from engines.metrics.cache import Cache, NoCache
from engines.metrics.evaluate import PASSING, Planned, keys_of
from engines.metrics.pairing import Item
from engines.metrics.workers import Wishes, begin, work

AHEAD = 3  # items handed out for each process


@dataclass(frozen=True)
class Result:
    """An item's scores in the order planned; ``cached`` counts those that were known."""

    item: Item
    scores: tuple[Score, ...]
    cached: int = 0


@dataclass
class _Open:
    """An item under way: what is known of it, and the future of the rest."""

    item: Item
    keys: list[str]
    known: dict[str, Score]
    rest: Future | None


def run(
    items: Sequence[Item],
    planned: Sequence[Planned],
    cache: Cache | None = None,
    processes: int | None = None,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Result]:
    """Results in the order of ``items``, as they come.

    Scores in ``cache`` are not computed again, so that a run that was stopped goes on where it was.
    At most ``AHEAD`` items per process are under way; none is kept. ``processes`` is one a core by
    default, 0 works in this one. ``check`` is called before each item and may raise to stop. Raises
    ``StudioError`` when a process dies, as it does when memory runs out.
    """
    cache = cache or NoCache()
    count = os.cpu_count() or 1 if processes is None else processes
    hashes = _Hashes()
    opened: deque[_Open] = deque()
    pool: ProcessPoolExecutor | None = None
    try:
        for item in items:
            check()
            keys = hashes.keys(item, planned)
            known = cache.get(keys) if keys else {}
            missing = _missing(planned, keys, known)
            if not missing:
                opened.append(_Open(item, keys, known, None))
            elif count == 0:
                opened.append(_Open(item, keys, known, _done(work(item, missing))))
            else:
                pool = pool or _pool(count)
                opened.append(_Open(item, keys, known, pool.submit(work, item, missing)))
            while opened and (len(opened) > AHEAD * max(count, 1) or _ready(opened[0])):
                yield _close(opened.popleft(), planned, cache)
        while opened:
            check()
            yield _close(opened.popleft(), planned, cache)
    except BrokenProcessPool as error:
        raise StudioError(
            "A measuring process died, which is what happens when memory runs out. What was measured is "
            "kept: run it again, with fewer processes."
        ) from error
    finally:
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)


def _pool(count: int) -> ProcessPoolExecutor:
    # fork would copy a process with running threads; spawn starts clean ones
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=begin)


def _ready(under_way: _Open) -> bool:
    return under_way.rest is None or under_way.rest.done()


def _done(scores: list[Score]) -> Future:
    future: Future = Future()
    future.set_result(scores)
    return future


def _missing(planned: Sequence[Planned], keys: list[str], known: dict[str, Score]) -> Wishes:
    return [
        (each.metric.card.id, each.settings.model_dump(mode="json"), each.notes)
        for place, each in enumerate(planned)
        if not keys or keys[place] not in known
    ]


def _close(under_way: _Open, planned: Sequence[Planned], cache: Cache) -> Result:
    known, keys = under_way.known, under_way.keys
    if under_way.rest is None:
        return Result(under_way.item, tuple(known[key] for key in keys), len(keys))
    fresh = {score.metric: score for score in under_way.rest.result()}
    if keys:
        new = {key: fresh.get(each.metric.card.id) for key, each in zip(keys, planned, strict=True)}
        cache.put({k: score for k, score in new.items() if score and score.reason not in PASSING})
    scores = tuple(
        fresh.get(each.metric.card.id) or known[keys[place]] for place, each in enumerate(planned)
    )
    return Result(under_way.item, scores, len(known))


class _Hashes:
    """Content hashes of files; each path is read once a run."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def keys(self, item: Item, planned: Sequence[Planned]) -> list[str]:
        """Cache keys of an item; none where a file cannot be read."""
        try:
            generated = self._of(item.generated)
            reference = self._of(item.reference) if item.reference is not None else ""
        except OSError:
            return []
        return keys_of(planned, generated, reference, item.text, item.language)

    def _of(self, path: Path) -> str:
        if path not in self._known:
            with path.open("rb") as file:
                self._known[path] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._known[path]
