"""What a person does in the browser, in the words of the tests."""

from __future__ import annotations

import os
from typing import Any

NEWEST = "#tts-clips .take:last-child .clip"
AUDIO = f"{NEWEST} audio"


def go(page: Any, tab: str) -> None:
    """Open a tab, from the menu of those that do not fit, and wait until its content is there."""
    button = page.locator(f"#tab-{tab}-button >> visible=true")
    menu = page.locator(".overflow-menu > button >> visible=true")
    button.or_(menu).first.wait_for()  # a page that is still being laid out has neither
    if button.count():
        button.first.click()
    else:
        page.click(".overflow-menu > button")
        page.click(f".overflow-dropdown button:has-text('{tab.capitalize()}')")
    page.wait_for_selector(f"#tab-{tab}", state="visible")


def write(page: Any, text: str) -> None:
    """Replace the text in the Speech tab."""
    page.fill("#speech-text textarea", text)


def choose_engine(page: Any, title: str) -> None:
    """Choose an engine by its title."""
    page.click(f"#tts-engine label:has-text('{title}')")


def set_number(page: Any, element_id: str, value: float) -> None:
    """Type a number into a slider's or number's field."""
    field = page.locator(f"#{element_id} input[type=number]").first
    field.fill(str(value))
    field.press("Tab")


def generate(page: Any) -> None:
    """Press Generate."""
    page.click(".studio-generate >> visible=true")


def tone(page: Any, text: str, steps: int = 2, step_s: float = 0.0) -> None:
    """Fill in the fake engine's form and press Generate."""
    go(page, "speech")
    choose_engine(page, "Tone")
    write(page, text)
    set_number(page, "tone-steps", steps)
    if step_s:
        more = page.locator("text=More settings >> visible=true")
        if not page.locator("#tone-step_s input[type=number]").first.is_visible():
            more.click()
        set_number(page, "tone-step_s", step_s)
    generate(page)


def wait_for_clip(page: Any, text: str) -> None:
    """Wait until the result shows a clip with this title."""
    page.wait_for_selector(f"#tts-clips .clip h3:has-text('{text}')")


def duration(page: Any, selector: str = AUDIO) -> float:
    """Length in seconds that the browser's own decoder found."""
    page.wait_for_function(
        "s => { const a = document.querySelector(s); return a && a.duration > 0 }", arg=selector
    )
    return page.eval_on_selector(selector, "audio => audio.duration")


def shot(page: Any, name: str) -> None:
    """Keep pictures of the page where they are asked for: light and wide, dark and narrow."""
    if folder := os.environ.get("SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
        page.keyboard.press("t")
        page.set_viewport_size({"width": 768, "height": 900})
        page.screenshot(path=f"{folder}/{name}-dark.png", full_page=True)
        page.keyboard.press("t")
        page.set_viewport_size({"width": 1440, "height": 900})


# --- music ----------------------------------------------------------------------------------

PREVIEW = "#prompt-preview .preview"


def prompt(page: Any, text: str) -> None:
    """Replace the prompt in the Music tab."""
    page.fill("#prompt-prompt textarea", text)


def choose(page: Any, element_id: str, *values: str) -> None:
    """Pick values from a menu by typing them, as many as it takes."""
    field = page.locator(f"#{element_id} input").first
    for value in values:
        field.click()
        field.fill(value)
        field.press("Enter")
    field.press("Tab")


def preview(page: Any, text: str) -> None:
    """Wait until the preview says that the model reads this."""
    page.wait_for_function(
        "([s, text]) => document.querySelector(s).textContent.trim() === 'The model reads ' + text",
        arg=[PREVIEW, text],
    )


def music_clips(page: Any, count: int) -> list[str]:
    """Wait until a finished job shows so many clips; their ids in order."""
    page.wait_for_selector("#music-progress .state.ok")
    newest = "#music-clips .take:last-child .clip"
    page.wait_for_function(
        "([s, n]) => document.querySelectorAll(s).length === n", arg=[newest, count]
    )
    clips = page.locator(newest)
    return [clips.nth(number).get_attribute("data-clip") for number in range(count)]
