"""Scores by key, scores of clips and what they do in datasets, evaluations."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage import DatasetFilter, EvaluationItem, NotFound, StorageError, Store


def test_scores_are_known_by_key_and_outlive_the_session(tmp_path):
    with Store.open(tmp_path) as store:
        store.scores.keep({"a": {"value": 1.5}, "b": {"value": None, "reason": "silent"}})
        store.scores.keep({})
        store.scores.keep({"a": {"value": 2.5}})
    with Store.open(tmp_path) as store:
        found = store.scores.known(["a", "b", "c"])
    assert found == {"a": {"value": 2.5}, "b": {"value": None, "reason": "silent"}}


def test_a_clip_keeps_the_last_value_of_each_metric(store, make):
    clip, other = make(), make()
    store.scores.rate_clip(clip.id, {"wer": 12.0, "loudness": -20.0}, against="spoken.wav")
    store.scores.rate_clip(other.id, {"wer": 3.0})
    scores = store.scores.rate_clip(clip.id, {"wer": 10.0, "loudness": None, "peak": None})
    assert [(s.metric, s.value, s.against) for s in scores] == [("wer", 10.0, "")]
    assert [(c.name, c.clips) for c in store.scores.clip_metrics()] == [("wer", 2)]
    store.clips.delete([other.id])
    assert [(c.name, c.clips) for c in store.scores.clip_metrics()] == [("wer", 1)]
    store.clips.purge()
    assert len(store.db.query("SELECT * FROM clip_scores")) == 1
    with pytest.raises(NotFound):
        store.scores.of_clip(other.id)


def test_datasets_are_filtered_by_scores(store, make):
    clips = [make(f"prompt {number}") for number in range(4)]
    for number, clip in enumerate(clips[:3]):
        store.scores.rate_clip(clip.id, {"wer": 10.0 * number, "dnsmos_ovrl": 2.0 + number})
    for clip in clips:
        store.judgements.rate(clip.id, "overall", 4, "ann")

    def found(**values):
        items = store.datasets.select(DatasetFilter(**values), None)
        return [clips.index(next(c for c in clips if c.id == item.clip_id)) for item in items]

    assert found() == [0, 1, 2, 3]
    assert found(score_max={"wer": 10}) == [0, 1]
    assert found(score_min={"wer": 10}) == [1, 2]
    assert found(score_max={"wer": 10}, score_min={"dnsmos_ovrl": 3}) == [1]
    assert found(score_min={"unknown": 0}) == []


def test_the_better_clip_of_a_pair_has_the_score(store, make):
    better, worse = make("same"), make("same")
    store.judgements.prefer(better.id, worse.id, rater="ann")
    store.scores.rate_clip(worse.id, {"wer": 1.0})
    wanted = DatasetFilter(kind="preference", score_max={"wer": 5})
    assert store.datasets.count(wanted).items == 0
    store.scores.rate_clip(better.id, {"wer": 2.0})
    assert store.datasets.count(wanted).items == 1


def test_limits_survive_json_and_wrong_ones_are_refused():
    wanted = DatasetFilter(score_min={"dnsmos_ovrl": 3}, score_max={"wer": 10})
    assert wanted.to_dict()["score_min"] == {"dnsmos_ovrl": 3.0}
    assert DatasetFilter.from_dict(wanted.to_dict()) == wanted
    with pytest.raises(StorageError, match="no limit of scores"):
        DatasetFilter(score_min={"wer": "low"})


def test_an_evaluation_keeps_items_scores_and_paths(store, tmp_path):
    inside = store.data_dir / "cache" / "evaluations" / "one" / "a.wav"
    items = [
        EvaluationItem("a", "x", inside, Path("/elsewhere/a.wav"), "said", "de"),
        EvaluationItem("b", "y", tmp_path / "b.wav", clip_id="clip"),
    ]
    row = store.evaluations.add(" My  test ", {"metrics": ["wer"]}, items, {"lost": ["c"]})
    assert (row.name, row.systems, row.items, row.measured) == ("My test", ("x", "y"), 2, 0)
    assert row.missing == {"lost": ["c"]}
    assert store.evaluations.items(row.id) == items
    raw = store.db.query("SELECT generated, reference FROM evaluation_items ORDER BY position")
    assert [tuple(each) for each in raw] == [
        ("cache/evaluations/one/a.wav", "/elsewhere/a.wav"),
        (str(tmp_path / "b.wav"), ""),
    ]
    store.evaluations.set_scores(row.id, {1: [{"metric": "wer", "value": 5.0}]})
    store.evaluations.set_sets(row.id, [{"system": "x"}])
    store.evaluations.set_job(row.id, "job")
    row = store.evaluations.rename(row.id, "other")
    assert (row.name, row.measured, row.sets, row.job_id) == ("other", 1, [{"system": "x"}], "job")
    assert store.evaluations.item(row.id, 1).scores == ({"metric": "wer", "value": 5.0},)
    assert [each.id for each in store.evaluations.list()] == [row.id]
    with pytest.raises(NotFound):
        store.evaluations.item(row.id, 2)
    store.evaluations.delete(row.id)
    assert store.db.query("SELECT * FROM evaluation_items") == []
    with pytest.raises(NotFound):
        store.evaluations.get(row.id)
