"""Jobs, presets and settings."""

import pytest

from storage import JobState, NotFound, StorageError


def test_a_job_from_queue_to_end(store):
    job = store.jobs.add(
        "run", "piper", "tts", {"text": "hi", "speed": 1.5}, owner="anna", device="cpu"
    )
    assert (job.state, job.progress, job.started_at) == (JobState.QUEUED, 0.0, None)
    assert (job.kind, job.engine, job.task, job.owner) == ("run", "piper", "tts", "anna")
    assert job.settings == {"text": "hi", "speed": 1.5}
    store.jobs.update(job.id, state=JobState.RUNNING)
    running = store.jobs.get(job.id)
    assert running.state is JobState.RUNNING
    assert running.started_at >= running.created_at
    store.jobs.update(job.id, progress=0.5, note="step 5 of 10", clip_ids=["a", "b"])
    store.jobs.update(job.id, state=JobState.DONE, progress=1.0, report={"wer": 0.02})
    done = store.jobs.get(job.id)
    assert (done.progress, done.note, done.clip_ids) == (1.0, "step 5 of 10", ("a", "b"))
    assert (done.report, done.error) == ({"wer": 0.02}, "")
    assert done.finished_at >= done.started_at
    assert running.started_at == done.started_at


def test_wrong_names_and_ids_are_refused(store):
    job = store.jobs.add("load")
    for changes in ({"colour": 1}, {"id": "x"}, {}):
        with pytest.raises(ValueError, match="not fields"):
            store.jobs.update(job.id, **changes)
    with pytest.raises(NotFound, match="no job x"):
        store.jobs.get("x")
    with pytest.raises(NotFound, match="no job x"):
        store.jobs.update("x", progress=1)


def test_lists_counts_and_the_queue(store):
    jobs = [store.jobs.add("run", owner="ab"[i % 2], device=f"cuda:{i % 2}") for i in range(6)]
    ids = [job.id for job in jobs]
    store.jobs.update(ids[0], state=JobState.RUNNING)
    store.jobs.update(ids[1], state=JobState.FAILED, error="no memory \ud800")
    assert store.jobs.get(ids[1]).error == "no memory ?"
    assert [job.id for job in store.jobs.list()] == ids[::-1]
    assert [job.id for job in store.jobs.list(limit=2, offset=1)] == [ids[4], ids[3]]
    ended = store.jobs.list([JobState.FAILED, JobState.RUNNING])
    assert [job.id for job in ended] == [ids[1], ids[0]]
    assert [job.id for job in store.jobs.list(owner="b")] == [ids[5], ids[3], ids[1]]
    assert store.jobs.list([]) == []
    assert store.jobs.next_queued().id == ids[2]
    assert store.jobs.next_queued("cuda:1").id == ids[3]
    assert store.jobs.next_queued("cpu") is None
    assert store.jobs.counts() == {
        "queued": 4, "running": 1, "done": 0, "failed": 1, "cancelled": 0, "interrupted": 0,
    }  # fmt: skip


def test_running_jobs_become_interrupted(store):
    jobs = [store.jobs.add("run") for _ in range(3)]
    store.jobs.update(jobs[0].id, state=JobState.RUNNING, clip_ids=["kept"])
    store.jobs.update(jobs[2].id, state=JobState.RUNNING)
    marked = store.jobs.mark_interrupted()
    assert [job.id for job in marked] == [jobs[0].id, jobs[2].id]
    assert all(job.state is JobState.INTERRUPTED and job.finished_at for job in marked)
    assert marked[0].clip_ids == ("kept",)
    assert store.jobs.get(jobs[1].id).state is JobState.QUEUED
    assert store.jobs.mark_interrupted() == []
    again = store.jobs.add("run", retry_of=jobs[0].id)
    assert store.jobs.get(again.id).retry_of == jobs[0].id


def test_prune_keeps_the_newest_and_all_that_wait(store):
    jobs = [store.jobs.add("run") for _ in range(6)]
    for job in jobs[1:5]:
        store.jobs.update(job.id, state=JobState.DONE)
    assert store.jobs.prune(keep=2) == 2
    left = [job.id for job in store.jobs.list()]
    assert left == [jobs[i].id for i in (5, 4, 3, 0)]


def test_presets(store):
    store.presets.save("piper", " Slow  voice ", {"speed": 0.8})
    store.presets.save("piper", "fast", {"speed": 1.5})
    store.presets.save("vevo", "fast", {"steps": 8})
    assert store.presets.save("piper", "fast", {"speed": 2}).settings == {"speed": 2}
    assert [preset.name for preset in store.presets.list("piper")] == ["fast", "Slow voice"]
    assert store.presets.get("vevo", "fast").settings == {"steps": 8}
    store.presets.delete("piper", "fast")
    for action in (store.presets.get, store.presets.delete):
        with pytest.raises(NotFound, match="no preset 'fast' of piper"):
            action("piper", "fast")
    with pytest.raises(StorageError, match="1 to 100 characters"):
        store.presets.save("piper", "  ", {})


def test_settings(store):
    assert store.settings.get("theme") is None
    assert store.settings.get("theme", "light") == "light"
    store.settings.set("theme", "dark")
    store.settings.set("widths", [1, 2.5, None])
    store.settings.set("theme", None)
    assert store.settings.all() == {"theme": None, "widths": [1, 2.5, None]}
    assert store.settings.get("theme", "light") is None
    store.settings.delete("theme")
    store.settings.delete("theme")
    assert store.settings.all() == {"widths": [1, 2.5, None]}
