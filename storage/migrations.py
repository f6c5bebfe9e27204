"""The schema, as an ordered list of named steps. A step that has shipped is never edited.

``clips`` holds one row per clip. ``clip_words`` holds what the full-text index ``clip_search``
reads: words and facets of the clips that are not deleted, cut by ``storage.search``; triggers keep
the two equal. ``clips_filter`` is a narrow copy of the columns that searches compare with ranges,
in the order of creation, so that a search reads few pages.
"""

from __future__ import annotations

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("amphion-studio")


@migrations()
def m001_clips(db: Database) -> None:
    """Clips, their tags, their parents and the index of their words."""
    for statement in CLIPS:
        db.conn.execute(statement)


@migrations()
def m002_jobs(db: Database) -> None:
    """Jobs of the runner."""
    for statement in JOBS:
        db.conn.execute(statement)


@migrations()
def m003_presets_and_settings(db: Database) -> None:
    """Named parameter sets per engine, and the studio's own settings."""
    db.conn.execute(
        """CREATE TABLE presets (
            engine TEXT NOT NULL, name TEXT NOT NULL, settings TEXT NOT NULL,
            updated_at TEXT NOT NULL, PRIMARY KEY (engine, name)) WITHOUT ROWID"""
    )
    db.conn.execute(
        "CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
    )


CLIPS = (
    """CREATE TABLE clips (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        hash TEXT NOT NULL,
        file TEXT NOT NULL,
        deleted TEXT,
        engine TEXT NOT NULL,
        task TEXT NOT NULL,
        favorite INTEGER NOT NULL DEFAULT 0,
        partial INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL,
        duration_s REAL NOT NULL,
        sample_rate INTEGER NOT NULL,
        channels INTEGER NOT NULL,
        peak_db REAL NOT NULL,
        loudness_lufs REAL,
        bytes INTEGER NOT NULL,
        seed INTEGER,
        revision TEXT NOT NULL,
        adapter TEXT NOT NULL,
        adapter_scale REAL,
        job_id TEXT NOT NULL,
        app_version TEXT NOT NULL,
        title TEXT NOT NULL,
        text TEXT NOT NULL,
        notes TEXT NOT NULL DEFAULT '',
        settings TEXT NOT NULL)""",
    """CREATE INDEX clips_filter ON clips
        (number, created_at, duration_s) WHERE deleted IS NULL""",
    "CREATE INDEX clips_duration ON clips (duration_s, number) WHERE deleted IS NULL",
    "CREATE INDEX clips_title ON clips (title COLLATE NOCASE, number) WHERE deleted IS NULL",
    "CREATE INDEX clips_engine ON clips (engine, number) WHERE deleted IS NULL",
    "CREATE INDEX clips_loudness ON clips (loudness_lufs, number) WHERE deleted IS NULL",
    "CREATE INDEX clips_deleted ON clips (deleted) WHERE deleted IS NOT NULL",
    "CREATE INDEX clips_file ON clips (file)",
    "CREATE INDEX clips_hash ON clips (hash)",
    "CREATE INDEX clips_job ON clips (job_id)",
    "CREATE TABLE tags (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE)",
    """CREATE TABLE clip_tags (
        tag_id INTEGER NOT NULL REFERENCES tags (id) ON DELETE CASCADE,
        clip_number INTEGER NOT NULL REFERENCES clips (number) ON DELETE CASCADE,
        PRIMARY KEY (tag_id, clip_number)) WITHOUT ROWID""",
    "CREATE INDEX clip_tags_clip ON clip_tags (clip_number)",
    # A parent may be purged while its children stay: parent_id is a name, not a foreign key.
    """CREATE TABLE clip_parents (
        clip_number INTEGER NOT NULL REFERENCES clips (number) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        parent_id TEXT NOT NULL,
        PRIMARY KEY (clip_number, position)) WITHOUT ROWID""",
    "CREATE INDEX clip_parents_parent ON clip_parents (parent_id)",
    """CREATE TABLE clip_words (
        number INTEGER PRIMARY KEY REFERENCES clips (number) ON DELETE CASCADE,
        title TEXT NOT NULL, text TEXT NOT NULL, tags TEXT NOT NULL, notes TEXT NOT NULL,
        facets TEXT NOT NULL)""",
    """CREATE VIRTUAL TABLE clip_search USING fts5 (
        title, text, tags, notes, facets, content = 'clip_words', content_rowid = 'number',
        prefix = '1 2 3',
        tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co So Mn Mc'")""",
    """CREATE TRIGGER clip_words_added AFTER INSERT ON clip_words BEGIN
        INSERT INTO clip_search (rowid, title, text, tags, notes, facets)
        VALUES (new.number, new.title, new.text, new.tags, new.notes, new.facets);
    END""",
    """CREATE TRIGGER clip_words_removed AFTER DELETE ON clip_words BEGIN
        INSERT INTO clip_search (clip_search, rowid, title, text, tags, notes, facets)
        VALUES ('delete', old.number, old.title, old.text, old.tags, old.notes, old.facets);
    END""",
)

JOBS = (
    """CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        engine TEXT NOT NULL,
        task TEXT NOT NULL,
        settings TEXT NOT NULL,
        state TEXT NOT NULL,
        progress REAL NOT NULL DEFAULT 0,
        note TEXT NOT NULL DEFAULT '',
        error TEXT NOT NULL DEFAULT '',
        created_at TEXT NOT NULL,
        started_at TEXT,
        finished_at TEXT,
        clip_ids TEXT NOT NULL DEFAULT '[]',
        owner TEXT NOT NULL DEFAULT '',
        device TEXT NOT NULL DEFAULT '',
        retry_of TEXT,
        report TEXT)""",
    "CREATE INDEX jobs_state ON jobs (state, number)",
)
