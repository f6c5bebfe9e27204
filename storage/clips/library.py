"""Clips: sounds that were generated or imported, one row and one file each."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.audio.embedded import Embedded, read_tags
from storage.audio.files import AudioFiles, Stored
from storage.base.db import Database, clean
from storage.base.errors import NotFound, StorageError
from storage.base.ids import new_id, utc_now
from storage.clips import search
from storage.clips.rows import (
    HELD,
    HELD_ROWS,
    ROWS,
    ClipPage,
    ClipRow,
    Count,
    Lineage,
    clip_numbers,
    columns_of,
    insert_words,
    lineage_numbers,
    to_row,
)
from storage.clips.search import ClipQuery
from storage.clips.tags import attach, detach

if TYPE_CHECKING:
    import numpy as np


class Clips:
    """The history of the studio. Methods raise ``NotFound`` for ids that are not there."""

    def __init__(self, database: Database, files: AudioFiles):
        self._database = database
        self._files = files
        self._totals: dict[search.Statement, int] = {}

    # adding

    def add(
        self,
        samples: np.ndarray,
        sample_rate: int,
        *,
        engine: str,
        task: str,
        text: str = "",
        title: str = "",
        settings: dict[str, Any] | None = None,
        seed: int | None = None,
        revision: str = "",
        parents: Sequence[str] = (),
        peak_db: float,
        loudness_lufs: float | None = None,
        job_id: str = "",
        partial: bool = False,
        app_version: str = "",
        adapter: str = "",
        adapter_scale: float | None = None,
        codes: str = "",
        id: str = "",
    ) -> ClipRow:
        """Store float samples ``(T,)`` or ``(C, T)`` as a new clip.

        ``parents`` are ids of the clips it was made from; ``peak_db`` is in dBFS, ``loudness_lufs``
        in LUFS; ``codes`` are kept in the file alone; ``id`` is a new one of ``storage.base.ids``, drawn
        here when left out. The file is stored before the row, and taken away
        again if the row cannot be.
        """
        tags = Embedded(
            engine=engine,
            revision=revision,
            adapter=adapter,
            adapter_scale=adapter_scale,
            settings=dict(settings or {}),
            seed=seed,
            text=text,
            title=title,
            parents=tuple(self._hashes(parents)),
            codes=codes,
            app_version=app_version,
        )
        encoded = self._files.encode(samples, sample_rate, tags)
        values = {
            "id": id or new_id(),
            "task": task,
            "peak_db": peak_db,
            "loudness_lufs": loudness_lufs,
            "job_id": job_id,
            "partial": partial,
            "duration_s": samples.shape[-1] / sample_rate,
            "sample_rate": sample_rate,
            "channels": samples.shape[0] if samples.ndim == 2 else 1,
        }
        with self._database.write_lock:
            stored = self._files.keep(encoded)
            try:
                return self._insert(stored, tags, values, parents)
            except BaseException:
                if not self._is_used(self._files.relative(stored.path)):
                    stored.path.unlink(missing_ok=True)
                raise

    def adopt(self, path: Path, tags: Embedded, values: dict[str, Any]) -> ClipRow:
        """Add the row of a sound that lies in the audio folder already, with its other columns."""
        parents = [row.id for row in map(self.find_by_hash, tags.parents) if row]
        stored = Stored(path.stem, path, path.stat().st_size)
        missing = {"id": new_id(), "job_id": "", "partial": False}
        return self._insert(stored, tags, missing | values, parents)

    def _insert(
        self, stored: Stored, tags: Embedded, values: dict[str, Any], parents: Sequence[str]
    ) -> ClipRow:
        """Add the row, its parents and its words in one transaction."""
        columns = columns_of(tags) | {"created_at": utc_now()} | values
        columns |= {
            "hash": stored.hash,
            "file": self._files.relative(stored.path),
            "bytes": stored.bytes,
        }
        names = ", ".join(columns)
        marks = ", ".join(f":{name}" for name in columns)
        with self.changed() as transaction:
            cursor = transaction.execute(f"INSERT INTO clips ({names}) VALUES ({marks})", columns)
            number = cursor.lastrowid
            assert number is not None
            transaction.executemany(
                "INSERT INTO clip_parents VALUES (?, ?, ?)",
                [(number, position, parent) for position, parent in enumerate(parents)],
            )
            insert_words(transaction, [number])
        return self.get(columns["id"])

    # finding

    def get(self, id: str) -> ClipRow:
        """The clip with this id."""
        return self._rows([self._number(id)])[0]

    def some(self, ids: Iterable[str]) -> list[ClipRow]:
        """Those of these clips that are there, in the order of creation."""
        rows = self._database.query(
            "SELECT number FROM clips WHERE deleted IS NULL"
            " AND id IN (SELECT value FROM json_each(?)) ORDER BY number",
            [json.dumps(list(ids))],
        )
        return self._rows([row["number"] for row in rows])

    def held(self, id: str) -> ClipRow:
        """The clip with this id, even a deleted one that a test, dataset or adapter still needs."""
        found = self._database.query("SELECT number FROM clips WHERE id = ?", [id])
        rows = self._database.query(HELD_ROWS, [json.dumps([row[0] for row in found])])
        if not rows:
            raise NotFound(f"There is no clip {id}; it may have been deleted.")
        return to_row(rows[0], self._files.root)

    def find_by_hash(self, hash: str) -> ClipRow | None:
        """The newest clip whose file has this content, or None."""
        found = self._database.query(
            "SELECT number FROM clips WHERE hash = ? AND deleted IS NULL"
            " ORDER BY number DESC LIMIT 1",
            [hash],
        )
        return self._rows([found[0][0]])[0] if found else None

    def search(self, query: ClipQuery) -> ClipPage:
        """One page of what matches. ``total`` is exact; a page past the last gives the last."""
        counting = search.count(query)
        total = self._totals.get(counting)
        if total is None:
            totals = self._totals  # replaced, never emptied, by writers: an old count is lost there
            total = self._database.query(counting.sql, counting.parameters)[0][0]
            totals[counting] = total
        pages = max(1, -(-total // query.page_size))
        page = min(max(1, query.page), pages)
        statement = search.page(query, total, (page - 1) * query.page_size)
        numbers = [row[0] for row in self._database.query(statement.sql, statement.parameters)]
        return ClipPage(tuple(self._rows(numbers)), total, page, pages)

    def tags(self) -> list[Count]:
        """All tags in use, the most used first."""
        rows = self._database.query(
            "SELECT name, clips FROM tags JOIN (SELECT tag_id, count(*) AS clips FROM clip_tags"
            " WHERE clip_number NOT IN (SELECT number FROM clips WHERE deleted IS NOT NULL)"
            " GROUP BY tag_id) ON tag_id = id ORDER BY clips DESC, name"
        )
        return [Count(*row) for row in rows]

    def engines(self) -> list[Count]:
        """All engines that made clips, the most used first."""
        rows = self._database.query(
            "SELECT engine, count(*) AS clips FROM clips INDEXED BY clips_engine"
            " WHERE deleted IS NULL GROUP BY engine ORDER BY clips DESC, engine"
        )
        return [Count(*row) for row in rows]

    def children(self, id: str) -> list[ClipRow]:
        """The clips made directly from this one, oldest first."""
        rows = self._database.query(
            "SELECT DISTINCT number FROM clip_parents JOIN clips ON number = clip_number"
            " WHERE parent_id = ? AND deleted IS NULL ORDER BY number",
            [id],
        )
        return self._rows([row[0] for row in rows])

    def lineage(self, id: str) -> Lineage:
        """Everything this clip was made from and everything made from it, oldest first."""
        self._number(id)
        ancestors, descendants = lineage_numbers(self._database, id)
        return Lineage(tuple(self._rows(ancestors)), tuple(self._rows(descendants)))

    @staticmethod
    def restore(path: Path) -> Embedded:
        """The settings inside a sound file. Raises ``StorageError`` when it holds none of ours."""
        tags = read_tags(Path(path))
        if tags is None:
            raise StorageError(
                f"{Path(path).name} holds no settings: it was not made by this studio, or another "
                "program removed its tags."
            )
        return tags

    # changing

    def rename(self, id: str, title: str) -> ClipRow:
        """Change the title; the file keeps the one it was made with."""
        return self._set(id, "title", clean(title))

    def set_favorite(self, id: str, favorite: bool) -> ClipRow:
        """Mark or unmark as a favourite."""
        return self._set(id, "favorite", bool(favorite))

    def set_notes(self, id: str, notes: str) -> ClipRow:
        """Replace the notes."""
        return self._set(id, "notes", clean(notes))

    def add_tag(self, id: str, tag: str) -> ClipRow:
        """Add a tag; upper and lower case are the same tag. Raises ``StorageError`` if empty."""
        with self.changed() as transaction:
            number = self._number(id)
            attach(transaction, number, tag)
            insert_words(transaction, [number])
        return self.get(id)

    def remove_tag(self, id: str, tag: str) -> ClipRow:
        """Remove a tag and everybody's marks with it; does nothing when the clip has it not."""
        with self.changed() as transaction:
            number = self._number(id)
            detach(transaction, number, tag)
            insert_words(transaction, [number])
        return self.get(id)

    # deleting

    def delete(self, ids: Iterable[str]) -> str:
        """Delete clips and return the token that ``undelete`` takes until ``purge`` is called.

        Rows go first and files after, so that a clip that can be seen always has its file. A file
        stays in place while another clip uses it, or a dataset, a test or an adapter.
        """
        token = new_id()
        with self._database.write_lock:
            with self.changed() as transaction:
                marked = transaction.execute(
                    "UPDATE clips SET deleted = ? WHERE deleted IS NULL"
                    " AND id IN (SELECT value FROM json_each(?))",
                    [token, json.dumps(list(ids))],
                )
                if marked.rowcount == 0:
                    raise NotFound("None of these clips is there; they may be deleted already.")
                transaction.execute(
                    "DELETE FROM clip_words WHERE number IN"
                    " (SELECT number FROM clips WHERE deleted = ?)",
                    [token],
                )
            for file in self._deleted_files(token):
                if not self._is_used(file) and (self._files.root / file).exists():
                    self._files.discard(file)
        return token

    def undelete(self, token: str) -> list[str]:
        """Bring back what ``delete`` took, with tags, notes and all; returns the ids."""
        with self._database.write_lock:
            rows = self._database.query(
                "SELECT number, id FROM clips WHERE deleted = ? ORDER BY number", [token]
            )
            if not rows:
                raise NotFound("This deletion can no longer be undone.")
            for file in self._deleted_files(token):
                self._files.undiscard(file)
            with self.changed() as transaction:
                transaction.execute("UPDATE clips SET deleted = NULL WHERE deleted = ?", [token])
                insert_words(transaction, [row["number"] for row in rows])
        return [row["id"] for row in rows]

    def purge(self, token: str | None = None) -> int:
        """End one deletion for good, or all of them; returns how many clips are gone.

        Clips that belong to a dataset, a test or an adapter stay hidden, row and file, until that
        is gone too.
        """
        chosen, parameters = ("deleted = ?", [token]) if token else ("deleted IS NOT NULL", [])
        with self._database.write_lock:
            files = self._deleted_files(token)
            with self.changed() as transaction:
                gone = transaction.execute(
                    f"DELETE FROM clips WHERE {chosen} AND NOT {HELD}", parameters
                ).rowcount
                transaction.execute(
                    "DELETE FROM tags WHERE id NOT IN (SELECT tag_id FROM clip_tags)"
                )
            for file in files:
                if not self._is_used(file, deleted_too=True):
                    self._files.forget(file)
                    (self._files.root / file).unlink(missing_ok=True)
            if token is None:
                self._files.empty_trash()
        return gone

    # shared

    @contextmanager
    def changed(self) -> Iterator[sqlite3.Connection]:
        """A transaction for what searches see: after it, matches are counted anew."""
        with self._database.write() as transaction:
            yield transaction
        self._totals = {}

    def _hashes(self, ids: Sequence[str]) -> list[str]:
        """Content hashes of these clips, in this order; purged ones have none."""
        rows = self._database.query(
            "SELECT id, hash FROM clips WHERE id IN (SELECT value FROM json_each(?))",
            [json.dumps(list(ids))],
        )
        hashes = {row["id"]: row["hash"] for row in rows}
        return [hashes[id] for id in ids if id in hashes]

    def _is_used(self, file: str, deleted_too: bool = False) -> bool:
        """Whether a clip that is not deleted or is held, or any at all, has this file."""
        condition = "" if deleted_too else f"AND (deleted IS NULL OR {HELD})"
        sql = f"SELECT 1 FROM clips WHERE file = ? {condition} LIMIT 1"
        return bool(self._database.query(sql, [file]))

    def _deleted_files(self, token: str | None) -> list[str]:
        """Files of the clips of one deletion, or of all of them."""
        chosen, parameters = ("deleted = ?", [token]) if token else ("deleted IS NOT NULL", [])
        rows = self._database.query(f"SELECT DISTINCT file FROM clips WHERE {chosen}", parameters)
        return [row["file"] for row in rows]

    def _set(self, id: str, column: str, value: str | bool) -> ClipRow:
        with self.changed() as transaction:
            number = self._number(id)
            transaction.execute(f"UPDATE clips SET {column} = ? WHERE number = ?", [value, number])
            insert_words(transaction, [number])
        return self.get(id)

    def _number(self, id: str) -> int:
        return clip_numbers(self._database, [id])[0]

    def _rows(self, numbers: Sequence[int]) -> list[ClipRow]:
        """The clips with these numbers, in this order."""
        rows = self._database.query(ROWS, [json.dumps(list(numbers))])
        found = {row["number"]: to_row(row, self._files.root) for row in rows}
        return [found[number] for number in numbers if number in found]
