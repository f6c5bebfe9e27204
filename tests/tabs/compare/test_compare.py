"""Comparing: more clips of the same text or settings, blind tests of clips, shared axes."""

from dataclasses import replace

import httpx
import pytest

from engines.base import StudioError
from engines.studio import variants
from tabs.compare import html as compare_pages
from tabs.compare import page as compare
from tabs.compare.page import CompareView
from tabs.ui.live import Action
from tests.fakes import Tone

PATIENCE_S = 60


class Second(Tone):
    """The same fake under another name."""

    card = replace(Tone.card, id="second", title="Second")


def make(studio, text="one", **values):
    return studio.make("tone", **{"text": text, "steps": 2} | values)[0]


def test_other_seeds_keep_all_settings(studio):
    clip = make(studio, seed=7, pitch_hz=300)
    jobs = variants.by_seeds(studio, clip, 3).jobs
    made = [studio.clip(studio.wait(job.id, PATIENCE_S).clip_ids[0]) for job in jobs]
    assert len({each.seed for each in made} | {7}) == 4
    for each in made:
        assert each.settings | {"seed": 7} == clip.settings


def test_the_text_by_every_other_model(studio):
    studio.registry.add(Second)
    clip = make(studio, text="the river")
    made = variants.by_models(studio, clip, 7)
    jobs = {job.engine: job for job in made.jobs}
    assert set(jobs) == {"hungry", "second"}
    other = studio.clip(studio.wait(jobs["second"].id, PATIENCE_S).clip_ids[0])
    assert (other.text, other.engine) == ("the river", "second")


def test_without_another_model_it_says_so(studio, monkeypatch):
    tone = studio.engine("tone")
    monkeypatch.setattr(studio, "engines", lambda task=None: [tone])
    with pytest.raises(StudioError, match="no other model here"):
        variants.by_models(studio, make(studio), 7)


def test_a_blind_test_asks_about_every_pair(studio):
    clips = [make(studio, seed=seed) for seed in (1, 2, 3)]
    test = variants.blind_test(studio, [clip.id for clip in clips])
    trials = studio.store.tests.trials(test.id)
    pairs = [{stimulus.clip_id for stimulus in trial.stimuli} for trial in trials]
    assert pairs == [{clips[a].id, clips[b].id} for a, b in ((0, 1), (0, 2), (1, 2))]
    assert test.config["systems"] == ["1: tone, seed 1", "2: tone, seed 2", "3: tone, seed 3"]
    assert variants.blind_test(studio, [clip.id for clip in clips]).name == f"{test.name} 2"
    with pytest.raises(StudioError, match="2 to 8"):
        variants.blind_test(studio, [clips[0].id])


def test_the_grid_takes_what_jobs_made(studio):
    view = CompareView()
    clip = make(studio, seed=1)
    compare.act(studio, view, Action("add", clip.id))
    compare.act(studio, view, Action("seeds"))
    assert len(view.jobs) == compare.SEEDS
    for job in list(view.jobs):
        studio.wait(job, PATIENCE_S)
    drawn = compare.draw(studio, view)
    assert len(view.clips) == 4
    assert view.jobs == []
    assert drawn[2].count('class="compare-card"') == 4
    compare.act(studio, view, Action("remove", clip.id))
    assert clip.id not in view.clips
    compare.act(studio, view, Action("add", clip.id))
    compare.act(studio, view, Action("seeds"))
    compare.act(studio, view, Action("seeds"))
    with pytest.raises(StudioError, match="At most 8"):
        compare.act(studio, view, Action("seeds"))


def test_louder_clips_are_turned_down_to_the_quietest(studio):
    clips = [make(studio, loud=loud, seed=1, steps=4) for loud in (True, False)]
    quietest = clips[1].loudness_lufs
    html = compare_pages.grid_html(studio, clips, "d", "")
    assert f"{quietest:.1f} LUFS. Nothing is turned up" in html
    gains = [float(part.split('"')[0]) for part in html.split('data-gain="')[1:]]
    assert gains == pytest.approx([10 ** ((quietest - clips[0].loudness_lufs) / 20), 1], abs=1e-3)
    assert f"−{clips[0].loudness_lufs - quietest:.1f} dB" in html


def test_differing_settings_come_first(studio):
    clips = [make(studio, pitch_hz=hz, seed=7) for hz in (200, 300)]
    html = compare_pages.settings_html(studio, clips)
    differing = html.split("the same in all")[0]
    assert "pitch_hz" in differing
    assert "<td>200" in differing
    assert "seed" not in differing
    assert "seed" in html


def test_pictures_share_their_axes(served):
    clip = make(served.studio)
    address = f"{served.url}/compare/{clip.id}.svg"
    asked = {"until_s": 4, "rate": 24000}
    first = httpx.get(address, params=asked, timeout=PATIENCE_S)
    assert first.status_code == 200
    assert first.headers["content-type"].startswith("image/svg")
    assert "time (s)" in first.text
    assert httpx.get(address, params=asked).text == first.text
    assert httpx.get(address, params={"until_s": 0, "rate": 24000}).status_code == 400
    assert httpx.get(f"{served.url}/compare/none.svg", params=asked).status_code == 404


def test_comparing_through_the_endpoints(served):
    client = served.client()
    clip = make(served.studio)
    jobs = client.predict(clip.id, 2, api_name="/same_settings")
    made = [served.studio.wait(job["id"], PATIENCE_S).clip_ids[0] for job in jobs]
    test_id = client.predict(made, "mine", api_name="/blind_test")
    assert served.studio.store.tests.get(test_id).name == "mine"
