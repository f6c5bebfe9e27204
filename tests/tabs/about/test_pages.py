"""Home, Models, Jobs and Help: what their pages say, and what their buttons do."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import pytest

from engines.base import StudioError, Weights
from engines.studio import reference
from storage import JobState, StorageError
from tabs.about import help, home, jobs, models
from tabs.ui import live
from tabs.ui.live import Action
from tests.fakes import Tone

EVIL = "<script>alert(1)</script>"


class Voices(Tone):
    """A tone with an embedded voice and twenty to download."""

    card = dataclasses.replace(
        Tone.card,
        id="voices",
        title="Voices",
        paper="https://arxiv.org/abs/2106.06103",
        home="javascript:alert(1)",
        non_commercial=True,
        notes="A | in a note.",
    )
    published: ClassVar = tuple(
        Weights(
            f"de-{number}",
            f"German {number}",
            repo="some/voices",
            files=(f"{number}.onnx",),
            size_bytes=63_000_000,
            license="CC0",
            languages=("de",),
        )
        for number in range(20)
    )

    def weights(self):
        return [Weights("joe", "Joe", embedded=True, languages=("en",)), *self.published]


class Missing(Tone):
    """A tone that needs a module nobody has."""

    card = dataclasses.replace(
        Tone.card,
        id="missing",
        title="Missing",
        requires=("no_such_module",),
        pip_extra="amphion-studio[missing]",
        memory_mb={"float32": 10**9},
    )


@pytest.fixture
def voices(studio):
    return studio.registry.add(Voices)


def cache(studio, *numbers):
    """Put voices into the cache as a download would."""
    folder = studio.hub.root / "models--some--voices"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc", encoding="utf-8")
    for number in numbers:
        (folder / "snapshots" / "abc" / f"{number}.onnx").write_bytes(b"x" * 2000)


def made(studio, **values):
    """A job that ended."""
    return studio.wait(studio.submit("tone", {"text": "hello", **values}).id, 30)


def running(studio):
    """A job that runs until it is cancelled."""
    job = studio.submit("tone", {"text": "long", "steps": 1000, "step_s": 0.05})
    for update in studio.follow(job.id):
        if update.progress > 0:
            break
    return job


# --- words and numbers ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (63e6, "63 MB"), (1.5e9, "1.5 GB"), (77.2e9, "77 GB"), (2000, "2 KB")],
)
def test_sizes(count, text):
    assert reference.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.25, "0.2 s"), (42, "42 s"), (180, "3 min"), (7500, "2 h 5 min"), (7200, "2 h")],
)
def test_spans(seconds, text):
    assert live.span(seconds) == text


def test_long_texts_are_cut_at_a_word():
    assert live.short("one two three four", 12) == "one two…"
    assert live.short("a\n b") == "a b"
    assert len(live.short("x" * 500, 20)) == 20


def test_only_web_addresses_become_links():
    assert live.link("javascript:alert(1)", "Home") == ""
    assert 'href="https://a.b/?c=&quot;"' in live.link('https://a.b/?c="', "Home")


# --- Home -----------------------------------------------------------------------------------


def test_an_empty_home_says_what_to_do(studio):
    assert "Nothing made yet" in home.clips_html(studio)
    assert "No job is running" in home.now_html(studio)
    assert "No model is loaded" in home.now_html(studio)
    assert "Make speech" in home.ways_html(studio)


def test_home_shows_clips_jobs_and_what_is_loaded(studio):
    made(studio, text=EVIL)
    job = running(studio)
    now, clips = home.now_html(studio), home.clips_html(studio)
    assert "&lt;script&gt;" in clips and EVIL not in clips
    assert "working" in now and "105 MB" in now
    assert f'data-action="cancel" data-id="{job.id}"' in now and "of 1000" in now
    home.act(studio, Action("cancel", job.id))
    assert studio.wait(job.id, 30).state is JobState.CANCELLED
    assert "unloads in 30 min" in home.now_html(studio)
    home.act(studio, Action("unload", "tone"))
    assert not studio.runtime.is_loaded("tone")


def test_home_marks_favourites(studio):
    (clip_id,) = made(studio).clip_ids
    home.act(studio, Action("favorite", clip_id))
    assert studio.clip(clip_id).favorite
    assert "★" in home.clips_html(studio)


# --- Models ---------------------------------------------------------------------------------


def test_a_card_says_licence_memory_and_links(studio, voices):
    html = models.page_html(studio, models.ModelsView())
    assert "free</b>" in html.split("<section")[0]
    assert "non-commercial weights" in html
    assert "105 MB, fits this machine" in html
    assert 'href="https://arxiv.org/abs/2106.06103"' in html and "javascript:" not in html


def test_what_must_be_installed_shows_the_command_and_that_it_does_not_fit(studio):
    studio.registry.add(Missing)
    studio.registry.broken["plug"] = f"ImportError: {EVIL}"
    html = models.page_html(studio, models.ModelsView())
    assert "pip install amphion-studio[missing]" in html and "no_such_module" in html
    assert "does not fit" in html
    assert "plug" in html and "ImportError: &lt;script&gt;" in html


def test_weights_that_are_here_come_first_and_others_by_search(studio, voices):
    cache(studio, 7)
    view = models.ModelsView()
    html = models.page_html(studio, view)
    assert "Joe" in html and "German 7" in html and "German 12" not in html
    assert "Search 19 more" in html
    models.act(studio, view, Action("search", "voices", "GERMAN 12"))
    html = models.page_html(studio, view)
    assert 'data-action="download" data-id="voices/de-12"' in html and "Download 63 MB" in html
    models.act(studio, view, Action("search", "voices", "klingon <b>"))
    assert "Nothing matches “klingon &lt;b&gt;”" in models.page_html(studio, view)


def test_removing_asks_and_tells_what_was_freed(studio, voices):
    cache(studio, 7)
    view = models.ModelsView()
    remove = Action("remove", "voices/de-7")
    models.act(studio, view, remove)
    assert "Really remove? 2 KB" in models.page_html(studio, view)
    models.act(studio, view, Action("search", "voices", ""))
    models.act(studio, view, remove)
    assert studio.hub.size(voices.published[7]) == 2000, "another click in between must ask again"
    models.act(studio, view, remove)
    assert studio.hub.size(voices.published[7]) == 0
    assert "Removed German 7; 2 KB freed." in models.page_html(studio, view)


def test_a_second_click_that_comes_late_asks_again(studio, voices, monkeypatch):
    cache(studio, 7)
    view, now = models.ModelsView(), models.time.monotonic()
    models.act(studio, view, Action("remove", "voices/de-7"))
    monkeypatch.setattr(models.time, "monotonic", lambda: now + 60)
    models.act(studio, view, Action("remove", "voices/de-7"))
    assert studio.hub.size(voices.published[7]) == 2000


def test_a_download_without_a_hub_shows_the_reason(studio, voices):
    view = models.ModelsView()
    models.act(studio, view, Action("download", "voices/de-3"))
    (job,) = studio.jobs.list()
    assert studio.wait(job.id, 30).state is JobState.FAILED
    html = models.page_html(studio, view)
    assert "be reached (HF_HUB_OFFLINE is set)" in html and "German 3" in html


def test_load_and_unload(studio):
    view = models.ModelsView()
    models.act(studio, view, Action("load", "hungry"))
    studio.wait(studio.jobs.list()[0].id, 30)
    html = models.page_html(studio, view)
    assert "in memory" in html and 'data-action="unload" data-id="hungry"' in html
    models.act(studio, view, Action("unload", "hungry"))
    assert 'data-action="load" data-id="hungry"' in models.page_html(studio, view)


@pytest.mark.parametrize("name", ["load", "unload", "download", "remove", "cancel"])
def test_unknown_things_are_refused(studio, name):
    view = models.ModelsView()
    action = Action(name, "nothing/at-all")
    with pytest.raises((StudioError, StorageError)):
        models.act(studio, view, action)
        models.act(studio, view, action)


# --- Jobs -----------------------------------------------------------------------------------


def test_no_jobs_yet(studio):
    listed, detail, clips = jobs.draw(studio, jobs.JobsView())
    assert "No jobs yet" in listed and "Choose a job" in detail and clips == ""


def test_jobs_are_listed_filtered_and_shown(studio):
    good, bad = made(studio, text=EVIL), made(studio, text="bad", fail=f"error:No. {EVIL * 5}")
    view = jobs.JobsView()
    assert jobs.table_html(studio, view).count("<tr ") == 2
    jobs.act(studio, view, Action("filter", "failed"))
    jobs.act(studio, view, Action("open", bad.id))
    listed, detail, clips = jobs.draw(studio, view)
    assert listed.count("<tr ") == 1 and EVIL not in listed + detail
    assert ("No. " + EVIL * 5).replace("<", "&lt;").replace(">", "&gt;") in detail
    jobs.act(studio, view, Action("open", good.id))
    _, detail, clips = jobs.draw(studio, view)
    assert "pitch_hz" in detail and f'data-clip="{good.clip_ids[0]}"' in clips
    studio.clips.delete([good.clip_ids[0]])
    assert "was deleted" in jobs.clips_html(studio, good)


def test_pages_stay_within_what_there_is(studio):
    for number in range(jobs.PAGE_SIZE + 1):
        studio.jobs.update(studio.jobs.add("run", "tone").id, state=JobState.DONE, note=str(number))
    view = jobs.JobsView()
    first = jobs.table_html(studio, view)
    assert "page 1 of 2" in first and "Older" in first and "Newer" not in first
    jobs.act(studio, view, Action("page", "99"))
    last = jobs.table_html(studio, view)
    assert view.page == 2 and last.count("<tr ") == 1 and "Newer" in last
    jobs.act(studio, view, Action("page", "-1; drop"))
    assert view.page == 1


def test_cancel_and_run_again(studio):
    view = jobs.JobsView()
    job = running(studio)
    waiting = studio.submit("tone", {"text": "waits"}, owner="ada")
    listed = jobs.table_html(studio, view)
    assert "running" in listed and "waiting" in listed and "ada" in listed
    jobs.act(studio, view, Action("cancel", waiting.id))
    jobs.act(studio, view, Action("cancel", job.id))
    assert studio.wait(job.id, 30).state is JobState.CANCELLED
    jobs.act(studio, view, Action("again", waiting.id))
    assert view.chosen not in ("", waiting.id)
    assert studio.wait(view.chosen, 30).state is JobState.DONE


def test_a_job_that_is_gone_is_said_so(studio):
    assert "no job" in jobs.draw(studio, jobs.JobsView(chosen="gone"))[1]


def test_jobs_of_engines_that_are_gone_are_still_listed(studio):
    for kind in ("run", "load", "download"):
        studio.jobs.update(studio.jobs.add(kind, "gone").id, state=JobState.DONE)
    assert jobs.table_html(studio, jobs.JobsView()).count("<td>gone</td>") == 3


# --- Help and the engines' pages ------------------------------------------------------------


def test_help_names_address_folder_and_an_engine(studio):
    sections = help.texts(studio)
    assert next(iter(sections)) == "Getting started"
    whole = "\n".join(sections.values())
    assert str(studio.settings.data.resolve()) in whole
    assert '{"model": "tone"' in whole and 'engine="tone"' in whole
    assert "openapi.json" in whole


def test_an_engines_page_has_every_parameter(studio, voices):
    page = help.engine_page(studio, "voices")
    for name in Voices.Params.model_fields:
        assert f"| `{name}` |" in page
    assert "| `pitch_hz` | `440.0` | 20 to 8,000 | Hz | Frequency of the tone. |" in page
    assert "| `text` | *required* | at most 1,000 characters |" in page
    assert "de 20, en 1" in page and "may not be used commercially" in page
    with pytest.raises(StudioError):
        help.engine_page(studio, "nothing")
