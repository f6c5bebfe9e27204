"""From a prompt to a clip on a fresh machine: the composer comes first in the Music tab."""

from __future__ import annotations

import json

import pytest

from engines import registry
from engines.studio import Studio
from tests.browser.steps import duration, generate, go, music_clips, prompt, set_number
from tests.conftest import Served, make_settings


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The whole app with a speech engine and the Music tab's engines, in the order of the list."""
    from tabs import layout
    from tabs.http import server

    folder = tmp_path_factory.mktemp("composer")
    listed = json.loads(registry.BUILT_IN.read_text(encoding="utf-8"))
    engines = folder / "engines.json"
    music = [path for path in listed if path.startswith("engines.music.")]
    engines.write_text(json.dumps(["tests.fakes:Tone", *music]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "BUILT_IN", engines)
        patch.setattr(registry, "entry_points", lambda group: [])
        with Studio(make_settings(folder)) as studio:
            demo = layout.build(studio)
            with server.serving(studio, demo, **layout.page_kwargs()) as url:
                yield Served(url, studio)


def test_a_prompt_becomes_a_piece_on_a_fresh_machine(page, site):
    go(page, "music")
    notice = page.locator("#composer-notice >> visible=true")
    notice.wait_for()
    ready = "ready Instruments of FluidR3 GM · MIT"
    assert notice.inner_text().strip() == ready
    assert page.locator("#musicgen-duration_s >> visible=true").count() == 0
    prompt(page, "slow sad piano in a minor, no drums")
    set_number(page, "composer-duration_s", 6)
    generate(page)
    (clip_id,) = music_clips(page, 1)
    clip = site.studio.clip(clip_id)
    assert (clip.engine, clip.title.split(",")[0]) == ("composer", "Sad acoustic in A minor")
    assert duration(page, "#music-clips .clip audio") == pytest.approx(6, abs=0.02)
    # the page is brought up to date when it is opened again
    go(page, "speech")
    go(page, "music")
    page.wait_for_timeout(500)
    assert notice.inner_text().strip() == ready


def test_bad_values_are_told_at_their_field(page):
    go(page, "music")
    page.wait_for_selector("#composer-duration_s input[type=number]")
    page.fill("#prompt-prompt textarea", "  ")
    generate(page)
    page.wait_for_selector("#prompt-prompt :text('Prompt is missing.')")
