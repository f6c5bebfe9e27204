"""Prompts: what was asked for, each text with its attributes once, found again by their words."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import date
from typing import Any

from storage.base.checks import a_date
from storage.base.db import Database, clean
from storage.base.errors import NotFound, StorageError
from storage.base.ids import new_id, utc_now
from storage.clips.search import match_expression, moment, words


@dataclass(frozen=True)
class PromptRow:
    """One prompt: what was typed, its attributes, and the sentence ``rendered`` from both.

    ``uses`` counts how often it was used; times are ISO 8601 in UTC.
    """

    id: str
    text: str
    attributes: dict[str, Any]
    rendered: str
    favorite: bool
    uses: int
    created_at: str
    used_at: str


@dataclass(frozen=True)
class PromptPage:
    """One page of a search: ``total`` prompts match, on ``pages`` pages; this is ``page``, from 1."""

    rows: tuple[PromptRow, ...]
    total: int
    page: int
    pages: int


class Prompts:
    """The history of prompts. Methods raise ``NotFound`` for ids that are not there."""

    def __init__(self, database: Database):
        self._database = database

    def add(self, text: str, attributes: dict[str, Any], rendered: str) -> PromptRow:
        """Keep a prompt, or count one more use of it when text and attributes are the same.

        Raises ``StorageError`` for a text of blanks.
        """
        text, rendered = clean(text).strip(), clean(rendered)
        if not text:
            raise StorageError("A prompt needs words: write what you want to hear.")
        now = utc_now()
        with self._database.write() as transaction:
            number, id, uses = transaction.execute(
                "INSERT INTO prompts (id, text, attributes, rendered, created_at, used_at)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (text, attributes) DO UPDATE SET"
                " uses = uses + 1, used_at = excluded.used_at, rendered = excluded.rendered"
                " RETURNING number, id, uses",
                [new_id(), text, json.dumps(attributes, sort_keys=True), rendered, now, now],
            ).fetchone()
            if uses > 1:
                transaction.execute("DELETE FROM prompt_search WHERE rowid = ?", [number])
            transaction.execute(
                "INSERT INTO prompt_search (rowid, words) VALUES (?, ?)",
                [number, words(f"{text}\n{rendered}")],
            )
        return self.get(id)

    def get(self, id: str) -> PromptRow:
        """The prompt with this id."""
        rows = self._database.query("SELECT * FROM prompts WHERE id = ?", [id])
        if not rows:
            raise NotFound(f"There is no prompt {id}; it may have been deleted.")
        return to_row(rows[0])

    def search(
        self,
        text: str = "",
        favorite: bool | None = None,
        style: str = "",
        mood: str = "",
        tempo_min: float | None = None,
        tempo_max: float | None = None,
        date_from: date | str | None = None,
        date_to: date | str | None = None,
        page: int = 1,
        page_size: int = 50,
    ) -> PromptPage:
        """One page of the prompts that match, the last used first.

        All words of ``text`` must begin a word of the prompt or of its rendering. ``tempo`` is in
        beats per minute, dates are days of the last use in UTC; bounds are included. Empty values
        mean any; a page past the last gives the last.
        """
        candidates: list[tuple[str, Any]] = [
            ("number IN (SELECT rowid FROM prompt_search WHERE prompt_search MATCH ?)",
             match_expression(text) or None),
            ("favorite = ?", favorite),
            ("json_extract(attributes, '$.style') = ? COLLATE NOCASE", style.strip() or None),
            ("json_extract(attributes, '$.mood') = ? COLLATE NOCASE", mood.strip() or None),
            ("json_extract(attributes, '$.tempo') >= ?", tempo_min),
            ("json_extract(attributes, '$.tempo') <= ?", tempo_max),
            ("used_at >= ?", moment(a_date(date_from))),
            ("used_at < ?", moment(a_date(date_to), after=True)),
        ]  # fmt: skip
        chosen = [(condition, value) for condition, value in candidates if value is not None]
        where = " AND ".join(["TRUE", *(condition for condition, _ in chosen)])
        values = [value for _, value in chosen]
        total = self._database.query(f"SELECT count(*) FROM prompts WHERE {where}", values)[0][0]
        pages = max(1, -(-total // page_size))
        page = min(max(1, page), pages)
        rows = self._database.query(
            f"SELECT * FROM prompts WHERE {where} ORDER BY used_at DESC, number DESC"
            " LIMIT ? OFFSET ?",
            [*values, page_size, (page - 1) * page_size],
        )
        return PromptPage(tuple(to_row(row) for row in rows), total, page, pages)

    def set_favorite(self, id: str, favorite: bool) -> PromptRow:
        """Mark or unmark as a favourite."""
        with self._database.write() as transaction:
            transaction.execute("UPDATE prompts SET favorite = ? WHERE id = ?", [favorite, id])
        return self.get(id)

    def delete(self, id: str) -> None:
        """Forget a prompt for good; clips made from it stay as they are."""
        with self._database.write() as transaction:
            removed = transaction.execute("DELETE FROM prompts WHERE id = ?", [id])
            if removed.rowcount == 0:
                raise NotFound(f"There is no prompt {id}; it may have been deleted.")


def to_row(row: sqlite3.Row) -> PromptRow:
    """The dataclass of one row."""
    values = dict(row)
    del values["number"]
    values["attributes"] = json.loads(values["attributes"])
    values["favorite"] = bool(values["favorite"])
    return PromptRow(**values)
