"""Speech to text from the page: choose a file, read the words, save them as text and as subtitles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.asr.engine import Whisper
from tests.browser.steps import generate, go, shot
from tests.conftest import Served, served_app
from tests.engines.published import studio_of
from tests.engines.publishing import written
from tests.engines.sounding import SENTENCE, spoken
from tests.fakes import Tone


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Served]:
    """The whole app with Whisper, and an engine for the page that opens first."""
    with studio_of(tmp_path_factory.mktemp("site"), {}, Tone, Whisper) as studio:
        with served_app(studio, whole=True) as served:
            yield served


def test_speech_is_read_and_saved_as_subtitles(page, site, tmp_path):
    samples, rate = spoken()
    go(page, "transcription")
    page.set_input_files(
        "#whisper-source input[type=file]", str(written(tmp_path / "a.wav", samples, rate))
    )
    page.wait_for_selector("#whisper-source audio", state="attached")
    generate(page)
    page.wait_for_selector("#asr-clips .report-text", timeout=60_000)
    said = page.inner_text("#asr-clips .report-text")
    assert said.lower().rstrip(".") == SENTENCE.lower().rstrip(".")
    shot(page, "transcription")
    saved = {}
    for ending in ("txt", "srt", "vtt"):
        with page.expect_download() as coming:
            page.click(f"#asr-clips a:has-text('Save .{ending}')")
        assert coming.value.suggested_filename.endswith(f".{ending}")
        saved[ending] = Path(coming.value.path()).read_text(encoding="utf-8")
    assert saved["txt"] == said
    assert saved["srt"].startswith("1\n00:00:0") and "The old bridge" in saved["srt"]
    assert saved["vtt"].startswith("WEBVTT\n\n00:00:0")
    page.click("#asr-clips summary")
    assert page.locator("#asr-clips .report td").first.inner_text().lower() == "the"
