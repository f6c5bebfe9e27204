"""The schema, as an ordered list of named steps. A step that has shipped is never edited.

``clips`` holds one row per clip. ``clip_words`` holds what the full-text index ``clip_search``
reads: words and facets of the clips that are not deleted, cut by ``storage.clips.search``; triggers keep
the two equal. ``clips_filter`` is a narrow copy of the columns that searches compare with ranges,
in the order of creation, so that a search reads few pages.

Judgements belong to a clip and go with it when it is purged. What must be heard again later
(``dataset_items``, ``stimuli``, ``adapter_clips``) keeps its clip from being purged instead: these
foreign keys do not cascade. Runs, adapters and datasets name each other by id without a foreign key,
because a record of what was done outlives what it was done with.
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


@migrations()
def m004_prompts_and_templates(db: Database) -> None:
    """Prompts as they were used, the index of their words, and templates to start from."""
    for statement in PROMPTS:
        db.conn.execute(statement)


@migrations()
def m005_judgements(db: Database) -> None:
    """Ratings, preferences and marks of clips."""
    for statement in JUDGEMENTS:
        db.conn.execute(statement)


@migrations()
def m006_listening_tests(db: Database) -> None:
    """Tests, their trials, what is heard in them and the votes."""
    for statement in LISTENING:
        db.conn.execute(statement)


@migrations()
def m007_datasets_runs_adapters(db: Database) -> None:
    """Frozen datasets, training runs in experiments, and the adapters that came out of them."""
    for statement in LEARNING:
        db.conn.execute(statement)


@migrations()
def m008_scores(db: Database) -> None:
    """Scores of metrics by what they were computed from, of clips, and evaluations of many sounds."""
    for statement in SCORES:
        db.conn.execute(statement)


@migrations()
def m009_batches(db: Database) -> None:
    """Batches, their rows, and the ways to what was made before with the same settings."""
    for statement in BATCHES:
        db.conn.execute(statement)


@migrations()
def m010_test_links(db: Database) -> None:
    """Links by which others take a listening test, and who has come by each."""
    for statement in LINKS:
        db.conn.execute(statement)


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

PROMPTS = (
    """CREATE TABLE prompts (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        text TEXT NOT NULL,
        attributes TEXT NOT NULL,
        rendered TEXT NOT NULL,
        favorite INTEGER NOT NULL DEFAULT 0,
        uses INTEGER NOT NULL DEFAULT 1,
        created_at TEXT NOT NULL,
        used_at TEXT NOT NULL,
        UNIQUE (text, attributes))""",
    "CREATE INDEX prompts_used ON prompts (used_at)",
    """CREATE VIRTUAL TABLE prompt_search USING fts5 (
        words, prefix = '1 2 3',
        tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co So Mn Mc'")""",
    """CREATE TRIGGER prompts_removed AFTER DELETE ON prompts BEGIN
        DELETE FROM prompt_search WHERE rowid = old.number;
    END""",
    """CREATE TABLE templates (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL COLLATE NOCASE,
        category TEXT NOT NULL,
        description TEXT NOT NULL,
        text TEXT NOT NULL,
        attributes TEXT NOT NULL,
        system INTEGER NOT NULL,
        updated_at TEXT NOT NULL,
        UNIQUE (name, system)) WITHOUT ROWID""",
)

JUDGEMENTS = (
    # The order of the key lets a dataset read all ratings of one criterion clip by clip.
    """CREATE TABLE ratings (
        criterion TEXT NOT NULL,
        clip_number INTEGER NOT NULL REFERENCES clips (number) ON DELETE CASCADE,
        rater TEXT NOT NULL,
        value INTEGER NOT NULL CHECK (value BETWEEN 1 AND 5),
        created_at TEXT NOT NULL,
        PRIMARY KEY (criterion, clip_number, rater)) WITHOUT ROWID""",
    "CREATE INDEX ratings_clip ON ratings (clip_number)",
    """CREATE TABLE preferences (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        chosen_number INTEGER NOT NULL REFERENCES clips (number) ON DELETE CASCADE,
        rejected_number INTEGER NOT NULL REFERENCES clips (number) ON DELETE CASCADE,
        tie INTEGER NOT NULL,
        strength INTEGER NOT NULL CHECK (strength BETWEEN 1 AND 3),
        rater TEXT NOT NULL,
        source TEXT NOT NULL,
        created_at TEXT NOT NULL,
        CHECK (chosen_number != rejected_number))""",
    """CREATE UNIQUE INDEX preferences_pair ON preferences
        (min(chosen_number, rejected_number), max(chosen_number, rejected_number), rater)""",
    "CREATE INDEX preferences_chosen ON preferences (chosen_number)",
    "CREATE INDEX preferences_rejected ON preferences (rejected_number)",
    # 1: the tag is there because somebody marked the clip with it, and goes with the last mark.
    "ALTER TABLE clip_tags ADD COLUMN marked INTEGER NOT NULL DEFAULT 0",
    """CREATE TABLE marks (
        tag_id INTEGER NOT NULL,
        clip_number INTEGER NOT NULL,
        rater TEXT NOT NULL,
        good INTEGER,
        created_at TEXT NOT NULL,
        PRIMARY KEY (tag_id, clip_number, rater),
        FOREIGN KEY (tag_id, clip_number) REFERENCES clip_tags (tag_id, clip_number)
            ON DELETE CASCADE) WITHOUT ROWID""",
    "CREATE INDEX marks_clip ON marks (clip_number)",
)

LISTENING = (
    """CREATE TABLE tests (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL UNIQUE COLLATE NOCASE,
        kind TEXT NOT NULL,
        criterion TEXT NOT NULL,
        config TEXT NOT NULL,
        adapter_id TEXT NOT NULL,
        archived INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL)""",
    """CREATE TABLE trials (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        test_number INTEGER NOT NULL REFERENCES tests (number) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        prompt TEXT NOT NULL,
        UNIQUE (test_number, position))""",
    """CREATE TABLE stimuli (
        trial_number INTEGER NOT NULL REFERENCES trials (number) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        clip_number INTEGER NOT NULL REFERENCES clips (number),
        system TEXT NOT NULL,
        role TEXT NOT NULL,
        PRIMARY KEY (trial_number, position)) WITHOUT ROWID""",
    "CREATE INDEX stimuli_clip ON stimuli (clip_number)",
    """CREATE TABLE votes (
        trial_number INTEGER NOT NULL REFERENCES trials (number) ON DELETE CASCADE,
        rater TEXT NOT NULL,
        id TEXT NOT NULL UNIQUE,
        answer TEXT NOT NULL,
        seconds REAL,
        created_at TEXT NOT NULL,
        PRIMARY KEY (trial_number, rater)) WITHOUT ROWID""",
)

LEARNING = (
    """CREATE TABLE datasets (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        filter TEXT,
        items INTEGER NOT NULL,
        clips INTEGER NOT NULL,
        prompts INTEGER NOT NULL,
        seconds REAL NOT NULL,
        content_hash TEXT NOT NULL,
        validation_share REAL NOT NULL,
        seed INTEGER NOT NULL,
        archived INTEGER NOT NULL DEFAULT 0,
        notes TEXT NOT NULL DEFAULT '',
        created_at TEXT NOT NULL)""",
    # Prompt, file and hash of an item are its clip's: they never change, and the clip stays.
    """CREATE TABLE dataset_items (
        dataset_number INTEGER NOT NULL REFERENCES datasets (number) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        clip_number INTEGER NOT NULL REFERENCES clips (number),
        rejected_number INTEGER REFERENCES clips (number),
        rating REAL,
        raters INTEGER NOT NULL,
        strength REAL,
        split TEXT NOT NULL,
        PRIMARY KEY (dataset_number, position)) WITHOUT ROWID""",
    "CREATE INDEX dataset_items_clip ON dataset_items (clip_number)",
    """CREATE INDEX dataset_items_rejected ON dataset_items (rejected_number)
        WHERE rejected_number IS NOT NULL""",
    """CREATE TABLE experiments (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL UNIQUE COLLATE NOCASE,
        description TEXT NOT NULL DEFAULT '',
        archived INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL)""",
    """CREATE TABLE runs (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        experiment_id TEXT NOT NULL REFERENCES experiments (id),
        name TEXT NOT NULL,
        method TEXT NOT NULL,
        dataset_id TEXT NOT NULL,
        base TEXT NOT NULL,
        config TEXT NOT NULL,
        state TEXT NOT NULL,
        progress REAL NOT NULL DEFAULT 0,
        epoch INTEGER NOT NULL DEFAULT 0,
        step INTEGER NOT NULL DEFAULT 0,
        best REAL,
        metrics TEXT NOT NULL DEFAULT '{}',
        error TEXT NOT NULL DEFAULT '',
        pid INTEGER,
        adapter_id TEXT NOT NULL DEFAULT '',
        created_at TEXT NOT NULL,
        started_at TEXT,
        finished_at TEXT)""",
    "CREATE INDEX runs_experiment ON runs (experiment_id, number)",
    "CREATE INDEX runs_state ON runs (state, number)",
    """CREATE TABLE adapters (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL COLLATE NOCASE,
        version INTEGER NOT NULL,
        base TEXT NOT NULL,
        base_revision TEXT NOT NULL,
        folder TEXT NOT NULL,
        hash TEXT NOT NULL,
        source TEXT NOT NULL,
        run_id TEXT NOT NULL,
        dataset_id TEXT NOT NULL,
        config TEXT NOT NULL,
        metrics TEXT NOT NULL,
        notes TEXT NOT NULL,
        archived INTEGER NOT NULL DEFAULT 0,
        active INTEGER NOT NULL DEFAULT 0,
        scale REAL NOT NULL DEFAULT 1 CHECK (scale BETWEEN 0 AND 2),
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        UNIQUE (name, version))""",
    """CREATE TABLE adapter_clips (
        adapter_number INTEGER NOT NULL REFERENCES adapters (number) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        clip_number INTEGER NOT NULL REFERENCES clips (number),
        PRIMARY KEY (adapter_number, position)) WITHOUT ROWID""",
    "CREATE INDEX adapter_clips_clip ON adapter_clips (clip_number)",
    "CREATE INDEX clips_adapter ON clips (adapter) WHERE adapter != ''",
)

SCORES = (
    "CREATE TABLE scores (key TEXT PRIMARY KEY, score TEXT NOT NULL) WITHOUT ROWID",
    # The order of the key lets a dataset read all scores of one metric clip by clip.
    """CREATE TABLE clip_scores (
        metric TEXT NOT NULL,
        clip_number INTEGER NOT NULL REFERENCES clips (number) ON DELETE CASCADE,
        value REAL NOT NULL,
        against TEXT NOT NULL,
        measured_at TEXT NOT NULL,
        PRIMARY KEY (metric, clip_number)) WITHOUT ROWID""",
    "CREATE INDEX clip_scores_clip ON clip_scores (clip_number)",
    """CREATE TABLE evaluations (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        settings TEXT NOT NULL,
        systems TEXT NOT NULL,
        missing TEXT NOT NULL,
        sets TEXT NOT NULL DEFAULT '[]',
        job_id TEXT NOT NULL DEFAULT '',
        created_at TEXT NOT NULL)""",
    """CREATE TABLE evaluation_items (
        evaluation_number INTEGER NOT NULL REFERENCES evaluations (number) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        system TEXT NOT NULL,
        generated TEXT NOT NULL,
        reference TEXT NOT NULL,
        text TEXT NOT NULL,
        language TEXT NOT NULL,
        clip_id TEXT NOT NULL,
        scores TEXT,
        PRIMARY KEY (evaluation_number, position)) WITHOUT ROWID""",
)

BATCHES = (
    """CREATE TABLE batches (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        engine TEXT NOT NULL,
        source TEXT NOT NULL,
        digest TEXT NOT NULL,
        job_id TEXT NOT NULL DEFAULT '',
        created_at TEXT NOT NULL)""",
    # clip_ids are names, not foreign keys: a row tells what was made even when that was deleted.
    """CREATE TABLE batch_rows (
        batch_number INTEGER NOT NULL REFERENCES batches (number) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        number INTEGER NOT NULL,
        name TEXT NOT NULL,
        settings TEXT NOT NULL,
        state TEXT NOT NULL,
        job_id TEXT NOT NULL DEFAULT '',
        clip_ids TEXT NOT NULL DEFAULT '[]',
        error TEXT NOT NULL DEFAULT '',
        finished_at TEXT,
        PRIMARY KEY (batch_number, position)) WITHOUT ROWID""",
    "CREATE INDEX batch_rows_state ON batch_rows (batch_number, state, position)",
    "CREATE INDEX jobs_owner ON jobs (owner, number)",
    # Seed and length are two small numbers that tell nearly all settings apart.
    """CREATE INDEX clips_made ON clips (seed, length(settings))
        WHERE deleted IS NULL AND partial = 0""",
    """CREATE INDEX jobs_made ON jobs (json_extract(settings, '$.seed'), length(settings))
        WHERE kind = 'run' AND state = 'done'""",
)

LINKS = (
    """CREATE TABLE test_links (
        number INTEGER PRIMARY KEY,
        token TEXT NOT NULL UNIQUE,
        test_number INTEGER NOT NULL REFERENCES tests (number) ON DELETE CASCADE,
        message TEXT NOT NULL,
        created_at TEXT NOT NULL,
        closed INTEGER NOT NULL DEFAULT 0)""",
    """CREATE TABLE link_raters (
        number INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        link_number INTEGER NOT NULL REFERENCES test_links (number) ON DELETE CASCADE,
        name TEXT NOT NULL COLLATE NOCASE,
        code TEXT NOT NULL,
        began_at TEXT NOT NULL,
        UNIQUE (link_number, name))""",
)
