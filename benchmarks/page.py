"""What a person waits for in the browser. ``python -m benchmarks.page`` (needs Chromium).

First page, tab switches, the first sound of a 500-word text, a search among 100,000 clips.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import sync_playwright

from benchmarks.common import served_at, show
from benchmarks.history import fill
from storage import Store

TABS = ("home", "speech", "history", "models", "jobs", "help")
SENTENCE = "The harbour was quiet in the early morning and two boats came in with the tide. "
WORDS_500 = SENTENCE * 32
FLAGS = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
CLIPS = 100_000


def first_page_s(browser: Any, address: str) -> float:
    """Seconds from navigation until the tabs can be clicked, in a fresh profile."""
    page = browser.new_page()
    started = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("#tab-speech-button")
    span = time.perf_counter() - started
    page.close()
    return span


def switches_s(page: Any) -> list[float]:
    """Seconds from a click on a tab until its content is visible, measured inside the page."""
    spans = []
    for _ in range(3):
        for tab in TABS:
            spans.append(
                page.evaluate(
                    """tab => new Promise(done => {
                      const started = performance.now();
                      document.getElementById(`tab-${tab}-button`).click();
                      const look = () => {
                        const panel = document.getElementById(`tab-${tab}`);
                        if (panel && panel.offsetParent !== null && panel.innerText.trim())
                          requestAnimationFrame(() => done((performance.now() - started) / 1000));
                        else requestAnimationFrame(look);
                      };
                      look();
                    })""",
                    tab,
                )
            )
    return spans[len(TABS) :]  # the first round mounts the tabs


def first_sound_s(page: Any) -> float:
    """Seconds from the click on Generate until the first piece is handed to the sound device."""
    page.click("#tab-speech-button")
    page.fill("#speech-text textarea", "Warm up.")
    page.click(".studio-generate >> visible=true")
    page.wait_for_selector("#tts-clips .clip h3:has-text('Warm up')", timeout=120_000)
    page.wait_for_timeout(1500)
    page.fill("#speech-text textarea", WORDS_500)
    page.click(".studio-generate >> visible=true")
    page.wait_for_function(
        "studioLive.firstSoundAt > studioLive.armedAt && studioLive.next > 0", timeout=120_000
    )
    span = page.evaluate("(studioLive.firstSoundAt - studioLive.armedAt) / 1000")
    page.click("#tts-progress [data-action=cancel]")
    page.wait_for_selector("#tts-progress .state", timeout=60_000)
    return span


def search_s(page: Any, word: str) -> float:
    """Seconds from the last key until the list shows what matches ``word``."""
    page.click("#tab-history-button")
    field = page.locator("#history-search textarea, #history-search input").first
    field.fill("")
    page.wait_for_function(f"document.body.innerText.includes('{CLIPS:,} clips')")
    field.press_sequentially(word[:-1])
    page.wait_for_timeout(800)
    before = page.inner_text("#history-summary")
    started = time.perf_counter()
    field.press_sequentially(word[-1])
    page.wait_for_function(
        "before => document.querySelector('#history-summary').innerText !== before", arg=before
    )
    return time.perf_counter() - started


def median(work: Callable[[], float], times: int = 5) -> float:
    """Median of what ``work`` returns."""
    return statistics.median(work() for _ in range(times))


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        with Store.open(folder) as store:
            fill(store, CLIPS)
        with served_at(folder) as (address, _seconds, _process):
            lines = [("first page", f"{median(lambda: first_page_s(browser, address)):.2f}", "2")]
            page = browser.new_page()
            page.goto(address)
            page.wait_for_selector("#tab-speech-button")
            spans = switches_s(page)
            lines.append(("tab switch, median", f"{statistics.median(spans):.3f}", "0.3"))
            lines.append(("tab switch, slowest", f"{max(spans):.3f}", "0.3"))
            found = search_s(page, sys.argv[1] if len(sys.argv) > 1 else "river")
            lines.append((f"search among {CLIPS:,} clips", f"{found:.2f}", "0.5"))
            sound = median(lambda: first_sound_s(page), 3)
            lines.append(("first sound of a 500-word text, Piper", f"{sound:.2f}", "1.5"))
        browser.close()
    show("In the browser", ("what", "seconds", "goal"), lines)


if __name__ == "__main__":
    main()
