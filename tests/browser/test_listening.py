"""What a rater hears is what the answer is stored for, over trials answered while the sound plays.

Every clip has a length of its own, by which the ears tell it from all others. Nothing here asks the
page what it plays: the audio context is listened to. ``LISTENING_TRIALS=20 LISTENING_RATERS=5`` makes
the whole study of it.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from engines.studio.judging.designs import Design
from tests.browser.ears import hear, hear_all, ready, silence
from tests.browser.steps import go

TRIALS = int(os.environ.get("LISTENING_TRIALS", "5"))
RATERS = [f"rater {number}" for number in range(int(os.environ.get("LISTENING_RATERS", "1")))]
STAGE = "#tests-stage"
CLOSE_S = 0.003
REACTION_MS = 700  # until a person has found the button of a page that just opened


@pytest.fixture(scope="module", autouse=True)
def clips(site):
    """Texts by three systems, each clip 12 ms longer than the one before."""
    rng = np.random.default_rng(1)
    number = 0
    for text in range(TRIALS):
        for engine in ("original", "codec-a", "codec-b"):
            number += 1
            samples = (0.1 * rng.standard_normal(12_000 + 288 * number)).astype(np.float32)
            site.studio.clips.add(
                samples, 24_000, engine=engine, task="codec", text=f"text {text}",
                title=f"text {text}", peak_db=-10,
            )  # fmt: skip


@pytest.fixture(scope="module")
def page(browser, site):
    """One window for all raters of this file."""
    from tests.browser.ears import LISTEN

    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.add_init_script(LISTEN)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(site.url)
    page.wait_for_selector("#tab-speech-button")
    go(page, "judge")
    yield page
    context.close()


def take(page, test, rater):
    """Begin a test as this rater."""
    page.fill("#judge-name input, #judge-name textarea", rater)
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#studio-rater [data-rater='{rater}']", state="attached")
    page.click("#tab-judge-tests-button")
    page.wait_for_timeout(REACTION_MS)
    if page.locator(f"{STAGE} [data-judge='list']").count():
        page.click(f"{STAGE} [data-judge='list'] >> nth=0")
        page.wait_for_timeout(REACTION_MS)
    page.click(f'[data-test="{test.id}"] [data-judge="take"]')


def trial(page, site, test, rater, number):
    """Wait for trial ``number`` and give the lengths of the sounds that it should play, in order."""
    page.wait_for_selector(f"{STAGE} .trial-head:has-text('Trial {number} of')")
    ready(page, STAGE)
    shown = site.studio.judging.present(test.id, rater)
    sounds = [shown.reference] if shown.reference else []
    return shown, [clip.duration_s for clip in (*sounds, *shown.clips)]


def rest(page, number):
    """Every second trial is answered in silence."""
    if number % 2 == 0:
        page.keyboard.press("Escape")
        page.keyboard.press(" ")
        silence(page)


def answers(site, test, rater):
    """What is stored, by trial: the answer and the ids of the trial's clips in their stored order."""
    tests = site.studio.store.tests
    votes = {vote.trial_id: vote.answer for vote in tests.votes(test.id, rater)}
    return {
        trial_id: (answer, [each.clip_id for each in tests.trial(trial_id).stimuli])
        for trial_id, answer in votes.items()
    }


def chosen(given):
    """The clip preferred in each trial."""
    return {trial_id: clips[answer["choice"]] for trial_id, (answer, clips) in given.items()}


def scores_by_clip(given):
    """The score of each clip in each trial."""
    return {
        trial_id: dict(zip(clips, answer["scores"], strict=True))
        for trial_id, (answer, clips) in given.items()
    }


@pytest.mark.parametrize("rater", RATERS)
def test_ab_answers_are_about_what_was_heard(page, site, rater):
    tests = [t for t in site.studio.store.tests.list() if t.name == "ab"]
    design = Design("ab", task="codec", systems=("codec-a", "codec-b"))
    test = tests[0] if tests else site.studio.judging.create_test("ab", design)
    take(page, test, rater)
    wanted = {}
    for number in range(1, TRIALS + 1):
        shown, lengths = trial(page, site, test, rater, number)
        assert hear_all(page, STAGE) == pytest.approx(lengths, abs=CLOSE_S)
        place = number % 2
        audible = hear(page, STAGE, place)["length"]
        page.wait_for_selector(f"{STAGE} .deck-why.ok")
        rest(page, number)
        if number % 4 < 2:
            page.keyboard.press(str(place + 1))
        else:
            page.click(f"{STAGE} [data-vote='{place + 1}']")
        assert audible == pytest.approx(shown.clips[place].duration_s, abs=CLOSE_S)
        wanted[shown.trial.id] = shown.clips[place].id
    page.wait_for_selector(f"{STAGE} .thanks")
    silence(page)
    assert chosen(answers(site, test, rater)) == wanted


@pytest.mark.parametrize("rater", RATERS)
def test_mos_grades_are_about_what_was_heard(page, site, rater):
    tests = [t for t in site.studio.store.tests.list() if t.name == "mos"]
    test = (
        tests[0]
        if tests
        else site.studio.judging.create_test(
            "mos", Design("mos", task="codec", systems=("codec-a",))
        )
    )
    take(page, test, rater)
    wanted = {}
    for number in range(1, TRIALS + 1):
        shown, lengths = trial(page, site, test, rater, number)
        assert page.locator(f"{STAGE} [data-grade][aria-checked='true']").count() == 0
        assert hear_all(page, STAGE) == pytest.approx(lengths, abs=CLOSE_S)
        rest(page, number)
        grade = 1 + number % 5
        if number % 4 < 2:
            page.keyboard.press(str(grade))
            page.keyboard.press("Enter")
        else:
            page.click(f"{STAGE} [data-grade='{grade}']")
            page.click(f"{STAGE} [data-save]")
        wanted[shown.trial.id] = {shown.clips[0].id: grade}
    page.wait_for_selector(f"{STAGE} .thanks")
    silence(page)
    assert scores_by_clip(answers(site, test, rater)) == wanted


@pytest.mark.parametrize("rater", RATERS)
def test_mushra_scores_are_about_what_was_heard_and_sliders_start_in_the_middle(page, site, rater):
    tests = [t for t in site.studio.store.tests.list() if t.name == "mushra"]
    test = (
        tests[0]
        if tests
        else site.studio.judging.create_test(
            "mushra", Design("mushra", task="codec", reference="original")
        )
    )
    take(page, test, rater)
    wanted = {}
    for number in range(1, TRIALS + 1):
        shown, lengths = trial(page, site, test, rater, number)
        sliders = page.locator(f"{STAGE} input[type=range]")
        count = sliders.count()
        assert [sliders.nth(place).input_value() for place in range(count)] == ["50"] * count
        assert page.locator(f"{STAGE} output").all_inner_texts() == ["–"] * count
        assert hear_all(page, STAGE) == pytest.approx(lengths, abs=CLOSE_S)
        scores = [(17 * number + 23 * place) % 101 for place in range(count)]
        for place, score in enumerate(scores):
            sliders.nth(place).fill(str(score))
        rest(page, number)
        if number % 4 < 2:
            page.keyboard.press("Enter")
        else:
            page.click(f"{STAGE} [data-save]")
        wanted[shown.trial.id] = {
            clip.id: score for clip, score in zip(shown.clips, scores, strict=True)
        }
        page.wait_for_selector(
            f"{STAGE} .thanks, {STAGE} .trial-head:has-text('Trial {number + 1} of')"
        )
    silence(page)
    assert scores_by_clip(answers(site, test, rater)) == wanted


def test_blind_pairs_are_about_what_was_heard(page, site):
    stage = "#compare-stage"
    page.fill("#judge-name input, #judge-name textarea", "pairs")
    page.keyboard.press("Enter")
    page.wait_for_selector("#studio-rater [data-rater='pairs']", state="attached")
    page.click("#tab-judge-compare-button")
    before = ""
    for number in range(1, 6):
        page.wait_for_selector(f"{stage} [data-judge='skip']")
        page.wait_for_function(
            "([s, before]) => document.querySelector(s).dataset.deck !== before",
            arg=[f"{stage} .deck", before],
        )
        before = page.get_attribute(f"{stage} .deck", "data-deck")
        ready(page, stage)
        sources = page.eval_on_selector_all(
            f"{stage} .deck-side", "all => all.map((side) => side.dataset.source.split('/')[1])"
        )
        lengths = [site.studio.clip(clip_id).duration_s for clip_id in sources]
        assert hear_all(page, stage) == pytest.approx(lengths, abs=CLOSE_S)
        place = number % 2
        audible = hear(page, stage, place)["length"]
        page.wait_for_selector(f"{stage} .deck-why.ok")
        rest(page, number)
        page.keyboard.press(str(place + 1))
        page.wait_for_selector(f"{stage} [data-judge='change']")
        (row, *_) = site.studio.judging.judgements.preferences(limit=1)
        assert site.studio.clip(row.chosen_id).duration_s == pytest.approx(audible, abs=CLOSE_S)
        page.keyboard.press("Enter")


def test_notes_that_were_typed_for_one_clip_are_not_shown_for_the_next(page, site):
    page.click("#tab-judge-rate-button")
    card = page.locator("#rate-card .rate-card")
    card.wait_for()
    for number in range(3):
        clip = card.get_attribute("data-clip")
        notes = page.locator("#rate-card [data-notes]")
        assert notes.input_value() == ""
        notes.fill(f"note {number}")
        page.wait_for_timeout(700)  # longer than the page waits before it keeps a note
        page.click("#rate-card [data-judge='next']")
        page.wait_for_selector(f"#rate-card .rate-card:not([data-clip='{clip}'])")
        assert site.studio.clip(clip).notes == f"note {number}"
