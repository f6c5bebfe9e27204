"""The Compare tab: a grid that plays in step, keys, loudness, more clips, a blind test."""

from __future__ import annotations

import pytest

from engines.studio.evaluation import plan as wishes
from tabs.compare import page as compare
from tests.browser.ears import hears, ready, silence
from tests.browser.steps import go, shot

CARD = "#compare-grid .compare-card"


@pytest.fixture(scope="module")
def clips(site):
    """A loud and a quiet clip that differ in pitch, three seconds each."""
    return [
        site.studio.make("tone", text="the river", seed=7, steps=12, pitch_hz=hz, loud=loud)[0]
        for hz, loud in ((220, True), (330, False))
    ]


def chosen(page, count):
    """Wait until so many clips are in the grid and loaded."""
    page.wait_for_function(
        "n => document.querySelectorAll('#compare-grid .compare-card').length === n", arg=count
    )
    ready(page, "#compare-grid")


def test_compare_two_clips(page, site, clips):
    go(page, "compare")
    for place in (1, 0):  # the newest comes first
        page.locator("#compare-found li", has_text="the river").nth(place).locator(
            "[data-action]"
        ).click()
        page.wait_for_selector(f"#compare-found li.selected >> nth={1 - place}")
    chosen(page, 2)
    page.keyboard.press("2")
    page.wait_for_selector(f"{CARD}.active:nth-child(2)")
    before = hears(page, "s.position > 0.2")
    page.keyboard.press("1")
    page.wait_for_selector(f"{CARD}.active:nth-child(1)")
    after = hears(page, "s.gain > 0.99")
    assert after["position"] > before["position"]
    assert before["gain"] == pytest.approx(1, abs=0.02)
    page.wait_for_selector("#compare-grid >> text=every clip plays at its own level")
    page.keyboard.press("m")
    page.wait_for_selector("#compare-grid >> text=turned down to the quietest, -")
    apart_db = clips[0].loudness_lufs - clips[1].loudness_lufs
    assert apart_db > 5
    quieter = 10 ** (-apart_db / 20)
    assert hears(page, f"s.gain < {quieter + 0.01}")["gain"] == pytest.approx(quieter, abs=2e-3)
    assert page.locator(f"{CARD} .gain").first.inner_text() == f"−{apart_db:.1f} dB"
    page.keyboard.press(" ")
    silence(page)
    picture = page.locator(f"{CARD} .compare-picture").first
    page.wait_for_function(
        "() => [...document.querySelectorAll('.compare-picture img')].every(i => i.naturalWidth > 0)"
    )
    box = picture.bounding_box()
    drawn = page.evaluate(
        "() => { const i = document.querySelector('.compare-picture img');"
        " return i.naturalWidth / i.naturalHeight }"
    )
    assert box["width"] / box["height"] == pytest.approx(
        drawn, rel=0.03
    )  # else the cursor is wrong
    picture.click(position={"x": box["width"] * 0.5525, "y": box["height"] / 2})
    assert float(page.inner_text("#compare-grid .deck-time").split()[0]) == pytest.approx(
        1.5, abs=0.1
    )
    differing = page.inner_text("#compare-settings tr.differs >> nth=0")
    assert "loud" in page.inner_text("#compare-settings .compare-table")
    assert differing
    shot(page, "compare-two")


@pytest.fixture
def few(monkeypatch):
    """Only quick measures are installed."""
    quick = {"loudness", "peak", "f0_rmse", "lsd"}
    usable = wishes.ready
    monkeypatch.setattr(compare, "ready", lambda needs: [m for m in usable(needs) if m in quick])


def test_more_seeds_then_a_blind_test(page, site, clips, few):
    go(page, "history")
    page.locator("#history-list li", has_text="the river").first.click()
    page.click("#history-compare")
    page.wait_for_selector(CARD)
    page.click("text=Same settings, other seeds")
    chosen(page, 4)
    page.locator(f"{CARD} [data-action=reference]").nth(1).click()
    page.wait_for_selector("#compare-measure >> text=against clip 2")
    page.click("#compare-measure")
    page.wait_for_selector("#compare-scores >> text=Against clip 2")
    page.wait_for_selector("#compare-scores >> text=Bold is best")
    assert page.locator("#compare-scores tr[data-metric]").count() == 4
    shot(page, "compare-four")
    page.click("text=Blind A/B")
    page.wait_for_selector("#tests-stage .deck-ab")
    assert site.studio.store.tests.list()[0].trials == 6
