"""Adapters with their versions, runs with their experiments."""

import pytest

from storage import DatasetFilter, NotFound, RunState, Stimulus, StorageError


def test_a_name_has_versions(store, make):
    clip = make()
    first = store.adapters.add(
        "warm", "musicgen-small", "adapters/one", id="one", base_revision="abc", hash="h",
        run_id="r", dataset_id="d", config={"lora_r": 8}, metrics={"loss": 1.5},
        sample_clips=[clip.id], notes="n",
    )  # fmt: skip
    second = store.adapters.add("Warm", "musicgen-small", "x", source="imported")
    other = store.adapters.add("cold", "musicgen-large", "x")
    assert (first.id, first.label, second.label, other.label) == (
        "one", "warm v1", "Warm v2", "cold v1",
    )  # fmt: skip
    assert (first.folder, first.base_revision, first.hash) == ("adapters/one", "abc", "h")
    assert (first.config, first.metrics, first.notes) == ({"lora_r": 8}, {"loss": 1.5}, "n")
    assert (first.sample_clips, first.run_id, first.dataset_id) == ((clip.id,), "r", "d")
    assert (first.source, second.source) == ("trained", "imported")
    assert (first.active, first.scale, first.archived) == (False, 1.0, False)
    assert [row.label for row in store.adapters.list()] == ["cold v1", "Warm v2", "warm v1"]
    assert [row.label for row in store.adapters.list("musicgen-large")] == ["cold v1"]
    with pytest.raises(StorageError, match="no source of an adapter"):
        store.adapters.add("x", "b", "f", source="stolen")
    with pytest.raises(NotFound, match="no clip nobody"):
        store.adapters.add("x", "b", "f", sample_clips=["nobody"])
    assert len(store.adapters.list()) == 3


def test_adapters_change(store):
    one = store.adapters.add("warm", "b", "f")
    two = store.adapters.add("cold", "b", "f")
    assert store.adapters.rename(two.id, " warm ").label == "warm v2"
    assert store.adapters.rename(one.id, "Warm").label == "Warm v1"
    assert store.adapters.set_notes(one.id, "good").notes == "good"
    row = store.adapters.activate(one.id, 0.5)
    assert (row.active, row.scale) == (True, 0.5)
    row = store.adapters.activate(one.id, None)
    assert (row.active, row.scale) == (False, 0.5)
    for wrong in (2.1, -0.1, True, float("nan")):
        with pytest.raises(StorageError, match="from 0 to 2"):
            store.adapters.activate(one.id, wrong)
    store.adapters.activate(one.id, 2)
    assert store.adapters.archive(one.id).active is False
    assert [row.id for row in store.adapters.list(archived=True)] == [one.id]
    with pytest.raises(StorageError, match="is archived"):
        store.adapters.activate(one.id, 1)
    assert store.adapters.archive(one.id, False).archived is False
    for verb in (store.adapters.get, store.adapters.delete, store.adapters.archive):
        with pytest.raises(NotFound, match="no adapter"):
            verb("nobody")


def test_an_adapter_in_use_is_archived_instead_of_deleted(store, make):
    used, free = (store.adapters.add(name, "b", "f") for name in ("used", "free"))
    run = store.runs.add("run", "sft", "b")
    store.runs.update(run.id, adapter_id=free.id)
    one, two = make(adapter=f"other + {used.id}"), make(adapter=used.id)
    store.judgements.rate(two.id, "overall", 5, "anna")
    trial = [Stimulus(one.id, "base"), Stimulus(two.id, "used")]
    store.tests.create("Blind", "ab", [("prompt", trial)], adapter_id=used.id)
    store.datasets.create("warm ones", DatasetFilter(adapter=used.id))
    assert store.adapters.references(used.id) == [
        "2 clips", "the test 'Blind'", "the dataset 'warm ones'",
    ]  # fmt: skip
    assert store.adapters.references(free.id) == []
    assert store.adapters.delete(used.id) == "archived"
    assert store.adapters.get(used.id).archived is True
    assert store.adapters.delete(free.id) == "deleted"
    assert store.runs.get(run.id).adapter_id == ""
    with pytest.raises(NotFound):
        store.adapters.get(free.id)


def test_runs_belong_to_experiments(store):
    group = store.runs.add_experiment("Warm sounds", "why")
    assert store.runs.add_experiment(" warm SOUNDS ") == group
    run = store.runs.add(
        "first", "dpo", "musicgen-small", "d", {"epochs": 3}, experiment_id=group.id, id="folder"
    )
    loose = store.runs.add("loose", "sft", "b")
    assert (run.id, run.method, run.dataset_id, run.config) == ("folder", "dpo", "d", {"epochs": 3})
    assert (run.state, run.progress, run.best, run.pid) == (RunState.QUEUED, 0.0, None, None)
    assert [row.id for row in store.runs.list()] == [loose.id, run.id]
    assert [row.id for row in store.runs.list(group.id)] == [run.id]
    assert [row.name for row in store.runs.experiments()] == ["Experiment", "Warm sounds"]
    assert store.runs.archive_experiment(group.id).archived is True
    assert [row.name for row in store.runs.experiments(archived=True)] == ["Warm sounds"]
    assert store.runs.rename(run.id, " second ").name == "second"
    with pytest.raises(NotFound, match="no experiment"):
        store.runs.add("x", "sft", "b", experiment_id="nobody")


def test_a_run_goes_its_way(store):
    run = store.runs.add("first", "sft", "b")
    started = store.runs.update(run.id, state="running", pid=7, progress=0.5, epoch=1, step=10)
    assert (started.state, started.pid, started.progress) == (RunState.RUNNING, 7, 0.5)
    assert started.started_at and started.finished_at is None
    with pytest.raises(StorageError, match="stop it first"):
        store.runs.delete(run.id)
    stopped = store.runs.update(run.id, state=RunState.STOPPED, best=1.25, metrics={"loss": 1.25})
    assert stopped.finished_at >= stopped.started_at == started.started_at
    assert (stopped.best, stopped.metrics) == (1.25, {"loss": 1.25})
    again = store.runs.update(run.id, state="running")
    assert (again.started_at, again.finished_at) == (started.started_at, None)
    done = store.runs.update(run.id, state="done", finished_at="2030", error="")
    assert done.finished_at == "2030"
    assert store.runs.list(states=["queued", "running"]) == []
    assert store.runs.list(states=[RunState.DONE]) == [done]
    for wrong in ({"id": "x"}, {"speed": 3}, {}):
        with pytest.raises(ValueError, match="not fields of a run"):
            store.runs.update(run.id, **wrong)
    store.runs.delete(run.id)
    for verb in (store.runs.get, store.runs.delete, lambda id: store.runs.update(id, step=1)):
        with pytest.raises(NotFound, match="no run"):
            verb(run.id)
