"""Clips: what is stored, changed, related, deleted and brought back."""

import sqlite3
from datetime import UTC, datetime

import numpy as np
import pytest

from storage import (
    ClipQuery,
    Clips,
    Count,
    DatasetFilter,
    Embedded,
    NotFound,
    Stimulus,
    StorageError,
    Store,
    read_tags,
)


def total(store, text):
    return store.clips.search(ClipQuery(text=text)).total


def test_a_row_holds_what_was_given(store, tone):
    parent = store.clips.add(tone, 24_000, engine="import", task="tts", peak_db=-6.02)
    clip = store.clips.add(
        np.stack([tone, tone]),
        24_000,
        engine="vevo",
        task="vc",
        text="Guten Tag",
        title="Gruß",
        settings={"steps": 32, "scale": 2.5},
        seed=7,
        revision="main@1",
        parents=[parent.id],
        peak_db=-6.02,
        loudness_lufs=-9.5,
        job_id="job1",
        partial=True,
        app_version="0.1.0",
        adapter="a1",
        adapter_scale=0.5,
        codes="c1.23",
    )
    assert store.clips.get(clip.id) == clip
    assert (clip.engine, clip.task, clip.text, clip.title) == ("vevo", "vc", "Guten Tag", "Gruß")
    assert (clip.settings, clip.seed) == ({"steps": 32, "scale": 2.5}, 7)
    assert (clip.duration_s, clip.sample_rate, clip.channels) == (1.0, 24_000, 2)
    assert (clip.peak_db, clip.loudness_lufs, clip.partial) == (-6.02, -9.5, True)
    assert (clip.parents, clip.job_id, clip.favorite) == ((parent.id,), "job1", False)
    assert clip.bytes == clip.path.stat().st_size
    assert clip.path.is_absolute()
    age = datetime.now(UTC) - datetime.fromisoformat(clip.created_at)
    assert 0 <= age.total_seconds() < 60
    assert len(clip.id) == 26
    assert store.clips.restore(clip.path) == Embedded(
        "vevo", "main@1", "a1", 0.5, {"steps": 32, "scale": 2.5}, 7, "Guten Tag", "Gruß",
        (parent.hash,), "c1.23", "0.1.0",
    )  # fmt: skip


def test_silence_and_odd_text_are_stored(add, store):
    clip = add(
        samples=np.zeros(100, np.float32), peak_db=-np.inf, text="a\ud800\0b", seed=2**32 - 1
    )
    assert store.clips.get(clip.id).peak_db == -np.inf
    assert clip.loudness_lufs is None
    assert clip.text == "a?\0b"
    assert clip.seed == 2**32 - 1


def test_same_settings_give_one_file_and_two_rows(add, store):
    first, second = add(text="same"), add(text="same")
    assert first.id < second.id
    assert first.path == second.path
    assert store.clips.find_by_hash(first.hash) == second
    assert store.clips.find_by_hash("0" * 64) is None


def test_a_row_that_fails_takes_its_file_along(add, store, monkeypatch):
    kept = add(text="kept")

    def fail(*arguments):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("storage.clips.library.insert_words", fail)
    for text in ("lost", "kept"):  # the second would use the file of the first clip
        with pytest.raises(StorageError, match="disk full"):
            add(text=text)
    files = [path for path in store.files.root.rglob("*") if path.is_file()]
    assert files == [kept.path]
    assert store.clips.search(ClipQuery()).total == 1


def test_restore_says_when_there_is_nothing(tmp_path):
    (tmp_path / "x.wav").write_text("nothing")
    with pytest.raises(StorageError, match=r"x\.wav holds no settings"):
        Clips.restore(tmp_path / "x.wav")


def test_changes_are_stored_and_found(add, store):
    clip = add(text="river")
    assert store.clips.rename(clip.id, "Evening Song").title == "Evening Song"
    assert store.clips.set_notes(clip.id, "too loud").notes == "too loud"
    assert store.clips.set_favorite(clip.id, True).favorite is True
    assert [total(store, word) for word in ("evening", "loud", "river")] == [1, 1, 1]
    store.clips.rename(clip.id, "Morning")
    assert [total(store, word) for word in ("evening", "morning")] == [0, 1]
    assert read_tags(clip.path).title == ""
    for change in (store.clips.rename, store.clips.set_notes, store.clips.add_tag):
        with pytest.raises(NotFound, match="no clip nobody"):
            change("nobody", "x")


def test_tags(add, store):
    one, two = add(text="one"), add(text="two")
    store.clips.add_tag(one.id, "  best   of ")
    assert store.clips.add_tag(one.id, "BEST of").tags == ("best of",)
    assert store.clips.add_tag(two.id, "夜").tags == ("夜",)
    assert store.clips.add_tag(two.id, "best of").tags == ("best of", "夜")
    assert store.clips.tags() == [Count("best of", 2), Count("夜", 1)]
    assert [total(store, word) for word in ("best", "夜")] == [2, 1]
    assert store.clips.search(ClipQuery(tag="Best Of")).total == 2
    assert store.clips.search(ClipQuery(tag="best")).total == 0
    assert store.clips.remove_tag(one.id, "Best of").tags == ()
    assert total(store, "best") == 1
    assert store.clips.remove_tag(one.id, "absent").tags == ()
    for bad in ("", "  ", "x" * 101):
        with pytest.raises(StorageError, match="1 to 100 characters"):
            store.clips.add_tag(one.id, bad)


def test_engines_are_counted(add, store):
    for engine in ("piper", "vevo", "piper"):
        add(engine=engine)
    assert store.clips.engines() == [Count("piper", 2), Count("vevo", 1)]


def test_lineage(add, store):
    root = add(text="root")
    left, right = add(text="l", parents=[root.id]), add(text="r", parents=[root.id])
    mixed = add(text="mix", parents=[right.id, left.id])
    last = add(text="last", parents=[mixed.id, "purged"])
    assert mixed.parents == (right.id, left.id)
    assert [clip.id for clip in store.clips.children(root.id)] == [left.id, right.id]
    lineage = store.clips.lineage(mixed.id)
    assert [clip.text for clip in lineage.ancestors] == ["root", "l", "r"]
    assert [clip.text for clip in lineage.descendants] == ["last"]
    assert [c.text for c in store.clips.lineage(root.id).descendants] == ["l", "r", "mix", "last"]
    assert last.parents == (mixed.id, "purged")
    assert read_tags(mixed.path).parents == (right.hash, left.hash)
    store.clips.delete([mixed.id])
    assert [c.text for c in store.clips.lineage(root.id).descendants] == ["l", "r", "last"]


def test_delete_and_undo_bring_everything_back(add, store):
    clip, other = add(text="river", title="t"), add(text="other")
    store.clips.add_tag(clip.id, "best")
    store.clips.set_favorite(clip.id, True)
    before = store.clips.set_notes(clip.id, "note")
    content = clip.path.read_bytes()
    token = store.clips.delete([clip.id])
    assert not clip.path.exists()
    with pytest.raises(NotFound):
        store.clips.get(clip.id)
    assert [total(store, word) for word in ("", "river", "best")] == [1, 0, 0]
    assert store.clips.tags() == []
    assert store.clips.search(ClipQuery(favorite=True)).total == 0
    with pytest.raises(NotFound, match="deleted already"):
        store.clips.delete([clip.id])
    assert store.clips.undelete(token) == [clip.id]
    assert store.clips.get(clip.id) == before
    assert clip.path.read_bytes() == content
    assert [total(store, word) for word in ("", "river", "best", "note")] == [2, 1, 1, 1]
    with pytest.raises(NotFound, match="no longer be undone"):
        store.clips.undelete(token)
    assert store.clips.get(other.id) == other


def test_a_shared_file_stays_until_its_last_clip_goes(add, store):
    one, two = add(text="same"), add(text="same")
    first = store.clips.delete([one.id])
    assert one.path.exists()
    second = store.clips.delete([two.id])
    assert not one.path.exists()
    assert store.clips.purge(first) == 1
    assert store.clips.undelete(second) == [two.id]
    assert two.path.exists()


def test_making_a_deleted_clip_again_and_undoing(add, store):
    old = add(text="same")
    token = store.clips.delete([old.id])
    new = add(text="same")
    assert new.path.exists()
    store.clips.undelete(token)
    assert store.clips.search(ClipQuery()).total == 2
    store.clips.delete([old.id])
    store.clips.purge()
    assert new.path.exists()


def test_purge_ends_deletions_for_good(add, store):
    clips = [add(text=f"clip{i}") for i in range(4)]
    store.clips.add_tag(clips[0].id, "gone")
    first = store.clips.delete([clips[0].id])
    second = store.clips.delete([clips[1].id, clips[2].id])
    assert store.clips.purge(first) == 1
    with pytest.raises(NotFound):
        store.clips.undelete(first)
    assert store.clips.undelete(second) == [clips[1].id, clips[2].id]
    second = store.clips.delete([clips[1].id, clips[2].id])
    assert store.clips.purge() == 2
    assert [path for path in store.files.trash.rglob("*") if path.is_file()] == []
    rows = store.db.query("SELECT (SELECT count(*) FROM clips), (SELECT count(*) FROM tags)")
    assert tuple(rows[0]) == (1, 0)


def test_clips_in_datasets_tests_and_adapters_outlive_their_deletion(tmp_path, tone):
    def add(store, text, level):
        return store.clips.add(
            tone * level, 24_000, engine="musicgen", task="music", text=text, peak_db=-6.0
        )

    with Store.open(tmp_path) as store:
        clips = [add(store, f"prompt {i // 2}", 0.1 + 0.1 * i) for i in range(6)]
        store.judgements.rate(clips[0].id, "overall", 5, "anna")
        store.judgements.rate(clips[5].id, "melody", 5, "anna")
        dataset = store.datasets.create("rated", DatasetFilter())
        store.judgements.prefer(clips[1].id, clips[0].id, rater="anna")
        pairs = store.datasets.create("pairs", DatasetFilter(kind="preference"))
        stimuli = [Stimulus(clips[2].id, "base"), Stimulus(clips[3].id, "warm")]
        test = store.tests.create("blind", "ab", [("prompt 1", stimuli)])
        adapter = store.adapters.add("warm", "small", "adapters/x", sample_clips=[clips[4].id])
        store.clips.delete([clip.id for clip in clips])
        assert [clip.path.exists() for clip in clips] == [True] * 5 + [False]
        assert store.clips.search(ClipQuery()).total == 0
    with Store.open(tmp_path) as store:
        assert [clip.path.exists() for clip in clips] == [True] * 5 + [False]
        assert store.db.query("SELECT count(*) FROM ratings")[0][0] == 1  # cascaded with its clip
        assert [item.clip_id for item in store.datasets.items(dataset.id)] == [clips[0].id]
        assert [item.rejected_id for item in store.datasets.items(pairs.id)] == [clips[0].id]
        assert store.tests.trials(test.id)[0].stimuli == tuple(stimuli)
        assert store.adapters.get(adapter.id).sample_clips == (clips[4].id,)
        store.tests.delete(test.id)
        assert store.clips.purge() == 2
        assert store.adapters.delete(adapter.id) == "deleted"
        assert store.datasets.delete(pairs.id) == "deleted"
        assert store.clips.purge() == 2
        assert [clip.path.exists() for clip in clips] == [True] + [False] * 5
        assert store.datasets.delete(dataset.id) == "deleted"
        assert store.clips.purge() == 1
        assert [path for path in store.files.root.rglob("*") if path.is_file()] == []


def test_a_deleted_clip_that_is_held_can_be_undeleted(add, store):
    clip = add(text="prompt")
    store.judgements.rate(clip.id, "overall", 5, "anna")
    store.datasets.create("rated", DatasetFilter())
    token = store.clips.delete([clip.id])
    assert store.clips.purge(token) == 0
    assert store.clips.undelete(token) == [clip.id]
    assert store.clips.get(clip.id) == clip
    assert clip.path.exists()


def test_opening_again_ends_deletions(tmp_path, tone):
    with Store.open(tmp_path) as store:
        clip = store.clips.add(tone, 24_000, engine="e", task="tts", peak_db=0.0)
        token = store.clips.delete([clip.id])
    with Store.open(tmp_path) as store, pytest.raises(NotFound):
        store.clips.undelete(token)
