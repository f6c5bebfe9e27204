"""Find it again: search, favourite, rename, download, restore, delete and undo."""

from __future__ import annotations

import pytest

from tests.browser.steps import choose_engine, duration, generate, go, wait_for_clip


@pytest.fixture(scope="module", autouse=True)
def clips(site):
    """Three clips to find."""
    made = {}
    for text in ("a red balloon", "a blue bicycle", "風船が飛ぶ"):
        made[text] = site.studio.make("tone", text=text, seed=5, timeout_s=60)[0]
    return made


def open_clip(page, text):
    go(page, "history")
    page.click(f"#history-list li:has-text('{text}') .name")
    page.wait_for_selector(f"#history-detail .clip h3:has-text('{text}')")


def test_search_narrows_as_one_types_and_finds_japanese(page):
    go(page, "history")
    page.wait_for_selector("#history-list li:has-text('red balloon')")
    page.type("#history-search input, #history-search textarea", "ballo")
    page.wait_for_selector("#history-summary:has-text('1 clip')")
    assert page.locator("#history-list li").count() == 1
    page.fill("#history-search input, #history-search textarea", "飛ぶ")
    page.wait_for_selector("#history-list li:has-text('風船が飛ぶ')")
    page.fill("#history-search input, #history-search textarea", '"unclosed AND * (')
    page.wait_for_selector("#history-list .empty")


def test_a_favourite_is_kept_and_filtered(page, site, clips):
    go(page, "history")
    row = "#history-list li:has-text('blue bicycle')"
    page.click(f"{row} .star")
    page.wait_for_selector(f"{row} .star:has-text('★')")
    assert site.studio.clip(clips["a blue bicycle"].id).favorite
    page.check("#history-favorites input")
    page.wait_for_selector("#history-summary:has-text('1 clip')")
    page.uncheck("#history-favorites input")
    page.wait_for_selector("#history-list li:has-text('red balloon')")


def test_title_tags_and_notes_are_kept_when_the_field_is_left(page, site, clips):
    open_clip(page, "red balloon")
    page.fill("#history-title input, #history-title textarea", "Balloon, take one")
    page.fill("#history-tags input, #history-tags textarea", "good, outdoor")
    page.fill("#history-notes textarea", "clear beginning")
    page.keyboard.press("Escape")
    page.wait_for_selector("#history-list li:has-text('Balloon, take one') .tag:has-text('good')")
    clip = site.studio.clip(clips["a red balloon"].id)
    page.wait_for_timeout(500)
    clip = site.studio.clip(clip.id)
    assert (clip.title, sorted(clip.tags)) == ("Balloon, take one", ["good", "outdoor"])
    assert clip.notes == "clear beginning"
    site.studio.clips.rename(clip.id, "a red balloon")


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "ogg"])
def test_a_download_restores_its_settings_and_makes_the_same_bytes(
    page, site, clips, tmp_path, form
):
    clip = clips["a blue bicycle"]
    open_clip(page, "blue bicycle")
    with page.expect_download() as download:
        page.click(f"#history-detail footer a:has-text('{form.upper()}')")
    path = tmp_path / f"file.{form}"
    download.value.save_as(path)
    assert path.stat().st_size > 1000
    page.set_input_files("#history-restore input[type=file]", path)
    page.wait_for_selector("#speech-text textarea", state="visible")
    page.wait_for_function(
        "document.querySelector('#speech-text textarea').value === 'a blue bicycle'"
    )
    generate(page)
    page.wait_for_function(
        "id => { const c = document.querySelector('#tts-clips .take:last-child .clip');"
        " return c && c.dataset.clip !== id }",
        arg=clip.id,
    )
    made = site.studio.clip(page.get_attribute("#tts-clips .take:last-child .clip", "data-clip"))
    assert made.hash == clip.hash


def test_use_these_settings_again(page, clips):
    go(page, "speech")
    choose_engine(page, "Piper")
    open_clip(page, "red balloon")
    assert duration(page, "#history-detail audio") == pytest.approx(0.5, abs=0.02)
    page.click("#history-reuse")
    page.wait_for_function(
        "document.querySelector('#speech-text textarea')?.value === 'a red balloon'"
    )
    assert page.input_value("#tone-seed input") == "5"
    generate(page)
    wait_for_clip(page, "a red balloon")


def test_delete_and_undo(page, site, clips):
    victim = site.studio.make("tone", text="short lived", timeout_s=60)[0]
    open_clip(page, "short lived")
    page.click("#history-delete")
    page.wait_for_selector("text=Undo works until you leave the page")
    assert not victim.path.exists()
    page.wait_for_selector("#history-list li:has-text('short lived')", state="detached")
    page.click("#history-undo")
    page.wait_for_selector("#history-list li:has-text('short lived')")
    assert victim.path.exists()


def test_leaving_the_page_ends_a_deletion_for_good(page, site):
    victim = site.studio.make("tone", text="gone for good", timeout_s=60)[0]
    open_clip(page, "gone for good")
    page.click("#history-delete")
    page.wait_for_selector("text=Undo works until you leave the page")
    trash = site.studio.store.folder("trash")
    assert [item.name for item in trash.rglob("*") if item.is_file()] == [victim.path.name]
    page.goto("about:blank")
    for _ in range(300):
        if not [item for item in trash.rglob("*") if item.is_file()]:
            return
        page.wait_for_timeout(100)
    pytest.fail("the deleted sound is still in the trash")


def test_a_file_that_is_no_sound_is_told(page, tmp_path):
    fake = tmp_path / "fake.wav"
    fake.write_text("this is a text file")
    go(page, "history")
    page.set_input_files("#history-restore input[type=file]", fake)
    page.wait_for_selector(".toast-body:has-text('fake.wav')")


def test_html_in_a_text_is_shown_and_not_run(page, site):
    text = "<img src=x onerror=alert(1)> ${alert(2)} {{value}}"
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    site.studio.make("tone", text=text, timeout_s=60)
    go(page, "history")
    page.wait_for_selector("#history-list li .name:has-text('<img src=x')")
    page.click("#history-list li:has-text('<img src=x') .name")
    page.wait_for_selector("#history-detail h3:has-text('{{value}}')")
