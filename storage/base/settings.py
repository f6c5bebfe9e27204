"""Settings of the studio itself: names and JSON values."""

from __future__ import annotations

import json
from typing import Any

from storage.base.db import Database


class Settings:
    """A small dictionary that outlives the process. Values are anything JSON can hold."""

    def __init__(self, database: Database):
        self._database = database

    def get(self, key: str, default: Any = None) -> Any:
        """The value of ``key``, or ``default`` when it was never set."""
        rows = self._database.query("SELECT value FROM settings WHERE key = ?", [key])
        return json.loads(rows[0][0]) if rows else default

    def set(self, key: str, value: Any) -> None:
        """Store a value. Raises ``TypeError`` for what JSON cannot hold."""
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)",
                [key, json.dumps(value)],
            )

    def delete(self, key: str) -> None:
        """Forget a value; does nothing when it was never set."""
        with self._database.write() as transaction:
            transaction.execute("DELETE FROM settings WHERE key = ?", [key])

    def all(self) -> dict[str, Any]:
        """All values by name."""
        rows = self._database.query("SELECT key, value FROM settings ORDER BY key")
        return {key: json.loads(value) for key, value in rows}
