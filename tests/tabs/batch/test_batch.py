"""Batches through the doors that people use: the studio, the endpoints, the command line."""

from __future__ import annotations

import csv
import importlib
import io
import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pydantic import Field

from engines import registry
from engines.base import AudioFile, Card, Clip, Engine, Params, StudioError, Task
from engines.studio import Studio
from engines.studio.batch import ray_executor
from engines.studio.batch.__main__ import main
from engines.studio.batch.problems import BatchProblems
from engines.studio.batch.templates import template
from engines.studio.settings import Settings
from storage import JobState, RowState
from storage.work.batches import OWNER
from tabs.about import jobs as jobs_tab
from tests.conftest import make_settings, served_app
from tests.fakes import Strum, Tone

PATIENCE_S = 120
CONFIGS = Path(registry.__file__).parent.parent / "configs"


class ReverseParams(Params):
    """A sound, and how loud it comes back."""

    source: AudioFile = Field(title="Source", description="The sound to turn round.")
    gain: float = Field(1.0, ge=0, le=4, description="Factor.")


class Reverse(Engine):
    """A conversion engine: plays a sound backwards."""

    card = Card(
        id="reverse", title="Reverse", task=Task.VC, summary="Backwards.", license_code="MIT",
        license_weights="none", sample_rate=8000,
    )  # fmt: skip
    Params = ReverseParams

    def load(self, device, params=None): ...

    def unload(self): ...

    def run(self, params, job):
        samples, rate = soundfile.read(params.source, dtype="float32")
        return Clip(samples[::-1] * params.gain, rate)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """A running studio with the fake engines, for the whole file."""
    folder = tmp_path_factory.mktemp("batch")
    empty = folder / "engines.json"
    empty.write_text("[]", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "BUILT_IN", empty)
        patch.setattr(registry, "entry_points", lambda group: [])
        with Studio(make_settings(folder)) as running:
            for engine in (Tone, Strum, Reverse):
                running.registry.add(engine)
            yield running


@pytest.fixture
def table(tmp_path):
    """Write a file and return its path."""

    def write(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def make(studio, engine, path, **options):
    """Check and run a batch; its row in the end."""
    batch = studio.batches.check(engine, [path], **options)
    job = studio.wait(studio.batches.start(batch.id).id, PATIENCE_S)
    assert (job.state, job.error) == (JobState.DONE, "")
    return studio.store.batches.get(batch.id)


def jobs_of(studio, batch):
    """Every job that was ever made for a row of a batch."""
    return studio.jobs.list(within=f"{OWNER}{batch.id}/", limit=1000)


def told(error):
    """Problems as (rows, column, first words)."""
    return [(p.rows, p.column, p.message) for p in error.value.problems]


# --- reading and checking -------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
@pytest.mark.parametrize("engine", ["tone", "strum"])
def test_the_template_is_a_batch_of_two_rows(studio, table, engine, form):
    path = table(studio.batches.template(engine, form), f"t.{form}")
    batch = studio.batches.check(engine, [path])
    first, second = studio.batches.preview(batch.id)
    assert (batch.open, first.name, second.name) == (2, "first", "second")
    assert (first.settings["seed"] > 0, second.settings["seed"]) == (True, 7)
    ignored = {"seed", "text", "prompt"}
    assert {k: v for k, v in first.settings.items() if k not in ignored} == {
        k: v for k, v in second.settings.items() if k not in ignored
    }


class NoCache:
    """A cache with nothing in it."""

    def path(self, weights):
        return None

    def revision(self, weights):
        return ""

    def own(self):
        return {}

    def adapters(self):
        return ()


def test_every_engine_has_a_template_with_all_its_parameters():
    listed = json.loads((CONFIGS / "engines.json").read_text(encoding="utf-8"))
    for path in listed:
        module, _, name = path.partition(":")
        engine = getattr(importlib.import_module(module), name)(NoCache())
        head = next(csv.reader(io.StringIO(template(engine).decode("utf-8-sig"))))
        assert head == ["name", *engine.Params.model_fields]


def test_every_wrong_cell_is_named_with_its_row_and_column(studio, table):
    path = table(
        "name,text,pitch_hz,loud\na,one,440,yes\nb,,1,true\n\nA,three,nine,maybe\nx/y,four,440,\n"
    )
    with pytest.raises(BatchProblems) as error:
        studio.batches.check("tone", [path])
    found = told(error)
    assert [(rows, column) for rows, column, _ in found] == [
        ((3,), "text"), ((3,), "pitch_hz"), ((5,), "name"), ((5,), "pitch_hz"), ((5,), "loud"),
        ((6,), "name"),
    ]  # fmt: skip
    words = {(rows[0], column): message for rows, column, message in found}
    assert words[3, "pitch_hz"] == "Pitch hz must be 20 to 8,000, not '1'."
    assert "rows 2 and 5 would be one file" in words[5, "name"]
    assert "'/'" in words[6, "name"]
    assert "row 3, column text: Text is missing." in str(error.value)


def test_a_wrong_header_is_told_once_with_what_was_meant(studio, table):
    with pytest.raises(BatchProblems) as error:
        studio.batches.check("tone", [table("Text,pitch,loud,loud\na,1,2,3\n")])
    assert told(error) == [((1,), "loud", "stands in the head more than once.")]
    with pytest.raises(BatchProblems) as error:
        studio.batches.check("tone", [table("txet,pitch_hz\n" + "a,1\n" * 50)])
    assert [(p.rows, p.column) for p in error.value.problems] == [((1,), "txet"), ((1,), "text")]
    assert "Did you mean text?" in str(error.value)
    with pytest.raises(BatchProblems) as error:
        studio.batches.check("tone", [table('[{"text": "a"}, {"txet": "b"}]', "t.json")])
    assert [(p.rows, p.column) for p in error.value.problems] == [((), "txet")]


def test_the_same_mistake_in_many_rows_is_one_problem(studio, table):
    with pytest.raises(BatchProblems) as error:
        studio.batches.check("tone", [table("text,pitch_hz\n" + "a,1\n" * 50)])
    (problem,) = error.value.problems
    assert problem.rows == tuple(range(2, 52))
    assert str(problem).startswith("rows 2, 3, 4, 5, 6, 7 and 44 more, column pitch_hz: ")


BROKEN = {
    "empty.csv": ("", "the head is missing"),
    "head.csv": ("text,seed\n", "has no rows"),
    "quotes.csv": ('text\n"open\n', "quotes do not match"),
    "wide.csv": (
        "text\na,b\n",
        "2 cells under 1 columns; put quotes around text that holds a comma",
    ),
    "latin.csv": ("text\nGrüße\n".encode("latin-1"), "row 2: latin.csv is not in UTF-8"),
    "object.json": ('{"text": "a"}', "must hold a list of objects"),
    "cut.json": ('[\n{"text": "a"},\n{"text"', "row 3: is not JSON"),
    "lines.jsonl": ('{"text": "a"}\n\n[1]\n{"text": \n', "row 3: is no object"),
    "table.xlsx": (b"PK\x03\x04", "neither a table"),
    "cut.zip": (b"PK\x03\x04", "is not a whole zip file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_cannot_be_read_say_why(studio, table, name):
    content, words = BROKEN[name]
    with pytest.raises(StudioError) as error:
        studio.batches.check("tone", [table(content, name)])
    assert words in str(error.value)
    if name == "lines.jsonl":
        assert "row 4: is not JSON" in str(error.value)


def test_spreadsheets_of_all_countries_are_read(studio, table):
    german = '\ufefftext;pitch_hz;seed\r\n"Grüße; an alle";440,5;3\r\n;;\r\n'
    batch = studio.batches.check("tone", [table(german)])
    (row,) = studio.batches.preview(batch.id)
    assert (row.settings["text"], row.settings["pitch_hz"]) == ("Grüße; an alle", 440.5)
    told_apart = table("sep=|\ntext|seed\na, b; c|3\n".encode("utf-16"))
    (row,) = studio.batches.preview(studio.batches.check("tone", [told_apart]).id)
    assert (row.settings["text"], row.settings["seed"]) == ("a, b; c", 3)
    tabs = table("text\tseed\nline one\t4\n", "t.tsv")
    (row,) = studio.batches.preview(studio.batches.check("tone", [tabs]).id)
    assert row.settings["seed"] == 4


def test_values_for_every_row_and_lists(studio, table):
    path = table("prompt,primary_instruments,seed\ncalm,acoustic-piano|cymbals,1\nwild,,2\n")
    batch = studio.batches.check("strum", [path], common={"duration_s": "2", "prompt": "unused"})
    first, second = studio.batches.preview(batch.id)
    assert first.settings["primary_instruments"] == ["acoustic-piano", "cymbals"]
    assert (second.settings["prompt"], second.settings["duration_s"]) == ("wild", 2.0)
    with pytest.raises(BatchProblems, match="column seeed: stands under “for every row”"):
        studio.batches.check("strum", [path], common={"seeed": "1"})


def test_ten_thousand_rows_are_checked_stored_and_paged(studio, table):
    rows = "".join(f"r{n},text {n},{n}\n" for n in range(10_000))
    path = table("name,text,seed\n" + rows)
    started = time.monotonic()
    batch = studio.batches.check("tone", [path])
    assert time.monotonic() - started < 60
    assert (batch.total, studio.batches.reusable(batch.id)) == (10_000, 0)
    (last,) = studio.batches.rows(batch.id, offset=9_999)
    assert (last.position, last.number, last.name) == (10_000, 10_001, "r9999")
    studio.batches.delete(batch.id)


# --- running --------------------------------------------------------------------------------


def test_each_row_becomes_a_clip_and_a_bad_one_does_not_stop_the_others(studio, table, monkeypatch):
    path = table(
        "name,text,seed,fail\nboat,one,1,\nsea,two,2,error:No wind today.\ngull,three,3,\n"
    )
    batch = make(studio, "tone", path, name="Harbour")
    assert (batch.name, batch.done, batch.failed, batch.open) == ("Harbour", 2, 1, 0)
    boat, sea, gull = studio.batches.rows(batch.id)
    assert (sea.state, sea.error, sea.clip_ids) == (RowState.FAILED, "No wind today.", ())
    clip = studio.clip(gull.clip_ids[0])
    assert (clip.text, clip.seed, clip.settings) == ("three", 3, gull.settings)
    assert studio.batches.state(batch.id).job.report["values"] == {
        "rows": 3, "made": 2, "reused": 0, "failed": 1,
    }  # fmt: skip
    # its rows stay out of the list of jobs
    shown = jobs_tab.page_of(studio, tuple(JobState), 1).rows
    assert not [job for job in shown if job.owner.startswith(OWNER)]
    assert len(jobs_tab.page_of(studio, tuple(JobState), 1, f"{OWNER}{batch.id}/").rows) == 3
    assert jobs_tab.what(studio, shown[0]) == "Batch “Harbour”, 3 rows"

    # only the failed row is retried
    with pytest.raises(StudioError, match="or failed; retry those"):
        studio.batches.start(batch.id)
    monkeypatch.setattr(Tone, "_fail", lambda *_: None)
    studio.wait(studio.batches.retry_failed(batch.id).id, PATIENCE_S)
    assert studio.store.batches.get(batch.id).done == 3
    assert len(jobs_of(studio, batch)) == 4
    assert studio.store.batches.row(batch.id, 1) == boat
    with pytest.raises(StudioError, match="No row of this batch failed"):
        studio.batches.retry_failed(batch.id)


def test_what_was_made_with_the_same_settings_is_reused(studio, table):
    before = studio.make("tone", text="known", seed=11, timeout_s=PATIENCE_S)[0]
    path = table("text,seed\nknown,11\nnew,12\nnew,12\n")
    batch = studio.batches.check("tone", [path])
    assert studio.batches.reusable(batch.id) == 1
    studio.wait(studio.batches.start(batch.id).id, PATIENCE_S)
    known, new, again = studio.batches.rows(batch.id)
    assert [row.state for row in (known, new, again)] == ["reused", "done", "reused"]
    assert known.clip_ids == (before.id,)
    assert again.clip_ids == new.clip_ids
    assert len(jobs_of(studio, batch)) == 1
    studio.clips.delete([before.id])
    assert make(studio, "tone", path).reused == 2


def test_all_variations_of_a_row_are_made_and_reused_together(studio, table):
    path = table("name,prompt,variations,seed\ntake,calm,3,5\n")
    made = make(studio, "strum", path)
    (row,) = studio.batches.rows(made.id)
    assert len(row.clip_ids) == 3
    again = make(studio, "strum", path)
    assert (again.reused, studio.batches.rows(again.id)[0].clip_ids) == (1, row.clip_ids)
    studio.clips.delete(row.clip_ids[1:2])
    assert make(studio, "strum", path).done == 1


def test_jobs_of_others_come_in_between(studio, table):
    path = table("text,step_s\n" + "".join(f"row {n},0.1\n" for n in range(8)))
    batch = studio.batches.check("tone", [path])
    job = studio.batches.start(batch.id)
    for update in studio.follow(job.id):
        if update.progress > 0:
            break
    other = studio.wait(studio.submit("tone", {"text": "somebody else's"}).id, PATIENCE_S)
    assert other.state is JobState.DONE
    assert studio.store.batches.get(batch.id).open > 0
    with pytest.raises(StudioError, match="goes on already"):
        studio.batches.start(batch.id)
    with pytest.raises(StudioError, match="Stop the batch first"):
        studio.batches.delete(batch.id)
    assert studio.wait(job.id, PATIENCE_S).state is JobState.DONE


def test_a_stopped_batch_goes_on_where_it_was(studio, table):
    path = table("text,step_s\n" + "".join(f"stop {n},0.1\n" for n in range(8)))
    batch = studio.batches.check("tone", [path])
    seeds = [row.settings["seed"] for row in studio.batches.rows(batch.id)]
    job = studio.batches.start(batch.id)
    for update in studio.follow(job.id):
        if update.progress > 0.2:
            break
    studio.batches.stop(batch.id)
    assert studio.wait(job.id, PATIENCE_S).state is JobState.CANCELLED
    stopped = studio.batches.state(batch.id)
    assert (stopped.state, stopped.batch.failed) == ("cancelled", 0)
    assert 0 < stopped.batch.open < 8
    assert studio.batches.in_work(batch.id) == {}
    studio.wait(studio.batches.start(batch.id).id, PATIENCE_S)
    rows = studio.batches.rows(batch.id)
    assert [row.state for row in rows] == ["done"] * 8
    assert [studio.clip(row.clip_ids[0]).seed for row in rows] == seeds
    done = [job for job in jobs_of(studio, batch) if job.state == "done"]
    assert len(done) == 8


def test_a_row_whose_end_was_not_noted_is_found_again(studio, table):
    batch = make(studio, "tone", table("text\nlost and found\n"))
    (made,) = studio.batches.rows(batch.id)
    with studio.store.db.write() as transaction:  # as if the process had died just before
        transaction.execute(
            "UPDATE batch_rows SET state = 'open', job_id = '', clip_ids = '[]' WHERE batch_number"
            " = (SELECT number FROM batches WHERE id = ?)",
            [batch.id],
        )
    studio.wait(studio.batches.start(batch.id).id, PATIENCE_S)
    (row,) = studio.batches.rows(batch.id)
    assert (row.state, row.clip_ids, row.job_id) == ("done", made.clip_ids, made.job_id)
    assert len(jobs_of(studio, batch)) == 1


CRASH = """
import sys, time
from pathlib import Path
from engines.studio.settings import Settings
from engines.studio import Studio
from tests.fakes import Tone
studio = Studio(Settings(_cli_parse_args=[], data=sys.argv[1], device="cpu"))
studio.registry.add(Tone)
studio.start()
batch = studio.batches.check("tone", [Path(sys.argv[2])])
job = studio.batches.start(batch.id)
for update in studio.follow(job.id, 0.05):
    if studio.store.batches.get(batch.id).done >= 3:
        print(batch.id, flush=True)
        time.sleep(600)
"""


def test_after_kill_9_a_batch_goes_on_and_no_row_is_made_twice(tmp_path, no_engines, table):
    path = table("name,text,step_s\n" + "".join(f"n{n},crash {n},0.1\n" for n in range(10)))
    process = subprocess.Popen(
        [sys.executable, "-c", CRASH, str(tmp_path / "data"), str(path)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    batch_id = process.stdout.readline().strip()
    process.send_signal(signal.SIGKILL)
    process.wait()
    studio = Studio(make_settings(tmp_path))
    studio.registry.add(Tone)
    with studio:
        found = studio.batches.state(batch_id)
        assert (found.state, found.active) == ("interrupted", False)
        assert 3 <= found.batch.done < 10
        assert studio.wait(studio.batches.start(batch_id).id, PATIENCE_S).state is JobState.DONE
        rows = studio.batches.rows(batch_id)
        assert [row.state for row in rows] == ["done"] * 10
        done = [job.owner for job in studio.jobs.list() if job.state == "done" and job.task]
        assert sorted(done) == sorted(f"{OWNER}{batch_id}/{n}" for n in range(1, 11))
        whole = [studio.clip(row.clip_ids[0]) for row in rows]
        assert len({clip.hash for clip in whole}) == 10
        assert not any(clip.partial for clip in whole)


# --- sounds ---------------------------------------------------------------------------------


def tone_file(path, hz, rate=8000):
    """A second of a tone as a WAV file."""
    samples = 0.3 * np.sin(2 * np.pi * hz * np.arange(rate) / rate)
    soundfile.write(path, samples.astype(np.float32), rate, subtype="PCM_24")
    return path


def test_a_folder_of_sounds_is_a_batch_of_a_conversion_engine(studio, tmp_path):
    folder = tmp_path / "calls"
    (folder / "sub").mkdir(parents=True)
    for place, hz in (("low.wav", 200), ("high.wav", 900), ("sub/low.wav", 300)):
        tone_file(folder / place, hz)
    batch = make(studio, "reverse", folder, common={"gain": "0.5"})
    rows = studio.batches.rows(batch.id)
    assert [row.name for row in rows] == ["high", "low", "low-2"]
    assert (batch.done, {row.settings["gain"] for row in rows}) == (3, {0.5})
    for row in rows:
        clip = studio.clip(row.clip_ids[0])
        (parent,) = clip.parents
        assert str(studio.clip(parent).path) == row.settings["source"]
        heard, _ = soundfile.read(clip.path, dtype="float32")
        given, _ = soundfile.read(studio.clip(parent).path, dtype="float32")
        np.testing.assert_allclose(heard, given[::-1] * 0.5, atol=2**-22)
    assert not (studio.store.folder("cache") / "batches" / batch.id).exists()
    assert make(studio, "reverse", folder, common={"gain": "0.5"}).reused == 3


def test_a_zip_of_a_table_and_its_sounds(studio, tmp_path):
    tone_file(tmp_path / "a.wav", 400)
    clip = studio.make("tone", text="a clip", timeout_s=PATIENCE_S)[0]
    archive = tmp_path / "all.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(tmp_path / "a.wav", "sounds/a.wav")
        packed.writestr("rows.csv", f"name,source\nfile,a.wav\npath,sounds/a.wav\nclip,{clip.id}\n")
        packed.writestr("__MACOSX/._a.wav", b"junk")
    batch = make(studio, "reverse", archive)
    rows = studio.batches.rows(batch.id)
    assert [(row.name, row.state) for row in rows] == [
        ("file", "done"), ("path", "reused"), ("clip", "done"),
    ]  # fmt: skip
    assert studio.clip(rows[2].clip_ids[0]).parents == (clip.id,)


def test_wrong_sounds_are_told_before_anything_runs(studio, table, tmp_path):
    tone_file(tmp_path / "a.wav", 400)
    table("no sound", "b.wav")
    rows = table("source\na.wav\nb.wav\nc.wav\n/etc/passwd\n")
    with pytest.raises(BatchProblems) as error:
        studio.batches.check("reverse", [rows, tmp_path / "a.wav", tmp_path / "b.wav"])
    assert [problem.rows for problem in error.value.problems] == [(3,), (4,), (5,)]
    assert "b.wav cannot be decoded" in error.value.problems[0].message
    assert "no sound 'c.wav'" in error.value.problems[1].message
    with pytest.raises(StudioError, match="Tone takes no sound"):
        studio.batches.check("tone", [tmp_path / "a.wav"])
    with pytest.raises(StudioError, match="more than one table"):
        studio.batches.check("tone", [rows, table("text\na\n", "b.csv")])
    climbing = tmp_path / "climbing.zip"
    with zipfile.ZipFile(climbing, "w") as packed:
        packed.writestr("../../out.csv", "text\na\n")
    with pytest.raises(StudioError, match="outside its folder"):
        studio.batches.check("tone", [climbing])


# --- results --------------------------------------------------------------------------------


def test_the_zip_holds_the_sounds_by_name_and_a_table_of_everything(studio, table, tmp_path):
    path = table(
        "name,text,seed,loud,fail\nön,one,21,,\ntwo,two,22,true,\nbad,three,23,,error:Broken.\n"
    )
    batch = make(studio, "tone", path)
    target = studio.batches.save_zip(batch.id, tmp_path / "out.zip")
    with zipfile.ZipFile(target) as packed:
        assert packed.testzip() is None
        assert packed.namelist() == ["ön.flac", "two.flac", "results.csv"]
        first, second, third = csv.DictReader(
            io.StringIO(packed.read("results.csv").decode("utf-8-sig"))
        )
        clip = studio.clip(first["clip_id"])
        assert packed.read("ön.flac") == clip.path.read_bytes()
    assert (first["file"], first["state"], first["seed"]) == ("ön.flac", "done", "21")
    assert (first["duration_s"], second["loud"], first["pitch_hz"]) == ("0.5", "true", "440.0")
    assert float(first["loudness_lufs"]) == pytest.approx(clip.loudness_lufs, abs=0.01)
    assert (third["file"], third["state"], third["error"]) == ("", "failed", "Broken.")
    assert studio.batches.save_zip(batch.id, tmp_path / "again.zip").read_bytes() == (
        target.read_bytes()
    )
    with zipfile.ZipFile(studio.batches.save_zip(batch.id, tmp_path / "o.zip", "wav")) as packed:
        samples, rate = soundfile.read(io.BytesIO(packed.read("two.wav")))
        assert (packed.namelist()[1], rate, len(samples)) == ("two.wav", 16000, 8000)
    studio.clips.delete([clip.id])
    lines = [*csv.DictReader(io.StringIO(studio.batches.table(batch.id).decode("utf-8-sig")))]
    assert "was deleted" in lines[0]["error"]


# --- endpoints ------------------------------------------------------------------------------


def test_a_batch_from_a_script(studio, table):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    with served_app(studio) as served:
        client = served.client()
        path = client.predict("tone", "jsonl", api_name="/batch_template")
        wrong = client.predict(
            handle_file(str(table("text\n\n,\nfine\n", "w.csv"))), "strum", api_name="/check_batch"
        )
        assert (wrong["ok"], [p["column"] for p in wrong["problems"]]) == (
            False,
            ["text", "prompt"],
        )
        found = client.predict(handle_file(path), "tone", "Mine", api_name="/check_batch")
        assert (found["ok"], found["batch"]["state"], found["batch"]["total"]) == (True, "draft", 2)
        assert found["rows"][1]["settings"]["seed"] == 7
        batch_id = found["batch"]["id"]
        with pytest.raises(AppError, match="No row of this batch is made yet"):
            client.predict(batch_id, api_name="/batch_zip")
        started = client.predict(batch_id, api_name="/start_batch")
        client.predict(started["job_id"], api_name="/wait")
        ended = client.predict(batch_id, api_name="/batch")
        assert (ended["state"], ended["done"], ended["name"]) == ("done", 2, "Mine")
        assert client.predict(limit=1, api_name="/batches")[0]["id"] == batch_id
        rows = client.predict(batch_id, "done", offset=1, api_name="/batch_rows")
        assert [row["name"] for row in rows] == ["second"]
        with zipfile.ZipFile(client.predict(batch_id, "mp3", api_name="/batch_zip")) as packed:
            assert packed.namelist() == ["first.mp3", "second.mp3", "results.csv"]
        for verb, words in (("start_batch", "All rows"), ("retry_batch", "No row")):
            with pytest.raises(AppError, match=words):
                client.predict(batch_id, api_name=f"/{verb}")
        assert client.predict(batch_id, api_name="/stop_batch")["state"] == "done"
        client.predict(batch_id, api_name="/delete_batch")
        with pytest.raises(AppError, match="There is no batch"):
            client.predict(batch_id, api_name="/batch")


# --- the command line -----------------------------------------------------------------------


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run the command line on a data folder of its own, with the fake engine."""
    listed = tmp_path / "engines.json"
    listed.write_text(json.dumps(["tests.fakes:Tone"]), encoding="utf-8")
    monkeypatch.setattr(registry, "BUILT_IN", listed)
    monkeypatch.setattr(registry, "entry_points", lambda group: [])

    def run(*arguments):
        return main([*map(str, arguments), "--engine", "tone", "--data", str(tmp_path / "data")])

    return run


def test_the_command_makes_a_zip_and_goes_on_with_what_failed(command, table, tmp_path, capsys):
    output = tmp_path / "out.zip"
    assert command("--template", "csv", "--output", tmp_path / "t.csv") == 0
    assert command(tmp_path / "t.csv", "--output", output, "--set", "steps=1") == 0
    with zipfile.ZipFile(output) as packed:
        assert packed.namelist() == ["first.flac", "second.flac", "results.csv"]
    capsys.readouterr()
    assert command(table("text,pitch_hz\na,1\n", "w.csv"), "--output", output) == 2
    assert "row 2, column pitch_hz" in capsys.readouterr().err
    bad = table("text,fail\na,\nb,error:Never.\n", "bad.csv")
    assert command(bad, "--output", output) == 1
    assert "1 made, 0 reused, 1 failed" in capsys.readouterr().err
    assert command(bad, "--check") == 0
    assert command(tmp_path / "missing.csv") == 2


def test_a_data_folder_in_use_points_to_the_api(studio, table, capsys):
    path = table("text\na\n")
    assert main([str(path), "--engine", "tone", "--data", str(studio.settings.data)]) == 3
    said = capsys.readouterr().err
    assert "in use by process" in said
    assert "/check_batch" in said


# --- a cluster ------------------------------------------------------------------------------


def test_without_ray_it_is_said_how_to_get_it(studio, table, monkeypatch):
    monkeypatch.setattr(ray_executor.importlib.util, "find_spec", lambda name: None)
    batch = studio.batches.check("tone", [table("text\na\n")])
    with pytest.raises(StudioError, match=r"pip install 'amphion-studio\[ray\]'"):
        studio.batches.start(batch.id, "ray")


@pytest.mark.skipif(not ray_executor.available(), reason="Ray is not installed")
def test_a_local_cluster_makes_the_same_bytes(tmp_path, no_engines, table):
    path = table(
        "name,text,seed,fail\n"
        + "".join(f"n{n},ray {n},{n},\n" for n in range(6))
        + "bad,ray,9,error:Not here.\n"
    )
    hashes = {}
    for place in ("local", "ray"):
        studio = Studio(Settings(_cli_parse_args=[], data=tmp_path / place, device="cpu"))
        studio.registry.add(Tone)
        with studio:
            batch = studio.batches.check("tone", [path])
            job = studio.batches.start(batch.id, place, workers=2)
            assert studio.wait(job.id, PATIENCE_S).state is JobState.DONE, studio.job(job.id).error
            rows = studio.batches.rows(batch.id)
            assert [row.state for row in rows] == ["done"] * 6 + ["failed"]
            assert rows[6].error == "Not here."
            hashes[place] = [studio.clip(row.clip_ids[0]).hash for row in rows[:6]]
    assert hashes["local"] == hashes["ray"]
