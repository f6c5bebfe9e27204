"""Links by which others take a listening test, and who has come by each.

A link's token is what gives access, to its test alone, until the link is closed. A rater has a key, kept
by the browser, and a name that nobody else in the test has.
"""

from __future__ import annotations

import builtins
import secrets
import sqlite3
from dataclasses import dataclass

from storage.base.checks import proper_name
from storage.base.db import Database, clean
from storage.base.errors import NotFound, StorageError
from storage.base.ids import utc_now

TOKEN_BYTES = 24
KEY_BYTES = 18
CODE_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # none that is mistaken for another
CODE_LENGTH = 8
MAX_MESSAGE = 2000
MAX_RATERS = 5000


@dataclass(frozen=True)
class LinkRow:
    """One link. ``message`` is shown before the test begins; ``raters`` is how many have begun."""

    token: str
    test_id: str
    message: str
    created_at: str
    closed: bool
    raters: int


@dataclass(frozen=True)
class LinkRater:
    """Who came by a link; ``code`` is told when all trials are answered, of which ``done`` are."""

    key: str
    token: str
    name: str
    code: str
    began_at: str
    done: int


LINK_ROWS = """
    SELECT token, tests.id AS test_id, message, links.created_at, closed,
        (SELECT count(*) FROM link_raters WHERE link_number = links.number) AS raters
    FROM test_links AS links JOIN tests ON tests.number = links.test_number
"""

RATER_ROWS = """
    SELECT key, links.token, name, code, began_at,
        (SELECT count(*) FROM votes JOIN trials ON trials.number = trial_number
            WHERE trials.test_number = links.test_number AND votes.rater = name) AS done
    FROM link_raters JOIN test_links AS links ON links.number = link_number
"""


class Links:
    """The links of all tests. Methods raise ``NotFound`` for what is not there."""

    def __init__(self, database: Database):
        self._database = database

    def create(self, test_id: str, message: str = "") -> LinkRow:
        """A new link to a test."""
        message = clean(message).strip()
        if len(message) > MAX_MESSAGE:
            raise StorageError(
                f"The message has {len(message):,} characters; {MAX_MESSAGE:,} is the most."
            )
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self._database.write() as transaction:
            made = transaction.execute(
                "INSERT INTO test_links (token, test_number, message, created_at)"
                " SELECT ?, number, ?, ? FROM tests WHERE id = ?",
                [token, message, utc_now(), test_id],
            )
            if made.rowcount == 0:
                raise NotFound(f"There is no test {test_id}; it may have been deleted.")
        return self.get(token)

    def get(self, token: str) -> LinkRow:
        """The link with this token, open or closed."""
        rows = self._database.query(f"{LINK_ROWS} WHERE token = ?", [token])
        if not rows:
            raise NotFound("There is no such link. Check that you have all of it.")
        return to_link(rows[0])

    def list(self, test_id: str) -> builtins.list[LinkRow]:
        """The links of a test, the newest first."""
        rows = self._database.query(
            f"{LINK_ROWS} WHERE tests.id = ? ORDER BY links.number DESC", [test_id]
        )
        return [to_link(row) for row in rows]

    def close(self, token: str, closed: bool = True) -> LinkRow:
        """End the access that a link gives, or give it again; votes stay."""
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE test_links SET closed = ? WHERE token = ?", [int(closed), token]
            )
        return self.get(token)

    # raters

    def begin(self, token: str, name: str) -> LinkRater:
        """A new rater. Raises ``StorageError`` when the name has been used in this test."""
        name = proper_name("a rater", name)
        key = secrets.token_urlsafe(KEY_BYTES)
        code = "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
        with self._database.write() as transaction:
            link = transaction.execute(
                "SELECT number, test_number FROM test_links WHERE token = ?", [token]
            ).fetchone()
            if link is None:
                raise NotFound("There is no such link. Check that you have all of it.")
            number, test_number = link
            _refuse_taken(transaction, test_number, name)
            transaction.execute(
                "INSERT INTO link_raters (key, link_number, name, code, began_at)"
                " SELECT ?, ?, ?, ?, ? WHERE"
                " (SELECT count(*) FROM link_raters WHERE link_number = ?) < ?",
                [key, number, name, code, utc_now(), number, MAX_RATERS],
            )
        found = self.rater(token, key)
        if found is None:
            raise StorageError(f"{MAX_RATERS:,} people have begun this test; no more can.")
        return found

    def rater(self, token: str, key: str) -> LinkRater | None:
        """The rater of a link with this key, if there is one."""
        rows = self._database.query(f"{RATER_ROWS} WHERE links.token = ? AND key = ?", [token, key])
        return LinkRater(**dict(rows[0])) if rows else None

    def named(self, token: str, name: str) -> LinkRater | None:
        """The rater of a link with this name, if there is one."""
        rows = self._database.query(
            f"{RATER_ROWS} WHERE links.token = ? AND name = ?", [token, name]
        )
        return LinkRater(**dict(rows[0])) if rows else None

    def raters(self, token: str) -> builtins.list[LinkRater]:
        """Who came by a link, in this order."""
        rows = self._database.query(
            f"{RATER_ROWS} WHERE links.token = ? ORDER BY link_raters.number", [token]
        )
        return [LinkRater(**dict(row)) for row in rows]


def _refuse_taken(transaction: sqlite3.Connection, test_number: int, name: str) -> None:
    taken = transaction.execute(
        "SELECT 1 FROM link_raters JOIN test_links AS links ON links.number = link_number"
        " WHERE links.test_number = :test AND name = :name"
        " UNION SELECT 1 FROM votes JOIN trials ON trials.number = trial_number"
        " WHERE trials.test_number = :test AND rater = :name COLLATE NOCASE",
        {"test": test_number, "name": name},
    ).fetchone()
    if taken:
        raise StorageError(f"Somebody named {name!r} has begun this test; choose another name.")


def to_link(row: sqlite3.Row) -> LinkRow:
    """The dataclass of one row of ``LINK_ROWS``."""
    return LinkRow(**dict(row) | {"closed": bool(row["closed"])})
