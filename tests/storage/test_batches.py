"""Batches and their rows, and the ways to what was made before."""

import time

import pytest

from storage import NewRow, NotFound, RowState, StorageError
from storage.work.batches import owner_of


def rows(count):
    return [NewRow(n + 1, f"r{n}", {"text": f"text {n}", "seed": n}) for n in range(1, count + 1)]


def test_a_batch_counts_its_rows_by_state(store):
    batch = store.batches.add(" Some  rows ", "tone", rows(4), "rows.csv", "abc")
    assert (batch.name, batch.engine, batch.source, batch.digest) == (
        "Some rows", "tone", "rows.csv", "abc",
    )  # fmt: skip
    assert (batch.total, batch.open, batch.finished) == (4, 4, 0)
    store.batches.finish(batch.id, 1, RowState.DONE, job_id="j1", clip_ids=["c1", "c2"])
    store.batches.finish(batch.id, 2, RowState.FAILED, job_id="j2", error="no memory \ud800")
    store.batches.finish(batch.id, 3, RowState.REUSED, clip_ids=["c3"])
    batch = store.batches.get(batch.id)
    assert (batch.open, batch.done, batch.reused, batch.failed) == (1, 1, 1, 1)
    first, second, third, fourth = store.batches.rows(batch.id)
    assert (first.position, first.number, first.name) == (1, 2, "r1")
    assert (first.state, first.job_id, first.clip_ids) == (RowState.DONE, "j1", ("c1", "c2"))
    assert (second.error, third.clip_ids, fourth.finished_at) == ("no memory ?", ("c3",), None)
    assert first.finished_at <= third.finished_at
    assert store.batches.finished_since(batch.id, first.finished_at) == 2
    assert store.batches.finished_since(batch.id, "9999") == 0
    assert store.batches.reopen(batch.id) == 1
    again = store.batches.row(batch.id, 2)
    assert (again.state, again.error, again.job_id) == (RowState.OPEN, "", "j2")
    store.batches.set_settings(batch.id, 4, {"text": "other", "seed": 9})
    assert store.batches.row(batch.id, 4).settings == {"text": "other", "seed": 9}


def test_rows_come_in_pages_and_by_state(store):
    batch = store.batches.add("Pages", "tone", rows(10))
    for position in (2, 4, 6):
        store.batches.finish(batch.id, position, RowState.FAILED)
    assert [r.position for r in store.batches.rows(batch.id, limit=3, after=4)] == [5, 6, 7]
    failed = store.batches.rows(batch.id, RowState.FAILED, limit=2, offset=1)
    assert [r.position for r in failed] == [4, 6]


def test_ten_thousand_rows_are_stored_in_a_moment(store):
    started = time.monotonic()
    batch = store.batches.add("Many", "tone", rows(10_000))
    assert time.monotonic() - started < 20
    assert batch.total == 10_000
    assert store.batches.rows(batch.id, offset=9_990)[-1].name == "r10000"
    assert store.batches.amount(batch.id) == 10_000
    assert store.batches.amount(batch.id, "text") == sum(len(f"text {n}") for n in range(1, 10_001))
    assert store.batches.amount(batch.id, "seed") == 10_000 * 10_001 / 2


def test_drafts_are_not_listed_and_go(store):
    draft = store.batches.add("Draft", "tone", rows(1))
    begun = store.batches.add("Begun", "tone", rows(1))
    store.batches.set_job(begun.id, "job")
    assert [b.name for b in store.batches.list()] == ["Begun"]
    assert [b.name for b in store.batches.list(drafts=True)] == ["Draft"]
    assert store.batches.delete_drafts("2000") == []
    assert store.batches.delete_drafts() == [draft.id]
    assert store.batches.get(begun.id).job_id == "job"


def test_wrong_ids_and_names_are_refused(store):
    batch = store.batches.add("Right", "tone", rows(1))
    with pytest.raises(StorageError, match="1 to 100 characters"):
        store.batches.add(" ", "tone", rows(1))
    for call in (
        lambda: store.batches.get("x"),
        lambda: store.batches.delete("x"),
        lambda: store.batches.set_job("x", "job"),
        lambda: store.batches.row(batch.id, 2),
    ):
        with pytest.raises(NotFound):
            call()
    store.batches.delete(batch.id)
    assert store.batches.rows(batch.id) == []


def test_the_newest_job_of_each_row_is_found_by_its_owner(store):
    batch, other = (store.batches.add(name, "tone", rows(12)) for name in ("One", "Two"))
    made = [
        store.jobs.add("run", "tone", owner=owner_of(found.id, position)).id
        for found, position in ((batch, 1), (batch, 12), (other, 1), (batch, 1))
    ]
    store.jobs.add("run", "tone", owner="ann")
    assert {p: job.id for p, job in store.batches.jobs(batch.id).items()} == {
        1: made[3], 12: made[1],
    }  # fmt: skip


def test_what_was_made_before_is_found_by_its_settings(store, add):
    settings = {"text": "hello", "seed": 5, "pitch": 1.0}
    add(engine="tone", settings=settings, seed=5, partial=True)
    add(engine="other", settings=settings, seed=5)
    assert store.batches.made("tone", settings) == ()
    clip = add(engine="tone", settings=dict(reversed(settings.items())), seed=5)
    assert store.batches.made("tone", settings) == (clip.id,)
    assert store.batches.made("tone", settings | {"pitch": 2.0}) == ()
    token = store.clips.delete([clip.id])
    assert store.batches.made("tone", settings) == ()
    store.clips.undelete(token)
    without = {"source": "a.flac"}
    turned = add(engine="reverse", settings=without, seed=None)
    assert store.batches.made("reverse", without) == (turned.id,)


def test_several_clips_of_one_run_are_found_by_their_job(store, add):
    settings = {"prompt": "calm", "variations": 2, "seed": 5}
    clips = [add(engine="strum", settings={"n": n}, seed=n) for n in range(2)]
    job = store.jobs.add("run", "strum", settings=settings)
    store.jobs.update(job.id, clip_ids=[clip.id for clip in clips])
    assert store.batches.made("strum", settings) == ()
    store.jobs.update(job.id, state="done")
    assert store.batches.made("strum", settings) == tuple(clip.id for clip in clips)
    store.clips.delete([clips[0].id])
    assert store.batches.made("strum", settings) == ()


def test_lookups_use_their_indexes(store):
    plan = store.db.query(
        "EXPLAIN QUERY PLAN SELECT id FROM clips INDEXED BY clips_made WHERE deleted IS NULL"
        " AND partial = 0 AND seed IS 5 AND length(settings) = 40"
    )
    assert "SEARCH clips USING INDEX clips_made (seed=? AND <expr>=?)" in plan[0]["detail"]


def test_rows_of_batches_can_be_left_out_of_jobs(store):
    for owner in ("ann", "batch:1/1", "batch:1/2", ""):
        store.jobs.add("run", owner=owner)
    assert [job.owner for job in store.jobs.list(without="batch:")] == ["", "ann"]
    assert [job.owner for job in store.jobs.list(within="batch:1/")] == ["batch:1/2", "batch:1/1"]
    assert store.jobs.counts(without="batch:")["queued"] == 2
    assert store.jobs.counts()["queued"] == 4
