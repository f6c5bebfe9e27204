"""Datasets: what each filter finds, how judgements are summed up, what freezing means."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from storage import (
    DatasetCount,
    DatasetFilter,
    NewItem,
    NotFound,
    StorageError,
    Store,
)


@pytest.fixture
def rate(store):
    """Rate a clip overall by anna, ben, chloe ... in this order."""

    def rate_clip(clip, *values, criterion="overall"):
        for rater, value in zip(("anna", "ben", "chloe", "dora"), values, strict=False):
            store.judgements.rate(clip.id, criterion, value, rater)
        return clip

    return rate_clip


@pytest.fixture
def prefer(store):
    """Say for several raters which of two clips is better: 1 the first, -1 the other, 0 a tie."""

    def prefer_one(one, other, *opinions, strength=1):
        for rater, opinion in zip(("anna", "ben", "chloe", "dora"), opinions, strict=False):
            pair = (one.id, other.id) if opinion >= 0 else (other.id, one.id)
            store.judgements.prefer(*pair, rater=rater, tie=opinion == 0, strength=strength)

    return prefer_one


@pytest.fixture
def found(store):
    """Ids of the clips, or pairs of ids, that a filter finds; checked against ``count``."""

    def find(**values):
        filter = DatasetFilter(**values)
        items = store.datasets.select(filter, None)
        assert store.datasets.count(filter).items == len(items)
        if filter.kind == "preference":
            return [(item.clip_id, item.rejected_id) for item in items]
        return [item.clip_id for item in items]

    return find


def pairs(**values):
    return {"kind": "preference", **values}


# supervised: how ratings are summed up


def test_a_rating_is_the_mean_over_raters(store, make, rate):
    one = rate(make("rain"), 5, 4, 4)
    two = rate(make("snow"), 2)
    rate(make("sun"), 5, criterion="melody")
    make("fog")
    assert store.datasets.count(DatasetFilter()) == DatasetCount(2, 2, 2, pytest.approx(0.2))
    first, second = store.datasets.select(DatasetFilter())
    assert (first.clip_id, first.prompt, first.hash, first.file) == (
        one.id, "rain", one.hash, one.path,
    )  # fmt: skip
    assert (first.rating, first.raters, first.duration_s) == (4.333333, 3, 0.1)
    assert (second.clip_id, second.rating, second.position) == (two.id, 2.0, 1)
    assert (first.rejected_id, first.rejected_hash, first.rejected_file) == ("", "", None)
    assert (first.strength, first.split) == (None, "")
    assert store.datasets.select(DatasetFilter(), limit=1, offset=1) == [second]


def test_criterion_rating_and_raters(make, rate, found):
    high = rate(make(), 5, 4)
    third = rate(make(), 4, 4, 5)
    low = rate(rate(make(), 1), 5, criterion="melody")
    assert found(min_rating=4.5) == [high.id]
    assert found(min_rating=13 / 3) == [high.id, third.id]
    assert found(min_rating=4.3334) == [high.id]
    assert found(min_raters=2) == [high.id, third.id]
    assert found(min_raters=3) == [third.id]
    assert found(criterion="melody") == [low.id]
    assert found(criterion="melody", min_rating=5.0, min_raters=2) == []


def test_tags_in_and_out(store, make, rate, found):
    plain, keep, both = (rate(make(), 4) for _ in range(3))
    for clip, tag in ((keep, "Keep"), (both, "keep"), (both, "Hiss")):
        store.clips.add_tag(clip.id, tag)
    store.judgements.mark(keep.id, "warm", "anna", True)
    assert found(tags_in=("keep",)) == [keep.id, both.id]
    assert found(tags_in=["KEEP ", "hiss"]) == [both.id]
    assert found(tags_out=("hiss",)) == [plain.id, keep.id]
    assert found(tags_in=("keep",), tags_out=("hiss", "none such")) == [keep.id]
    assert found(tags_in=("warm",)) == [keep.id]
    assert found(tags_in=("none such",)) == []
    with pytest.raises(StorageError, match="'keep' is both asked for and left out"):
        found(tags_in=("Keep",), tags_out=("keep",))


def test_engine_task_and_adapter(make, rate, found):
    base = rate(make(), 4)
    one = rate(make(adapter="one"), 4)
    both = rate(make(adapter="two + one"), 4)
    speech = rate(make(engine="piper", task="tts", adapter="onerous"), 4)
    assert found(engine="musicgen") == [base.id, one.id, both.id]
    assert found(task="tts") == [speech.id]
    assert found(adapter="none") == [base.id]
    assert found(adapter="one") == [one.id, both.id]
    assert found(adapter="two", engine="piper") == []


def test_dates_are_whole_days(store, make, rate, found):
    days = [rate(make(), 4) for _ in range(3)]
    for day, clip in enumerate(days, start=1):
        moment = datetime(2026, 3, day, 23, 59, 59, 999_000, UTC).isoformat(timespec="milliseconds")
        with store.db.write() as transaction:
            transaction.execute("UPDATE clips SET created_at = ? WHERE id = ?", [moment, clip.id])
    assert found(date_from=date(2026, 3, 2)) == [days[1].id, days[2].id]
    assert found(date_to="2026-03-02") == [days[0].id, days[1].id]
    assert found(date_from="2026-03-02", date_to="2026-03-02") == [days[1].id]
    assert found(date_from=date(2026, 3, 3) + timedelta(days=1)) == []


def test_text_is_looked_for_in_the_prompt_alone(store, make, rate, found):
    piano = rate(make("slow piano, 80 bpm"), 4)
    other = rate(make("guitar", title="piano"), 4)
    store.clips.set_notes(other.id, "like a piano")
    store.clips.add_tag(other.id, "piano")
    assert found(text="PIA slow") == [piano.id]
    assert found(text='"slow piano"') == [piano.id]
    assert found(text="gui") == [other.id]
    assert found(text="; ?") == [piano.id, other.id]


def test_favourites_and_duration(store, add, make, rate, found, tone):
    short = rate(make(), 4)
    long = rate(add(samples=tone, text="long"), 4)
    store.clips.set_favorite(long.id, True)
    assert found(favorites=True) == [long.id]
    assert found(max_duration_s=0.1) == [short.id]
    assert found(max_duration_s=1.0) == [short.id, long.id]


def test_deleted_partial_and_wordless_clips_are_left_out(store, make, rate, found):
    kept, gone = rate(make(), 4), rate(make(), 4)
    rate(make(partial=True), 4)
    rate(make(" "), 4)
    store.clips.delete([gone.id])
    assert found() == [kept.id]


def test_equal_sounds_count_once_with_all_their_raters(store, make, found):
    one, other = make("rain", level=0.5), make("rain", level=0.5)
    alone = make("rain")
    assert one.hash == other.hash
    for clip, rater, value in (
        (one, "anna", 5), (other, "anna", 2), (other, "ben", 4), (one, "chloe", 4), (alone, "anna", 3)
    ):  # fmt: skip
        store.judgements.rate(clip.id, "overall", value, rater)
    first, second = store.datasets.select(DatasetFilter())
    assert (first.clip_id, first.rating, first.raters) == (one.id, 3.833333, 3)
    assert second.clip_id == alone.id
    assert store.datasets.count(DatasetFilter()).clips == 2
    assert found(min_raters=4) == []
    assert found(min_rating=3.8) == [one.id]


# preferences: how they are summed up


def test_the_majority_decides_a_pair(store, make, prefer):
    a, b, c, d = (make("rain") for _ in range(4))
    prefer(a, b, -1, 1, -1)  # b wins
    prefer(a, c, 1, -1)  # nobody wins
    prefer(a, d, 0, 0)  # ties say nothing
    prefer(c, d, 1, 0, strength=3)
    first, second = store.datasets.select(DatasetFilter(kind="preference"))
    assert (first.clip_id, first.rejected_id, first.raters) == (b.id, a.id, 3)
    assert (first.hash, first.rejected_hash) == (b.hash, a.hash)
    assert (first.file, first.rejected_file, first.prompt) == (b.path, a.path, "rain")
    assert (first.strength, first.rating) == (1.0, None)
    assert (second.clip_id, second.rejected_id) == (c.id, d.id)
    assert (second.raters, second.strength) == (1, 3.0)
    count = store.datasets.count(DatasetFilter(kind="preference"))
    assert count == DatasetCount(2, 4, 1, pytest.approx(0.4))


def test_strength_is_the_mean_of_those_who_agree(store, make, found):
    a, b = make(), make()
    for rater, chosen, strength in (("anna", a, 3), ("ben", a, 2), ("chloe", b, 1)):
        other = b if chosen is a else a
        store.judgements.prefer(chosen.id, other.id, rater=rater, strength=strength)
    (item,) = store.datasets.select(DatasetFilter(kind="preference"))
    assert (item.strength, item.raters) == (2.5, 3)
    assert found(**pairs(min_strength=2.5)) == [(a.id, b.id)]
    assert found(**pairs(min_strength=2.6)) == []
    assert found(**pairs(min_raters=3)) == [(a.id, b.id)]
    assert found(**pairs(min_raters=4)) == []


def test_how_clips_were_made_holds_for_both_of_a_pair(store, make, prefer, found):
    base, other = make("slow piano"), make("slow piano")
    warm, tuned = make("slow piano", adapter="warm"), make("slow piano", adapter="warm")
    prefer(warm, base, 1)
    prefer(other, base, 1)
    prefer(warm, tuned, 1)
    prefer(
        make("speech", engine="piper", task="tts"), make("speech", engine="piper", task="tts"), 1
    )
    kinds = [(warm.id, base.id), (other.id, base.id), (warm.id, tuned.id)]
    assert sorted(found(**pairs(engine="musicgen"))) == sorted(kinds)
    assert len(found(**pairs(task="tts"))) == 1
    assert found(**pairs(adapter="none", task="music")) == [(other.id, base.id)]
    assert found(**pairs(adapter="warm")) == [(warm.id, tuned.id)]
    assert len(found(**pairs(text="pian"))) == 3
    assert found(**pairs(max_duration_s=0.05)) == []
    today = datetime.now(UTC).date()
    assert len(found(**pairs(date_from=today, date_to=today))) == 4
    assert found(**pairs(date_to=today - timedelta(days=1))) == []
    store.clips.add_tag(tuned.id, "hiss")
    assert (warm.id, tuned.id) not in found(**pairs(tags_out=("hiss",)))
    store.clips.delete([other.id])
    assert found(**pairs(adapter="none", task="music")) == []


def test_praise_holds_for_the_better_clip_of_a_pair(store, make, prefer, rate, found):
    a, b, c, d = (make() for _ in range(4))
    prefer(b, a, 1)  # the newer wins
    prefer(c, d, 1)
    store.clips.add_tag(b.id, "keep")
    store.clips.add_tag(d.id, "keep")
    assert found(**pairs(tags_in=("keep",))) == [(b.id, a.id)]
    store.clips.set_favorite(c.id, True)
    store.clips.set_favorite(a.id, True)
    assert found(**pairs(favorites=True)) == [(c.id, d.id)]
    rate(rate(c, 4), 2, criterion="melody")
    rate(d, 5)
    assert found(**pairs(min_rating=4.0)) == [(c.id, d.id)]
    assert found(**pairs(min_rating=4.0, criterion="melody")) == []


def test_pairs_of_equal_sounds_are_one_pair_in_which_a_rater_has_one_voice(
    store, make, prefer, found
):
    a, copy, b = make(level=0.5), make(level=0.5), make()
    prefer(a, copy, 1)  # the same sound: nothing to learn
    assert found(**pairs()) == []
    prefer(a, b, 1, -1)  # anna and ben disagree
    assert found(**pairs()) == []
    prefer(copy, b, 1, strength=3)  # anna again: still one against one
    assert found(**pairs()) == []
    store.judgements.prefer(copy.id, b.id, rater="chloe", strength=2)
    (item,) = store.datasets.select(DatasetFilter(kind="preference"))
    assert (item.clip_id, item.rejected_id, item.raters) == (a.id, b.id, 3)
    assert item.strength == 2.0  # anna's mean is 2, chloe's 2
    store.clips.add_tag(copy.id, "keep")
    assert found(**pairs(tags_in=("keep",))) == [(a.id, b.id)]
    for rater in ("ben", "chloe", "dora"):
        store.judgements.prefer(b.id, copy.id, rater=rater)
    (item,) = store.datasets.select(DatasetFilter(kind="preference"))
    assert (item.clip_id, item.rejected_id, item.raters) == (b.id, a.id, 4)


# filters as values


def test_filters_survive_json():
    filter = DatasetFilter(
        kind="preference", criterion="timbre", min_rating=3.5, min_raters=2, tags_in=["a", " a"],
        tags_out=("b",), engine="e", task="t", adapter="none", date_from="2026-01-02",
        date_to=date(2026, 3, 4), text="x", min_strength=2, favorites=True, max_duration_s=30.0,
    )  # fmt: skip
    assert filter.tags_in == ("a",)
    assert DatasetFilter.from_dict(json.loads(json.dumps(filter.to_dict()))) == filter
    assert DatasetFilter.from_dict({}) == DatasetFilter()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "both"}, "'both' is no kind of dataset; there are supervised, preference"),
        ({"criterion": "taste"}, "'taste' is no criterion"),
        ({"date_from": "soon"}, "'soon' is no date"),
        ({"min_raters": 0}, "At least one rater"),
        ({"colour": "red"}, "'colour' is no filter; there are kind, criterion"),
    ],
)
def test_wrong_filters_are_refused(values, message):
    with pytest.raises(StorageError, match=message):
        DatasetFilter.from_dict(values)


# freezing


def test_a_frozen_dataset_does_not_change(store, make, rate, prefer):
    clips = [rate(make(f"prompt {i}"), 5, 4) for i in range(4)]
    filter = DatasetFilter(min_rating=4.0)
    row = store.datasets.create(" My  clips ", filter, 0.25, seed=3, notes="n")
    assert (row.name, row.kind, row.filter, row.notes) == ("My clips", "supervised", filter, "n")
    assert (row.items, row.clips, row.prompts) == (4, 4, 4)
    assert (row.validation_share, row.seed, row.archived) == (0.25, 3, False)
    assert row.seconds == pytest.approx(0.4)
    before = store.datasets.items(row.id)
    assert [(item.clip_id, item.rating, item.position) for item in before] == [
        (clip.id, 4.5, place) for place, clip in enumerate(clips)
    ]
    rate(clips[0], 1, 1, 1)
    rate(make("new"), 5)
    store.clips.delete([clips[1].id])
    assert store.datasets.items(row.id) == before
    assert store.datasets.get(row.id) == row
    assert all(item.file.exists() for item in before)
    assert store.datasets.count(filter).items == 3


def test_the_split_is_by_prompt_and_repeatable(store, make, rate, tmp_path):
    for i in range(40):
        for _ in range(2):
            rate(make(f"prompt {i}"), 4)
    filter = DatasetFilter()
    row = store.datasets.create("one", filter, 0.2, seed=1)
    train, validation = (store.datasets.items(row.id, part) for part in ("train", "validation"))
    assert len(train) + len(validation) == row.items == 80
    assert {item.split for item in train} == {"train"}
    prompts = {item.prompt for item in validation}
    assert not prompts & {item.prompt for item in train}
    assert 2 <= len(prompts) <= 16
    again = store.datasets.create("two", filter, 0.2, seed=1)
    assert again.content_hash == row.content_hash
    other = store.datasets.create("three", filter, 0.2, seed=2)
    assert {item.prompt for item in store.datasets.items(other.id, "validation")} != prompts
    assert other.content_hash != row.content_hash
    rate(make("prompt 99"), 4)  # what was there keeps its part
    more = store.datasets.create("four", filter, 0.2, seed=1)
    assert {item.prompt for item in store.datasets.items(more.id, "validation")} in (
        prompts, prompts | {"prompt 99"},
    )  # fmt: skip
    with pytest.raises(StorageError, match="'test' is no split"):
        store.datasets.items(row.id, "test")


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_both_parts_hold_something_from_two_prompts_on(store, make, rate, share):
    rate(make("a"), 4)
    alone = store.datasets.create("alone", DatasetFilter(), share)
    assert len(store.datasets.items(alone.id)) == 1
    rate(make("b"), 4)
    row = store.datasets.create("two", DatasetFilter(), share)
    assert [len(store.datasets.items(row.id, part)) for part in ("train", "validation")] == [1, 1]
    whole = store.datasets.create("whole", DatasetFilter(), 0)
    assert len(store.datasets.items(whole.id, "train")) == 2


def test_the_content_hash_knows_the_content_alone(tmp_path, tone):
    def built(folder, order, value=4):
        with Store.open(tmp_path / folder) as store:
            for level in order:
                clip = store.clips.add(
                    tone * level, 24_000, engine="e", task="music", text=f"p{level}", peak_db=0.0
                )
                store.judgements.rate(clip.id, "overall", value, "anna")
            return store.datasets.create("d", DatasetFilter()).content_hash

    assert built("one", (0.1, 0.2, 0.3)) == built("two", (0.3, 0.1, 0.2))
    assert built("three", (0.1, 0.2, 0.3), value=5) != built("four", (0.1, 0.2, 0.3))


def test_an_empty_dataset_is_refused(store, make):
    make()
    for kind in ("supervised", "preference"):
        with pytest.raises(StorageError, match=f"fits this {kind} filter.*Judge more clips"):
            store.datasets.create("none", DatasetFilter(kind=kind))
    assert store.datasets.list() == []


def test_impossible_wishes_are_refused(store, make, rate):
    rate(make(), 4)
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(StorageError, match="at least 0 and below 1"):
            store.datasets.create("x", DatasetFilter(), share)
    with pytest.raises(StorageError, match="name of a dataset has 1 to 100"):
        store.datasets.create(" ", DatasetFilter())
    assert store.datasets.list() == []


def test_imports_become_datasets(store, make):
    one, copy, two = make("a", level=0.5), make("a", level=0.5), make("b")
    row = store.datasets.add_items(
        "from a folder", "supervised",
        [NewItem(one.id, rating=4.25, raters=2), NewItem(copy.id), NewItem(two.id, split="validation")],
        notes="folder x",
    )  # fmt: skip
    assert (row.filter, row.items, row.kind, row.notes) == (None, 2, "supervised", "folder x")
    first, second = store.datasets.items(row.id)
    assert (first.clip_id, first.rating, first.raters) == (one.id, 4.25, 2)
    assert (second.clip_id, second.split, second.rating) == (two.id, "validation", None)
    assert store.datasets.get(row.id) == row


def test_imported_pairs_answer_one_prompt(store, make):
    one, two, other = make("a"), make("a"), make("b")
    row = store.datasets.add_items("p", "preference", [NewItem(one.id, two.id, strength=2.0)])
    (item,) = store.datasets.items(row.id)
    assert (item.clip_id, item.rejected_id, item.strength) == (one.id, two.id, 2.0)
    assert (row.items, row.clips) == (1, 2)
    with pytest.raises(StorageError, match="different prompts"):
        store.datasets.add_items("p", "preference", [NewItem(one.id, other.id)])
    with pytest.raises(StorageError, match="has no text"):
        store.datasets.add_items("p", "supervised", [NewItem(make("").id)])
    with pytest.raises(StorageError, match="no sound with a caption"):
        store.datasets.add_items("p", "supervised", [])
    with pytest.raises(NotFound):
        store.datasets.add_items("p", "supervised", [NewItem("nobody")])
    with pytest.raises(StorageError, match="'half' is no split"):
        store.datasets.add_items("p", "supervised", [NewItem(one.id, split="half")])
    assert len(store.datasets.list()) == 1


def test_datasets_in_use_are_archived_instead_of_deleted(store, make, rate):
    rate(make(), 4)
    run, adapter, free = (store.datasets.create(n, DatasetFilter()) for n in ("r", "a", "f"))
    store.runs.add("first", "sft", "b", run.id)
    store.adapters.add("warm", "b", "f", dataset_id=adapter.id)
    assert store.datasets.references(run.id) == ["the run first"]
    assert store.datasets.references(adapter.id) == ["the adapter warm v1"]
    assert [store.datasets.delete(row.id) for row in (run, adapter, free)] == [
        "archived", "archived", "deleted",
    ]  # fmt: skip
    assert store.datasets.list() == []
    assert [row.name for row in store.datasets.list(archived=True)] == ["a", "r"]
    assert len(store.datasets.items(run.id)) == 1
    assert store.datasets.archive(run.id, False).archived is False
    assert store.datasets.rename(run.id, "new").name == "new"
    assert store.datasets.set_notes(run.id, "x").notes == "x"
    for verb in (store.datasets.get, store.datasets.items, store.datasets.delete):
        with pytest.raises(NotFound, match="no dataset"):
            verb(free.id)
