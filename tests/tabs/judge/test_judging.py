"""Judging: what to hear next, tests from design to result, and what is refused in plain words."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engines.base import StudioError
from engines.studio.judging.designs import ANCHOR_ENGINE, Design
from engines.studio.judging.judging import ClipFilter, Judging, config, criteria_for, tags_for
from engines.studio.judging.listening import as_shown
from storage import Criterion, Stimulus, StorageError, Store

RATE = 24_000


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def judging(store):
    return Judging(store)


@pytest.fixture
def make(store):
    """Add a second of noise as a clip; each is a different sound."""
    rng = np.random.default_rng(0)

    def add(text="a song", engine="musicgen", task="music", rate=RATE, **changes):
        samples = (0.1 * rng.standard_normal(rate)).astype(np.float32)
        values = {"title": text, "peak_db": -10.0} | changes
        return store.clips.add(samples, rate, engine=engine, task=task, text=text, **values)

    return add


@pytest.fixture
def two_systems(make):
    """Three prompts, each with a clip of ``old`` and of ``new`` of the same seed."""
    return [
        (make(f"prompt {n}", "old", seed=n), make(f"prompt {n}", "new", seed=n)) for n in range(3)
    ]


# --- configuration --------------------------------------------------------------------------


def test_every_task_asks_known_criteria_and_overall_first():
    for task, of in config()["tasks"].items():
        found = criteria_for(task)
        assert [c.id for c in found] == of["criteria"]
        assert found[0].id == "overall"
        assert all(c.question.endswith("?") for c in found)
        good, bad = tags_for(task)
        assert good and bad and not set(good) & set(bad)
    assert set(config()["criteria"]) == set(Criterion)
    assert criteria_for("something else") == criteria_for("")


# --- what to hear next ----------------------------------------------------------------------


def test_the_queue_holds_what_one_has_not_rated(judging, make):
    first, second, speech = make("one"), make("two"), make("hello", "piper", "tts")
    assert judging.queue("ann") == [speech.id, second.id, first.id]
    judging.judgements.rate(second.id, "melody", 4, "ann")
    assert judging.queue("ann") == [speech.id, first.id]
    assert judging.queue("bob") == [speech.id, second.id, first.id]
    assert judging.queue("ann", unrated=False) == [speech.id, second.id, first.id]
    assert judging.queue("ann", ClipFilter(task="tts")) == [speech.id]
    assert judging.queue("ann", ClipFilter(engine="musicgen", text="one")) == [first.id]


def test_a_pair_has_one_prompt_and_comes_once(judging, make):
    a, b, c = make("x"), make("x"), make("x")
    make("alone")
    seen = []
    rng = random.Random(1)
    while pair := judging.next_pair("ann", rng=rng):
        assert pair.prompt == "x"
        one, other = pair.clips
        seen.append(frozenset((one.id, other.id)))
        judging.judgements.prefer(one.id, other.id, rater="ann")
    assert sorted(map(sorted, seen)) == sorted(
        map(sorted, ({a.id, b.id}, {a.id, c.id}, {b.id, c.id}))
    )
    assert judging.next_pair("bob") is not None
    assert judging.next_pair("ann", new=False) is not None
    assert judging.next_pair("bob", skip=seen) is None


def test_sides_are_random(judging, make):
    a, b = make("x"), make("x")
    rng = random.Random(0)
    first = [judging.next_pair("ann", rng=rng).clips[0].id for _ in range(200)]
    assert 70 < first.count(a.id) < 130
    assert first.count(a.id) + first.count(b.id) == 200


def test_the_same_sound_twice_is_no_pair(judging, store):
    samples = np.full(RATE, 0.1, np.float32)
    for _ in range(2):
        store.clips.add(samples, RATE, engine="e", task="music", text="x", peak_db=-20)
    assert judging.next_pair("ann") is None


def test_a_ranking_takes_three_or_more_of_one_prompt(judging, make):
    clips = [make("x") for _ in range(5)]
    make("y"), make("y")
    found = judging.next_ranking("ann", size=4)
    assert found.prompt == "x"
    assert len(found.clips) == 4
    rows = judging.judgements.rank([clip.id for clip in found.clips], "ann")
    assert len(rows) == 6
    left = judging.next_ranking("ann", size=4)  # the fifth clip was never heard
    assert next(c for c in clips if c not in found.clips) in left.clips
    judging.judgements.rank([clip.id for clip in clips], "ann")
    assert judging.next_ranking("ann", size=4) is None


# --- designs --------------------------------------------------------------------------------


def test_an_ab_test_pairs_the_same_seeds(judging, make):
    made = {
        (engine, seed): make("x", engine, seed=seed).id
        for engine, seed in [("old", 1), ("old", 2), ("new", 2), ("new", 1)]
    }
    plan = judging.designer.plan(Design("ab", per_prompt=2))
    pairs = [{s.clip_id for s in stimuli} for _, stimuli in plan.trials]
    assert len(pairs) == 2
    for seed in (1, 2):
        assert {made["old", seed], made["new", seed]} in pairs


def test_a_design_counts_what_it_leaves_out(judging, two_systems, make):
    make("only old", "old")
    plan = judging.designer.plan(Design("ab"))
    assert (plan.prompts, plan.left_out, len(plan.trials)) == (3, 1, 3)
    assert plan.systems == ("new", "old")
    assert judging.designer.plan(Design("mos")).trials[0][1][0].system == "new"
    assert len(judging.designer.plan(Design("mos")).trials) == 7
    assert len(judging.designer.plan(Design("mos", systems=("old", "new"))).trials) == 6
    assert len(judging.designer.plan(Design("ab", max_prompts=2)).trials) == 2
    one = judging.designer.plan(Design("mos", systems=("old",)))
    assert (one.prompts, len(one.trials)) == (4, 4)


def test_systems_can_be_values_of_a_setting(judging, make):
    for voice in ("ann", "bob"):
        make("hello", "piper", "tts", settings={"voice": voice})
    assert judging.designer.systems_of(Design(by="voice")) == {"ann": 1, "bob": 1}
    plan = judging.designer.plan(Design("ab", by="voice"))
    assert {s.system for s in plan.trials[0][1]} == {"ann", "bob"}


def test_adapters_are_named_by_their_labels(judging, store, make, tmp_path):
    adapter = store.adapters.add(
        "warm", base="musicgen-small", folder=str(tmp_path), hash="0", source="imported"
    )
    with_it = make("x", adapter=adapter.id, adapter_scale=1.0)
    half = make("x", adapter=adapter.id, adapter_scale=0.5)
    base = make("x")
    names = [judging.system_of(clip) for clip in (base, with_it, half)]
    assert names == ["musicgen", "musicgen + warm v1", "musicgen + warm v1 ×0.5"]
    systems = judging.designer.systems_of(Design(by="adapter"))
    assert systems == {"warm v1": 1, "warm v1 ×0.5": 1, "without adapter": 1}


@pytest.mark.parametrize(
    ("design", "words"),
    [
        (Design("abx"), "A test is one of ab, mos, mushra, not 'abx'."),
        (Design("ab", text="nothing"), "No clip matches."),
        (Design("ab", systems=("old",)), "one system only, 'old'; a comparison needs two"),
        (Design("ab", systems=("old", "best")), "No clip has 'best' as its system"),
        (Design("mushra"), "MUSHRA needs a reference"),
        (Design("ab", systems=("old", "other")), "No prompt has a clip of each of old, other"),
    ],
)
def test_a_design_without_trials_says_what_is_missing(judging, two_systems, make, design, words):
    make("elsewhere", "other")
    with pytest.raises(StudioError, match=words):
        judging.create_test("t", design)
    assert judging.store.tests.list() == []


def test_a_name_is_used_once_and_a_clip_must_be_there(judging, two_systems):
    judging.create_test("Mine", Design("ab"))
    with pytest.raises(StorageError, match="already"):
        judging.create_test("mine", Design("mos"))
    with pytest.raises(StorageError, match="no clip nothing"):
        judging.create_test("other", Design("mos", clip_ids=("nothing",)))


# --- anchors --------------------------------------------------------------------------------


def level_db(samples, rate, low, high):
    """Mean power between two frequencies, in dB."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / rate)
    return 10 * np.log10(power[(hz >= low) & (hz < high)].mean())


@pytest.mark.parametrize("rate", [16_000, 24_000, 32_000, 48_000])
def test_the_anchor_is_dull_in_time_and_hidden(judging, make, rate):
    clip = make(rate=rate)
    anchor = judging.designer.anchor(clip.id)
    before, _ = soundfile.read(clip.path)
    after, found_rate = soundfile.read(anchor.path)
    assert (found_rate, len(after)) == (rate, len(before))
    assert level_db(after, rate, 50, 3500) - level_db(before, rate, 50, 3500) == pytest.approx(
        0, abs=0.2
    )
    assert level_db(after, rate, 4000, 4200) < level_db(before, rate, 4000, 4200) - 25
    assert level_db(after, rate, 4500, rate / 2) < level_db(before, rate, 4500, rate / 2) - 50
    lag = np.argmax(np.correlate(after, before, "full")) - (len(before) - 1)
    assert lag == 0
    assert (anchor.engine, anchor.parents, anchor.text) == (ANCHOR_ENGINE, (clip.id,), clip.text)
    assert judging.designer.anchor(clip.id).id == anchor.id
    assert judging.queue("ann") == [clip.id]
    assert judging.next_pair("ann") is None


def test_a_telephone_recording_has_no_anchor(judging, make):
    with pytest.raises(StudioError, match="without the anchor"):
        judging.designer.anchor(make(rate=8000).id)


# --- taking ---------------------------------------------------------------------------------


def take(judging, test, rater, answer):
    """Answer all trials that are open; ``answer`` gets the presentation."""
    seen = []
    while shown := judging.present(test.id, rater):
        seen.append(shown)
        judging.vote(shown.trial.id, rater, answer(shown), 3.0)
    return seen


def prefers(engine, strength=1):
    def answer(shown):
        place = next((n for n, clip in enumerate(shown.clips, 1) if clip.engine == engine), 0)
        return {"choice": place, "strength": strength}

    return answer


def test_a_test_is_resumed_where_it_was_left(judging, two_systems):
    test = judging.create_test("t", Design("ab"))
    first = judging.present(test.id, "ann")
    assert (first.position, first.of, first.done, first.answer) == (1, 3, 0, None)
    assert judging.present(test.id, "ann") == first
    second = judging.vote(first.trial.id, "ann", {"choice": 2, "strength": 3})
    assert (second.position, second.done) == (2, 1)
    again = judging.present(test.id, "ann", 1)
    assert again.clips == first.clips
    assert again.answer == {"choice": 2, "strength": 3}
    judging.vote(first.trial.id, "ann", {"choice": 0})
    assert judging.present(test.id, "ann", 1).answer == {"choice": 0, "strength": 1}
    assert len(judging.store.tests.votes(test.id)) == 1
    assert judging.store.tests.votes(test.id)[0].answer["choice"] is None
    take(judging, test, "ann", prefers("new"))
    assert judging.present(test.id, "ann") is None
    with pytest.raises(StudioError, match="trials 1 to 3, not 4"):
        judging.present(test.id, "ann", 4)


def test_orders_are_balanced_and_sides_turned(judging, make):
    for n in range(4):
        make(f"p{n}", "old"), make(f"p{n}", "new")
    test = judging.create_test("t", Design("ab"))
    firsts = []
    for rater in "abcd":
        seen = take(judging, test, rater, prefers("new"))
        firsts.append(seen[0].trial.id)
        on_the_left = [shown.clips[0].engine for shown in seen]
        assert on_the_left.count("new") == 2
    assert len(set(firsts)) == 4  # each trial was the first of one of four raters


def test_answers_are_kept_in_the_order_of_the_trial(judging, two_systems):
    test = judging.create_test("t", Design("ab"))
    take(judging, test, "ann", prefers("new", 2))
    for trial in judging.store.tests.trials(test.id):
        (vote,) = [v for v in judging.store.tests.votes(test.id) if v.trial_id == trial.id]
        assert trial.stimuli[vote.answer["choice"]].system == "new"
        assert vote.answer["strength"] == 2
    assert as_shown("mushra", {"scores": [10, 20, 30]}, (2, 0, 1)) == {"scores": [30, 10, 20]}


@pytest.mark.parametrize(
    ("kind", "answer", "words"),
    [
        ("ab", {"choice": 3}, "Choose 1 .* not 3"),
        ("ab", {"choice": None}, "Choose 1 .* not None"),
        ("ab", {"choice": 1, "strength": 4}, "Strength is 1 .* not 4"),
        ("mos", {"scores": [6]}, "from 1 to 5, not 6"),
        ("mos", {"scores": [3.5]}, "from 1 to 5, not 3.5"),
        ("mos", {"scores": [3, 4]}, r"Give 1 score\(s\)"),
        ("mos", {}, r"Give 1 score\(s\)"),
        ("mushra", {"scores": [0, 101, 5]}, "from 0 to 100, not 101"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(judging, two_systems, kind, answer, words):
    test = judging.create_test("t", Design(kind, reference="old" if kind == "mushra" else ""))
    trial = judging.present(test.id, "ann").trial
    with pytest.raises(StudioError, match=words):
        judging.vote(trial.id, "ann", answer)
    assert judging.store.tests.votes(test.id) == []


def test_a_clip_deleted_from_the_history_is_still_heard(judging, store, two_systems):
    test = judging.create_test("t", Design("ab"))
    store.clips.delete([two_systems[0][0].id])
    store.clips.purge()
    for shown in take(judging, test, "ann", prefers("new")):
        assert all(clip.path.exists() for clip in shown.clips)
    assert judging.results(test.id).pairs[0].first_wins == 3


# --- results --------------------------------------------------------------------------------


def test_results_of_an_ab_test(judging, make):
    for n in range(10):
        make(f"p{n}", "old"), make(f"p{n}", "new")
    test = judging.create_test("t", Design("ab"))
    assert judging.results(test.id).verdict == "Nobody has voted yet."
    take(judging, test, "ann", prefers("new", 3))
    take(judging, test, "bob", prefers("new", 1))
    found = judging.results(test.id)
    (pair,) = found.pairs
    assert (pair.first, pair.first_wins, pair.second_wins, pair.ties) == ("new", 20, 0, 0)
    assert pair.strength == 2.0
    assert pair.share.p == pytest.approx(2 / 2**20)
    assert (found.raters, found.finished, found.votes) == (("ann", "bob"), ("ann", "bob"), 20)
    assert found.strengths.rows[0].name == "new"
    assert found.strengths.smoothed
    # which of the two stands first in a trial is the design's, so all votes are for index 0
    assert found.alpha is None
    assert "new was preferred to old in 20 of 20 decided votes" in found.verdict
    assert "less than 0.001" in found.verdict


def test_results_of_a_mos_test(judging, two_systems):
    test = judging.create_test("t", Design("mos"), criterion="melody")
    scores = {"old": (2, 3), "new": (4, 5)}

    def answers(index):
        return lambda shown: {"scores": [scores[shown.clips[0].engine][index]]}

    take(judging, test, "ann", answers(0))
    take(judging, test, "bob", answers(1))
    found = judging.results(test.id)
    assert [(s.system, s.estimate.mean, s.estimate.count) for s in found.scores] == [
        ("new", 4.5, 6),
        ("old", 2.5, 6),
    ]
    # six values with standard deviation sqrt(0.3), t(0.975, 5) = 2.5706
    half = 2.570582 * (0.3 / 6) ** 0.5
    assert found.scores[0].estimate.low == pytest.approx(4.5 - half, abs=1e-5)
    assert 0.5 < found.alpha < 1
    assert found.pairs == ()


def test_mushra_has_a_hidden_reference_and_flags_who_misses_it(judging, two_systems):
    test = judging.create_test("t", Design("mushra", reference="old"))
    trial = judging.store.tests.trials(test.id)[0]
    assert [(s.system, s.role) for s in trial.stimuli] == [
        ("old", "reference"),
        ("new", ""),
        ("3.5 kHz anchor", "anchor"),
    ]
    good = {"old": 100, "new": 60, ANCHOR_ENGINE: 20}
    bad = {"old": 50, "new": 90, ANCHOR_ENGINE: 80}
    for rater, said in (("ann", good), ("bob", good), ("eve", bad)):
        seen = take(
            judging,
            test,
            rater,
            lambda shown, said=said: {"scores": [said[c.engine] for c in shown.clips]},
        )
        assert all(shown.reference.engine == "old" and len(shown.clips) == 3 for shown in seen)
    orders = {
        judging.listening.shown(test, t, r)
        for t in judging.store.tests.trials(test.id)
        for r in map(str, range(60))  # an order may be rare by chance
    }
    assert len(orders) == 6
    found = judging.results(test.id)
    assert found.flagged == {"eve": 1.0}
    means = {s.role or s.system: s.estimate.mean for s in found.scores}
    assert means == {"reference": pytest.approx(250 / 3), "new": 70, "anchor": 40}
    screened = judging.results(test.id, screened=True)
    assert screened.raters == ("ann", "bob")
    assert {s.estimate.mean for s in screened.scores} == {100, 60, 20}
    assert screened.alpha == 1.0


def test_votes_as_csv(judging, store, make):
    a, b = make("=1+1", "old"), make("=1+1", "new")
    trials = [("=1+1", [Stimulus(a.id, "old"), Stimulus(b.id, "new")])]
    test = store.tests.create("by hand", "ab", trials)
    take(judging, test, "ann", prefers("new", 2))
    rows = list(csv.DictReader(io.StringIO(judging.csv(test.id))))
    assert [(r["system"], r["chosen"], r["tie"], r["strength"]) for r in rows] == [
        ("old", "0", "0", "2"),
        ("new", "1", "0", "2"),
    ]
    assert rows[0]["prompt"] == "'=1+1"  # a spreadsheet must not run it
    assert (rows[0]["test"], rows[0]["rater"], rows[0]["seconds"]) == ("by hand", "ann", "3.0")


def test_the_standing_counts_all_comparisons_between_systems(judging, make):
    old, new, other = make("x", "old"), make("x", "new"), make("x", "new")
    assert judging.standing() == ((), None)
    judging.judgements.prefer(new.id, old.id, rater="ann")
    judging.judgements.prefer(other.id, old.id, rater="ann")
    judging.judgements.prefer(old.id, new.id, rater="bob", tie=True)
    judging.judgements.prefer(new.id, other.id, rater="ann")  # inside one system
    (pair,), strengths = judging.standing()
    assert (pair.first, pair.first_wins, pair.second_wins, pair.ties) == ("new", 2, 0, 1)
    assert strengths.rows[0].name == "new"
    lines = judging.preferences_csv().splitlines()
    assert len(lines) == 5
    judging.judgements.rate(new.id, "melody", 4, "ann")
    assert f"{new.id},x,new,,melody,4,ann," in judging.ratings_csv()


def test_the_configuration_is_plain_json():
    assert json.dumps(config())


def test_all_systems_are_compared_where_two_answer_a_prompt(judging, two_systems, make):
    make("prompt 0", "third")
    make("only third", "third")
    plan = judging.designer.plan(Design("ab"))
    # prompt 0 has three systems and so three pairs, the other two prompts one each
    assert (plan.prompts, plan.left_out, len(plan.trials)) == (3, 1, 5)
    assert len(judging.designer.plan(Design("ab", systems=("old", "new", "third"))).trials) == 3
    assert judging.designer.differences(Design()) == []


# --- endpoints ------------------------------------------------------------------------------


@pytest.fixture
def pair(served):
    """Two clips of one prompt and one of another, and a client."""
    made = [
        served.studio.make("tone", text=text, pitch_hz=pitch, seed=1, timeout_s=60)[0].id
        for text, pitch in (("x", 300), ("x", 400), ("y", 500))
    ]
    return served.client(), made


def test_judging_by_script(pair):
    client, (a, b, _) = pair
    client.predict(a, 2, rater="ann", api_name="/rate")
    client.predict(a, 4, rater="ann", api_name="/rate")
    client.predict(a, 5, criterion="timbre", api_name="/rate")
    client.predict(a, "catchy", opinion="good", api_name="/tag")
    client.predict(a, "noisy", opinion="bad", api_name="/tag")
    client.predict(a, "noisy", opinion="none", api_name="/tag")
    client.predict(a, b, strength=3, rater="ann", api_name="/prefer")
    client.predict([b, a], rater="ann", api_name="/rank")
    said = client.predict(a, api_name="/feedback")
    ratings = {(row["criterion"], row["rater"]): row["value"] for row in said["ratings"]}
    assert ratings == {("overall", "ann"): 4, ("timbre", "me"): 5}
    assert [(row["tag"], row["good"]) for row in said["marks"]] == [("catchy", True)]
    (row,) = said["preferences"]
    assert (row["chosen_id"], row["strength"], row["source"]) == (b, 1, "rank")
    client.predict(a, criterion="timbre", api_name="/unrate")
    stats = client.predict(api_name="/feedback_stats")
    assert (stats["ratings"], stats["raters"], stats["preferences"]) == (1, 2, 1)
    assert stats["by_criterion"] == {"overall": {"count": 1, "mean": 4.0}}


REFUSALS = [
    ("/rate", ("a", 6), "A rating is a whole number from 1 to 5, not 6."),
    ("/rate", ("a", 3, "banana"), "'banana' is no criterion; there are overall, melody"),
    ("/rate", ("nothing", 3), "There is no clip nothing"),
    ("/prefer", ("a", "c"), "These clips answer different prompts ('x' and 'y')"),
    ("/prefer", ("a", "a"), "A clip cannot be compared with itself"),
    ("/prefer", ("a", "b", False, 4), "not 4"),
    ("/rank", (["a"],), "A ranking needs at least two clips, not 1."),
    ("/tag", ("a", "  "), "A tag has 1 to 100 characters, not 0."),
    ("/create_test", ("t", "ab"), "There is one system only, 'tone'"),
    ("/create_test", ("t", "ab", "banana"), "There is no criterion 'banana'"),
    ("/create_test", ("t", "mushra", "overall", "pitch_hz"), "MUSHRA needs a reference"),
    ("/trial", ("nothing",), "There is no test nothing"),
    ("/vote", ("nothing", 1), "There is no trial nothing"),
    ("/test_results", ("nothing",), "There is no test nothing"),
]


def test_what_cannot_be_is_said_in_a_sentence(pair):
    from gradio_client.exceptions import AppError

    client, ids = pair
    named = dict(zip("abc", ids, strict=True))

    def replaced(value):
        if isinstance(value, list):
            return [replaced(item) for item in value]
        return named.get(value, value) if isinstance(value, str) else value

    for endpoint, arguments, words in REFUSALS:
        with pytest.raises(AppError) as caught:
            client.predict(*map(replaced, arguments), api_name=endpoint)
        assert words in caught.value.message, endpoint


def test_a_trial_by_script_is_blind(pair, served):
    from storage import read_tags

    client, (a, _, _) = pair
    test = client.predict(
        "T", "mushra", by="pitch_hz", reference="300.0", text="x", api_name="/create_test"
    )
    files, reference, trial = client.predict(test["id"], rater="ann", api_name="/trial")
    assert [file.rsplit("/", 1)[1] for file in files] == ["1.wav", "2.wav", "3.wav"]
    assert all(read_tags(Path(file)) is None for file in [*files, reference])
    known, _ = soundfile.read(served.studio.clip(a).path)
    heard = [soundfile.read(file)[0] for file in files]
    assert np.array_equal(soundfile.read(reference)[0], known)
    place = next(n for n, samples in enumerate(heard) if np.array_equal(samples, known))
    assert not {"clips", "stimuli", "systems"} & set(trial)
    scores = [100 if n == place else 30 for n in range(3)]
    done = client.predict(trial["trial_id"], scores=scores, rater="ann", api_name="/vote")
    assert done == {"done": 1, "of": 1}
    assert client.predict(test["id"], rater="ann", api_name="/trial")[2]["trial_id"] == ""
    votes, results = client.predict(test["id"], api_name="/test_results")
    assert results["scores"][0]["system"] == "300.0"
    assert results["scores"][0]["estimate"]["mean"] == 100
    with Path(votes).open(encoding="utf-8") as file:
        rows = {row["role"]: row["score"] for row in csv.DictReader(file)}
    assert rows == {"reference": "100", "": "30", "anchor": "30"}
    client.predict(test["id"], name="U", archived=True, api_name="/edit_test")
    assert client.predict(api_name="/tests") == []
    assert client.predict(True, api_name="/tests")[0]["name"] == "U"
    assert client.predict(test["id"], api_name="/delete_test") == {"deleted": "U"}
