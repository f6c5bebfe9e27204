"""How fast the history is searched: ``python -m benchmarks.history [clips]`` (default 100,000).

Fills a temporary store with synthetic rows (no sound files), runs each search through
``Clips.search`` and prints the median of 5 next to the same question asked with ``LIKE '%word%'``
in the same run. The first line times a plain Python loop, by which numbers of slow machines can be
read: an ordinary machine takes 0.3 to 0.5 s.
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from storage import ClipQuery, Sort, Store
from storage.clips.rows import INSERT_WORDS, words_of

REPEATS = 5
ENGINES = ("piper", "kokoro", "vevo", "diffsinger", "ace-step", "audioldm", "import")
VOCABULARY = 5000
JAPANESE = (
    "東京の夜に音楽を聴く。",
    "静かな雨の音が続いている。",
    "春の海、終日のたりのたりかな。",
)
START = datetime(2025, 1, 1, tzinfo=UTC)
RARE = "zyzzyva"


def synthetic_clips(number: int) -> Iterator[tuple]:
    """Rows of ``clips``: 20 words each with the frequencies of a natural text (Zipf)."""
    rng = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["the", "river"]
    vocabulary += ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(VOCABULARY)]
    weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(vocabulary))))
    settings = json.dumps({f"setting_{i}": i / 7 for i in range(20)})
    for i in range(number):
        text = " ".join(rng.choices(vocabulary, cum_weights=weights, k=20))
        if i % 5 == 0:
            text += " " + rng.choice(JAPANESE)
        if i % (number // 20) == 0:
            text += " " + RARE
        created = (START + timedelta(minutes=5 * i)).isoformat(timespec="milliseconds")
        engine, hash = rng.choice(ENGINES), f"{rng.getrandbits(256):064x}"
        yield (
            f"{i:026d}", hash, f"{hash[:2]}/{hash}.flac", engine, "tts", i % 20 == 0, 0, created,
            rng.uniform(0.5, 240), 24000, 1, -3.0, -30 + rng.random() * 20, 10**6, i, "main", "",
            "", "0.1", text[:40], text, "", settings,
        )  # fmt: skip


def fill(store: Store, number: int) -> None:
    """Insert rows and their words in one transaction, past ``Clips.add``, which writes files."""
    columns = (
        "id, hash, file, engine, task, favorite, partial, created_at, duration_s, sample_rate,"
        " channels, peak_db, loudness_lufs, bytes, seed, revision, adapter, job_id, app_version,"
        " title, text, notes, settings"
    )
    marks = ", ".join("?" * len(columns.split(",")))
    with store.db.write() as transaction:
        transaction.executemany(
            f"INSERT INTO clips ({columns}) VALUES ({marks})", synthetic_clips(number)
        )
        transaction.execute("INSERT INTO tags (name) VALUES ('keep')")
        transaction.execute(
            "INSERT INTO clip_tags (tag_id, clip_number)"
            " SELECT 1, number FROM clips WHERE number % 3 = 0"
        )
        rows = transaction.execute("SELECT * FROM clips")
        transaction.executemany(
            INSERT_WORDS,
            (words_of(dict(row), [] if row["number"] % 3 else ["keep"]) for row in rows),
        )


def median_ms(action: Callable[[], object]) -> float:
    """Median time of an action in milliseconds, after one run that does not count."""
    action()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def search(store: Store, query: ClipQuery) -> int:
    """One search with its count taken anew, as on the first page that a person opens."""
    store.clips._totals = {}
    return store.clips.search(query).total


def like(store: Store, part: str, order: str) -> int:
    """Count and first page by reading every row, as a search without an index does."""
    where = "(text LIKE ? OR title LIKE ? OR notes LIKE ?) AND deleted IS NULL"
    parts = [f"%{part}%"] * 3
    total = store.db.query(f"SELECT count(*) FROM clips WHERE {where}", parts)[0][0]
    store.db.query(f"SELECT * FROM clips WHERE {where} ORDER BY {order} DESC LIMIT 50", parts)
    return total


def calibration_s() -> float:
    """Seconds of 10^7 additions in pure Python."""
    start = time.perf_counter()
    total = 0
    for i in range(10_000_000):
        total += i
    return time.perf_counter() - start


COMMON = ClipQuery(text="the")
FILTERED = ClipQuery(
    engine="piper", favorite=True, created_from=date(2025, 3, 1), created_to=date(2025, 9, 30)
)
CASES = (
    ("everything", ClipQuery(), ""),
    ("everything, last page", ClipQuery(page=10**9), ""),
    ("common word", COMMON, "the"),
    ("common word, last page", replace(COMMON, page=10**9), "the"),
    ("common word, by duration", replace(COMMON, sort=Sort.DURATION), "the"),
    ("common word, engine, favourite, date", replace(FILTERED, text="the"), "the"),
    ("common word, engine, by duration",
     replace(COMMON, engine="piper", sort=Sort.DURATION), "the"),
    ("one letter", ClipQuery(text="t"), "t"),
    ("two common words", ClipQuery(text="the river"), "the"),
    ("rare word", ClipQuery(text=RARE), RARE),
    ("rare word, by duration", ClipQuery(text=RARE, sort=Sort.DURATION), RARE),
    ("phrase", ClipQuery(text='"the river"'), "the river"),
    ("Japanese, 2 characters", ClipQuery(text="音楽"), "音楽"),
    ("Japanese, 7 characters", ClipQuery(text="夜に音楽を聴く"), "夜に音楽を聴く"),
    ("engine, favourite, date", FILTERED, ""),
    ("engine, favourite, by title", replace(FILTERED, sort=Sort.TITLE), ""),
    ("tag", ClipQuery(tag="keep"), ""),
    ("tag and common word", ClipQuery(text="the", tag="keep"), "the"),
    ("nothing found", ClipQuery(text="qqqqqq"), "qqqqqq"),
)  # fmt: skip


def main() -> None:
    """Fill, ask, print."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(f"10^7 additions in pure Python: {calibration_s():.2f} s")
    with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        start = time.perf_counter()
        fill(store, number)
        size = store.db.path.stat().st_size / 1e6
        print(f"{number} clips filled in {time.perf_counter() - start:.1f} s, {size:.0f} MB\n")
        print(f"{'query':40}{'found':>8}{'search':>10}{'LIKE':>10}{'ratio':>8}")
        for name, query, part in CASES:
            found = search(store, query)
            ours = median_ms(lambda query=query: search(store, query))
            line = f"{name:40}{found:8}{ours:7.1f} ms"
            if part:
                order = "duration_s" if query.sort == Sort.DURATION else "number"
                plain = median_ms(lambda part=part, order=order: like(store, part, order))
                line += f"{plain:7.1f} ms{plain / ours:7.1f}x"
            print(line, flush=True)
        counts = median_ms(lambda: (store.clips.tags(), store.clips.engines()))
        print(f"{'tags and engines with counts':48}{counts:7.1f} ms")


if __name__ == "__main__":
    main()
