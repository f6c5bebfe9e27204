"""Jobs: progress, cancel, queue, crash, memory; driven by the one fake engine."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from engines.base import InvalidParams, Report, StudioError
from engines.studio import Studio
from engines.studio.runner import Errand
from engines.studio.settings import Settings
from storage import JobState
from tests.conftest import make_settings
from tests.fakes import Hungry, Tone


def test_a_job_goes_from_queued_to_done_with_its_clip(studio):
    job = studio.submit("tone", {"text": "la la", "steps": 3, "seed": 7})
    ended = studio.wait(job.id, 30)
    assert (ended.state, ended.progress, ended.error) == (JobState.DONE, 1.0, "")
    clip = studio.clip(ended.clip_ids[0])
    assert (clip.duration_s, clip.sample_rate, clip.text, clip.seed) == (0.75, 16000, "la la", 7)
    assert (clip.engine, clip.job_id, clip.partial) == ("tone", job.id, False)
    assert clip.settings == {
        "text": "la la", "pitch_hz": 440.0, "shape": "sine", "steps": 3, "step_s": 0.0,
        "loud": False, "fail": "", "seed": 7,
    }  # fmt: skip
    assert -14 < clip.peak_db < -12


def test_the_drawn_seed_is_stored_and_gives_the_same_bytes_again(studio):
    first = studio.make("tone", text="a", timeout_s=30)[0]
    assert first.seed != -1
    again = studio.make("tone", **studio.settings_of(first.id).settings, timeout_s=30)[0]
    other = studio.make("tone", text="a", timeout_s=30)[0]
    assert again.hash == first.hash
    assert other.hash != first.hash


def test_invalid_values_are_refused_before_a_job_exists(studio):
    with pytest.raises(InvalidParams) as error:
        studio.submit("tone", {"text": "", "pitch_hz": 1, "loudness": 3})
    assert set(error.value.problems) == {"text", "pitch_hz", "loudness"}
    with pytest.raises(StudioError, match=r"no engine 'tune'.*tone, hungry"):
        studio.submit("tune", {"text": "a"})
    assert studio.jobs.list() == []


def test_followers_see_every_piece_in_order_and_the_clip_is_their_sum(studio):
    job = studio.submit("tone", {"text": "a", "steps": 5, "step_s": 0.05, "seed": 1})
    pieces, notes = [], []
    for update in studio.follow(job.id):
        pieces += update.pieces
        notes.append(update.note)
    late = [piece for update in studio.follow(job.id) for piece in update.pieces]
    assert len(pieces) == len(late) == 5
    assert "step 3 of 5" in notes
    import soundfile

    stored, _ = soundfile.read(studio.clip(studio.job(job.id).clip_ids[0]).path, dtype="float32")
    np.testing.assert_allclose(stored, np.concatenate(pieces), atol=2**-23)


def test_cancel_stops_within_one_step_and_keeps_what_was_made(studio):
    job = studio.submit("tone", {"text": "a", "steps": 100, "step_s": 0.1})
    for update in studio.follow(job.id):
        if update.progress >= 0.03:
            break
    asked = time.monotonic()
    studio.cancel(job.id)
    ended = studio.wait(job.id, 5)
    assert time.monotonic() - asked < 1
    assert ended.state is JobState.CANCELLED
    clip = studio.clip(ended.clip_ids[0])
    assert clip.partial
    assert 0.75 <= clip.duration_s < 5


def test_a_queued_job_is_cancelled_at_once_and_never_runs(studio):
    running = studio.submit("tone", {"text": "a", "steps": 20, "step_s": 0.1})
    waiting = studio.submit("tone", {"text": "b"})
    first = next(iter(studio.follow(waiting.id)))
    assert (first.job.state, first.ahead) == (JobState.QUEUED, 1)
    assert studio.cancel(waiting.id).state is JobState.CANCELLED
    assert studio.wait(running.id, 30).state is JobState.DONE
    assert studio.job(waiting.id).clip_ids == ()


def test_jobs_run_one_at_a_time_in_order(studio):
    ids = [studio.submit("tone", {"text": str(n), "step_s": 0.05}).id for n in range(4)]
    rows = [studio.wait(job_id, 30) for job_id in ids]
    for earlier, later in itertools.pairwise(rows):
        assert earlier.finished_at <= later.started_at


def test_an_ended_job_can_be_run_again_with_the_same_bytes(studio):
    first = studio.wait(studio.submit("tone", {"text": "a"}).id, 30)
    again = studio.wait(studio.retry(first.id).id, 30)
    assert studio.clip(again.clip_ids[0]).hash == studio.clip(first.clip_ids[0]).hash


def test_memory_that_runs_out_once_is_retried_with_everything_else_unloaded(studio):
    studio.make("hungry", text="fills memory", timeout_s=30)
    clips = studio.make("tone", text="a", fail="oom", timeout_s=30)
    assert clips[0].duration_s == 0.5
    assert studio.engine("hungry").unloads == 1


def test_memory_that_runs_out_twice_fails_with_advice(studio):
    with pytest.raises(StudioError, match=r"Memory ran out twice.*shorter input"):
        studio.make("tone", text="a", fail="oom always", timeout_s=30)


def test_a_bug_in_an_engine_fails_its_job_only(studio):
    job = studio.wait(studio.submit("tone", {"text": "a", "fail": "crash"}).id, 30)
    assert (job.state, job.error) == (JobState.FAILED, "ZeroDivisionError: pretended bug")
    assert studio.clip(job.clip_ids[0]).partial
    assert studio.make("tone", text="still alive", timeout_s=30)


def test_a_full_disk_fails_the_job_and_the_next_one_works(studio, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        job = studio.wait(studio.submit("tone", {"text": "a"}).id, 30)
    assert job.state is JobState.FAILED
    assert "full" in job.error.lower()
    assert studio.make("tone", text="a", timeout_s=30)


def test_an_errand_is_a_job_with_progress_report_retry_and_cancel(tmp_path, no_engines):
    told, started = [], threading.Event()

    def errand(job, context):
        started.set()
        for step in range(job.settings["steps"]):
            context.check()
            context.progress(step + 1, job.settings["steps"], f"step {step + 1}")
            time.sleep(job.settings["step_s"])
        told.append(job.settings)
        return Report({"sum": sum(range(job.settings["steps"]))})

    studio = Studio(make_settings(tmp_path))
    studio.runner.adopt("count", Errand("desk", errand))
    with pytest.raises(ValueError, match="done already"):
        studio.runner.adopt("run", Errand("desk", errand))
    with studio:
        job = studio.runner.submit("count", "", {"steps": 3, "step_s": 0}, "ann")
        ended = studio.wait(job.id, 30)
        assert (ended.state, ended.report) == (JobState.DONE, {"values": {"sum": 3}, "rows": []})
        assert (ended.engine, ended.task, ended.device, ended.owner) == ("", "", "desk", "ann")
        again = studio.wait(studio.retry(job.id).id, 30)
        assert (again.state, again.retry_of, len(told)) == (JobState.DONE, job.id, 2)
        started.clear()
        long = studio.runner.submit("count", "", {"steps": 1000, "step_s": 0.05})
        assert started.wait(30)
        studio.cancel(long.id)
        assert studio.wait(long.id, 30).state is JobState.CANCELLED


def test_load_and_unload_by_hand(studio):
    assert studio.wait(studio.load("tone").id, 30).state is JobState.DONE
    assert studio.runtime.is_loaded("tone")
    assert studio.unload("tone") is True
    assert studio.unload("tone") is False


def test_a_clean_stop_interrupts_and_keeps(tmp_path, no_engines):
    studio = Studio(Settings(_cli_parse_args=[], data=tmp_path))
    studio.registry.add(Tone)
    studio.start()
    job = studio.submit("tone", {"text": "a", "steps": 500, "step_s": 0.1})
    for update in studio.follow(job.id):
        if update.pieces:
            break
    studio.close()
    with Studio(Settings(_cli_parse_args=[], data=tmp_path)) as reopened:
        row = reopened.job(job.id)
        assert row.state is JobState.INTERRUPTED
        assert reopened.clip(row.clip_ids[0]).partial


CRASH = """
import sys, time
from engines.studio.settings import Settings
from engines.studio import Studio
from tests.fakes import Tone
studio = Studio(Settings(_cli_parse_args=[], data=sys.argv[1]))
studio.registry.add(Tone)
studio.start()
job = studio.submit("tone", {"text": "long", "steps": 500, "step_s": 0.1, "seed": 3})
queued = studio.submit("tone", {"text": "short", "seed": 4})
for update in studio.follow(job.id):
    if update.progress >= 4 / 500:
        print(job.id, queued.id, flush=True)
        time.sleep(60)
"""


def test_after_kill_9_pieces_are_kept_and_the_queue_goes_on(tmp_path, no_engines):
    process = subprocess.Popen(
        [sys.executable, "-c", CRASH, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    job_id, queued_id = process.stdout.readline().split()
    process.send_signal(signal.SIGKILL)
    process.wait()
    studio = Studio(Settings(_cli_parse_args=[], data=tmp_path))
    studio.registry.add(Tone)
    with studio:
        job = studio.job(job_id)
        assert job.state is JobState.INTERRUPTED
        clip = studio.clip(job.clip_ids[0])
        assert clip.partial
        assert clip.duration_s >= 1.0
        assert clip.settings["seed"] == 3
        assert studio.wait(queued_id, 30).state is JobState.DONE
        assert not (studio.store.folder("work") / job_id).exists()


def test_a_second_process_on_the_same_folder_is_told(studio):
    done = subprocess.run(
        [sys.executable, "app.py", "--data", str(studio.settings.data), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3
    assert "in use by process" in done.stderr
    assert str(os.getpid()) in done.stderr


def test_memory_budget_unloads_across_jobs(tmp_path, no_engines):
    studio = Studio(Settings(_cli_parse_args=[], data=tmp_path, memory_gb=1.0))
    studio.registry.add(Tone)
    studio.registry.add(Hungry)
    with studio:
        studio.make("tone", text="a", timeout_s=30)
        studio.make("hungry", text="a", timeout_s=30)
        assert [entry.engine.card.id for entry in studio.runtime.loaded()] == ["hungry"]
