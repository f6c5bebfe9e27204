"""Scores kept by what they were computed from."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from engines.metrics.base import Score

BUSY_TIMEOUT_S = 30.0
LOOKED_UP = 500  # keys in one statement


def key_of(*parts: object) -> str:
    """One key for everything that a score depends on."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


class Cache(Protocol):
    """Where scores are kept; the studio's own store can stand in."""

    def get(self, keys: Sequence[str]) -> dict[str, Score]:
        """The scores that are known."""

    def put(self, scores: Mapping[str, Score]) -> None:
        """Keep these."""


class NoCache:
    """Keeps nothing."""

    def get(self, keys: Sequence[str]) -> dict[str, Score]:
        """Nothing is known."""
        return {}

    def put(self, scores: Mapping[str, Score]) -> None:
        """Nothing is kept."""


class SqliteCache:
    """One SQLite file; several processes can share it."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect()) as connection, connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, score TEXT NOT NULL)"
                " WITHOUT ROWID"
            )

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S)

    def get(self, keys: Sequence[str]) -> dict[str, Score]:
        """The scores that are known."""
        found: dict[str, Score] = {}
        with closing(self._connect()) as connection:
            for some in _in_parts(list(keys), LOOKED_UP):
                marks = ", ".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT key, score FROM scores WHERE key IN ({marks})", some
                )
                found.update({key: Score.of_json(json.loads(text)) for key, text in rows})
        return found

    def put(self, scores: Mapping[str, Score]) -> None:
        """Keep these, over what was there."""
        if not scores:
            return
        rows = [(key, json.dumps(score.as_json())) for key, score in scores.items()]
        with closing(self._connect()) as connection, connection:
            connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", rows)


def _in_parts(keys: list[str], size: int) -> Iterable[list[str]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))
