"""A listening test by link, as the maker who gives it away and the rater who has nothing else."""

from __future__ import annotations

import re
from zipfile import ZipFile

import httpx
import numpy as np
import pytest
import soundfile

from engines.studio.judging.designs import Design
from storage.base.ids import new_id
from tests.browser.ears import LISTEN, hear, hear_all, silence
from tests.browser.steps import go

CLOSE_S = 0.003
RATE = 24_000
KINDS = {
    "ab": (Design("ab", task="codec", systems=("codec-a", "codec-b")), "Which do you prefer"),
    "mos": (Design("mos", task="codec", systems=("codec-a",)), "how good is it"),
    "mushra": (Design("mushra", task="codec", reference="original"), "close is each sound"),
}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module", autouse=True)
def clips(site):
    """Two texts by three systems, each clip 12 ms longer than the one before."""
    rng = np.random.default_rng(1)
    for number in range(6):
        samples = (0.1 * rng.standard_normal(12_000 + 288 * number)).astype(np.float32)
        site.studio.clips.add(
            samples, RATE, engine=("original", "codec-a", "codec-b")[number % 3], task="codec",
            text=f"Text number {number // 3} is read aloud here.", title="x", peak_db=-10,
        )  # fmt: skip


@pytest.fixture
def rater(browser):
    """A window of somebody else, the size of a telephone; errors of its page fail the test."""
    context = browser.new_context(viewport=PHONE, color_scheme="dark")
    context.add_init_script(LISTEN)
    page = context.new_page()
    page.set_default_timeout(30_000)
    complaints = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def begin(page, address, name):
    """Open the link and give a name."""
    page.goto(address)
    page.fill("input[name=name]", name)
    page.keyboard.press("Enter")
    page.wait_for_selector(".deck")


def ready(page, number):
    page.wait_for_selector(f".progress:has-text('Trial {number} of')")
    page.wait_for_selector(".deck-time:has-text(' / ')")


def narrow_lines(page):
    """Texts that have a line for nearly every word, or run out of the window."""
    return page.evaluate(
        """() => [...document.querySelectorAll("p, li, h1, h3, label, button, blockquote")].filter((node) => {
          const box = node.getBoundingClientRect(), words = node.innerText.trim().split(/\\s+/).length;
          const line = parseFloat(getComputedStyle(node).lineHeight) || 24;
          return box.width && (box.right > innerWidth + 1 || (words > 4 && box.height / line > words * 0.8));
        }).map((node) => node.innerText)"""
    )


@pytest.mark.parametrize("kind", KINDS)
def test_each_answer_is_about_what_was_audible(site, rater, kind):
    design, question = KINDS[kind]
    test = site.studio.judging.create_test(f"by link {kind} {new_id()}", design)
    link = site.studio.store.links.create(test.id, "Please listen with headphones.")
    begin(rater, f"{site.url}/listen/{link.token}", "Bo")
    wanted = {}
    for number in (1, 2):
        ready(rater, number)
        assert question in rater.inner_text(".question")
        assert narrow_lines(rater) == []
        person = site.studio.store.links.named(link.token, "Bo")
        shown = site.studio.judging.links.present(person)
        sounds = [*([shown.reference] if shown.reference else []), *shown.clips]
        heard = hear_all(rater, "main")
        assert heard == pytest.approx([clip.duration_s for clip in sounds], abs=CLOSE_S)
        if number == 2:  # in silence
            rater.click(".deck-play")
            silence(rater)
        if kind == "ab":
            audible = hear(rater, "main", number % 2)["length"]
            clip = shown.clips[number % 2]
            assert audible == pytest.approx(clip.duration_s, abs=CLOSE_S)
            wanted[shown.trial.id] = clip.id
            rater.click(f"[data-vote='{number % 2 + 1}']")
        elif kind == "mos":
            wanted[shown.trial.id] = {shown.clips[0].id: number + 2}
            rater.click(f"[data-grade='{number + 2}']")
            rater.click("[data-save]")
        else:
            sliders = rater.locator("input[type=range]")
            assert {sliders.nth(n).input_value() for n in range(len(shown.clips))} == {"50"}
            scores = [10 * number + 7 * place for place in range(len(shown.clips))]
            for place, score in enumerate(scores):
                sliders.nth(place).fill(str(score))
            ids = [clip.id for clip in shown.clips]
            wanted[shown.trial.id] = dict(zip(ids, scores, strict=True))
            rater.click("[data-save]")
        if number == 1:
            ready(rater, 2)
            rater.reload()  # the same person goes on
    rater.wait_for_selector("h1:has-text('Thank you, Bo')")
    assert rater.inner_text(".code") == site.studio.store.links.named(link.token, "Bo").code
    stored = {}
    for vote in site.studio.store.tests.votes(test.id, "Bo"):
        ids = [each.clip_id for each in site.studio.store.tests.trial(vote.trial_id).stimuli]
        stored[vote.trial_id] = (
            ids[vote.answer["choice"]]
            if kind == "ab"
            else dict(zip(ids, vote.answer["scores"], strict=True))
        )
    assert stored == wanted


def test_a_maker_gives_the_test_away_and_closes_it(site, page, rater):
    test = site.studio.judging.create_test(f"To give away {new_id()}", KINDS["mos"][0])
    go(page, "judge")
    page.click("#tab-judge-tests-button")
    page.click(f'[data-test="{test.id}"] [data-judge="share"]')
    page.fill("#link-message", "Hello <listeners>")
    page.click("[data-judge='new-link']")
    address = page.get_attribute(".test-link a", "href")
    assert re.fullmatch(r"listen/[\w-]{32}", address)
    assert page.input_value("#link-message") == ""
    begin(rater, f"{site.url}/{address}", "Cy")
    rater.goto(f"{site.url}/{address}")
    assert "Trial 1 of 2" in rater.inner_text(".progress")
    page.click("[data-judge='list']")
    page.click(f'[data-test="{test.id}"] [data-judge="share"]')
    page.wait_for_selector(".test-link td:has-text('Cy')")
    assert "0 of 2" in page.inner_text(".test-link table")
    page.click("[data-judge='close-link']")
    page.wait_for_selector("[data-judge='reopen-link']")
    assert site.studio.store.links.list(test.id)[0].closed
    link = httpx.get(f"{site.url}/{address}")
    assert (link.status_code, "is closed" in link.text) == (410, True)


def test_a_test_of_sounds_that_were_sent(site, page, tmp_path):
    rng = np.random.default_rng(2)
    for system in ("old", "new", "original"):
        path = tmp_path / system / "sentence.wav"
        path.parent.mkdir()
        soundfile.write(path, 0.1 * rng.standard_normal(RATE), RATE)
    for system in ("old", "new"):
        with ZipFile(tmp_path / f"{system}.zip", "w") as archive:
            archive.write(tmp_path / system / "sentence.wav", "sentence.wav")
    go(page, "judge")
    page.click("#tab-judge-tests-button")
    page.click("#tests-form > button")
    page.fill("#test-name input, #test-name textarea", "Sent sounds")
    page.click("#test-kind label:has-text('MUSHRA')")
    page.wait_for_selector("#test-plan :text('needs a reference')")
    page.click("#test-own > button")
    zips = [str(tmp_path / f"{system}.zip") for system in ("old", "new")]
    page.set_input_files("#test-own-generated input[type=file]", zips)
    page.wait_for_selector("#test-own-generated :text('new')")
    original = str(tmp_path / "original" / "sentence.wav")
    page.set_input_files("#test-own-reference input[type=file]", original)
    page.wait_for_selector("#test-own-reference :text('sentence')")
    page.click("#test-own-take")
    page.wait_for_selector("#test-plan :text('1 trial')")
    assert "Reference: reference." in page.inner_text("#test-plan")
    page.click("#test-create")
    page.wait_for_selector(".test:has-text('Sent sounds')")
    (test,) = [t for t in site.studio.store.tests.list() if t.name == "Sent sounds"]
    (trial,) = site.studio.store.tests.trials(test.id)
    assert [each.system for each in trial.stimuli] == ["reference", "new", "old", "3.5 kHz anchor"]
