"""Tags of clips. A tag that came with a mark (``storage.learning.judgements``) goes with the last mark."""

from __future__ import annotations

import sqlite3
import unicodedata

from storage.base.db import clean
from storage.base.errors import StorageError

MAX_TAG_LENGTH = 100


def normal_tag(tag: str) -> str:
    """A tag as it is stored."""
    return " ".join(unicodedata.normalize("NFC", clean(tag)).split())


def attach(transaction: sqlite3.Connection, number: int, tag: str, *, marked: bool = False) -> int:
    """Give the clip a tag and return the tag's id; the caller indexes the clip's words anew.

    ``marked``: a mark brings the tag. A tag that a person has put there stays the person's. Raises
    ``StorageError`` when the tag is empty or too long.
    """
    name = normal_tag(tag)
    if not name or len(name) > MAX_TAG_LENGTH:
        raise StorageError(f"A tag has 1 to {MAX_TAG_LENGTH} characters, not {len(name)}.")
    transaction.execute("INSERT OR IGNORE INTO tags (name) VALUES (?)", [name])
    tag_id = transaction.execute("SELECT id FROM tags WHERE name = ?", [name]).fetchone()[0]
    transaction.execute(
        "INSERT INTO clip_tags (tag_id, clip_number, marked) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET marked = min(marked, excluded.marked)",
        [tag_id, number, marked],
    )
    return tag_id


def detach(transaction: sqlite3.Connection, number: int, tag: str) -> None:
    """Take a tag and its marks from the clip, if it has it."""
    transaction.execute(
        "DELETE FROM clip_tags WHERE clip_number = ? AND tag_id ="
        " (SELECT id FROM tags WHERE name = ?)",
        [number, normal_tag(tag)],
    )
