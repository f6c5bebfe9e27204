"""The Batch tab: template, errors by row and column, start, stop, resume, retry, listen, download."""

from __future__ import annotations

import csv
import io
import zipfile
from types import SimpleNamespace

from storage import JobState
from tests import fakes
from tests.browser.steps import go


def send(page, path):
    """Choose a file in step 3 and wait until it was checked."""
    page.set_input_files("#batch-files input[type=file]", path)


def choose(page, title):
    """Choose the engine by its title."""
    page.click("#batch-engine input")
    page.click(f".options li:has-text('{title}') >> visible=true")
    page.wait_for_selector(f"#batch-guide summary:has-text('{title}')")


def begin(page, table):
    """Open the form, send a table for the fake engine and wait for its preview."""
    go(page, "batch")
    page.click("#batch-list button[data-action=open][data-id='']")
    choose(page, "Tone")
    send(page, table)
    page.wait_for_selector("#batch-checked .plan")


def newest(site):
    return site.studio.store.batches.list(limit=1)[0]


def test_from_the_template_to_the_zip(page, site, tmp_path):
    go(page, "batch")
    choose(page, "Tone")
    assert page.locator("#batch-start").is_disabled()
    with page.expect_download() as waiting:
        page.click("#batch-guide a:has-text('CSV')")
    path = tmp_path / "mine.csv"
    path.write_bytes(waiting.value.path().read_bytes())
    send(page, path)
    page.wait_for_selector("#batch-checked .plan:has-text('2 rows for Tone')")
    assert page.inner_text("#batch-checked tr:nth-child(3) td:nth-child(2)") == "second"
    page.click("#batch-start:enabled")
    page.wait_for_selector("#batch-detail h3:has-text('mine')")
    page.wait_for_selector("#batch-detail .badge:has-text('done')")
    page.wait_for_selector("#batch-rows tr .badge:has-text('done') >> nth=1")
    page.click("#batch-rows tr[data-id='2'] button[data-action=row]")
    page.wait_for_selector("#batch-row .clip audio")
    batch = newest(site)
    assert (batch.name, batch.done) == ("mine", 2)
    with page.expect_download() as waiting:
        page.click("#batch-detail .batch-downloads a:has-text('FLAC')")
    assert waiting.value.suggested_filename == "mine.zip"
    with zipfile.ZipFile(waiting.value.path()) as packed:
        assert packed.namelist() == ["first.flac", "second.flac", "results.csv"]
        lines = csv.DictReader(io.StringIO(packed.read("results.csv").decode("utf-8-sig")))
        assert [line["state"] for line in lines] == ["done", "done"]
    go(page, "jobs")
    page.wait_for_selector("#jobs-list tr:has-text('Batch “mine”, 2 rows')")
    page.click("#jobs-list button[data-id=rows]")
    page.wait_for_selector("#jobs-list tr:has-text('Good morning')")


def test_a_wrong_table_is_told_by_row_and_column_and_cannot_start(page, site, tmp_path):
    go(page, "batch")
    page.click("#batch-list button[data-action=open][data-id='']")
    choose(page, "Tone")
    path = tmp_path / "wrong.csv"
    path.write_text("name,text,pitch_hz\na,one,440\na,two,1\n")
    send(page, path)
    page.wait_for_selector("#batch-checked h3:has-text('2 things are wrong')")
    told = page.inner_text("#batch-checked .problems")
    assert "rows 2 and 3 would be one file" in told
    assert "Pitch hz must be 20 to 8,000, not '1'." in told
    assert page.locator("#batch-start").is_disabled()


def test_stopped_resumed_after_a_reload_and_the_failed_row_retried(
    page, site, tmp_path, monkeypatch
):
    path = tmp_path / "long.csv"
    rows = [f"n{n},row {n},2,0," for n in range(22)]
    rows[0] += "error:Once."
    rows[2] = "n2,goes on until it is stopped,400,0.2,"
    path.write_text("name,text,steps,step_s,fail\n" + "\n".join(rows))
    begin(page, path)
    page.click("#batch-start:enabled")
    page.wait_for_selector("#batch-rows tr[data-id='3'] .badge:has-text('running')")
    page.click("#batch-detail button[data-action=stop]")
    page.wait_for_selector("#batch-detail .badge:has-text('stopped')")
    batch = newest(site)
    assert (batch.done, batch.failed, batch.open) == (1, 1, 20)
    monkeypatch.setattr(fakes, "time", SimpleNamespace(sleep=lambda seconds: None))
    page.reload()
    page.wait_for_selector("#tab-batch-button", state="attached")
    go(page, "batch")
    page.click("#batch-list li:has-text('long') .plain")
    page.click("#batch-detail button[data-action=resume]")
    page.wait_for_selector("#batch-rows .badge:has-text('failed')")
    assert "Once." in page.inner_text("#batch-rows tr[data-id='1']")
    page.wait_for_selector("#batch-detail .badge:has-text('done, 1 failed')")
    batch = newest(site)
    assert (batch.done, batch.failed, batch.open) == (21, 1, 0)
    page.click("#batch-rows button[data-action=page][data-id='2']")
    page.wait_for_selector("#batch-rows tr:has-text('n21')")
    monkeypatch.setattr(fakes.Tone, "_fail", lambda *_: None)
    page.click("#batch-detail button[data-action=retry]")
    page.wait_for_selector("#batch-detail .badge:text-is('done')")
    assert newest(site).done == 22
    job = site.studio.batches.state(batch.id).job
    assert job.state is JobState.DONE
    page.click("#batch-detail button[data-action=delete]")
    page.click("#batch-detail button[data-action=delete].sure")
    page.wait_for_selector("#batch-list li:has-text('long')", state="detached")
