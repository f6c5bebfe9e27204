"""The page itself: shortcuts, theme, widths, speed, nothing from elsewhere."""

from __future__ import annotations

import time

import pytest

from engines.tasks import FAMILIES
from tabs.ui.shortcuts import SHORTCUTS
from tests.browser.steps import go, tone, wait_for_clip

TABS = (
    "home", "speech", "batch", "judge", "evaluation", "datasets", "training", "adapters", "history", "models",
    "jobs", "help",
)  # fmt: skip

ABSENT = {family.tab for family in FAMILIES} - {"speech"}


def press(page, shortcut):
    for key in shortcut.keys:
        page.keyboard.press(f"Control+{key}" if shortcut.control else key)


@pytest.mark.parametrize(
    "shortcut",
    # of the families, the site of these tests has engines of Speech only, hence no other such tab
    [s for s in SHORTCUTS if s.action == "tab" and s.target not in ABSENT],
    ids=lambda s: s.target,
)
def test_keys_go_to_each_tab(page, shortcut):
    go(page, "jobs" if shortcut.target != "jobs" else "home")
    page.keyboard.press("Escape")
    press(page, shortcut)
    page.wait_for_selector(f"#tab-{shortcut.target}", state="visible")


def test_keys_are_ignored_while_typing_except_generate(page):
    go(page, "speech")
    page.fill("#speech-text textarea", "")
    page.type("#speech-text textarea", "g h ? / t")
    assert page.input_value("#speech-text textarea") == "g h ? / t"
    assert page.is_visible("#tab-speech")
    page.click("#tts-engine label:has-text('Tone')")
    page.focus("#speech-text textarea")
    page.keyboard.press("Control+Enter")
    wait_for_clip(page, "g h ? / t")


def test_escape_search_play_and_theme_keys(page):
    tone(page, "played by a key", steps=8)
    wait_for_clip(page, "played by a key")
    page.keyboard.press("Escape")
    page.evaluate("studioLive.stop()")
    page.keyboard.press("Escape")
    page.keyboard.press(" ")
    page.wait_for_function("!document.querySelector('#tts-clips audio').paused")
    page.keyboard.press(" ")
    page.wait_for_function("document.querySelector('#tts-clips audio').paused")
    dark = page.evaluate("document.body.classList.contains('dark')")
    page.keyboard.press("t")
    assert page.evaluate("document.body.classList.contains('dark')") is not dark
    page.keyboard.press("/")
    page.wait_for_function("document.activeElement.closest('#history-search') !== null")


def test_every_shortcut_stands_in_the_help(page):
    go(page, "help")
    page.wait_for_selector("#tab-help :text('Keys')")
    text = page.inner_text("#tab-help")
    for shortcut in SHORTCUTS:
        assert shortcut.description in text


def test_dark_and_light_are_kept_over_a_reload_and_change_pictures(page):
    tone(page, "dark or light")
    wait_for_clip(page, "dark or light")
    start = page.evaluate("document.body.classList.contains('dark')")
    page.click("[data-action=theme]")
    name = "light" if start else "dark"
    page.wait_for_function(
        "name => document.querySelector('#tts-clips .take:last-child .picture img').src.endsWith(name)",
        arg=name,
    )
    page.reload()
    page.wait_for_selector("#tab-speech-button")
    assert page.evaluate("document.body.classList.contains('dark')") is not start


@pytest.mark.parametrize("width", [1440, 1024, 768])
def test_no_tab_is_wider_than_the_screen(open_page, width):
    page = open_page(width)
    for tab in TABS:
        go(page, tab)
        page.wait_for_timeout(300)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{tab} is {wide} px wide on a screen of {width} px"


def test_nothing_is_fetched_from_elsewhere(browser, site):
    page = browser.new_page()
    hosts = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2].split(":")[0]))
    page.goto(site.url)
    page.wait_for_selector("#tab-speech-button")
    page.wait_for_timeout(500)
    page.close()
    assert hosts <= {"127.0.0.1", "localhost"}


def test_a_tab_switch_does_not_freeze(page):
    for tab in TABS:
        go(page, tab)
    spans = []
    for tab in TABS:
        started = time.perf_counter()
        go(page, tab)
        spans.append(time.perf_counter() - started)
    assert max(spans) < 3, spans  # the figure itself is measured in benchmarks/page.py
