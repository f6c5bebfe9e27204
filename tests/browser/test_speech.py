"""The first path: type, hear, reload, cancel, be told what is wrong."""

from __future__ import annotations

import pytest

from storage import JobState
from tests.browser.steps import (
    AUDIO,
    NEWEST,
    choose_engine,
    duration,
    generate,
    go,
    set_number,
    tone,
    wait_for_clip,
    write,
)


def test_typed_text_is_heard_and_its_length_is_that_of_the_clip(page, site):
    go(page, "speech")
    choose_engine(page, "Piper")
    write(page, "Good morning, this is the first sentence.")
    generate(page)
    wait_for_clip(page, "Good morning")
    clip = site.studio.clip(page.get_attribute("#tts-clips .take:last-child .clip", "data-clip"))
    assert clip.engine == "piper"
    assert duration(page) == pytest.approx(clip.duration_s, abs=0.01)
    assert 1.5 < clip.duration_s < 6
    page.wait_for_function("studioLive.firstSoundAt > 0")
    page.eval_on_selector(AUDIO, "audio => audio.play()")
    page.wait_for_function("s => document.querySelector(s).currentTime > 0.2", arg=AUDIO)
    assert page.eval_on_selector(".picture .cursor", "e => e.style.display") == "block"
    page.wait_for_function(
        "s => document.querySelector(s).naturalWidth > 500",
        arg=f"{NEWEST} .picture img",
        timeout=60_000,
    )


def test_pieces_are_heard_while_the_rest_is_made(page, site):
    tone(page, "pieces", steps=12, step_s=1.0)
    page.wait_for_function("studioLive.firstSoundAt > 0")
    job = site.studio.jobs.list(limit=1)[0]
    assert job.state is JobState.RUNNING
    wait_for_clip(page, "pieces")
    page.wait_for_function("studioLive.next === 12")
    assert duration(page) == pytest.approx(3.0, abs=0.02)


def test_a_reload_finds_the_running_job_and_shows_its_result(page, site):
    tone(page, "reloaded", steps=60, step_s=0.3)
    page.wait_for_selector("#tts-progress .progress:has-text('step')")
    page.reload()
    page.wait_for_selector("#tab-speech-button")
    go(page, "speech")
    page.wait_for_selector("#tts-progress .progress:has-text('step')")
    wait_for_clip(page, "reloaded")
    job = site.studio.jobs.list(limit=1)[0]
    assert (job.state, job.settings["text"]) == (JobState.DONE, "reloaded")


def test_cancel_stops_the_job_and_keeps_what_was_made(page, site):
    tone(page, "cancelled", steps=200, step_s=0.1)
    page.wait_for_selector('#tts-progress .note:text-matches("step ([5-9]|[0-9]{2,}) ")')
    page.click("#tts-progress [data-action=cancel]")
    page.wait_for_selector("#tts-progress .state:has-text('Cancelled')")
    wait_for_clip(page, "cancelled")
    assert page.is_visible("#tts-clips .badge:has-text('partial')")
    assert site.studio.jobs.list(limit=1)[0].state is JobState.CANCELLED
    assert not page.is_visible("#tts-progress [data-action=cancel]")


def test_bad_input_is_told_at_its_field_and_no_job_is_made(page, site):
    before = len(site.studio.jobs.list())
    go(page, "speech")
    choose_engine(page, "Piper")
    write(page, "")
    generate(page)
    page.wait_for_selector("#speech-text :text('Text is missing')")
    write(page, "…!?")
    generate(page)
    page.wait_for_selector("#speech-text :text('no letter or digit')")
    write(page, "word " * 40_000)
    generate(page)
    page.wait_for_selector("#speech-text :text('at most 50,000')")
    assert len(site.studio.jobs.list()) == before


def test_a_failed_job_shows_its_reason(page):
    go(page, "speech")
    choose_engine(page, "Tone")
    write(page, "failing")
    page.fill("#tone-fail textarea, #tone-fail input", "error:The tone broke. Use another.")
    generate(page)
    page.wait_for_selector("#tts-progress .state:has-text('The tone broke. Use another.')")
    page.fill("#tone-fail textarea, #tone-fail input", "")


def test_a_preset_is_saved_loaded_and_deleted(page, site):
    go(page, "speech")
    choose_engine(page, "Tone")
    set_number(page, "tone-pitch_hz", 880)
    page.click("text=Presets >> visible=true")
    page.fill("#tone-preset input", "high")
    page.keyboard.press("Enter")
    page.click("#tone-preset-save")
    page.wait_for_selector("text=Preset “high” saved.")
    assert site.studio.presets.get("tone", "high").settings["pitch_hz"] == 880
    page.click("#tone-reset")
    page.wait_for_function(
        "document.querySelector('#tone-pitch_hz input[type=number]').value === '440'"
    )
    page.click("#tone-preset input")
    page.click("ul[role=listbox] >> text=high")
    page.wait_for_function(
        "document.querySelector('#tone-pitch_hz input[type=number]').value === '880'"
    )
    page.click("#tone-preset-delete")
    page.wait_for_function("document.querySelector('#tone-preset input').value === ''")
    assert site.studio.presets.list("tone") == []


def test_two_browsers_see_the_same_queue(open_page, site):
    first, second = open_page(), open_page()
    tone(first, "shared queue", steps=40, step_s=0.1)
    go(second, "jobs")
    second.wait_for_selector("#tab-jobs :text('shared queue')")
    second.wait_for_selector("#tab-jobs :text('running')")
    wait_for_clip(first, "shared queue")


def test_a_second_generate_waits_in_sight_and_its_result_stands_on_top(page, site):
    tone(page, "the first of two", steps=30, step_s=0.1)
    page.wait_for_selector("#tts-progress .progress:has-text('step')")
    tone(page, "the second of two", steps=3)
    page.wait_for_selector("#tts-progress .progress:has-text('Waiting'):has-text('the second')")
    wait_for_clip(page, "the first of two")
    page.eval_on_selector("#tts-clips .take audio", "audio => { audio.loop = true; audio.play() }")
    wait_for_clip(page, "the second of two")
    page.wait_for_selector("#tts-progress .state.ok")
    titles = page.locator("#tts-clips .clip h3")
    places = {titles.nth(n).inner_text(): titles.nth(n).bounding_box()["y"] for n in range(2)}
    assert places["the second of two"] < places["the first of two"]
    assert not page.eval_on_selector("#tts-clips .take audio", "audio => audio.paused")
    page.reload()
    page.wait_for_selector("#tab-speech-button")
    go(page, "speech")
    page.wait_for_selector("#tts-clips .take >> nth=1")


def test_what_can_be_done_with_a_result(page, site):
    tone(page, "to be kept", steps=2)
    wait_for_clip(page, "to be kept")
    clip_id = page.get_attribute(NEWEST, "data-clip")
    page.click(f"{NEWEST} [data-action=favorite]")
    page.wait_for_selector(f"{NEWEST} [data-action=favorite]:has-text('★')")
    assert site.studio.clip(clip_id).favorite
    page.click(f"{NEWEST} [data-action=delete]")
    page.wait_for_selector("#tts-clips .take:last-child >> text=Deleted.")
    page.click("#tts-clips [data-action=undelete]")
    page.wait_for_selector(NEWEST)
    assert site.studio.clip(clip_id).id == clip_id
    write(page, "something else")
    page.click(f"{NEWEST} [data-action=again]")
    page.wait_for_function("document.querySelector('#speech-text textarea').value === 'to be kept'")
    page.click(f"{NEWEST} [data-action=compare]")
    page.wait_for_selector("#compare-grid .compare-card")
