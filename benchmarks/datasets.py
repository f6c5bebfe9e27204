"""How fast judgements become datasets: ``python -m benchmarks.datasets [ratings]`` (50,000).

Fills a temporary store with half as many synthetic clips (no sound files), each rated by one to
three people, two on average, and with as many preferences, each pair judged by two people. Then it
counts, previews and freezes both kinds of dataset, without a filter and with nearly all filters at
once, and prints medians of 5 next to a plain count: a loop that asks for the judgements of one clip
or pair after the other, without filters.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from benchmarks.common import median_s, show
from storage import DatasetFilter, DatasetKind, Store
from storage.clips.rows import INSERT_WORDS, words_of

CLIPS_PER_PROMPT = 4
COPIES = 50  # every so many clips, one has the sound of another
RATERS = ("anna", "ben", "chloe")
WORDS = ("slow", "bright", "piano", "guitar", "choir", "rain", "dance", "waltz", "night", "march")
START = datetime(2025, 1, 1, tzinfo=UTC)
NARROW = {
    "min_raters": 2,
    "tags_in": ("keep",),
    "tags_out": ("hiss",),
    "engine": "musicgen",
    "task": "music",
    "adapter": "none",
    "date_from": "2025-01-02",
    "date_to": "2030-01-01",
    "text": "piano",
    "max_duration_s": 25.0,
}
INSERT_CLIP = """
    INSERT INTO clips (id, hash, file, engine, task, created_at, duration_s, sample_rate, channels,
        peak_db, bytes, revision, adapter, job_id, app_version, title, text, settings)
    VALUES (?, ?, ?, 'musicgen', 'music', ?, ?, 32000, 1, -1.0, 1000000, 'main', ?, '', '0.1', '',
        ?, ?)
"""


def clips(number: int) -> Iterator[tuple]:
    """Rows of ``INSERT_CLIP``: prompts of eight words, four clips each, some of an adapter."""
    rng = random.Random(0)
    settings = json.dumps({f"setting_{i}": i / 7 for i in range(20)})
    hash, prompt = "", ""
    for i in range(number):
        if i % CLIPS_PER_PROMPT == 0:
            prompt = f"{' '.join(rng.choices(WORDS, k=8))} {i}"
        if i % COPIES != 1:
            hash = f"{rng.getrandbits(256):064x}"
        created = (START + timedelta(minutes=5 * i)).isoformat(timespec="milliseconds")
        adapter = "warm" if i % CLIPS_PER_PROMPT == 3 else ""
        file = f"{hash[:2]}/{hash}.flac"
        yield f"{i:026d}", hash, file, created, rng.uniform(5, 30), adapter, prompt, settings


def ratings(number: int) -> Iterator[tuple]:
    """One to three overall ratings a clip and one of its melody; two on average."""
    rng = random.Random(1)
    now = START.isoformat(timespec="milliseconds")
    for clip in range(1, number + 1):
        for rater in RATERS[: rng.randint(1, 3)]:
            yield "overall", clip, rater, rng.randint(1, 5), now
        yield "melody", clip, RATERS[0], rng.randint(1, 5), now


def preferences(number: int) -> Iterator[tuple]:
    """``number`` votes of two people on pairs of one prompt, one in ten a tie."""
    rng = random.Random(2)
    now = START.isoformat(timespec="milliseconds")
    pairs = (
        (first + a, first + b)
        for first in itertools.count(1, CLIPS_PER_PROMPT)
        for a, b in ((0, 1), (2, 3), (0, 2), (1, 3))
    )
    votes = ((pair, rater) for pair in pairs for rater in RATERS[:2])
    for place, ((one, other), rater) in enumerate(itertools.islice(votes, number)):
        chosen, rejected = (one, other) if rng.random() < 0.7 else (other, one)
        tie, strength = rng.random() < 0.1, rng.randint(1, 3)
        yield f"p{place:025d}", chosen, rejected, tie, strength, rater, "ab", now


def fill(store: Store, number: int) -> tuple[int, int]:
    """Insert everything in one transaction; returns how many ratings and preferences there are."""
    with store.db.write() as transaction:
        transaction.executemany(INSERT_CLIP, clips(number // 2))
        transaction.execute("INSERT INTO tags (name) VALUES ('keep'), ('hiss')")
        transaction.execute(
            "INSERT INTO clip_tags (tag_id, clip_number) SELECT 1, number FROM clips"
            " WHERE number % 3 UNION ALL SELECT 2, number FROM clips WHERE number % 10 = 0"
        )
        rows = transaction.execute("SELECT * FROM clips")
        transaction.executemany(INSERT_WORDS, (words_of(dict(row), []) for row in rows))
        rated = transaction.executemany(
            "INSERT INTO ratings (criterion, clip_number, rater, value, created_at)"
            " VALUES (?, ?, ?, ?, ?)",
            ratings(number // 2),
        )
        preferred = transaction.executemany(
            "INSERT INTO preferences (id, chosen_number, rejected_number, tie, strength, rater,"
            " source, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            preferences(number),
        )
    return rated.rowcount, preferred.rowcount


def plain(store: Store, kind: DatasetKind) -> int:
    """The same answer as a loop over clips or pairs, a query for the judgements of each."""
    query, found = store.db.query, {}
    rows = {row["number"]: row for row in query("SELECT * FROM clips WHERE deleted IS NULL")}
    if kind is DatasetKind.SUPERVISED:
        for number, row in rows.items():
            values = query(
                "SELECT value FROM ratings WHERE clip_number = ? AND criterion = 'overall'",
                [number],
            )
            if values:
                found[row["hash"]] = sum(value[0] for value in values) / len(values)
        return len(found)
    for pair in query("SELECT DISTINCT chosen_number, rejected_number FROM preferences"):
        votes = query(
            "SELECT chosen_number FROM preferences WHERE NOT tie AND"
            " (chosen_number = ? AND rejected_number = ?"
            " OR chosen_number = ? AND rejected_number = ?)",
            [*pair, *reversed(pair)],
        )
        balance = sum(1 if vote[0] == pair[0] else -1 for vote in votes)
        one, other = (rows[number]["hash"] for number in pair)
        if balance > 0 and one != other:
            found[one, other] = balance
    return len(found)


def main() -> None:
    """Fill, count, preview, freeze, print."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    lines = []
    with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        start = time.perf_counter()
        rated, preferred = fill(store, number)
        size = store.db.path.stat().st_size / 1e6
        print(
            f"{number // 2} clips, {rated} ratings (one in three of another criterion) and "
            f"{preferred} preferences by {len(RATERS)} people "
            f"filled in {time.perf_counter() - start:.1f} s, {size:.0f} MB"
        )
        for kind, more in itertools.product(DatasetKind, ({}, NARROW)):
            lines.append(measured(store, DatasetFilter(kind=kind, **more), bool(more)))
    head = ("dataset", "items", "count", "preview", "freeze", "count + freeze", "plain count")
    show("Datasets, seconds", head, lines)


def measured(store: Store, filter: DatasetFilter, narrow: bool) -> list[str]:
    """One line of the table."""
    items = store.datasets.count(filter).items
    count = median_s(lambda: store.datasets.count(filter))
    preview = median_s(lambda: store.datasets.select(filter, 50))
    frozen = []

    def freeze() -> None:
        frozen.append(store.datasets.create("benchmark", filter))

    create = median_s(freeze)
    for row in frozen:
        store.datasets.delete(row.id)
    assert {row.items for row in frozen} == {items}
    loop = "–" if narrow else f"{median_s(lambda: plain(store, filter.kind), 1):.2f}"
    times = [f"{span:.2f}" for span in (count, preview, create, count + create)]
    return [f"{filter.kind}{', filtered' if narrow else ''}", str(items), *times, loop]


if __name__ == "__main__":
    main()
