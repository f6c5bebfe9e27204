"""The results column shows what a job reports: text to read and to save, facts, words with times."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import unquote

import gradio as gr
import pytest

from engines.base import Card, Params, Report, Task
from tabs.make import results
from tests.fakes import Tone

SAID = "Déjà vu & <b>100%</b> sure?"
SRT = f"1\n00:00:00,000 --> 00:00:01,500\n{SAID}\n\n"


class ScribeParams(Params):
    said: str = SAID


class Scribe(Tone):
    """Reports what it is told, as a transcription does."""

    card = Card("scribe", "Scribe", Task.ASR, "Writes.", "MIT", "none", 16_000)
    Params = ScribeParams

    def check(self, params):
        pass

    def run(self, params, job):
        values = {"text": params.said, "language": "fr", "duration_s": 1.5, "srt": SRT, "vtt": "W"}
        rows = [{"word": "<i>", "start_s": 0.25, "end_s": 0.5}] * (2 if params.said else 0)
        return Report(values, rows)


@pytest.fixture
def shown(studio):
    studio.registry.add(Scribe)

    def of(said: str = SAID) -> str:
        job = studio.wait(studio.submit("scribe", {"said": said}).id, 20)
        with gr.Blocks():
            who = gr.BrowserState("")
            made = results.build(studio, Task.ASR, gr.BrowserState([]), who)
        return made.clips_html(results.Asked([job.id]), "me")

    return of


def test_text_is_readable_and_can_be_saved_as_three_files(shown):
    html = shown()
    assert '<p class="report-text" dir="auto" lang="fr">' in html
    assert "Déjà vu &amp; &lt;b&gt;100%&lt;/b&gt; sure?</p>" in html
    links = dict(re.findall(r'download="[^"]*\.(\w+)" href="data:[^,]*,([^"]*)"', html))
    assert {name: unquote(unescape(text)) for name, text in links.items()} == {
        "txt": SAID, "srt": SRT, "vtt": "W",
    }  # fmt: skip
    assert "<b>" not in html and "<i>" not in html


def test_facts_and_words_with_times_stand_below(shown):
    html = shown()
    assert "<dt>Language</dt><dd>fr</dd><dt>Duration (s)</dt><dd>1.5</dd>" in html
    assert "2 words with times" in html
    assert "<td>&lt;i&gt;</td><td>0.25</td><td>0.5</td>" in html


def test_silence_says_that_nothing_was_heard_and_offers_no_files(shown):
    html = shown("")
    assert "No speech was heard." in html
    assert "download=" not in html
