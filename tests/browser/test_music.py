"""From a prompt to clips: attributes, what the model reads, variations, templates, history."""

from __future__ import annotations

import json

import pytest

from engines import registry
from engines.studio import Studio
from tests import tiny_musicgen
from tests.browser.steps import (
    PREVIEW,
    choose,
    duration,
    generate,
    go,
    music_clips,
    preview,
    prompt,
    set_number,
)
from tests.conftest import Served, make_settings

ENGINE = "musicgen"
MODEL, STEADY = "tiny-musicgen", "steady-musicgen"
READ = (
    "peaceful jazz, slow piano theme, featuring acoustic piano and electric piano, "
    "with subtle cymbals, low energy, 80 bpm"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The whole app with MusicGen and a tiny model, at a rate that browsers play, among a person's
    own."""
    from tabs import layout
    from tabs.http import server

    folder = tmp_path_factory.mktemp("music")
    engines = folder / "engines.json"
    engines.write_text(json.dumps(["tests.fakes:Tone", "engines.music.musicgen.engine:MusicGen"]))
    own = folder / "data" / "models" / "own"
    tiny_musicgen.make(own / MODEL, sample_rate=16_000)
    stated = tiny_musicgen.make(own / STEADY, sample_rate=16_000) / "generation_config.json"
    sampling = {"guidance_scale": 1.5, "temperature": 0.4}
    stated.write_text(json.dumps(json.loads(stated.read_text()) | sampling))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "BUILT_IN", engines)
        patch.setattr(registry, "entry_points", lambda group: [])
        with Studio(make_settings(folder)) as studio:
            demo = layout.build(studio)
            with server.serving(studio, demo, **layout.page_kwargs()) as url:
                yield Served(url, studio)


def open_music(page, text="slow piano theme", variations=1):
    """The Music tab with the tiny model, a short duration and a text."""
    go(page, "music")
    page.wait_for_selector("#prompt-prompt textarea")
    choose_model(page, MODEL)
    set_number(page, f"{ENGINE}-duration_s", 1)
    set_number(page, f"{ENGINE}-variations", variations)
    prompt(page, text)


def choose_model(page, model):
    field = page.locator(f"#{ENGINE}-model input").first
    field.click()
    field.fill(model)
    page.click(f"ul[role=listbox] li:has-text('{model}') >> visible=true")
    page.wait_for_selector(f"#{ENGINE}-notice:has-text('ready')")


def open_sources(page, tab):
    if not page.is_visible("#prompt-sources button[role=tab]"):
        page.click("#prompt-sources > button, #prompt-sources .label-wrap")
    page.click(f"#prompt-sources button[role=tab]:has-text('{tab}')")


def test_chosen_weights_fill_in_their_sampling(page):
    open_music(page)

    def shown(name, value):
        page.wait_for_function(
            "([id, value]) => document.querySelector(`${id} input[type=number]`).value === value",
            arg=[f"#{ENGINE}-{name}", value],
        )

    shown("guidance_scale", "3")
    choose_model(page, STEADY)
    shown("guidance_scale", "1.5")
    shown("temperature", "0.4")
    set_number(page, f"{ENGINE}-temperature", 0.8)
    choose_model(page, MODEL)
    shown("guidance_scale", "3")
    shown("temperature", "1")


def test_a_prompt_with_attributes_becomes_two_clips_that_can_be_heard_and_rated(page, site):
    open_music(page, variations=2)
    choose(page, "prompt-style", "jazz")
    choose(page, "prompt-mood", "peaceful")
    choose(page, "prompt-energy", "low")
    page.fill("#prompt-tempo textarea, #prompt-tempo input", "80")
    choose(page, "prompt-primary_instruments", "acoustic piano", "electric piano")
    choose(page, "prompt-secondary_instruments", "cymbals")
    preview(page, READ)
    generate(page)
    first, second = (site.studio.clip(clip_id) for clip_id in music_clips(page, 2))
    assert {first.text, second.text} == {READ}
    assert first.hash != second.hash
    assert first.settings["primary_instruments"] == ["acoustic-piano", "electric-piano"]
    assert duration(page, "#music-clips .clip audio") == pytest.approx(first.duration_s, abs=0.02)
    page.eval_on_selector("#music-clips .clip audio", "audio => audio.play()")
    page.wait_for_function("document.querySelector('#music-clips audio').currentTime > 0.1")
    page.click(f"#music-clips .stars[data-clip='{second.id}'] [data-star='4']")
    page.wait_for_selector(f"#music-clips .stars[data-clip='{second.id}'][data-value='4']")
    for _ in range(50):
        ratings = site.studio.store.judgements.ratings(second.id)
        if ratings:
            break
        page.wait_for_timeout(100)
    assert [(row.criterion, row.value) for row in ratings] == [("overall", 4)]
    kept = site.studio.prompts.search().rows[0]
    assert (kept.text, kept.rendered, kept.attributes["tempo"]) == ("slow piano theme", READ, 80)


def test_bad_input_is_told_at_its_field_and_in_the_preview(page, site):
    before = len(site.studio.jobs.list())
    open_music(page)
    page.fill("#prompt-tempo textarea, #prompt-tempo input", "500")
    page.wait_for_selector(f"{PREVIEW}.bad:has-text('Tempo must be 40 to 200, not 500.')")
    generate(page)
    page.wait_for_selector("#prompt-tempo :text('Tempo must be 40 to 200, not 500.')")
    page.fill("#prompt-tempo textarea, #prompt-tempo input", "")
    prompt(page, "   ")
    generate(page)
    page.wait_for_selector("#prompt-prompt :text('Prompt is missing.')")
    assert len(site.studio.jobs.list()) == before


def test_weights_that_are_not_here_are_told_before_and_at_generate(page):
    open_music(page)
    field = page.locator(f"#{ENGINE}-model input").first
    field.click()
    field.fill("large")
    page.locator("ul[role=listbox] li:has-text('large') >> visible=true").first.click()
    page.wait_for_selector(f"#{ENGINE}-notice .notice:has-text('not on this machine yet')")
    page.wait_for_selector(f"#{ENGINE}-notice:has-text('not for commercial use')")
    generate(page)
    page.wait_for_selector(f"#{ENGINE}-model :text('is not on this machine yet')")
    page.click(f"#{ENGINE}-notice button:has-text('Open Models')")
    page.wait_for_selector("#tab-models", state="visible")


def test_a_template_fills_the_form_and_an_own_one_is_kept_and_deleted(page, site):
    open_music(page)
    open_sources(page, "Templates")
    page.click("#prompt-templates .chip:has-text('Jazz')")
    page.wait_for_selector("#prompt-templates li >> text=Jazz lounge")
    page.click("#prompt-templates [data-action=apply]:has-text('Jazz lounge')")
    preview(
        page,
        "peaceful jazz, late evening lounge trio, walking bass, brushed drums and a relaxed piano "
        "solo, featuring acoustic piano and double bass, with subtle acoustic drums, low energy, "
        "95 bpm",
    )
    prompt(page, "late evening duo")
    page.fill("#template-name textarea, #template-name input", "Duo")
    choose(page, "template-category", "jazz")
    page.click("#template-save")
    page.wait_for_selector("#prompt-templates li:has-text('Duo')")
    own = site.studio.templates.list("jazz")[0]
    assert (own.name, own.text, own.attributes["tempo"]) == ("Duo", "late evening duo", 95)
    page.click("#prompt-templates [data-action=delete]")
    page.wait_for_selector("#prompt-templates li:has-text('Duo')", state="detached")
    assert [row.name for row in site.studio.templates.list("jazz")] == ["Jazz lounge"]


def test_earlier_prompts_are_found_marked_and_used_again(page, site):
    for text, attributes in (("brass fanfare", {}), ("quiet harp", {"mood": "dreamy"})):
        site.studio.keep_prompt(site.studio.prompt(text, attributes))
    open_music(page)
    open_sources(page, "Earlier")
    page.fill("#prompt-search textarea, #prompt-search input", "har")
    page.wait_for_selector("#prompt-history li:has-text('brass fanfare')", state="detached")
    page.click("#prompt-history li:has-text('quiet harp') [data-action=favorite]")
    page.wait_for_selector("#prompt-history .star:has-text('★')")
    page.click("#prompt-history [data-action=use]")
    preview(page, "dreamy, quiet harp")
    page.fill("#prompt-search textarea, #prompt-search input", "")
    page.wait_for_selector("#prompt-history li:has-text('brass fanfare')")
    page.check("#prompt-favorites input")
    page.wait_for_selector("#prompt-history li:has-text('brass fanfare')", state="detached")
    assert [row.text for row in site.studio.prompts.search(favorite=True).rows] == ["quiet harp"]
    page.click("#prompt-history [data-action=delete]")
    page.wait_for_selector("#prompt-history .empty")
    assert site.studio.prompts.search("harp").total == 0


def test_history_restores_the_prompt_and_goes_on_from_a_clip(page, site):
    made = site.studio.make(
        ENGINE, prompt="marching drums", tempo=120, model=MODEL, duration_s=1, seed=3, adapters=[]
    )[0]
    go(page, "history")
    page.fill("#history-search textarea, #history-search input", "marching")
    page.click("#history-list li:has-text('marching') .name")
    page.click("#history-reuse")
    page.wait_for_selector("#tab-music", state="visible")
    preview(page, "marching drums, 120 bpm")
    generate(page)
    again = site.studio.clip(music_clips(page, 1)[0])
    assert (again.hash, again.id != made.id) == (made.hash, True)
    go(page, "history")
    page.click("#history-continue")
    page.wait_for_selector("#tab-music", state="visible")
    page.wait_for_selector("#music-continue_from", state="visible")
    set_number(page, f"{ENGINE}-duration_s", 2)
    generate(page)
    page.wait_for_selector(f"#music-clips .take:not(:has([data-clip='{again.id}']))")
    longer = site.studio.clip(music_clips(page, 1)[0])
    assert site.studio.clip(longer.parents[0]).hash == made.hash


def test_typing_into_a_filled_menu_replaces_its_text(page):
    open_music(page)
    prompt(page, "waves")
    field = page.locator("#prompt-energy input").first
    for word in ("low", "high"):
        field.click()
        page.wait_for_timeout(200)  # a person moves from mouse to keys
        page.keyboard.type(word)
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        preview(page, f"waves, {word} energy")
