"""Opening a data folder: new, old, newer, damaged, full, in use."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlite_utils

import storage
from storage import DamagedDatabase, Database, DiskFull, StorageError, Store
from storage.store import FOLDERS

ROOT = Path(storage.__file__).parents[1]


def test_open_makes_the_folders_and_the_newest_schema(tmp_path):
    with Store.open(tmp_path / "data") as store:
        for name in FOLDERS:
            assert (tmp_path / "data" / name).is_dir()
        assert store.folder("models") == (tmp_path / "data" / "models").resolve()
        names = [
            row[0] for row in store.db.query("SELECT name FROM _sqlite_migrations ORDER BY id")
        ]
        assert names == [
            "m001_clips", "m002_jobs", "m003_presets_and_settings", "m004_prompts_and_templates",
            "m005_judgements", "m006_listening_tests", "m007_datasets_runs_adapters",
            "m008_scores", "m009_batches", "m010_test_links",
        ]  # fmt: skip
        assert store.db.query("PRAGMA journal_mode")[0][0] == "wal"
        assert store.db.query("PRAGMA foreign_keys")[0][0] == 1
        assert store.db.query("PRAGMA synchronous")[0][0] == 1
    assert list((tmp_path / "data").glob("*.bak")) == []


def test_import_is_light():
    heavy = "{'soundfile', 'mutagen', 'numpy', 'sqlite_utils', 'pandas'}"
    code = f"import sys, storage; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout == "[]\n"


def test_everything_is_there_after_closing(tmp_path, tone):
    with Store.open(tmp_path) as store:
        clip = store.clips.add(tone, 24_000, engine="piper", task="tts", text="hi", peak_db=-6.0)
        store.settings.set("theme", {"dark": True})
    assert not (tmp_path / "studio.db-wal").exists()
    with Store.open(tmp_path) as store:
        assert store.clips.get(clip.id) == clip
        assert store.settings.get("theme") == {"dark": True}
    store.close()
    with pytest.raises(StorageError, match="was closed"):
        store.clips.get(clip.id)


def old_database(path):
    """A file as the first migration left it, with one clip."""
    from storage.base.migrations import migrations

    connection = sqlite_utils.Database(path)
    migrations.apply(connection, stop_before="m002_jobs")
    connection.conn.execute(
        "INSERT INTO clips (id, hash, file, engine, task, created_at, duration_s, sample_rate,"
        " channels, peak_db, bytes, revision, adapter, job_id, app_version, title, text, settings)"
        " VALUES ('one', 'h', 'h.flac', 'piper', 'tts', '2026-01-01', 1, 24000, 1, -6, 9, '', '',"
        " '', '', 'old', 'kept', '{}')"
    )
    connection.conn.commit()
    connection.close()


def test_an_old_file_is_upgraded_and_backed_up(tmp_path):
    old_database(tmp_path / "studio.db")
    with Store.open(tmp_path) as store:
        assert store.clips.get("one").text == "kept"
        assert store.jobs.counts()["queued"] == 0
    backup = tmp_path / "studio.db.before-m002_jobs.bak"
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT id, title FROM clips").fetchall() == [("one", "old")]
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert "clips" in tables and "jobs" not in tables
    with Store.open(tmp_path):
        pass
    assert list(tmp_path.glob("*.bak*")) == [backup]


def test_a_file_from_before_judgements_is_upgraded_and_backed_up(tmp_path, tone):
    from storage.base.migrations import migrations

    connection = sqlite_utils.Database(tmp_path / "studio.db")
    migrations.apply(connection, stop_before="m004_prompts_and_templates")
    connection.close()
    with closing(sqlite3.connect(tmp_path / "studio.db")) as connection:
        connection.execute(
            "INSERT INTO clips (id, hash, file, engine, task, created_at, duration_s, sample_rate,"
            " channels, peak_db, bytes, revision, adapter, job_id, app_version, title, text,"
            " settings) VALUES ('one', 'h', 'h.flac', 'piper', 'tts', '2026-01-01', 1, 24000, 1,"
            " -6, 9, '', '', '', '', 'old', 'kept', '{}')"
        )
        connection.execute("INSERT INTO tags (name) VALUES ('best')")
        connection.execute("INSERT INTO clip_tags VALUES (1, 1)")
        connection.commit()
    with Store.open(tmp_path) as store:
        assert store.clips.get("one").tags == ("best",)
        store.judgements.rate("one", "overall", 5, "anna")
        store.judgements.mark("one", "best", "anna", True)
        store.judgements.unmark("one", "best", "anna")
        assert store.clips.get("one").tags == ("best",)  # put there by a person, so it stays
        row = store.datasets.create("first", storage.DatasetFilter())
        assert (row.items, row.prompts, row.seconds) == (1, 1, 1.0)
    backup = tmp_path / "studio.db.before-m004_prompts_and_templates.bak"
    assert list(tmp_path.glob("*.bak*")) == [backup]
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT clip_number FROM clip_tags").fetchall() == [(1,)]
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert "presets" in tables and "ratings" not in tables


def test_an_earlier_backup_is_never_replaced(tmp_path):
    (tmp_path / "studio.db.before-m002_jobs.bak").write_text("earlier")
    old_database(tmp_path / "studio.db")
    Store.open(tmp_path).close()
    assert (tmp_path / "studio.db.before-m002_jobs.bak").read_text() == "earlier"
    assert (tmp_path / "studio.db.before-m002_jobs.2.bak").stat().st_size > 4096


def test_a_failing_migration_leaves_the_old_state(tmp_path, monkeypatch):
    from storage.base import migrations

    old_database(tmp_path / "studio.db")
    monkeypatch.setattr(migrations, "JOBS", (*migrations.JOBS, "CREATE NONSENSE"))
    with pytest.raises(sqlite3.OperationalError):
        Store.open(tmp_path)
    monkeypatch.undo()
    with Store.open(tmp_path) as store:
        assert store.clips.get("one").text == "kept"


def test_a_newer_file_is_refused_untouched(tmp_path):
    Store.open(tmp_path).close()
    path = tmp_path / "studio.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('amphion-studio', 'm999_later', '2030')"
        )
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(StorageError, match=r"newer version .*m999_later.*knows up to m\d+_"):
        Store.open(tmp_path)
    assert path.read_bytes() == before


def test_the_file_of_another_program_is_refused_untouched(tmp_path):
    path = tmp_path / "studio.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StorageError, match=r"another program .*recipes"):
        Store.open(tmp_path)
    assert path.read_bytes() == before


def test_damaged_files_are_refused_untouched(tmp_path, add, store):
    for _ in range(3):
        add(text="words " * 2000)
    store.close()
    whole = store.db.path.read_bytes()
    middle = len(whole) // 2 // 4096 * 4096
    damaged = {
        "noise": np.random.default_rng(0).bytes(50_000),
        "text": b"hello " * 1000,
        "cut": whole[:middle],
        "cut in the header": whole[:60],
        "hole": whole[: 2 * 4096] + b"\xff" * (len(whole) - 4 * 4096) + whole[-2 * 4096 :],
    }
    for name, content in damaged.items():
        folder = tmp_path / name
        folder.mkdir()
        path = folder / "studio.db"
        path.write_bytes(content)
        with pytest.raises(DamagedDatabase, match=r"is damaged .*Move it away.*backup"):
            Store.open(folder)
        assert path.read_bytes() == content, name
        path.unlink()
        Store.open(folder).close()  # and the lock was given back


def test_a_second_process_is_told_who_has_the_folder(store):
    code = (
        "import sys; from storage import Store, StorageError\n"
        "try: Store.open(sys.argv[1])\n"
        "except StorageError as error: print(error)\n"
        "else: print('opened')\n"
    )

    def other_process():
        command = [sys.executable, "-c", code, str(store.data_dir)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout

    started = json.loads((store.data_dir / "studio.owner.json").read_text())["started"]
    assert other_process() == (
        f"{store.data_dir} is in use by process {os.getpid()} (started {started}); stop it or "
        "choose another folder with --data.\n"
    )
    with pytest.raises(StorageError, match="in use by process"):
        Store.open(store.data_dir)
    store.close()
    assert other_process() == "opened\n"


def test_a_lock_of_a_dead_process_does_not_stay(tmp_path):
    code = "import os, sys; from storage import Store; Store.open(sys.argv[1]); os._exit(1)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    (tmp_path / "audio" / "ab").mkdir()
    (tmp_path / "audio" / "ab" / ".part-123").write_text("half")
    with Store.open(tmp_path) as store:
        assert list(store.files.root.rglob("*.*")) == []


def test_threads_write_at_once(store, tone):
    failures = []

    def work(worker):
        try:
            for step in range(5):
                text = f"worker{worker} step{step}"
                clip = store.clips.add(
                    tone[: 100 + worker], 24_000, engine="e", task="tts", text=text, peak_db=0.0
                )
                store.clips.add_tag(clip.id, f"w{worker}")
                job = store.jobs.add("run")
                store.jobs.update(job.id, progress=step / 5)
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    page = store.clips.search(storage.ClipQuery(page_size=100))
    assert page.total == 40
    assert len({clip.id for clip in page.rows}) == 40
    for worker in range(8):  # of one thread, newest first; between threads either may be first
        mine = [clip.text for clip in page.rows if f"worker{worker} " in clip.text]
        assert mine == [f"worker{worker} step{step}" for step in (4, 3, 2, 1, 0)]
    assert all(clip.path.exists() for clip in page.rows)
    assert store.clips.search(storage.ClipQuery(text="worker3")).total == 5
    assert {count.clips for count in store.clips.tags()} == {5}
    assert store.jobs.counts()["queued"] == 40


def test_a_transaction_is_stored_whole_or_not_at_all(store):
    with pytest.raises(RuntimeError), store.db.write() as outer:
        outer.execute("INSERT INTO settings VALUES ('a', '1')")
        with store.db.write() as inner:
            inner.execute("INSERT INTO settings VALUES ('b', '2')")
        raise RuntimeError
    assert store.settings.all() == {}
    with store.db.write() as outer:
        outer.execute("INSERT INTO settings VALUES ('a', '1')")
        with pytest.raises(RuntimeError), store.db.write() as inner:
            inner.execute("INSERT INTO settings VALUES ('b', '2')")
            raise RuntimeError
    assert store.settings.all() == {"a": 1}


@pytest.fixture
def tiny_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_refuses_new_clips_and_keeps_the_old(tiny_disk):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 20_000).astype(np.float32)

    def add(store, text):
        return store.clips.add(noise, 24_000, engine="e", task="tts", text=text, peak_db=-6.0)

    ballast = tiny_disk / "ballast"
    ballast.write_bytes(bytes(800_000))
    with Store.open(tiny_disk) as store:
        kept = []
        with pytest.raises(DiskFull, match=r"disk full: \d\.\d MB free"):
            for number in range(100):
                kept.append(add(store, f"clip number{number}"))
        page = store.clips.search(storage.ClipQuery(page_size=200))
        assert [clip.id for clip in page.rows] == [clip.id for clip in reversed(kept)]
        stored = {path for path in store.files.root.rglob("*") if path.is_file()}
        assert stored == {clip.path for clip in kept}
        with pytest.raises(DiskFull):
            for number in range(1000):
                store.settings.set(f"key{number}", "x" * 5000)
        assert store.clips.get(kept[0].id).text == "clip number0"
    with Store.open(tiny_disk) as store:  # closing a full disk loses nothing either
        assert store.clips.search(storage.ClipQuery()).total == len(kept)
        ballast.unlink()
        store.clips.delete([clip.id for clip in kept[1:]])
    with Store.open(tiny_disk) as store:
        assert store.clips.get(kept[0].id).path.exists()
        assert add(store, "room again").text == "room again"
        assert store.db.query("PRAGMA integrity_check")[0][0] == "ok"


def test_sqlite_errors_of_the_disk_are_said_in_words(store):
    with pytest.raises(DiskFull, match="disk full"), store.db.write():
        raise sqlite3.OperationalError("database or disk is full")
    with pytest.raises(StorageError, match="locked by another program"), store.db.write():
        raise sqlite3.OperationalError("database is locked")
    with pytest.raises(sqlite3.OperationalError, match="syntax error"):
        store.db.query("SELEKT 1")


def test_connections_of_ended_threads_are_closed(tmp_path):
    database = Database.open(tmp_path / "studio.db")
    for _ in range(20):
        thread = threading.Thread(target=database.query, args=("SELECT 1",))
        thread.start()
        thread.join()
    assert len(database._connections) <= 2
    database.close()
