"""Takes the pictures in docs/images from the running app: ``python -m docs.screenshots``.

Needs Chromium. With ``--all DIR`` every page is also taken at 1440, 1024 and 768 px, dark and light,
for a look at what a change did.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from engines.music.musicgen.params import TINY
from engines.studio import Studio
from engines.studio.settings import Settings
from storage import DatasetFilter
from tests.browser.steps import go

ROOT = Path(__file__).parent.parent
TABS = (
    "home", "speech", "music", "batch", "judge", "compare", "evaluation", "datasets", "training",
    "adapters", "history", "models", "jobs", "projects", "help",
)  # fmt: skip
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
CLIPS = (
    ("piper", "The harbour was quiet in the early morning. Two boats came in with the tide."),
    ("kokoro", "Welcome to the studio. Every sound you make is kept with its settings."),
    ("kokoro", "風が強い日に、赤い風船が空へ飛んでいきました。"),
    ("piper", "Nobody spoke, and on the wall an old man counted the gulls."),
)
PICTURED = ("speech", "history", "music", "judge", "datasets", "training", "adapters")
MODEL = TINY.id
PROMPTS = (
    "calm piano with soft strings, 70 bpm",
    "upbeat electronic dance music, 128 bpm",
    "lo-fi hip hop, mellow, 80 bpm",
    "acoustic guitar folk, warm",
)


def prepare(studio: Studio) -> None:
    """A few clips to look at."""
    made = [studio.make(engine, text=text, timeout_s=300)[0] for engine, text in CLIPS]
    studio.clips.set_favorite(made[1].id, True)
    studio.clips.add_tag(made[0].id, "calm")
    studio.clips.add_tag(made[2].id, "story")


def prepare_loop(studio: Studio) -> None:
    """Everything between a prompt and an adapter in use, by the model that comes with the studio."""
    from tabs.learn.steps import lab_of

    judgements = studio.store.judgements
    for number, prompt in enumerate(PROMPTS):
        made = studio.make(
            "musicgen", prompt=prompt, model=MODEL, duration_s=5, variations=3, adapters=[],
            seed=number, timeout_s=600,
        )  # fmt: skip
        for place, clip in enumerate(made):
            judgements.rate(clip.id, "overall", min(5, 3 + (place + number) % 3), "Ann")
            judgements.rate(clip.id, "overall", min(5, 3 + place), "Ben")
        judgements.prefer(made[2].id, made[0].id, rater="Ann", strength=1 + number % 3)
        judgements.prefer(made[2].id, made[1].id, rater="Ben", strength=2)
    lab = lab_of(studio)
    liked = lab.create_dataset("Liked in July", DatasetFilter(min_rating=3.5), 0.25)
    lab.create_dataset("Pairs of July", DatasetFilter(kind="preference"), 0.25)
    for name, changes in (("first try", {"epochs": 4}), ("longer", {"epochs": 8, "lora_r": 16})):
        run = lab.train(
            lab.presets(MODEL)["quick"]
            | {"name": name, "dataset": liked.id, "base": MODEL, "sample_duration_s": 5}
            | {"sample_prompts": PROMPTS[:2], "experiment": "Summer"}
            | changes
        )
        run = lab.wait_run(run.id, 1200)
    lab.activate_adapter(run.adapter_id, 1.2)
    lab.compare_with_base(run.adapter_id, PROMPTS[:2], [1], settings={"duration_s": 5})


def show(page: Any, tab: str) -> None:
    """Open a tab as a person would see it."""
    go(page, tab)
    page.wait_for_timeout(1200)
    if tab == "history":
        page.click("#history-list li:nth-child(2) .name")
        page.wait_for_selector("#history-detail .clip")
    if tab == "jobs" and page.locator("#jobs-list tbody tr").count():
        page.locator("#jobs-list tbody tr").first.click()
    pictures = "[...document.querySelectorAll('.picture img')].filter(i => i.offsetParent)"
    page.wait_for_function(f"{pictures}.every(i => i.complete && i.naturalWidth)", timeout=60_000)
    page.wait_for_timeout(500)


def speak(page: Any) -> None:
    """Make a clip in the Speech tab."""
    page.click("#tab-speech-button")
    page.click(".studio-generate >> visible=true")
    page.wait_for_selector("#tts-clips .clip", timeout=60_000)
    page.wait_for_timeout(6000)


def main() -> None:
    """Serve a studio with some clips and take the pictures."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from tabs import layout
    from tabs.http import server

    everything = Path(sys.argv[2]) if "--all" in sys.argv else None
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        with Studio(Settings(_cli_parse_args=[], data=folder, port=0)) as studio:
            demo = layout.build(studio)
            prepare(studio)
            prepare_loop(studio)
            with server.serving(studio, demo, **layout.page_kwargs()) as address:
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.goto(address)
                page.wait_for_selector("#tab-speech-button")
                speak(page)
                for tab in PICTURED:
                    show(page, tab)
                    page.screenshot(path=ROOT / "docs" / "images" / f"{tab}.png")
                for width in (1440, 1024, 768) if everything else ():
                    page.set_viewport_size({"width": width, "height": 900})
                    for dark in (False, True):
                        page.evaluate(
                            f"document.body.classList.toggle('dark', {str(dark).lower()})"
                        )
                        for tab in TABS:
                            show(page, tab)
                            name = f"{tab}-{width}-{'dark' if dark else 'light'}.png"
                            page.screenshot(path=everything / name, full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
