"""Ratings, preferences, rankings and marks."""

import pytest

from storage import ClipQuery, Count, Criterion, NotFound, StorageError


def test_a_rating_is_changed_rather_than_piled_up(store, make):
    clip = make("prompt", adapter="a1")
    rate = store.judgements.rate
    rate(clip.id, "overall", 2, "anna")
    row = rate(clip.id, "overall", 5, " anna ")
    rate(clip.id, "overall", 3, "ben")
    rate(clip.id, Criterion.MELODY, 4, "anna")
    assert (row.value, row.rater, row.criterion) == (5, "anna", Criterion.OVERALL)
    assert (row.prompt, row.engine, row.adapter) == ("prompt", "musicgen", "a1")
    found = [(row.criterion, row.rater, row.value) for row in store.judgements.ratings(clip.id)]
    assert found == [("melody", "anna", 4), ("overall", "anna", 5), ("overall", "ben", 3)]
    store.judgements.unrate(clip.id, "overall", "anna")
    store.judgements.unrate(clip.id, "overall", "anna")
    assert [row.rater for row in store.judgements.ratings_table("overall")] == ["ben"]
    assert len(list(store.judgements.ratings_table())) == 2
    assert store.judgements.rated_by("anna") == {clip.id}
    assert store.judgements.rated_by("chloe") == set()


@pytest.mark.parametrize("value", [0, 6, 3.5, -1, True, "5"])
def test_a_rating_is_from_1_to_5(store, make, value):
    clip = make()
    with pytest.raises(StorageError, match="whole number from 1 to 5"):
        store.judgements.rate(clip.id, "overall", value, "anna")
    assert store.judgements.ratings(clip.id) == []


def test_ratings_say_what_is_wrong(store, make):
    clip = make()
    with pytest.raises(StorageError, match="'taste' is no criterion; there are overall, melody"):
        store.judgements.rate(clip.id, "taste", 3, "anna")
    with pytest.raises(StorageError, match="name of a rater has 1 to 100"):
        store.judgements.rate(clip.id, "overall", 3, " ")
    with pytest.raises(NotFound, match="no clip nobody"):
        store.judgements.rate("nobody", "overall", 3, "anna")


def test_a_preference_replaces_the_earlier_one_of_the_same_two_clips(store, make):
    one, two = make(adapter="a1"), make()
    first = store.judgements.prefer(one.id, two.id, rater="anna", strength=3)
    store.judgements.prefer(one.id, two.id, rater="ben")
    again = store.judgements.prefer(two.id, one.id, rater="anna", source="queue")
    assert (first.chosen_id, first.strength, first.prompt) == (one.id, 3, "prompt")
    assert (first.chosen_adapter, first.rejected_adapter) == ("a1", "")
    assert (again.id, again.chosen_id, again.strength) == (first.id, two.id, 1)
    assert (again.source, again.tie) == ("queue", False)
    assert [row.rater for row in store.judgements.preference_table()] == ["anna", "ben"]
    tie = store.judgements.prefer(one.id, two.id, rater="ben", tie=True)
    assert tie.tie is True
    store.judgements.unprefer(tie.id)
    with pytest.raises(NotFound, match="taken back"):
        store.judgements.unprefer(tie.id)
    assert store.judgements.preferences() == [again]


def test_only_clips_of_one_prompt_are_compared(store, make):
    one, two, other = make("rain"), make("rain"), make("snow")
    prefer = store.judgements.prefer
    with pytest.raises(StorageError, match=r"different prompts \('rain' and 'snow'\)"):
        prefer(one.id, other.id, rater="anna")
    with pytest.raises(StorageError, match="with itself"):
        prefer(one.id, one.id, rater="anna")
    with pytest.raises(StorageError, match="strength of a preference is 1"):
        prefer(one.id, two.id, rater="anna", strength=4)
    store.clips.delete([two.id])
    with pytest.raises(NotFound):
        prefer(one.id, two.id, rater="anna")
    assert store.judgements.preferences() == []


def test_a_ranking_yields_all_its_pairs(store, make):
    a, b, c, d = (make() for _ in range(4))
    store.judgements.prefer(a.id, d.id, rater="anna", tie=True)
    rows = store.judgements.rank([c.id, a.id, d.id, b.id], "anna")
    pairs = [(row.chosen_id, row.rejected_id) for row in rows]
    assert pairs == [
        (c.id, a.id), (c.id, d.id), (c.id, b.id), (a.id, d.id), (a.id, b.id), (d.id, b.id)
    ]  # fmt: skip
    assert {(row.source, row.tie, row.strength) for row in rows} == {("rank", False, 1)}
    assert len(list(store.judgements.preference_table())) == 6  # the tie was replaced
    assert len(store.judgements.preferences(a.id)) == 3
    assert len(store.judgements.preferences(limit=2)) == 2


def test_a_ranking_is_stored_whole_or_not_at_all(store, make):
    a, b, other = make(), make(), make("other prompt")
    for wrong in ([a.id, b.id, other.id], [a.id, b.id, a.id], [a.id], [a.id, b.id, "nobody"]):
        with pytest.raises(StorageError):
            store.judgements.rank(wrong, "anna")
    assert store.judgements.preferences() == []


def test_marks_are_tags_that_searches_find(store, make):
    clip = make()
    mark, unmark = store.judgements.mark, store.judgements.unmark
    mark(clip.id, "Hiss", "anna", False)
    row = mark(clip.id, " hiss", "anna", True)
    mark(clip.id, "hiss", "ben")
    assert (row.tag, row.rater, row.good) == ("Hiss", "anna", True)
    marks = [(row.rater, row.good) for row in store.judgements.marks(clip.id)]
    assert marks == [("anna", True), ("ben", None)]
    assert store.clips.get(clip.id).tags == ("Hiss",)
    assert store.clips.search(ClipQuery(tag="hiss")).total == 1
    assert store.clips.search(ClipQuery(text="his")).total == 1
    unmark(clip.id, "HISS", "anna")
    assert store.clips.get(clip.id).tags == ("Hiss",)
    unmark(clip.id, "hiss", "chloe")
    unmark(clip.id, "hiss", "ben")
    assert store.clips.get(clip.id).tags == ()
    assert store.clips.search(ClipQuery(tag="hiss")).total == 0
    with pytest.raises(StorageError, match="A tag has 1 to 100"):
        mark(clip.id, " ", "anna")


@pytest.mark.parametrize("tag_first", [True, False])
def test_a_tag_put_there_by_a_person_outlives_its_marks(store, make, tag_first):
    clip = make()
    if tag_first:
        store.clips.add_tag(clip.id, "keep")
    store.judgements.mark(clip.id, "keep", "anna", True)
    if not tag_first:
        store.clips.add_tag(clip.id, "keep")
    store.judgements.unmark(clip.id, "keep", "anna")
    assert store.clips.get(clip.id).tags == ("keep",)


def test_removing_a_tag_removes_its_marks(store, make):
    clip = make()
    store.judgements.mark(clip.id, "hiss", "anna", False)
    store.clips.remove_tag(clip.id, "hiss")
    assert store.judgements.marks(clip.id) == []


def test_feedback_and_stats(store, make):
    one, two, gone = make(), make(), make()
    for clip in (one, gone):
        store.judgements.rate(clip.id, "overall", 5, "anna")
    store.judgements.rate(one.id, "overall", 2, "ben")
    store.judgements.rate(two.id, "prompt", 4, "ben")
    store.judgements.mark(one.id, "warm", "chloe", True)
    store.judgements.prefer(one.id, two.id, rater="dora")
    store.judgements.prefer(one.id, two.id, rater="anna", tie=True)
    store.judgements.prefer(one.id, gone.id, rater="eve")
    store.clips.set_notes(one.id, "nice end")
    token = store.clips.delete([gone.id])
    feedback = store.judgements.feedback(one.id)
    assert [row.value for row in feedback.ratings] == [5, 2]
    assert [row.tag for row in feedback.marks] == ["warm"]
    assert [row.rater for row in feedback.preferences] == ["anna", "dora"]
    assert feedback.notes == "nice end"
    stats = store.judgements.stats()
    assert (stats.clips_rated, stats.ratings, stats.raters) == (2, 3, 4)
    assert (stats.preferences, stats.ties, stats.marks) == (2, 1, 1)
    assert stats.by_criterion == {"overall": (2, 3.5), "prompt": (1, 4.0)}
    store.clips.undelete(token)
    assert store.judgements.stats().by_criterion["overall"] == (3, 4.0)
    store.clips.purge(store.clips.delete([gone.id]))
    assert [row.rater for row in store.judgements.preference_table()] == ["dora", "anna"]
    assert store.clips.tags() == [Count("warm", 1)]
