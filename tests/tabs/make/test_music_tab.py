"""The Music tab: what it says of weights, which adapters it offers, the notes of a melody."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from engines.base import Adapter, Task
from engines.music.composing import Composer
from engines.studio import Studio
from tabs.make import music, prompts
from tabs.ui.live import Action
from tabs.ui.task import first_ready
from tests.conftest import make_settings
from tests.fakes import Strum


@pytest.fixture
def strum(studio, tmp_path):
    studio.registry.add(Strum)
    studio.hub.adapters = lambda: [
        Adapter("warm", "Warm v1", "strum-small", tmp_path, True, 0.8),
        Adapter("idle", "Idle v2", "strum-small", tmp_path),
        Adapter("big", "Big v1", "strum-large", tmp_path, True),
    ]
    return studio.engine("strum")


def test_weights_say_whether_they_are_here_and_under_which_licence(strum):
    here = music.notice_html(strum, "strum-small")
    assert "ready" in here
    assert "Strum small · CC-BY-NC-4.0, not for commercial use" in here
    away = music.notice_html(strum, "strum-large")
    assert "Strum large is not on this machine yet." in away
    assert "Download it in Models (2.0 GB, CC-BY-NC-4.0, not for commercial use)" in away
    assert 'data-id="models"' in away
    assert "knows no weights &#x27;&lt;b&gt;&#x27;" in music.notice_html(strum, "<b>")


def test_weights_may_say_what_to_expect_and_where_others_are(strum, monkeypatch):
    rough = replace(strum.weights()[0], advice="Quick & rough.")
    monkeypatch.setattr(Strum, "weights", lambda self: [rough])
    here = music.notice_html(strum, "strum-small")
    assert "ready" in here and "Quick &amp; rough." in here
    assert 'data-id="models"' in here


def test_an_engine_without_a_model_menu_says_what_it_plays_with_and_one_without_weights_nothing(
    studio, monkeypatch
):
    composer = studio.registry.add(Composer)
    here = music.notice_html(composer, None)
    assert "ready" in here and "Instruments of FluidR3 GM · MIT" in here
    monkeypatch.setattr(Composer, "weights", lambda self: [])
    assert music.notice_html(composer, None) == ""


def test_a_fresh_machine_begins_with_the_composer(tmp_path):
    with Studio(make_settings(tmp_path)) as fresh:
        assert first_ready(fresh.engines(Task.MUSIC)) == "composer"


def test_adapters_of_the_model_are_offered_and_active_ones_preselected(strum):
    update = music.adapter_update(strum, "strum-small", [], False)
    assert update["choices"] == [("Warm v1 × 0.8, active", "warm@0.8"), ("Idle v2", "idle")]
    assert update["value"] == ["warm@0.8"]
    assert music.adapter_update(strum, "strum-large", ["idle"], False)["value"] == ["big@1"]


def test_a_choice_of_adapters_stays_also_none_and_one_that_is_gone(strum):
    assert music.adapter_update(strum, "strum-small", [], True)["value"] == []
    update = music.adapter_update(strum, "strum-small", ["idle@0.5", "gone"], True)
    assert update["value"] == ["idle@0.5", "gone"]
    assert update["choices"][2:] == [("Idle v2 × 0.5", "idle@0.5"), ("gone", "gone")]


def test_the_notes_of_a_melody_are_shown(studio, tmp_path):
    path = tmp_path / "a.wav"
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 32_000)
    soundfile.write(path, wave, 32_000)
    assert music.melody_html(studio, str(path)).startswith(
        '<img class="notes" alt="Notes of the melody" src="data:image/png;base64,iVBOR'
    )
    assert music.melody_html(studio, None) == ""


def test_the_preview_says_what_the_model_reads_or_what_is_wrong():
    values = {"prompt": "a <b> theme", "mood": "calm"}
    assert "calm, a &lt;b&gt; theme" in prompts.preview_html(values)
    assert values["prompt"] == "a <b> theme"
    assert "Tempo must be 40 to 200" in prompts.preview_html({"prompt": "a", "tempo": 3})
    assert "Prompt is missing." in prompts.preview_html({"prompt": " "})


def test_templates_and_prompts_that_people_typed_are_escaped(studio):
    evil = "<script>alert(1)</script>"
    prompts.save_template(studio, evil, evil, {"prompt": evil})
    studio.keep_prompt(Studio.prompt(evil, {"mood": evil}))
    for html in (
        prompts.templates_html(studio, prompts.TemplateView()),
        prompts.history_html(studio, prompts.HistoryView()),
    ):
        assert "<script" not in html
        assert "&lt;script" in html.lower()


def test_history_pages_and_stars(studio):
    for number in range(prompts.PAGE_SIZE + 1):
        studio.keep_prompt(Studio.prompt(f"prompt {number}"))
    view = prompts.HistoryView()
    first = prompts.history_html(studio, view)
    assert f"{prompts.PAGE_SIZE + 1} prompts" in first
    assert "prompt 0<" not in first
    prompts.act_on_prompt(studio, view, Action("page", "2"))
    assert "prompt 0<" in prompts.history_html(studio, view)
    oldest = studio.prompts.search(text='"prompt 0"').rows[0]
    prompts.act_on_prompt(studio, view, Action("favorite", oldest.id))
    view.favorite = True
    assert "★" in prompts.history_html(studio, view)
    prompts.act_on_prompt(studio, view, Action("delete", oldest.id))
    assert "No prompt matches" in prompts.history_html(studio, view)
