"""The blind test of an adapter against its base, and its verdict."""

from __future__ import annotations

import time

import pytest

from engines.base import InvalidParams, StudioError
from storage import Stimulus, StorageError
from training.lab.lab import Lab
from training.lab.verdicts import sentence

SHORT = {"duration_s": 1.0, "guidance_scale": 1.0}


@pytest.fixture
def adapter(lab, musicgen, peft_folder):
    return lab.import_adapter(peft_folder, "tiny")


def ready(lab, test, timeout_s=60):
    """The test once it is no longer in the making."""
    deadline = time.monotonic() + timeout_s
    while (found := lab.adapter_test(test.id)).state == "making":
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def test_the_same_prompts_and_seeds_are_made_by_both_and_compared_blind(lab, studio, adapter):
    test = lab.compare_with_base(
        adapter.id, ["warm piano", "dark drums", "warm  piano"], [3, 4], 1.5, SHORT
    )
    assert (test.state, test.of, test.name) == ("making", 8, "warm v1 or its base")
    made = ready(lab, test)
    assert (made.state, made.done, made.error) == ("ready", 8, "")
    row = studio.store.tests.get(made.test_id)
    assert (row.kind, row.adapter_id, row.trials) == ("ab", adapter.id, 4)
    seen = set()
    for trial in studio.store.tests.trials(row.id):
        base, other = (studio.clip(stimulus.clip_id) for stimulus in trial.stimuli)
        assert [stimulus.system for stimulus in trial.stimuli] == ["base", "warm v1"]
        assert base.text == other.text == trial.prompt
        assert base.settings["seed"] == other.settings["seed"]
        assert (base.settings["adapters"], base.adapter) == ([], "")
        assert other.settings["adapters"] == [f"{adapter.id}@1.5"]
        assert base.hash != other.hash
        seen.add((trial.prompt, base.settings["seed"]))
    assert seen == {(p, s) for p in ("warm piano", "dark drums") for s in (3, 4)}
    assert [found.id for found in lab.adapter_tests(adapter.id)] == [test.id]
    studio.store.tests.delete(row.id)
    assert lab.adapter_tests(adapter.id) == []


def test_a_test_in_the_making_survives_a_restart(lab, studio, adapter):
    studio.submit("tone", {"text": "keeps the queue waiting", "steps": 20, "step_s": 0.1})
    test = lab.compare_with_base(adapter.id, ["warm piano"], [1], settings=SHORT)
    lab.close()
    with Lab(studio) as again:
        found = ready(again, test)
        assert found.state == "ready"
        assert studio.store.tests.get(found.test_id).trials == 1


def test_what_failed_is_named_and_can_be_tried_again(lab, studio, adapter):
    waiting = studio.submit("tone", {"text": "wait", "steps": 30, "step_s": 0.1})
    test = lab.compare_with_base(adapter.id, ["warm piano"], [1], settings=SHORT)
    cancelled = next(job for job in studio.jobs.list() if job.engine == "musicgen")
    studio.cancel(cancelled.id)
    studio.cancel(waiting.id)
    found = lab.adapter_test(test.id)
    assert (found.state, found.test_id) == ("failed", "")
    assert found.error == f"Job {cancelled.id} was cancelled."
    lab.retry_adapter_test(test.id)
    assert ready(lab, test).state == "ready"


def test_names_of_tests_stay_unique(lab, studio, adapter):
    tests = [
        ready(lab, lab.compare_with_base(adapter.id, ["warm piano"], [n], settings=SHORT))
        for n in (1, 2)
    ]
    assert [studio.store.tests.get(test.test_id).name for test in tests] == [
        "warm v1 or its base",
        "warm v1 or its base (2)",
    ]


def test_the_verdict_counts_all_votes_of_all_tests(lab, studio, adapter, clip):
    assert lab.verdict(adapter.id).sentence == "Nobody has decided yet."
    trials = [
        ("p", [Stimulus(clip("p", 300 + n).id, "base"), Stimulus(clip("p", 600 + n).id, "warm v1")])
        for n in range(6)
    ]
    for name, part in (("one", trials[:3]), ("two", trials[3:])):
        test = studio.store.tests.create(name, "ab", part, adapter_id=adapter.id)
        for place, trial in enumerate(studio.store.tests.trials(test.id)):
            studio.store.tests.vote(trial.id, "ann", {"choice": 1, "strength": 2})
            studio.store.tests.vote(trial.id, "bob", {"choice": [1, 0, None][place]})
    found = lab.verdict(adapter.id)
    assert (found.wins, found.losses, found.ties, found.raters) == (8, 2, 2, 2)
    assert len(found.tests) == 2
    assert found.share.p == pytest.approx(0.109375)
    assert found.certain is False
    assert found.sentence == (
        "8 of 10 preferred the adapter, p = 0.11: not yet certain. 2 heard no difference."
    )
    strongest, weakest = found.strengths
    assert (strongest.name, weakest.name) == ("warm v1", "base")
    assert strongest.low < strongest.strength < strongest.high
    assert lab.delete_adapter(adapter.id) == "archived"


@pytest.mark.parametrize(
    ("votes", "words"),
    [
        ((9, 1, 0), "9 of 10 preferred the adapter, p = 0.021: the adapter is better."),
        ((1, 9, 0), "9 of 10 preferred the base, p = 0.021: the base is better."),
        ((30, 2, 1), "p < 0.001: the adapter is better. 1 heard no difference."),
        ((5, 5, 0), "5 of 10 preferred the adapter, p = 1.00: not yet certain."),
        ((0, 0, 3), "Nobody has decided yet. 3 heard no difference."),
    ],
)
def test_sentences(votes, words):
    assert sentence(*votes).endswith(words)


def test_a_test_that_cannot_be_made_is_refused_before_anything_is_queued(lab, studio, adapter):
    begin = lab.compare_with_base
    with pytest.raises(StudioError, match="at least one prompt"):
        begin(adapter.id, [" "])
    with pytest.raises(StudioError, match="at least one seed"):
        begin(adapter.id, ["piano"], [])
    with pytest.raises(StudioError, match="scale above 0"):
        begin(adapter.id, ["piano"], [1], 0)
    with pytest.raises(StudioError, match=r"202 clips would be made; at most 200"):
        begin(adapter.id, ["piano"], range(101))
    with pytest.raises(InvalidParams, match="no_such"):
        begin(adapter.id, ["piano"], [1], settings={"no_such": 1})
    with pytest.raises(StorageError, match="no adapter nowhere"):
        begin("nowhere", ["piano"])
    lab.archive_adapter(adapter.id)
    with pytest.raises(StudioError, match="is archived"):
        begin(adapter.id, ["piano"])
    assert studio.jobs.list() == []
    assert lab.adapter_tests() == []
