"""The whole loop in one browser: prompt, clips, stars, dataset, training, adapter, blind test."""

from __future__ import annotations

import json
import shutil

import pytest

from engines import registry
from engines.studio import Studio
from storage.learning.dataset_filter import DatasetFilter
from tabs.learn.steps import lab_of
from tests.browser.ears import hear_all, ready
from tests.browser.steps import generate, go, music_clips, prompt, set_number
from tests.conftest import Served, make_settings

ENGINE = "musicgen"
MODEL = "tiny-musicgen"
PROMPTS = ("calm piano", "loud drums", "warm strings")
PATIENCE_MS = 300_000


@pytest.fixture(scope="module")
def site(tmp_path_factory, tiny_musicgen):
    """The whole app with MusicGen and a tiny model among a person's own."""
    from tabs import layout
    from tabs.http import server

    folder = tmp_path_factory.mktemp("loop")
    engines = folder / "engines.json"
    engines.write_text(json.dumps(["tests.fakes:Tone", "engines.music.musicgen.engine:MusicGen"]))
    shutil.copytree(tiny_musicgen, folder / "data" / "models" / "own" / MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "BUILT_IN", engines)
        patch.setattr(registry, "entry_points", lambda group: [])
        with Studio(make_settings(folder)) as studio:
            demo = layout.build(studio)
            with server.serving(studio, demo, **layout.page_kwargs()) as url:
                yield Served(url, studio)


@pytest.fixture
def page(open_page):
    """The app in a browser window, patient: models are loaded and trained."""
    page = open_page()
    page.set_default_timeout(PATIENCE_MS)
    return page


@pytest.fixture(scope="module")
def lab(site):
    return lab_of(site.studio)


@pytest.fixture(scope="module")
def judged(site):
    """Two rated clips of each prompt, made of tones that last a second."""
    clips = []
    for number, text in enumerate(PROMPTS):
        for take in (1, 2):
            made = site.studio.make("tone", text=text, seed=take, pitch_hz=200 * take, steps=4)[0]
            site.studio.store.judgements.rate(made.id, "overall", 3 + take, "ann")
            clips.append(made)
        better, worse = clips[-1], clips[-2]
        strength = 1 + number
        site.studio.store.judgements.prefer(better.id, worse.id, rater="ann", strength=strength)
    return clips


def fill(page, element_id, text):
    """Type into a field by its element id."""
    page.fill(f"#{element_id} input, #{element_id} textarea", text)


@pytest.mark.timeout(1200)
def test_from_a_prompt_to_a_better_model(page, site, lab, judged):
    # a prompt gives clips, and a star is given to one of them
    go(page, "music")
    page.wait_for_selector("#prompt-prompt textarea")
    set_number(page, f"{ENGINE}-duration_s", 1)
    set_number(page, f"{ENGINE}-variations", 2)
    prompt(page, "bright flute")
    generate(page)
    first, _ = music_clips(page, 2)
    page.click(f"#music-clips .stars[data-clip='{first}'] [data-star='5']")
    page.wait_for_selector(f"#music-clips .stars[data-clip='{first}'][data-value='5']")

    # what was rated well is frozen
    go(page, "datasets")
    page.wait_for_selector("#datasets-found .found:has-text('7 clips')")
    set_number(page, "datasets-min-rating", 5)
    page.wait_for_selector("#datasets-found .found:has-text('4 clips')")
    page.click("#datasets-preview [data-play] >> nth=0")
    fill(page, "datasets-name", "Liked")
    set_number(page, "datasets-share", 0.3)
    page.click("#datasets-create")
    page.wait_for_selector("#datasets-detail h3:has-text('Liked')")
    (dataset,) = lab.datasets()
    assert (dataset.name, dataset.items, dataset.prompts) == ("Liked", 4, 4)
    assert {item.split for item in lab.dataset_items(dataset.id)} == {"train", "validation"}

    # a run learns from it and makes an adapter
    page.click("#datasets-detail [data-action=train-with]")
    page.wait_for_selector("#train-start", state="visible")
    page.wait_for_selector("#training-plan :text('to learn from')")
    page.click("#train-preset label:has-text('Quick')")
    page.wait_for_function("document.querySelector('#train-epochs input').value === '12'")
    fill(page, "train-name", "warm")
    page.wait_for_selector("#training-plan code:has-text('--name warm')")
    page.click("#train-start")
    page.wait_for_selector("#training-run h3:has-text('warm')")
    page.wait_for_selector("#training-run .badge:has-text('done')")
    page.wait_for_selector("#training-curves [data-chart=validation-loss] svg")
    (run,) = lab.runs()
    assert (run.state, run.dataset_id, run.config["epochs"]) == ("done", dataset.id, 12)
    assert page.locator("#training-samples [data-play]").count() == len(lab.samples(run.id)) > 0

    # the adapter is put to use
    page.click("#training-run [data-action=open-adapter]")
    page.wait_for_selector("#adapters-detail h3:has-text('warm v1')")
    set_number(page, "adapters-scale", 1.5)
    page.click("#adapters-activate")
    page.wait_for_selector("#adapters-detail .badge:has-text('active ×1.5')")
    (adapter,) = lab.adapters()
    assert (adapter.active, adapter.scale, adapter.run_id) == (True, 1.5, run.id)
    go(page, "music")
    prompt(page, "bright flute again")
    set_number(page, f"{ENGINE}-variations", 1)
    generate(page)
    page.wait_for_selector(f"#music-clips .take:not(:has([data-clip='{first}']))")
    clip = site.studio.clip(music_clips(page, 1)[0])
    assert (clip.adapter, clip.adapter_scale) == (adapter.id, 1.5)

    # listeners decide, without knowing which is which
    go(page, "adapters")
    fill(page, "adapters-prompts", "slow violin")
    set_number(page, "adapters-test-duration", 1)
    page.click("#adapters-compare-start")
    page.click("#adapters-tests [data-action=open-test]")
    page.wait_for_selector("#tests-stage .deck")
    ready(page, "#tests-stage")
    hear_all(page, "#tests-stage")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.wait_for_selector("#tests-stage .thanks")
    go(page, "adapters")
    page.wait_for_selector("#adapters-tests .verdict")
    verdict = lab.verdict(adapter.id)
    assert (verdict.wins + verdict.losses, verdict.ties) == (1, 0)
    assert verdict.sentence in page.inner_text("#adapters-tests")


@pytest.mark.timeout(1200)
def test_a_running_run_is_found_after_a_reload_stopped_resumed_and_deleted(page, site, lab, judged):
    dataset = lab.create_dataset("Pairs", DatasetFilter(kind="preference"), 0.34)
    go(page, "datasets")
    page.click("#datasets-list li:has-text('Pairs')")
    page.wait_for_selector("#datasets-rows .pair:has-text('better')")
    page.click("#datasets-detail [data-action=train-with]")
    page.wait_for_selector("#training-plan code:has-text('--method dpo')")
    page.fill("#train-epochs input", "1000")
    fill(page, "train-name", "endless")
    page.wait_for_selector("#training-plan :text('1,000 passes')")
    page.click("#train-start")
    page.wait_for_selector("#training-curves svg")
    page.reload()
    page.wait_for_selector("#tab-training-button")
    go(page, "training")
    page.wait_for_selector("#training-run h3:has-text('endless')")
    page.click("#training-run [data-action=stop]")
    page.wait_for_selector("#training-run .badge:has-text('stopped')")
    (run,) = [row for row in lab.runs() if row.name == "endless"]
    assert (run.state, run.method, run.dataset_id) == ("stopped", "dpo", dataset.id)
    assert page.is_visible("#training-run [data-action=resume]")
    page.click("#training-run [data-action=again]")
    page.wait_for_function("document.querySelector('#train-epochs input')?.value === '1000'")
    page.click("#training-list li:has-text('endless') .plain")
    page.click("#training-run [data-action=delete]")
    page.click("#training-run [data-action=delete].sure")
    page.wait_for_selector("#training-list li:has-text('endless')", state="detached")
    assert not (site.studio.store.folder("runs") / run.id).exists()


def test_bad_input_is_told(page, lab, judged, tmp_path):
    go(page, "datasets")
    page.wait_for_selector("#datasets-found .found")
    page.click("#datasets-narrow button")
    fill(page, "datasets-text", "no such words")
    page.wait_for_selector("#datasets-found :text('No clip matches')")
    fill(page, "datasets-name", "Empty")
    page.click("#datasets-create")
    page.wait_for_selector(".toast-body:has-text('an empty dataset teaches nothing')")
    assert "Empty" not in [row.name for row in lab.datasets()]
    go(page, "adapters")
    page.click("#adapters-list [data-action=open][data-id='']")
    fake = tmp_path / "fake.zip"
    fake.write_text("no zip")
    page.set_input_files("#adapters-import-file input[type=file]", fake)
    page.wait_for_selector("#adapters-import-file :text('fake')")
    page.click("#adapters-import-button")
    page.wait_for_selector(".toast-body:has-text('fake')")
