"""The Projects tab: export everything, look at what an import would bring, import it."""

from __future__ import annotations

import pytest

from tests.browser.steps import choose, go, shot

FILES = "#projects-files"
REPORT = "#projects-import .project-report"


@pytest.fixture(scope="module")
def clips(site):
    """Two clips, one of them rated."""
    made = [
        site.studio.make("tone", text=text, seed=7, steps=1)[0]
        for text in ("the river", "the mountain")
    ]
    site.studio.store.judgements.rate(made[0].id, "overall", 4, "anna")
    return made


def count(page, what):
    """The numbers of a line of the report."""
    line = page.locator(f"{REPORT} .project-table tbody tr", has_text=what)
    return line.locator("td").all_inner_texts()


def test_export_delete_import(page, site, clips):
    go(page, "projects")
    page.wait_for_selector("#projects-size >> text=2 clips")
    page.fill("#projects-name input", "mine")
    page.click("#projects-export")
    page.wait_for_selector(f"{FILES} >> text=mine.zip")
    with page.expect_download() as coming:
        page.click(f"{FILES} a:has-text('Download')")
    path = coming.value.path()
    assert coming.value.suggested_filename == "mine.zip"
    studio = site.studio
    studio.clips.purge(studio.clips.delete([clips[0].id]))
    studio.clips.rename(clips[1].id, "Renamed")
    page.set_input_files(
        "#projects-file input[type=file]",
        {"name": "mine.zip", "mimeType": "application/zip", "buffer": path.read_bytes()},
    )
    page.wait_for_selector(f"{REPORT} >> text=What importing mine.zip would bring")
    assert count(page, "clips") == ["1", "0", "1"]
    assert count(page, "ratings") == ["1", "0", "0"]
    assert "Renamed" not in page.inner_text(REPORT)
    assert "title" in page.inner_text(f"{REPORT} details")
    shot(page, "projects-report")
    page.click(f"{REPORT} button:has-text('Import 2 new rows')")
    page.wait_for_selector(f"{REPORT} >> text=Imported mine.zip")
    assert studio.clip(clips[0].id).text == "the river"
    assert studio.clip(clips[1].id).title == "Renamed"
    page.click(f"{REPORT} button:has-text('Close')")
    page.wait_for_selector(REPORT, state="detached")
    page.click(f"{FILES} button:has-text('Delete')")
    page.click(f"{FILES} button:has-text('for good')")
    page.wait_for_selector(f"{FILES} >> text=No project file here yet")


def test_a_selection_says_how_much_it_is(page, clips):
    go(page, "projects")
    page.click("#projects-what label:has-text('A selection')")
    page.fill("#projects-text input", "mountain")
    page.wait_for_selector("#projects-size >> text=1 clip")
    page.fill("#projects-text input", "nothing like it")
    page.wait_for_selector("#projects-size >> text=Nothing is chosen")
    page.fill("#projects-text input", "")
    choose(page, "projects-engine", "tone")
    page.wait_for_selector("#projects-size >> text=2 clips")
    shot(page, "projects-selection")


def test_a_file_that_is_no_project_is_told(page):
    go(page, "projects")
    page.set_input_files(
        "#projects-file input[type=file]",
        {"name": "bad.zip", "mimeType": "application/zip", "buffer": b"PK no zip"},
    )
    page.wait_for_selector("text=not a whole zip file")
