"""Listening tests: made, voted in, renamed, archived, deleted."""

import pytest

from storage import NotFound, Role, Stimulus, StorageError


@pytest.fixture
def trials(make):
    """Three A/B trials of base against an adapter."""
    return [
        (f"prompt {i}", [Stimulus(make(f"prompt {i}").id, "base"), Stimulus(make().id, "warm v1")])
        for i in range(3)
    ]


def test_a_test_holds_its_trials_in_order(store, trials):
    test = store.tests.create("Blind", "ab", trials, config={"must_listen": True}, adapter_id="a")
    assert (test.name, test.kind, test.criterion, test.config, test.adapter_id) == (
        "Blind", "ab", "overall", {"must_listen": True}, "a",
    )  # fmt: skip
    assert (test.trials, test.raters, test.archived) == (3, 0, False)
    rows = store.tests.trials(test.id)
    assert [(row.position, row.prompt, list(row.stimuli)) for row in rows] == [
        (place, prompt, stimuli) for place, (prompt, stimuli) in enumerate(trials)
    ]
    assert store.tests.trial(rows[1].id) == rows[1]
    assert store.tests.list() == [test]


def test_votes_are_saved_per_trial_and_replaced(store, trials):
    test = store.tests.create("Blind", "ab", trials)
    first, second, _ = store.tests.trials(test.id)
    store.tests.vote(first.id, "anna", {"choice": 0}, seconds=3.5)
    vote = store.tests.vote(first.id, "anna", {"choice": 1, "strength": 3}, seconds=4.5)
    store.tests.vote(second.id, "ben", {"choice": None})
    assert (vote.answer, vote.seconds) == ({"choice": 1, "strength": 3}, 4.5)
    found = [(row.trial_id, row.rater, row.answer) for row in store.tests.votes(test.id)]
    assert found == [
        (first.id, "anna", {"choice": 1, "strength": 3}),
        (second.id, "ben", {"choice": None, "strength": 1}),
    ]
    assert [row.rater for row in store.tests.votes(test.id, "ben")] == ["ben"]
    assert store.tests.get(test.id).raters == 2


@pytest.mark.parametrize(
    ("kind", "answer", "message"),
    [
        ("ab", {"choice": 2}, "choice is 0, 1 or none"),
        ("ab", {}, "choice is 0, 1 or none"),
        ("ab", {"choice": 0, "strength": 0}, "strength is 1"),
        ("mos", {"scores": [3]}, "each of the 2 sounds"),
        ("mos", {"scores": [3, 6]}, "from 1 to 5, not 6"),
        ("mos", {"choice": 1}, "each of the 2 sounds"),
        ("mushra", {"scores": [101, 3]}, "from 0 to 100, not 101"),
        ("mushra", {"scores": [3, 3.5]}, "from 0 to 100, not 3.5"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(store, make, kind, answer, message):
    stimuli = [Stimulus(make().id, "original", Role.REFERENCE), Stimulus(make().id, "base")]
    test = store.tests.create("t", kind, [("p", stimuli)])
    with pytest.raises(StorageError, match=message):
        store.tests.vote(store.tests.trials(test.id)[0].id, "anna", answer)
    assert store.tests.votes(test.id) == []


def test_scores_are_kept(store, make):
    stimuli = [
        Stimulus(make().id, "original", "reference"),
        Stimulus(make().id, "low-pass", "anchor"),
        Stimulus(make().id, "base"),
    ]
    test = store.tests.create("t", "mushra", [("p", stimuli)], criterion="timbre")
    trial = store.tests.trials(test.id)[0]
    assert [stimulus.role for stimulus in trial.stimuli] == ["reference", "anchor", ""]
    assert store.tests.vote(trial.id, "anna", {"scores": (100, 0, 55.0)}).answer == {
        "scores": [100, 0, 55]
    }


def test_a_test_that_cannot_be_asked_is_refused_whole(store, make, trials):
    clip = make()
    cases = [
        ("ab", [], "at least one trial"),
        ("ab", [("p", [Stimulus(clip.id, "base")])], "two clips, not 1"),
        ("mushra", [("p", [Stimulus(clip.id, "base")])], "one hidden reference, not 0"),
        ("mos", [("p", [Stimulus(clip.id, "x", "anchor")])], "at least one clip to judge"),
        ("mos", [("p", [Stimulus(clip.id, "x", "king")])], "'king' is no role"),
        ("mos", [*trials, ("p", [Stimulus("nobody", "x")])], "no clip nobody"),
        ("quiz", trials, "'quiz' is no kind of test; there are ab, mos, mushra"),
    ]
    for kind, wrong, message in cases:
        with pytest.raises(StorageError, match=message):
            store.tests.create("t", kind, wrong)
    assert store.tests.list() == []


def test_names_are_unique_and_can_change(store, trials):
    test = store.tests.create("Blind", "ab", trials)
    other = store.tests.create("Other", "ab", trials)
    for attempt in (
        lambda: store.tests.create(" blind ", "ab", trials),
        lambda: store.tests.rename(other.id, "BLIND"),
    ):
        with pytest.raises(StorageError, match="named 'Blind' already"):
            attempt()
    assert store.tests.rename(test.id, "blind").name == "blind"
    assert [row.name for row in store.tests.list()] == ["Other", "blind"]


def test_archived_tests_take_no_votes_and_deleted_ones_are_gone(store, trials):
    test = store.tests.create("Blind", "ab", trials)
    trial = store.tests.trials(test.id)[0]
    store.tests.vote(trial.id, "anna", {"choice": 0})
    assert store.tests.archive(test.id).archived is True
    assert (store.tests.list(), len(store.tests.list(archived=True))) == ([], 1)
    with pytest.raises(StorageError, match="'Blind' is archived"):
        store.tests.vote(trial.id, "ben", {"choice": 0})
    assert store.tests.archive(test.id, False).archived is False
    store.tests.delete(test.id)
    for verb in (store.tests.get, store.tests.trials, store.tests.votes, store.tests.delete):
        with pytest.raises(NotFound, match="no test"):
            verb(test.id)
    with pytest.raises(NotFound, match="no trial"):
        store.tests.vote(trial.id, "ben", {"choice": 0})
    assert store.db.query("SELECT (SELECT count(*) FROM votes), (SELECT count(*) FROM stimuli)")[0][
        :
    ] == (0, 0)
