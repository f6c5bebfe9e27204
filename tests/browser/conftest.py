"""A real Chromium on the whole app; a test fails on any console error."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from engines import registry
from engines.studio import Studio
from tests.browser.ears import LISTEN
from tests.conftest import Served, make_settings
from tests.fakes import Tone

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
)
RERUNS = int(os.environ.get("RERUNS", "2"))
ENGINES = ["engines.tts.piper:Piper", "tests.fakes:Tone"]
# Gradio's own words when a page is left while an answer was on its way, and the browser's for the
# status with which Gradio's validator answers
HARMLESS = (
    "net::ERR_ABORTED",
    "signal is aborted",
    "Connection errored out",
    "422 (Unprocessable Entity)",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark browser tests; skip them without a browser, except in CI, where it must be there."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            # on a crowded machine Chromium may lose a click; what is wrong fails twice
            item.add_marker(pytest.mark.flaky(reruns=RERUNS, only_rerun=["TimeoutError"]))
            if not CHROMIUM and not os.environ.get("CI"):
                item.add_marker(pytest.mark.skip(reason="Chromium is not installed"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator:
    """Tell what stood on the screen when a test failed."""
    report = yield
    if report.failed and report.when == "call" and item.funcargs.get("open_page"):
        for page in item.funcargs["open_page"].pages:
            report.sections.insert(0, ("what the page says", page.inner_text("body")))
    return report


@pytest.fixture(scope="session")
def playwright() -> Iterator:
    """What drives browsers."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "CI needs Chromium: see tests/browser/install.sh"
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)  # else failures drown in them
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright) -> Iterator:
    """A fresh Chromium for each file."""
    running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
    yield running
    running.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The whole app with Piper and the fake engine."""
    from tabs import layout
    from tabs.http import server

    folder = tmp_path_factory.mktemp("site")
    engines = folder / "engines.json"
    engines.write_text(json.dumps(ENGINES), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "BUILT_IN", engines)
        patch.setattr(registry, "entry_points", lambda group: [])
        with Studio(make_settings(folder)) as studio:
            demo = layout.build(studio)
            with server.serving(studio, demo, **layout.page_kwargs()) as url:
                yield Served(url, studio)


def said(message) -> str:
    """A console message with the address it is about."""
    return f"{message.text} {message.location.get('url', '')}".strip()


@pytest.fixture
def open_page(browser, site) -> Iterator[Callable]:
    """A function that opens the app in a new browser profile; console errors fail the test."""
    contexts, complaints = [], []

    def start(width: int = 1440, height: int = 900):
        context = browser.new_context(
            viewport={"width": width, "height": height}, accept_downloads=True
        )
        context.add_init_script(LISTEN)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda m: complaints.append(said(m)) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        start.pages.append(page)
        page.goto(site.url)
        page.wait_for_selector("#tab-speech-button")
        return page

    start.pages = []
    yield start
    for context in contexts:
        context.close()
    assert [c for c in complaints if not any(word in c for word in HARMLESS)] == []


@pytest.fixture
def page(open_page):
    """The app in one browser window."""
    return open_page()


@pytest.fixture
def tone(site) -> Tone:
    """The fake engine of the site."""
    return site.studio.engine("tone")
