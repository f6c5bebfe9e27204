"""Evaluation in the browser: one sound, a pair, folders with results, a clip out of the history."""

from __future__ import annotations

import csv
import json
import os

import pytest
import soundfile

from engines import registry
from engines.studio import Studio
from engines.studio.evaluation import measuring
from tests.browser.steps import go
from tests.conftest import Served, make_settings
from tests.engines.metrics.conftest import at_snr, tone

PATIENCE_MS = int(os.environ.get("PATIENCE_MS", 180_000))
SHOTS = os.environ.get("SHOTS", "")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The whole app with the fake engine; everything is measured in its own process."""
    from tabs import layout
    from tabs.http import server

    folder = tmp_path_factory.mktemp("evaluate")
    engines = folder / "engines.json"
    engines.write_text(json.dumps(["tests.fakes:Tone"]), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "BUILT_IN", engines)
        patch.setattr(registry, "entry_points", lambda group: [])
        patch.setattr(measuring, "FEW", 1000)
        with Studio(make_settings(folder)) as studio:
            demo = layout.build(studio)
            with server.serving(studio, demo, **layout.page_kwargs()) as url:
                yield Served(url, studio)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Eight references and two systems, 15 dB and 3 dB above noise; a reference without a partner."""
    root = tmp_path_factory.mktemp("sounds")
    for number in range(8):
        clean = tone(150 + 10 * number, 0.6)
        for name, snr_db in (("ref", None), ("good", 15), ("bad", 3)):
            path = root / name / f"{number}.wav"
            path.parent.mkdir(exist_ok=True)
            samples = clean if snr_db is None else at_snr(clean, snr_db, number)
            soundfile.write(path, samples, 24_000)
    soundfile.write(root / "ref" / "alone.wav", tone(100, 0.5), 24_000)
    return root


@pytest.fixture
def page(open_page):
    """The app in a patient browser window."""
    page = open_page()
    page.set_default_timeout(PATIENCE_MS)
    return page


def shot(page, name):
    """A picture of the page where the environment asks for it."""
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def pick(page, element_id, *titles):
    """Choose measures by their titles."""
    field = page.locator(f"#{element_id} input").first
    for title in titles:
        field.click()
        field.fill(title)
        page.locator(f"#{element_id} ul [role=option]:has-text('{title}')").first.click()
    field.press("Escape")


def send(page, element_id, *paths):
    """Send files and wait until they are listed."""
    page.set_input_files(f"#{element_id} input[type=file]", [str(path) for path in paths])
    page.wait_for_selector(f"#{element_id} .file-preview :text('{paths[-1].stem}')")


def open_evaluation(page, tab, ready):
    """Open one page of the tab."""
    go(page, "evaluation")
    page.click(f"#tab-evaluate-{tab}-button")
    page.wait_for_selector(ready, state="visible")


def test_one_sound_shows_its_picture_and_says_what_cannot_be_measured(page, sounds):
    open_evaluation(page, "one", "#evaluate-one-go")
    page.click("#evaluate-one-go")
    page.wait_for_selector(".toast-body:has-text('Send a sound, or choose a clip')")
    send(page, "evaluate-one-file", sounds / "good/0.wav")
    page.click("button:has-text('Which measures') >> visible=true")
    pick(page, "evaluate-one-metrics", "Sample peak", "Tempo", "WER")
    page.click("#evaluate-one-go")
    page.wait_for_selector("#evaluate-one-result tr[data-metric=wer]")
    assert page.locator("#evaluate-one-result .picture svg image").count() == 1
    assert "dBFS" in page.inner_text("#evaluate-one-result tr[data-metric=peak]")
    assert "Tempo needs 2.0 s" in page.inner_text("#evaluate-one-result tr[data-metric=tempo]")
    assert "neither a text" in page.inner_text("#evaluate-one-result tr[data-metric=wer]")
    page.wait_for_function(
        "document.querySelector('#evaluate-one-result audio').duration.toFixed(1) === '0.6'"
    )
    shot(page, "one")


def test_a_text_called_wav_is_refused_in_words(page, tmp_path):
    fake = tmp_path / "fake.wav"
    fake.write_text("I am a text")
    open_evaluation(page, "one", "#evaluate-one-go")
    send(page, "evaluate-one-file", fake)
    page.click("#evaluate-one-go")
    page.wait_for_selector(".toast-body:has-text('cannot be read as a sound')")


def test_a_pair_shows_contours_and_the_difference(page, sounds):
    open_evaluation(page, "pair", "#evaluate-pair-go")
    send(page, "evaluate-pair-reference", sounds / "ref/1.wav")
    send(page, "evaluate-pair-generated", sounds / "bad/1.wav")
    page.click("button:has-text('Which measures') >> visible=true")
    pick(page, "evaluate-pair-metrics", "SI-SDR", "F0 correlation")
    page.click("#evaluate-pair-go")
    page.wait_for_selector("#evaluate-pair-result tr[data-metric=f0_pearson]")
    number = page.inner_text("#evaluate-pair-result tr[data-metric=si_sdr] .value")
    assert float(number.removesuffix(" dB")) == pytest.approx(3, abs=0.2)
    drawing = page.text_content("#evaluate-pair-result .drawing svg")
    assert "generated − reference" in drawing and "F0 (Hz)" in drawing
    shot(page, "pair")


def test_folders_become_means_tests_a_table_and_files(page, site, sounds, open_page):
    open_evaluation(page, "runs", "#evaluate-go")
    page.click("#evaluate-kind label:has-text('Folders of this machine')")
    page.fill("#evaluate-folders-generated textarea", f"{sounds / 'good'}\n{sounds / 'bad'}")
    page.fill("#evaluate-folders-reference :is(input, textarea)", str(sounds / "ref"))
    page.click(
        "#evaluate-metrics button[aria-label='Clear all'], #evaluate-metrics .token-remove >> nth=-1"
    )
    pick(page, "evaluate-metrics", "SI-SDR", "Loudness", "Log-spectral")
    shot(page, "form")
    page.click("#evaluate-go")
    page.wait_for_selector("#evaluate-head .badge:has-text('done')")
    page.wait_for_selector("#evaluate-head summary:has-text('without a partner in good')")
    means = page.inner_text("#evaluate-means table")
    assert "15.0" in means and "3.0" in means
    assert "good" in page.inner_text("#evaluate-tests tr:has-text('SI-SDR') td:last-child")
    page.click("#evaluate-boxes .chip:has-text('Loudness')")
    page.wait_for_selector("#evaluate-boxes figure[data-metric=loudness] svg")
    page.click("#evaluate-table [data-action=sort][data-id=si_sdr]")
    page.wait_for_selector("#evaluate-table [data-id=si_sdr][aria-pressed=true]")
    assert "bad" in page.inner_text("#evaluate-table tbody tr >> nth=0")
    page.click("#evaluate-table [data-action=sort][data-id=si_sdr]")
    page.wait_for_selector("#evaluate-table [data-id=si_sdr]:has-text('▾')")
    assert "good" in page.inner_text("#evaluate-table tbody tr >> nth=0")
    page.click("#evaluate-table tbody tr >> nth=0")
    page.wait_for_selector("#evaluate-detail .drawing svg")
    with page.expect_download() as download:
        page.click("#evaluate-head a:has-text('CSV')")
    rows = list(csv.DictReader(download.value.path().open(encoding="utf-8")))
    assert len(rows) == 16 and {row["system"] for row in rows} == {"good", "bad"}
    shot(page, "results")
    (row,) = site.studio.evaluation.evaluations()
    # another, narrow and dark window finds the same
    other = open_page(width=768)
    other.set_default_timeout(PATIENCE_MS)
    other.keyboard.press("t")
    open_evaluation(other, "runs", "#evaluate-go")
    other.click(f"#evaluate-list [data-id='{row.id}']")
    other.wait_for_selector("#evaluate-means table")
    assert other.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shot(other, "results-768-dark")
    other.click("#evaluate-head [data-action=delete]")
    other.click("#evaluate-head .sure")
    other.wait_for_selector("#evaluate-go", state="visible")
    assert site.studio.evaluation.evaluations() == []


def test_a_clip_of_the_history_is_measured_and_filters_a_dataset(page, site):
    clip = site.studio.make("tone", text="to be measured", seed=1, steps=4)[0]
    site.studio.store.judgements.rate(clip.id, "overall", 5, "ann")
    site.studio.store.scores.rate_clip(clip.id, {"mcd": 7.5})
    open_evaluation(page, "one", "#evaluate-one-go")
    page.click("button:has-text('Which measures') >> visible=true")
    pick(page, "evaluate-one-metrics", "Sample peak")
    go(page, "history")
    page.click("#history-list li:has-text('to be measured') .name")
    page.click("#history-measure")
    page.wait_for_selector("#evaluate-one-result h3:has-text('to be measured')")
    page.wait_for_selector("#evaluate-one-result tr[data-metric=peak] .value")
    go(page, "datasets")
    page.wait_for_selector("#datasets-found .found:has-text('1 clip')")
    page.click("#datasets-narrow button:has-text('Narrow it down')")
    field = page.locator("#datasets-score input").first
    field.click()
    page.locator("#datasets-score ul [role=option]:has-text('MCD')").first.click()
    page.fill("#datasets-score_most :is(input, textarea)", "5")
    page.wait_for_selector("#datasets-found:not(:has-text('1 clip'))")
    page.fill("#datasets-score_most :is(input, textarea)", "10")
    page.wait_for_selector("#datasets-found .found:has-text('1 clip')")


def test_every_measure_has_a_card(page):
    open_evaluation(page, "measures", "#evaluate-cards .metric-card")
    assert page.locator("#evaluate-cards .metric-card").count() == 40
    words = page.inner_text("#evaluate-cards [data-metric=pesq_wb]")
    for fact in (
        "Range",
        "1 to 4.65",
        "higher",
        "a reference",
        "16 kHz",
        "ITU-T P.862.2",
        "Licence",
    ):
        assert fact in words
    shot(page, "cards")
