"""Home, Models and Jobs: what is loaded, what runs, what can be downloaded, and the buttons."""

from __future__ import annotations

from storage import JobState
from tests.browser.steps import go


def test_home_leads_to_speech_and_lists_the_latest_clips(page, site):
    site.studio.make("tone", text="seen on the first page", timeout_s=60)
    page.wait_for_selector("#home-clips li:has-text('seen on the first page')")
    page.click("#home-ways button:has-text('Make speech')")
    page.wait_for_selector("#speech-text textarea", state="visible")


def test_an_engine_is_loaded_and_unloaded_in_models(page, site):
    site.studio.unload("tone")
    go(page, "models")
    page.wait_for_selector("#tab-models :text('free')")
    page.click("#tab-models button[data-action=load][data-id=tone]")
    page.wait_for_selector("#tab-models button[data-action=unload][data-id=tone]")
    assert site.studio.runtime.is_loaded("tone")
    page.click("#tab-models button[data-action=unload][data-id=tone]")
    page.wait_for_selector("#tab-models button[data-action=load][data-id=tone]")
    assert not site.studio.runtime.is_loaded("tone")


def test_a_download_without_a_hub_says_so_and_names_what_works(page, site):
    go(page, "models")
    page.locator("#tab-models input[data-action]").first.fill("thorsten")
    page.click("#tab-models button[data-action=download]:has-text('Download') >> nth=0")
    page.wait_for_selector('#tab-models :text("model hub can\'t be reached")')
    job = site.studio.jobs.list(limit=1)[0]
    assert (job.kind, job.state) == ("download", JobState.FAILED)


def test_a_running_job_is_cancelled_and_run_again_in_jobs(page, site):
    job = site.studio.submit("tone", {"text": "to be stopped", "steps": 300, "step_s": 0.1})
    go(page, "jobs")
    page.click(f"#jobs-list button[data-action=cancel][data-id='{job.id}']")
    page.wait_for_selector(f"#jobs-list button[data-action=again][data-id='{job.id}']")
    assert site.studio.wait(job.id, 10).state is JobState.CANCELLED
    page.click(f"#jobs-list button[data-action=again][data-id='{job.id}']")
    for _ in range(100):
        newest = site.studio.jobs.list(limit=1)[0]
        if newest.retry_of == job.id:
            break
        page.wait_for_timeout(100)
    assert newest.settings["text"] == "to be stopped"
    site.studio.cancel(newest.id)


def test_a_failed_job_shows_its_whole_error_in_jobs(page, site):
    failed = site.studio.submit("tone", {"text": "broken", "fail": "error:Because of the test."})
    site.studio.wait(failed.id, 30)
    go(page, "jobs")
    page.click("#jobs-list tr:has-text('broken') td >> nth=1")
    page.wait_for_selector("#jobs-detail:has-text('Because of the test.')")
