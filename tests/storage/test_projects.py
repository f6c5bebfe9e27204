"""Project files: what goes in comes out, twice changes nothing, and nothing hostile gets in."""

import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from storage import ClipQuery, DatasetFilter, DiskFull, Stimulus, StorageError, Store
from storage.base import archives as zips
from storage.project.exporting import Selection, export, measure
from storage.project.format import ADAPTER_FILES, MANIFEST, VERSION
from storage.project.importing import dry_run, take_in
from storage.project.tables import LEFT_OUT, OWN, TABLES

WEIGHTS = (2).to_bytes(8, "little") + b"{}"
Usage = namedtuple("Usage", "total used free")


def no_step(_):
    """For those who need not know."""


def save(store, tmp_path, selection=None, name="all.zip"):
    """Export and return the file."""
    return export(store, selection or Selection(), tmp_path / name, "1.0", no_step).path


def add_adapter(store, name="warm", **facts):
    """An adapter with its two files."""
    row = store.adapters.add(name, "musicgen-small", "", hash="", **facts)
    folder = store.folder("adapters") / row.id
    folder.mkdir()
    (folder / ADAPTER_FILES[0]).write_text('{"r": 8}')
    (folder / ADAPTER_FILES[1]).write_bytes(WEIGHTS)
    with store.db.write() as transaction:
        digest = hashlib.sha256(WEIGHTS).hexdigest()
        transaction.execute(
            "UPDATE adapters SET folder = ?, hash = ? WHERE id = ?",
            [f"adapters/{row.id}", digest, row.id],
        )
    return store.adapters.get(row.id)


@pytest.fixture
def full(store, make):
    """A store with rows in every table that a project has, one clip deleted but still needed."""
    first = make("a slow waltz", title="Waltz", seed=7, settings={"seed": 7, "b": [1.5, None]})
    others = [make("a slow waltz"), make("fast drums"), make("fast drums", peak_db=float("-inf"))]
    child = make("fast drums", parents=[first.id])
    store.clips.set_notes(child.id, "öäü 声音")
    store.clips.add_tag(first.id, "Tanz ä")
    store.clips.set_favorite(child.id, True)
    for clip, value in ((first, 5), (others[0], 2), (others[1], 4)):
        store.judgements.rate(clip.id, "overall", value, "anna")
    store.judgements.mark(others[1].id, "noisy", "ben", good=False)
    store.judgements.prefer(first.id, others[0].id, rater="anna", strength=2)
    store.scores.rate_clip(first.id, {"dnsmos": 3.25})
    store.prompts.add("a slow waltz", {"style": "waltz", "tempo": 90}, "a slow waltz, 90 bpm")
    store.templates.seed([{"name": "System", "text": "of the studio"}])
    store.templates.save("Mine", "own", "my words", {"mood": "calm"})
    store.presets.save("piper", "slow", {"length_scale": 1.4})
    row = store.datasets.create("good ones", DatasetFilter(min_rating=4), 0.5)
    store.datasets.create("pairs", DatasetFilter(kind="preference"))
    run = store.runs.add("try", "sft", "musicgen-small", row.id, {"lr": 1e-4}, state="done")
    store.runs.update(run.id, best=0.25, metrics={"loss": float("nan")})
    folder = store.folder("runs") / run.id
    folder.mkdir()
    (folder / "log.txt").write_text("epoch 1\n")
    (folder / "checkpoint.pt").write_bytes(b"not for others")
    adapter = add_adapter(store, run_id=run.id, dataset_id=row.id, sample_clips=[child.id])
    test = store.tests.create(
        "base or warm",
        "ab",
        [("fast drums", [Stimulus(others[1].id, "base"), Stimulus(child.id, "warm v1")])],
        adapter_id=adapter.id,
    )
    trial = store.tests.trials(test.id)[0]
    store.tests.vote(trial.id, "ben", {"choice": 1, "strength": 3}, 4.5)
    store.clips.purge(store.clips.delete([others[1].id]))  # dataset and test still need it
    return store


@pytest.fixture
def other(tmp_path):
    """An empty store beside the first."""
    with Store.open(tmp_path / "other") as opened:
        opened.templates.seed([{"name": "System", "text": "of the studio"}])
        yield opened


def content(store):
    """Every table with numbers replaced by what they stand for; files by their bytes."""
    found = {}
    names = {
        "clip": "(SELECT id FROM clips WHERE number = {})",
        "chosen": "(SELECT id FROM clips WHERE number = {})",
        "rejected": "(SELECT id FROM clips WHERE number = {})",
        "test": "(SELECT id FROM tests WHERE number = {})",
        "trial": "(SELECT id FROM trials WHERE number = {})",
        "dataset": "(SELECT id FROM datasets WHERE number = {})",
        "adapter": "(SELECT id FROM adapters WHERE number = {})",
    }
    for table in TABLES:
        columns = [row[1] for row in store.db.query(f"PRAGMA table_info({table.name})")]
        picked = []
        for column in columns:
            what = column.removesuffix("_number")
            if column == "tag_id":
                picked.append("(SELECT name FROM tags WHERE id = tag_id) AS tag_id")
            elif column == "deleted":
                picked.append("deleted IS NOT NULL AS deleted")
            elif what != column:
                picked.append(f"{names[what].format(column)} AS {column}")
            elif column != "number":
                picked.append(column)
        own = " WHERE NOT system" if table.name == "templates" else ""
        rows = store.db.query(f"SELECT {', '.join(picked)} FROM {table.name}{own}")
        found[table.name] = sorted(map(repr, (dict(row) for row in rows)))
    for room in ("audio", "adapters"):
        for path in (store.data_dir / room).rglob("*.*"):
            found[f"{room}/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def searched(store, words):
    return sorted(clip.id for clip in store.clips.search(ClipQuery(text=words)).rows)


def parts(store):
    """What an import may leave behind."""
    return sorted(path.name for path in store.folder("work").iterdir())


# there and back


def test_every_table_and_column_is_in_the_file_or_left_out_on_purpose(store):
    rows = store.db.query("SELECT name FROM sqlite_master WHERE type = 'table'")
    own = {"tags", "clip_words", "clip_search", "prompt_search"}
    tables = {
        row[0]
        for row in rows
        if not row[0].startswith(("sqlite", "_", "clip_search_", "prompt_search_"))
    }
    assert tables - own == {table.name for table in TABLES} | LEFT_OUT
    for table in TABLES:
        columns = {row[1] for row in store.db.query(f"PRAGMA table_info({table.name})")}
        known = {*table.columns, *(ref.column for ref in table.refs.values())}
        assert columns - known <= OWN and known <= columns, table.name


def test_an_import_of_everything_gives_the_same_content(full, other, tmp_path):
    path = save(full, tmp_path)
    _, would = dry_run(other, path)
    assert content(other)["clips"] == []
    manifest, merged = take_in(other, path)
    assert content(other) == content(full)
    assert manifest.rows["clips"] == merged.tallies["clips"].new == 5
    assert merged.tallies == would.tallies
    assert not merged.conflicts
    for words in ("waltz", "Tanz", "声音", "drums"):
        assert searched(other, words) == searched(full, words)
    assert other.prompts.search("90 bpm").total == 1
    assert other.datasets.items(full.datasets.list()[0].id)[0].file.is_file()
    assert (other.folder("runs") / full.runs.list()[0].id / "log.txt").read_text() == "epoch 1\n"
    assert not list(other.folder("runs").rglob("*.pt"))
    assert parts(other) == []


def test_the_second_export_has_the_same_bytes_but_for_its_time(full, other, tmp_path):
    path = save(full, tmp_path)
    take_in(other, path)
    again = save(other, tmp_path, name="again.zip")
    members = [json.loads(zipfile.ZipFile(one).read(MANIFEST))["members"] for one in (path, again)]
    assert members[0] == members[1]


def test_a_second_import_changes_nothing(full, tmp_path):
    before = content(full)
    _, merged = take_in(full, save(full, tmp_path))
    assert merged.new == 0
    assert not merged.conflicts
    assert content(full) == before


def test_what_differs_here_stays_and_is_reported(full, other, tmp_path):
    path = save(full, tmp_path)
    take_in(other, path)
    clip = other.clips.search(ClipQuery(text="Waltz")).rows[0]
    other.clips.rename(clip.id, "Renamed")
    other.judgements.rate(clip.id, "overall", 1, "anna")
    other.presets.save("piper", "slow", {"length_scale": 2.0})
    _, merged = take_in(other, path)
    found = {(conflict.table, conflict.fields[0]) for conflict in merged.conflicts}
    assert found == {("clips", "title"), ("ratings", "value"), ("presets", "settings")}
    assert other.clips.get(clip.id).title == "Renamed"
    assert other.judgements.ratings(clip.id)[0].value == 1
    assert other.presets.get("piper", "slow").settings == {"length_scale": 2.0}


def test_a_sound_that_is_here_under_another_id_is_used(store, add, other, tmp_path):
    here = other.clips.add(add_samples(), 24_000, engine="piper", task="tts", peak_db=-6.0)
    there = add(samples=add_samples())
    child = add(samples=add_samples() * 0.5, parents=[there.id])
    store.judgements.rate(there.id, "overall", 4, "anna")
    _, merged = take_in(other, save(store, tmp_path))
    assert (merged.tallies["clips"].new, merged.tallies["clips"].here) == (1, 1)
    assert here.hash == there.hash
    assert other.judgements.ratings(here.id)[0].value == 4
    assert other.clips.get(child.id).parents == (here.id,)


def add_samples():
    import numpy as np

    return np.linspace(-0.5, 0.5, 2400, dtype=np.float32)


def test_names_in_use_are_numbered(full, other, tmp_path):
    one = other.clips.add(add_samples(), 24_000, engine="tone", task="music", text="p", peak_db=0)
    stimuli = [Stimulus(one.id, "base"), Stimulus(one.id, "other")]
    other.tests.create("Base or Warm", "ab", [("p", stimuli)])
    add_adapter(other, "warm")
    take_in(other, save(full, tmp_path))
    assert {test.name for test in other.tests.list()} == {"Base or Warm", "base or warm 2"}
    assert [adapter.label for adapter in other.adapters.list()] == ["warm v2", "warm v1"]


def test_a_selection_takes_what_it_needs(full, tmp_path, other):
    only = Selection(
        ClipQuery(text="waltz"), datasets=(), adapters=(), tests=False, prompts=False, runs=False
    )
    rows = measure(full, only).rows
    assert (rows["clips"], rows["preferences"], rows["prompts"], rows["runs"]) == (2, 1, 0, 0)
    dataset = next(row for row in full.datasets.list() if row.name == "good ones")
    chosen = Selection(None, (dataset.id,), (), False, False, False)
    _, merged = take_in(other, save(full, tmp_path, chosen))
    assert merged.tallies["clips"].new == 2
    assert other.datasets.get(dataset.id).content_hash == dataset.content_hash
    with pytest.raises(StorageError, match="nothing to export"):
        save(full, tmp_path, Selection(None, (), (), False, False, False))


def test_a_clip_without_its_file_is_left_out_and_told(full, tmp_path, other):
    clip = full.clips.search(ClipQuery(favorite=True)).rows[0]
    clip.path.unlink()
    exported = export(full, Selection(), tmp_path / "a.zip", "1.0", no_step)
    assert len(exported.left_out) == 3  # the clip, the test and the adapter that need it
    _, merged = take_in(other, exported.path)
    assert merged.tallies["clips"].new == 4


def test_a_stopped_or_failed_export_leaves_nothing(full, tmp_path, monkeypatch):
    def stop(_):
        raise InterruptedError("stopped")

    with pytest.raises(StorageError):
        export(full, Selection(), tmp_path / "out" / "a.zip", "1.0", stop)
    monkeypatch.setattr(zips.shutil, "disk_usage", lambda _: Usage(0, 0, 10))
    with pytest.raises(DiskFull, match="disk full"):
        export(full, Selection(), tmp_path / "out" / "a.zip", "1.0", no_step)
    assert not list((tmp_path / "out").iterdir())


# what must not get in


def rewritten(path, tmp_path, change, manifest_too=True):
    """The project with ``change(members)`` applied to its members, its manifest made to fit."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    manifest = json.loads(members.pop(MANIFEST))
    if manifest_too:
        manifest["members"] = {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for name, data in members.items()
        }
    out = tmp_path / "bad.zip"
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr(MANIFEST, json.dumps(manifest))
    return out


def refused(store, path, words):
    """An import and a dry run refuse a file, and leave nothing."""
    before = content(store)
    for verb in (dry_run, take_in):
        with pytest.raises(StorageError, match=words):
            verb(store, path)
    assert content(store) == before
    assert parts(store) == []


def changed_row(table, **changes):
    """Changes the first row of a table."""

    def change(members):
        name = f"rows/{table}.jsonl"
        first, *rest = members[name].splitlines()
        row = json.loads(first) | changes
        members[name] = b"\n".join([json.dumps(row).encode(), *rest]) + b"\n"

    return change


def put(name, data=b"x"):
    return lambda members: members.__setitem__(name, data)


def sounds(members):
    return [name for name in members if name.startswith("audio/")]


def drop(which):
    return lambda members: [members.pop(name) for name in which(members)[:1]]


def manifest_of(**changes):
    def change(members):
        members[MANIFEST] = json.dumps(json.loads(members[MANIFEST]) | changes).encode()

    return change


BAD = {
    "a way out": (put("../../outside.txt"), "written outside its folder"),
    "an absolute name": (put("/etc/passwd"), "written outside its folder"),
    "a drive": (put("C:/x.txt"), "written outside its folder"),
    "a strange member": (put("audio/../../x"), "written outside its folder"),
    "a pickle": (put("adapters/a/adapter_model.bin"), "not part of a project"),
    "a stray folder": (put("adapters/../a/adapter_config.json"), "outside its folder"),
    "a stray adapter": (put("adapters/none/adapter_config.json", b"{}"), "files of no adapter"),
    "a stray sound": (put("audio/" + "ab/" + "ab" * 32 + ".flac"), "not part of a project"),
    "no rows": (drop(lambda members: ["rows/votes.jsonl"]), "tables that a project has"),
    "no sound": (drop(sounds), "is not in bad.zip"),
    "another version": (manifest_of(version=VERSION + 1), "reads version 1"),
    "another format": (manifest_of(format="x"), "not that of a studio"),
    "too many rows": (changed_row("clips", id="b" * 27), "not in the file"),
    "an id that leads out": (changed_row("clips", id="../x"), "not of the form"),
    "a rating of 6": (changed_row("ratings", value=6), "from 1 to 5"),
    "a rating of nobody": (changed_row("ratings", rater=" "), "not of the form"),
    "an unknown clip": (changed_row("ratings", clip="x"), "is not in the file"),
    "another length": (changed_row("clips", duration_s=9.0), "not the sound that its clip"),
    "another type": (changed_row("clips", settings=[1]), "expected an object"),
    "a column too much": (changed_row("clips", number=1), "'number' is not known"),
    "a moment that is none": (changed_row("tests", created_at="soon"), "created_at"),
    "a queued run": (changed_row("runs", state="queued"), "expected one of"),
    "a wrong vote": (changed_row("votes", answer={"choice": 9}), "choice is 0, 1"),
    "a wrong filter": (changed_row("datasets", filter={"x": 1}), "is no filter"),
    "a pair of one": (None, "contradicts others"),
    "no JSON": (put("rows/ratings.jsonl", b"{\n"), "Line 1 of rows/ratings"),
    "deep JSON": (put("rows/ratings.jsonl", b"[" * 100_000), "Line 1 of rows/ratings"),
    "wrong weights": (None, "not a file of an adapter"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_hostile_file_is_refused_whole(full, other, tmp_path, case):
    change, words = BAD[case]
    if case == "a pair of one":
        one = full.db.query("SELECT id FROM clips")[0][0]
        change = changed_row("preferences", chosen=one, rejected=one)
    if case == "wrong weights":
        adapter = full.adapters.list()[0]

        def change(members):
            members[f"adapters/{adapter.id}/{ADAPTER_FILES[1]}"] = b"\x80\x04pickle"
            changed_row("adapters", hash=hashlib.sha256(b"\x80\x04pickle").hexdigest())(members)

    refused(other, rewritten(save(full, tmp_path), tmp_path, change), words)


def flip(members):
    name = sounds(members)[0]
    members[name] = members[name][:-1] + bytes([members[name][-1] ^ 1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (flip, "checksum of audio/"),
        (put("extra.txt"), "of which its manifest says nothing"),
        (drop(sounds), "should hold 'audio/"),
        (put("rows/ratings.jsonl", b"{}\n"), "instead of"),
    ],
)
def test_what_the_manifest_does_not_say_is_refused(full, other, tmp_path, change, words):
    path = rewritten(save(full, tmp_path), tmp_path, change, manifest_too=False)
    refused(other, path, words)


def test_links_passwords_doubles_and_other_files_are_refused(full, other, tmp_path):
    good = save(full, tmp_path)
    link = tmp_path / "link.zip"
    link.write_bytes(good.read_bytes())
    with zipfile.ZipFile(link, "a") as archive:
        entry = zipfile.ZipInfo("audio/link")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    refused(other, link, "holds a link")
    twice = tmp_path / "twice.zip"
    twice.write_bytes(good.read_bytes())
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning):
        archive.writestr(MANIFEST, "{}")
    refused(other, twice, "twice")
    for data, words in ((b"", "not a whole zip"), (good.read_bytes()[:-30], "not a whole zip")):
        (tmp_path / "torn.zip").write_bytes(data)
        refused(other, tmp_path / "torn.zip", words)
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    refused(other, tmp_path / "plain.zip", "no project of this studio")


def test_bombs_are_refused_before_they_are_unpacked(full, other, tmp_path, monkeypatch):
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows/clips.jsonl", bytes(50 * 2**20))
        member = {"sha256": "0" * 64, "bytes": 50 * 2**20}
        members = {f"rows/{table.name}.jsonl": member for table in TABLES}
        for name in list(members)[1:]:
            archive.writestr(name, "")
            members[name] = {"sha256": "0" * 64, "bytes": 0}
        rows = {table.name: 0 for table in TABLES}
        manifest = {"format": "amphion-studio-project", "version": 1, "rows": rows}
        manifest |= {"app_version": "1", "created_at": "", "members": members}
        archive.writestr(MANIFEST, json.dumps(manifest))
    refused(other, bomb, "which unpacks from")
    # a directory that claims to be enormous is not read at all
    claims = bytearray(save(full, tmp_path).read_bytes())
    at = claims.rfind(zips.END)
    claims[at + 8 : at + 16] = struct.pack("<HHL", 65_535, 65_535, 2**31)
    (tmp_path / "many.zip").write_bytes(claims)
    refused(other, tmp_path / "many.zip", "at most 200,000 fit")
    monkeypatch.setattr(zips, "MAX_FILES", 3)
    refused(other, tmp_path / "all.zip", "at most 3 fit")


def test_a_full_disk_changes_nothing(full, other, tmp_path, monkeypatch):
    path = save(full, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("storage.base.errors.shutil.disk_usage", lambda _: Usage(0, 0, 10))
        refused(other, path, "disk full")
    real, left = Path.open, iter(range(4))

    def small(path, mode="r", *rest, **more):
        if mode == "xb" and next(left, None) is None:
            raise OSError(28, "No space left on device")
        return real(path, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", small)
    before = content(other)
    with pytest.raises(DiskFull):
        take_in(other, path)
    monkeypatch.undo()
    assert content(other) == before
    assert parts(other) == []
    take_in(other, path)
    assert content(other) == content(full)


KILLED = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from storage import Store
from storage.project import importing as project_import
moment, data, path = sys.argv[1:]
def die(*_, **__):
    if sys.exc_info()[0] is None:  # else something went wrong before: let it be told
        os.kill(os.getpid(), signal.SIGKILL)
moved = []
def rename(self, target, real=Path.rename):
    real(self, target)
    moved.append(target)
    if moment == "moving" and len(moved) == 3:
        die()
Path.rename = rename
if moment == "unpacking":
    project_import.write_whole = die
if moment == "moved":
    project_import._check_places = die
if moment == "stored":
    project_import.shutil = SimpleNamespace(rmtree=die)  # of this module alone
with Store.open(data) as store:
    project_import.take_in(store, Path(path))
"""


@pytest.mark.parametrize("moment", ["unpacking", "moving", "moved", "stored"])
def test_a_kill_at_any_moment_leaves_all_or_nothing(full, tmp_path, moment):
    path = save(full, tmp_path)
    data = tmp_path / "killed"
    with Store.open(data) as store:
        store.templates.seed([{"name": "System", "text": "of the studio"}])
        empty = content(store)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, moment, str(data), str(path)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
        timeout=120,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Store.open(data) as store:
        assert content(store) == (content(full) if moment == "stored" else empty)
        assert parts(store) == []
        take_in(store, path)
        assert content(store) == content(full)
