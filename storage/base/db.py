"""The SQLite file: opening, migrating, reading and writing it from many threads.

Readers never wait (write-ahead log). Writers take turns in ``Database.write``.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.base.errors import DamagedDatabase, DiskFull, StorageError, translated

if TYPE_CHECKING:
    import sqlite_utils
    from sqlite_utils.migrations import Migrations

Parameters = Sequence[Any] | Mapping[str, Any]

BUSY_TIMEOUT_S = 30.0
PRAGMAS = """
    PRAGMA foreign_keys = ON;
    PRAGMA synchronous = NORMAL;
    PRAGMA cache_size = -32768;
    PRAGMA temp_store = MEMORY;
    PRAGMA mmap_size = 268435456;
"""


def clean(text: str) -> str:
    """``text`` with lone surrogates, which no file or database can hold, replaced by "?"."""
    return text.encode("utf-8", "replace").decode("utf-8")


class Database:
    """One SQLite file with one connection per thread."""

    def __init__(self, path: Path):
        """Use ``open``; the constructor touches no file."""
        self.path = path
        self.write_lock = threading.RLock()
        self._local = threading.local()
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._ready = False
        self._closed = False

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open or create the file and bring it up to date, with a backup beside it if it changes.

        Raises ``StorageError`` when the file is damaged, is another program's or was made by a
        newer version. In these cases nothing is written.
        """
        from storage.base.migrations import migrations

        database = cls(Path(path))
        database.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with translated(database.path):
                database._check(migrations)
                database.connection().conn.execute("PRAGMA journal_mode = WAL")
                database._migrate(migrations)
            database._ready = True
        except BaseException:
            database.close()
            raise
        return database

    def connection(self) -> sqlite_utils.Database:
        """This thread's connection; transactions are begun and ended by ``write`` only."""
        if self._closed:
            raise StorageError(f"{self.path} was closed.")
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection

    def query(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        """All rows of a reading statement."""
        with translated(self.path):
            return self.connection().conn.execute(sql, parameters).fetchall()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of the block is stored, or nothing when it raises.

        Blocks of different threads wait for one another; a block inside a block of the same thread
        is a savepoint of the outer one. Raises ``DiskFull`` when there is no room.
        """
        with self.write_lock, translated(self.path):
            connection = self.connection()
            if connection.conn.in_transaction:
                with connection.atomic():
                    yield connection.conn
                return
            connection.conn.execute("BEGIN IMMEDIATE")
            try:
                yield connection.conn
                connection.conn.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise

    def close(self) -> None:
        """Write everything into the one file and close all threads' connections."""
        if self._closed:
            return
        try:
            if self._ready:
                self._finish()
        finally:
            self._closed = True
            for connection in list(self._connections):
                connection.conn.close()

    def _connect(self) -> sqlite_utils.Database:
        import sqlite_utils

        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.executescript(PRAGMAS)
        wrapped = sqlite_utils.Database(connection, execute_plugins=False)
        weakref.finalize(wrapped, connection.close)
        self._connections.add(wrapped)
        return wrapped

    def _finish(self) -> None:
        connection = self.connection().conn
        try:
            with translated(self.path):
                connection.execute("PRAGMA optimize")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except DiskFull:
            return  # everything is safe in the log beside the file; the next start merges it

    def _check(self, migrations: Migrations) -> None:
        """Refuse what this version must not touch, before anything is written."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            return
        connection = self.connection()
        tables = set(connection.table_names())
        applied = [migration.name for migration in migrations.applied(connection)]
        if tables and not applied:
            raise StorageError(
                f"{self.path} is the database of another program (it has the tables "
                f"{', '.join(sorted(tables)[:5])}). Move it away or choose another --data folder."
            )
        known = [migration.name for migration in migrations._migrations]
        unknown = [name for name in applied if name not in known]
        if unknown:
            raise StorageError(
                f"{self.path} was made by a newer version of the studio (it has {unknown[-1]}, "
                f"this version knows up to {known[-1]}). Update the studio, or move the file away, "
                f"or put a backup in its place ({self.path.name}.before-*.bak)."
            )
        damage = connection.conn.execute("PRAGMA quick_check(1)").fetchone()[0] if applied else "ok"
        if damage != "ok":
            raise DamagedDatabase(
                f"{self.path} is damaged ({damage}). It was left as it is. Move it away to start "
                f"with an empty history, or put a backup in its place."
            )

    def _migrate(self, migrations: Migrations) -> None:
        connection = self.connection()
        pending = migrations.pending(connection)
        if pending and migrations.applied(connection):
            self._back_up(pending[0].name)
        if pending:
            migrations.apply(connection)

    def _back_up(self, migration: str) -> Path:
        """Copy the file to ``<name>.before-<migration>.bak``; an older backup is never replaced."""
        target = self.path.with_name(f"{self.path.name}.before-{migration}.bak")
        number = 1
        while target.exists():
            number += 1
            target = self.path.with_name(f"{self.path.name}.before-{migration}.{number}.bak")
        part = target.with_suffix(".part")
        part.unlink(missing_ok=True)
        try:
            with closing(sqlite3.connect(part)) as copy:
                self.connection().conn.backup(copy)
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return target
