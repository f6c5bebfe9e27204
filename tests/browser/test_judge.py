"""Judging in the browser: stars, blind pairs by keyboard, rankings, tests that are resumed."""

from __future__ import annotations

import contextlib
import csv

import numpy as np
import pytest
from playwright.sync_api import TimeoutError

from engines.studio.judging.designs import Design
from storage.base.ids import new_id
from tests.browser.ears import hear_all, hears, ready, silence
from tests.browser.steps import go

DRAWN = {
    "rate": "#rate-card .rate-card, #rate-card .rate-done",
    "compare": "#compare-stage .deck, #compare-stage .empty",
    "tests": "#tests-stage .tests-head",
    "overview": "#judge-overview .tiles",
}


@pytest.fixture(scope="module", autouse=True)
def clips(site):
    """Clips to judge: pairs and triples of one prompt, and the outputs of two codecs."""
    made = {}
    for text, count in (("to rate", 2), ("described", 1), ("a pair", 2), ("three of a kind", 3)):
        made[text] = [
            site.studio.make("tone", text=text, seed=n, pitch_hz=300 + 100 * n, steps=4)[0]
            for n in range(count)
        ]
    rng = np.random.default_rng(0)
    for text in ("one", "two"):
        for engine in ("original", "codec-a", "codec-b"):
            samples = (0.1 * rng.standard_normal(24_000)).astype(np.float32)
            site.studio.clips.add(
                samples, 24_000, engine=engine, task="codec", text=text, title=text, peak_db=-10
            )
    return made


@pytest.fixture
def judging(site):
    return site.studio.judging


def open_judge(page, tab):
    """Open one page of the Judge tab."""
    go(page, "judge")
    page.click(f"#tab-judge-{tab}-button")
    page.wait_for_selector(DRAWN[tab])


def only(page, prefix, words, shown):
    """Narrow the clips to those with these words until ``shown`` is; once more where the answer to
    the opening of the page came after that to the words."""
    field = f"#{prefix}-words input, #{prefix}-words textarea"
    for _ in range(4):
        page.fill(field, words)
        with contextlib.suppress(TimeoutError):
            page.wait_for_selector(shown, timeout=15_000)
            return
        page.fill(field, "")
    raise AssertionError(f"{shown} never came")


# --- rating ---------------------------------------------------------------------------------


def overall(judging, clip):
    return [
        (row.value, row.rater)
        for row in judging.judgements.ratings(clip.id)
        if row.criterion == "overall"
    ]


def wait_for(page, read, wanted):
    """Wait until ``read()`` gives ``wanted``; the page stores in the background."""
    for _ in range(100):
        if read() == wanted:
            return
        page.wait_for_timeout(50)
    assert read() == wanted


def test_a_rating_is_changed_not_piled_up(page, judging, clips):
    second, first = clips["to rate"]  # the newest comes first
    open_judge(page, "rate")
    card = f'#rate-card [data-clip="{first.id}"]'
    only(page, "rate", "rate", card)
    assert page.inner_text("#rate-card .prompt") == "to rate"
    page.keyboard.press("Escape")
    page.keyboard.press("4")
    wait_for(page, lambda: overall(judging, first), [(4, "me")])
    page.wait_for_selector(f'{card} .stars[data-criterion="overall"][data-value="4"]')
    page.click(f'{card} .stars[data-criterion="overall"] [data-star="2"]')
    wait_for(page, lambda: overall(judging, first), [(2, "me")])
    page.click(f'{card} .stars[data-criterion="naturalness"] [data-star="5"]')
    wait_for(page, lambda: len(judging.judgements.ratings(first.id)), 2)
    page.click(f'{card} .stars[data-criterion="naturalness"] [data-star="5"]')  # taken back
    wait_for(page, lambda: len(judging.judgements.ratings(first.id)), 1)
    page.wait_for_selector("#rate-list .queue-item.here.done")
    page.keyboard.press("Enter")
    page.wait_for_selector(f'#rate-card [data-clip="{second.id}"]')
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector(f'{card} .stars[data-criterion="overall"][data-value="2"]')


def test_tags_notes_and_favourite_keep_themselves(page, site, judging, clips):
    clip = clips["described"][0]
    open_judge(page, "rate")
    only(page, "rate", "described", f'#rate-card [data-clip="{clip.id}"]')
    page.click("#rate-card [data-mark='clear']")
    page.click("#rate-card [data-mark='robotic']")
    page.click("#rate-card [data-mark='robotic'][aria-pressed='true']")
    page.fill("#rate-card .add-mark input", "too <loud>")
    page.click("#rate-card [data-add-mark='bad']")
    page.fill("#rate-card [data-notes]", "a note")
    page.click("#rate-card [data-favour]")
    marks = lambda: {row.tag: row.good for row in judging.judgements.marks(clip.id)}  # noqa: E731
    wait_for(page, marks, {"clear": True, "too <loud>": False})
    page.wait_for_selector("#rate-card [data-favour][aria-pressed='true']")
    wait_for(page, lambda: site.studio.clip(clip.id).notes, "a note")
    assert site.studio.clip(clip.id).favorite
    page.reload()
    open_judge(page, "rate")
    page.wait_for_selector("#rate-card .rate-card")
    marked = "#rate-card [data-mark='too <loud>'][aria-pressed='true']"
    only(page, "rate", "described", marked)


def test_another_name_is_another_listener(page, judging, clips):
    clip = clips["to rate"][1]
    judging.judgements.rate(clip.id, "overall", 3, "me")
    open_judge(page, "rate")
    page.fill("#judge-name input, #judge-name textarea", "ann")
    page.keyboard.press("Enter")
    page.wait_for_selector("#studio-rater [data-rater='ann']", state="attached")
    only(page, "rate", "rate", f'#rate-card [data-clip="{clip.id}"]')
    page.keyboard.press("Escape")
    page.keyboard.press("5")
    wait_for(page, lambda: sorted(overall(judging, clip)), [(3, "me"), (5, "ann")])
    page.reload()
    go(page, "judge")
    page.wait_for_function(
        "document.querySelector('#judge-name input, #judge-name textarea').value === 'ann'"
    )


# --- comparing ------------------------------------------------------------------------------


def test_a_blind_pair_by_keyboard(page, judging, clips):
    ids = {clip.id for clip in clips["a pair"]}
    open_judge(page, "compare")
    only(page, "compare", "pair", "#compare-stage .prompt:has-text('a pair')")
    ready(page, "#compare-stage")
    page.keyboard.press("Escape")
    stage = page.locator("#compare-stage")
    assert "pitch_hz" not in stage.inner_text()
    assert page.is_disabled("[data-vote='1'] >> visible=true")
    assert "First listen to" in page.inner_text("#compare-stage .deck-why")
    page.keyboard.press("1")  # too early
    assert judging.judgements.preferences() == []
    page.keyboard.press(" ")
    hears(page, "s.position > 0.2")
    page.keyboard.press(" ")
    silence(page)
    page.keyboard.press(" ")
    before = hears(page)["position"]
    assert before > 0.2  # it goes on where it was
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#compare-stage .deck-side:nth-child(2)[aria-pressed='true']")
    assert hears(page)["position"] > before  # the other side, at the same moment
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("#compare-stage .deck-side:nth-child(1)[aria-pressed='true']")
    hear_all(page, "#compare-stage")
    page.wait_for_selector("#compare-stage .deck-why.ok")
    page.keyboard.press("e")
    left = page.get_attribute("#compare-stage .deck-side >> nth=0", "data-source").split("/")[1]
    page.keyboard.press("1")
    page.wait_for_selector("#compare-stage [data-judge='change']")
    assert "pitch_hz" in stage.inner_text()
    (row,) = judging.judgements.preferences(left)
    assert (row.chosen_id, row.tie, row.strength, row.rater) == (left, False, 3, "me")
    assert {row.chosen_id, row.rejected_id} == ids
    hears(page)  # the answer did not stop the sound
    page.click("#compare-stage [data-judge='change']")
    page.wait_for_selector("#compare-stage [data-judge='skip']")
    page.keyboard.press("0")
    page.wait_for_selector("#compare-stage [data-judge='change']")
    (row,) = judging.judgements.preferences(left)
    assert row.tie
    page.keyboard.press("Enter")
    page.wait_for_selector("#compare-stage .empty")
    silence(page)


def click_bar(page, share):
    """Click the picture of the sound at this share of its width."""
    bar = page.locator("#compare-stage .deck-bar")
    box = bar.bounding_box()
    bar.click(position={"x": box["width"] * share, "y": box["height"] / 2})


def test_loop_and_seek(page, clips):
    open_judge(page, "compare")
    ready(page, "#compare-stage")
    page.keyboard.press("l")
    page.wait_for_selector("#compare-stage .deck-loop[aria-pressed='false']")
    click_bar(page, 0.5)
    page.keyboard.press(" ")
    sound = hears(page)
    assert sound["position"] == pytest.approx(sound["length"] / 2, abs=0.2)
    silence(page)  # without loop it ends by itself
    page.click("#compare-stage .deck-loop")
    click_bar(page, 0.9)
    page.keyboard.press(" ")
    hears(page, "s.position < s.length / 2")


def test_the_cursor_is_drawn_along_the_picture_and_moved_by_keys(page, clips):
    open_judge(page, "compare")
    ready(page, "#compare-stage")
    bar = page.locator("#compare-stage .deck-bar")
    length = float(bar.get_attribute("aria-valuemax"))
    box = bar.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.keyboard.press("Escape")
    page.keyboard.press(" ")
    hears(page)
    page.mouse.move(box["x"] + 0.1 * box["width"], middle)
    page.mouse.down()
    silence(page)  # while the cursor is held
    page.mouse.move(box["x"] + 0.5 * box["width"], middle, steps=3)
    assert float(bar.get_attribute("aria-valuenow")) == pytest.approx(length / 2, abs=0.11)
    page.mouse.up()
    assert hears(page)["position"] >= 0.45 * length
    page.keyboard.press(" ")
    silence(page)
    page.locator("#compare-stage .deck-play").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    assert bar.get_attribute("aria-valuenow") == "0.0"
    page.keyboard.press("ArrowRight")
    assert float(bar.get_attribute("aria-valuenow")) == pytest.approx(min(0.5, length), abs=0.051)


def test_a_ranking_gives_all_its_pairs(page, judging, clips):
    open_judge(page, "compare")
    page.click("#compare-mode label:has-text('order')")
    only(page, "compare", "kind", "#compare-stage .prompt:has-text('three of a kind')")
    page.wait_for_selector("#compare-stage .rank-row >> nth=2")
    ready(page, "#compare-stage")
    assert page.is_disabled("#compare-stage [data-save]")
    hear_all(page, "#compare-stage")
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.click("#compare-stage .rank-row:has-text('A') [data-move='1']")
    names = page.eval_on_selector_all(
        "#compare-stage .rank-row", "rows => rows.map((row) => row.dataset.name)"
    )
    assert names == ["C", "B", "A"]
    order = page.eval_on_selector_all(
        "#compare-stage .rank-row", "rows => rows.map((row) => row.dataset.source.split('/')[1])"
    )
    page.keyboard.press("Enter")
    page.wait_for_selector("#compare-stage :text('Kept: 3 comparisons')")
    best, middle, worst = order
    found = {(row.chosen_id, row.rejected_id) for row in judging.judgements.preferences(limit=3)}
    assert found == {(best, middle), (best, worst), (middle, worst)}
    after = page.eval_on_selector_all(
        "#compare-stage .rank-row", "rows => rows.map((row) => row.dataset.source.split('/')[1])"
    )
    assert after == order


# --- listening tests ------------------------------------------------------------------------


def test_a_mos_test_is_made_taken_and_resumed(page, site, judging, tmp_path):
    open_judge(page, "tests")
    page.click("#tests-form > button")
    page.fill("#test-name input, #test-name textarea", "Codecs alone")
    page.click("#test-kind label:has-text('MOS')")
    page.click("#test-systems label:has-text('codec-a')")
    page.click("#test-systems label:has-text('codec-b')")
    page.wait_for_selector("#test-plan :text('4 trials')")
    page.click("#test-create")
    page.wait_for_selector(".test:has-text('Codecs alone')")
    (test,) = [t for t in site.studio.store.tests.list() if t.name == "Codecs alone"]
    card = f'[data-test="{test.id}"]'
    page.click(f"{card} [data-judge='take']")
    ready(page, "#tests-stage")
    assert "Trial 1 of 4" in page.inner_text("#tests-stage .trial-head")
    assert page.is_disabled("[data-grade='4']")
    hear_all(page, "#tests-stage")
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    page.wait_for_selector("#tests-stage .trial-head:has-text('Trial 2 of 4')")
    page.reload()
    open_judge(page, "tests")
    page.wait_for_selector(f"{card}:has-text('1 of 4')")
    page.click(f"{card} [data-judge='take']")
    page.wait_for_selector("#tests-stage .trial-head:has-text('Trial 2 of 4')")
    page.click("#tests-stage :text('Back')")
    page.wait_for_selector("#tests-stage [data-grade='4'][aria-checked='true']")
    ready(page, "#tests-stage")
    hear_all(page, "#tests-stage")
    page.keyboard.press("5")
    page.keyboard.press("Enter")
    for number in (2, 3, 4):
        page.wait_for_selector(f"#tests-stage .trial-head:has-text('Trial {number} of 4')")
        ready(page, "#tests-stage")
        hear_all(page, "#tests-stage")
        page.keyboard.press("3")
        page.click("#tests-stage [data-save]")
    page.wait_for_selector("#tests-stage .thanks")
    votes = site.studio.store.tests.votes(test.id)
    assert sorted(vote.answer["scores"][0] for vote in votes) == [3, 3, 3, 5]
    page.click("#tests-stage [data-judge='results']")
    page.wait_for_selector("#tests-stage .plot svg")
    rows = page.locator("#tests-stage .results-table tbody tr")
    assert rows.count() == 2
    assert "4.00" in rows.first.inner_text()
    with page.expect_download() as download:
        page.click("#tests-csv")
    path = tmp_path / "votes.csv"
    download.value.save_as(path)
    assert download.value.suggested_filename == "Codecs-alone.csv"
    with path.open(encoding="utf-8") as file:
        assert sorted(row["score"] for row in csv.DictReader(file)) == ["3", "3", "3", "5"]


def test_a_mushra_test_asks_for_every_slider_and_is_resumed(page, site, judging):
    test = judging.create_test(
        f"Beside the original {new_id()}", Design("mushra", task="codec", reference="original")
    )
    card = f'[data-test="{test.id}"]'
    open_judge(page, "tests")
    page.click(f"{card} [data-judge='take']")
    ready(page, "#tests-stage")
    assert page.locator("#tests-stage .mushra-column").count() == 4
    hear_all(page, "#tests-stage")
    page.wait_for_selector("#tests-stage .deck-why:has-text('4 still to go')")
    assert page.is_disabled("#tests-stage [data-save]")
    for index, score in enumerate((90, 60, 30, 10)):
        slider = page.locator("#tests-stage input[type=range]").nth(index)
        slider.fill(str(score))
    page.wait_for_selector("#tests-stage .deck-why.ok")
    page.click("#tests-stage [data-save]")
    page.wait_for_selector("#tests-stage .trial-head:has-text('Trial 2 of 2')")
    shown = judging.present(test.id, "me", 1)
    assert shown.answer == {"scores": [90, 60, 30, 10]}
    page.reload()
    open_judge(page, "tests")
    page.click(f"{card} [data-judge='take']")
    page.wait_for_selector("#tests-stage .trial-head:has-text('Trial 2 of 2')")
    ready(page, "#tests-stage")
    hear_all(page, "#tests-stage")
    for index in range(4):
        page.locator("#tests-stage input[type=range]").nth(index).fill("50")
    page.click("#tests-stage [data-save]")
    page.wait_for_selector("#tests-stage .thanks")
    page.click("#tests-stage [data-judge='results']")
    page.wait_for_selector("#tests-stage .state.warn:has-text('me')")
    page.wait_for_selector("#tests-stage .results-table :text('hidden reference')")
    page.wait_for_selector("#tests-stage .results-table :text('3.5 kHz anchor')")


def test_an_ab_test_by_keyboard_and_its_verdict(page, site, judging):
    design = Design("ab", task="codec", systems=("codec-a", "codec-b"))
    test = judging.create_test(f"A or B {new_id()}", design)
    open_judge(page, "tests")
    page.click(f'[data-test="{test.id}"] [data-judge="take"]')
    for number in (1, 2):
        page.wait_for_selector(f"#tests-stage .trial-head:has-text('Trial {number} of 2')")
        ready(page, "#tests-stage")
        hear_all(page, "#tests-stage")
        shown = judging.present(test.id, "me")
        place = next(n for n, clip in enumerate(shown.clips, 1) if clip.engine == "codec-a")
        page.keyboard.press(str(place))
    page.wait_for_selector("#tests-stage .thanks")
    page.click("#tests-stage [data-judge='results']")
    page.wait_for_selector(
        "#tests-stage .test-verdict:has-text('codec-a leads codec-b with 2 of 2')"
    )
    page.click("#tests-stage [data-judge='list']")
    page.click(f'[data-test="{test.id}"] [data-judge="archive"]')
    page.wait_for_selector(f'[data-test="{test.id}"]', state="detached")
    assert site.studio.store.tests.get(test.id).archived


def test_the_overview_counts_and_offers_files(page, judging):
    open_judge(page, "overview")
    page.wait_for_selector("#judge-overview .tiles")
    stats = judging.judgements.stats()
    assert page.inner_text("#judge-overview .tiles div:nth-child(2) b") == str(stats.ratings)
    with page.expect_download() as download:
        page.click("#judge-overview a[href='judgements/ratings.csv']")
    text = download.value.path().read_text(encoding="utf-8")
    assert len(text.splitlines()) == stats.ratings + 1
