"""The supervisor of runs: queue, process, stop, resume, restart of the app. Nothing learns here."""

from __future__ import annotations

import os
import shutil
import signal
import time

import psutil
import pytest

from engines.base import InvalidParams, NotReady, StudioError
from engines.studio import Studio
from storage import DatasetFilter, NotFound, StorageError
from tests.conftest import make_settings
from training.lab import checks, processes
from training.lab.lab import Lab

pytestmark = pytest.mark.usefixtures("pretend")


@pytest.fixture
def config(musicgen, dataset):
    """The smallest run, with changes."""

    def make(**changes):
        return {"base": "tiny", "dataset": dataset.id, "epochs": 2, "lora_r": 1} | changes

    return make


def until(lab, run_id, condition, timeout_s=30):
    """The run's row once ``condition`` holds."""
    deadline = time.monotonic() + timeout_s
    while not condition(row := lab.run(run_id)):
        assert time.monotonic() < deadline, row
        time.sleep(0.05)
    return row


def test_a_run_is_queued_runs_in_its_own_process_and_is_mirrored(lab, studio, config, dataset):
    studio.make("tone", text="loads the engine", timeout_s=30)
    assert studio.runtime.is_loaded("tone")
    row = lab.train(config(name="first", experiment="tests"))
    assert (row.state, row.method, row.base, row.dataset_id) == (
        "queued",
        "sft",
        "tiny",
        dataset.id,
    )
    assert [experiment.name for experiment in lab.experiments()] == ["tests"]
    folder = studio.store.folder("runs") / row.id
    assert "name: first" in (folder / "config.yaml").read_text()
    running = until(lab, row.id, lambda row: row.step >= 2)
    process = psutil.Process(running.pid)
    assert os.getsid(running.pid) == running.pid != os.getsid(0)
    assert str(folder) in process.cmdline()
    assert not studio.runtime.is_loaded("tone")
    done = lab.wait_run(row.id, 30)
    assert (done.state, done.progress, done.epoch, done.step) == ("done", 1.0, 2, 10)
    assert (done.best, done.error, done.adapter_id) == (1.5, "", "")
    assert done.metrics | {"step": 10, "epoch": 2, "loss": 1.5} == done.metrics
    assert done.started_at <= done.finished_at
    assert [line["step"] for line in lab.metrics(row.id) if line["split"] == "train"] == list(
        range(1, 11)
    )
    assert lab.log(row.id) == "start at 0\n"


def test_runs_go_one_after_the_other_in_order(lab, config):
    first, second = (lab.train(config(name=name, epochs=1)) for name in "ab")
    assert until(lab, first.id, lambda row: row.state == "running").id == first.id
    assert lab.run(second.id).state == "queued"
    assert lab.wait_run(second.id, 30).started_at >= lab.run(first.id).finished_at


def test_stop_and_resume(lab, config):
    row = lab.train(config(epochs=20))
    waiting = lab.train(config(name="waits"))
    assert lab.stop_run(waiting.id).state == "stopped"
    until(lab, row.id, lambda row: row.step >= 2)
    lab.stop_run(row.id)
    stopped = lab.wait_run(row.id, 10)
    assert (stopped.state, stopped.error) == ("stopped", "")
    assert 2 <= stopped.step < 20
    again = lab.resume_run(row.id)
    assert again.finished_at is None and again.state in ("queued", "running")
    until(lab, row.id, lambda row: row.state == "running" and row.step > stopped.step)
    assert f"start at {stopped.step}" in lab.log(row.id)
    with pytest.raises(StudioError, match="is running; only one that ended early"):
        lab.resume_run(row.id)
    lab.stop_run(row.id)
    assert lab.wait_run(row.id, 10).state == "stopped"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("crash", "ZeroDivisionError: pretended bug"),
        ("broken", "ImportError: no module named pretended"),
        ("fail", "The loss is not a number."),
    ],
)
def test_a_failed_run_says_why(lab, config, name, error):
    row = lab.wait_run(lab.train(config(name=name)).id, 30)
    assert row.state == "failed"
    assert row.error.endswith(error)
    assert row.adapter_id == ""


def test_a_killed_run_is_interrupted_and_resumable(lab, config):
    row = lab.train(config(epochs=20))
    pid = until(lab, row.id, lambda row: row.step >= 1).pid
    os.kill(pid, signal.SIGKILL)
    ended = lab.wait_run(row.id, 10)
    assert ended.state == "interrupted"
    assert "ended from outside by signal 9. Resume it." in ended.error
    assert lab.resume_run(row.id).state == "queued"
    lab.stop_run(row.id)
    assert lab.wait_run(row.id, 20).state == "stopped"


def test_a_run_goes_on_without_the_app_and_is_found_finished(
    lab, studio, config, tmp_path, no_engines
):
    row = lab.train(config(epochs=3))
    pid = until(lab, row.id, lambda row: row.step >= 2).pid
    lab.close()
    studio.close()
    assert processes.is_alive(pid, studio.settings.data / "runs" / row.id)
    deadline = time.monotonic() + 20
    while processes.is_alive(pid, studio.settings.data / "runs" / row.id):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with Studio(make_settings(tmp_path)) as later, Lab(later) as again:
        found = again.store.runs.get(row.id)
        assert (found.state, found.step, found.best, found.pid) == ("done", 15, 1.0, pid)


def test_a_running_run_is_followed_again_and_a_dead_one_can_be_resumed(
    lab, studio, config, tmp_path
):
    row = lab.train(config(epochs=20))
    pid = until(lab, row.id, lambda row: row.step >= 1).pid
    lab.close()
    with Lab(studio) as again:
        found = again.run(row.id)
        assert (found.state, found.pid) == ("running", pid)
        until(again, row.id, lambda row: row.step > found.step)
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], 5)
    with Lab(studio) as again:
        assert again.run(row.id).state == "interrupted"


def test_the_number_of_a_stranger_is_not_taken_for_a_run(lab, studio, config):
    row = lab.train(config(epochs=20))
    until(lab, row.id, lambda row: row.step >= 1)
    folder = studio.store.folder("runs") / row.id
    assert not processes.is_alive(os.getpid(), folder)
    assert not processes.is_alive(lab.run(row.id).pid, folder.parent / "another")
    lab.delete_run(row.id)


def test_folders_that_the_store_does_not_know_are_taken_in(lab, studio, config):
    row = lab.train(config(name="from the command line", epochs=1))
    lab.wait_run(row.id, 30)
    runs = studio.store.folder("runs")
    shutil.copytree(runs / row.id, runs / "by-hand")
    (runs / "junk").mkdir()
    lab.close()
    with Lab(studio) as again:
        found = again.run("by-hand")
        assert (found.name, found.state, found.best) == ("from the command line", "done", 3.0)
        assert (found.base, found.dataset_id) == ("tiny", row.dataset_id)
        assert {run.id for run in again.runs()} == {row.id, "by-hand"}


def test_deleting_stops_the_process_and_removes_the_folder(lab, studio, config):
    row = lab.train(config(epochs=20))
    pid = until(lab, row.id, lambda row: row.step >= 1).pid
    folder = studio.store.folder("runs") / row.id
    lab.delete_run(row.id)
    assert not processes.is_alive(pid, folder)
    assert not folder.exists()
    with pytest.raises(NotFound):
        lab.run(row.id)


def test_runs_are_compared_by_what_differs(lab, config):
    ids = [
        lab.train(config(epochs=epochs, learning_rate=rate)).id
        for epochs, rate in ((1, 1e-4), (2, 1e-4))
    ]
    for run_id in ids:
        lab.wait_run(run_id, 30)
    found = lab.compare(ids)
    assert found.differences == {"epochs": (1, 2)}
    assert [metrics["loss"] for metrics in found.metrics] == [3.0, 1.5]


# --- bad input ------------------------------------------------------------------------------


def test_what_cannot_be_trained_is_refused_before_anything_exists(lab, studio, config, clip):
    with pytest.raises(InvalidParams, match=r"epochs.*learning_rat"):
        lab.train(config(epochs=0, learning_rat=1))
    with pytest.raises(StudioError, match=r"no base 'huge'.*tiny") as error:
        lab.train(config(base="huge"))
    assert error.value.field == "base"
    with pytest.raises(NotReady, match="not on this machine yet"):
        lab.train(config(base="musicgen-small"))
    with pytest.raises(StudioError, match="Choose a dataset"):
        lab.train(config(dataset=""))
    with pytest.raises(StorageError, match="no dataset nowhere"):
        lab.train(config(dataset="nowhere"))
    with pytest.raises(StudioError, match=r"dpo learns from a preference dataset.*supervised one"):
        lab.train(config(method="dpo"))
    lonely = clip("lonely")
    studio.store.judgements.rate(lonely.id, "melody", 5, "ann")
    one = lab.create_dataset("one", DatasetFilter(criterion="melody"))
    with pytest.raises(StudioError, match="has 1 item; at least 2 are needed") as error:
        lab.train(config(dataset=one.id))
    assert error.value.field == "dataset"
    assert lab.runs() == []
    assert list(studio.store.folder("runs").iterdir()) == []


def test_a_full_disk_is_seen_before_the_start(lab, config, monkeypatch):
    monkeypatch.setattr(checks, "free_bytes", lambda path: 10**6)
    with pytest.raises(StudioError, match=r"needs about .* MB .* has 1 MB free"):
        lab.train(config())
    assert lab.runs() == []


def test_a_run_that_cannot_be_written_leaves_nothing(lab, studio, config, monkeypatch):
    from storage.base.errors import disk_full
    from training.lab import runs

    def full(path, content):
        raise disk_full(path)

    monkeypatch.setattr(runs, "write_whole", full)
    with pytest.raises(StorageError, match="disk full"):
        lab.train(config())
    assert lab.runs() == []
    assert list(studio.store.folder("runs").iterdir()) == []


def test_a_studio_without_musicgen_says_so(lab):
    with pytest.raises(StudioError, match=r"no engine 'musicgen'"):
        lab.train({"base": "tiny", "dataset": "x"})
