"""Speech in the voice of a reference, from the page: choose a file, write its words, hear the result."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engines.tts.maskgct import MaskGct
from tests.browser.steps import duration, generate, go, set_number, shot, wait_for_clip
from tests.conftest import Served, served_app
from tests.engines.published import sound_file, studio_of
from tests.networks.test_maskgct import folders  # noqa: F401


@pytest.fixture(scope="module")
def site(folders, tmp_path_factory) -> Iterator[Served]:  # noqa: F811
    """The whole app with a tiny MaskGCT."""
    root, speech = folders
    hub = {"amphion/MaskGCT": root, "facebook/w2v-bert-2.0": speech}
    with studio_of(tmp_path_factory.mktemp("site"), hub, MaskGct) as studio:
        with served_app(studio, whole=True) as served:
            yield served


def test_a_reference_is_chosen_and_its_voice_speaks(page, site, tmp_path):
    go(page, "speech")
    page.fill("#speech-text textarea", "Hello there.")
    page.set_input_files(
        "#maskgct-reference input[type=file]", str(sound_file(tmp_path / "voice.wav", 1.3))
    )
    set_number(page, "maskgct-steps", 2)
    page.wait_for_selector("#maskgct-reference audio", state="attached")
    generate(page)
    page.wait_for_selector("text=The words of the reference are missing")
    page.fill("#maskgct-reference_text textarea", "The old bridge was closed.")
    page.locator("#maskgct-reference_text textarea").blur()
    shot(page, "reference")
    generate(page)
    wait_for_clip(page, "Hello there.")
    clip = site.studio.clip(page.get_attribute("#tts-clips .take:last-child .clip", "data-clip"))
    assert (clip.engine, clip.sample_rate) == ("maskgct", 24000)
    assert duration(page) == pytest.approx(clip.duration_s, abs=0.01)
    assert clip.settings["reference_text"] == "The old bridge was closed."
