"""Tests taken by link: what the link gives and does not give, to whom, and what is kept."""

from __future__ import annotations

import io
import re

import httpx
import numpy as np
import pytest
import soundfile

from engines.studio.judging.designs import Design
from storage import read_tags

RATE = 24_000


@pytest.fixture
def shared(serve):
    """A protected studio with a MUSHRA test of two prompts and a link to it."""
    served = serve(auth=["ann:secret"])
    rng = np.random.default_rng(0)
    for text in ("one", "two"):
        for engine in ("original", "codec-a", "codec-b"):
            samples = (0.1 * rng.standard_normal(RATE)).astype(np.float32)
            served.studio.clips.add(
                samples, RATE, engine=engine, task="codec", text=text, title=engine, peak_db=-10
            )
    test = served.studio.judging.create_test(
        "Secret codecs", Design("mushra", task="codec", reference="original", anchor=False)
    )
    link = served.studio.store.links.create(test.id, "Listen <carefully>.")
    return served, test, link


def rater(served, link, name="Bo"):
    """A browser that has begun the test under a name."""
    browser = httpx.Client(base_url=served.url, follow_redirects=True)
    page = browser.post(f"/listen/{link.token}/begin", data={"name": name})
    assert page.status_code == 200, page.text
    return browser, page.text


def trial_of(page):
    """The trial's name, its question's page and the addresses of its sounds."""
    return re.search(r'data-trial="(\w+)"', page)[1], re.findall(r'data-source="([^"]+)"', page)


def answer(browser, link, page, score=50, **changes):
    """Answer the trial on a page."""
    trial, sources = trial_of(page)
    body = {"trial": trial, "heard": [3.0] * len(sources), "seconds": 20.0}
    body["scores"] = [score] * (len(sources) - 1)
    return browser.post(f"/listen/{link.token}/answer", json=body | changes)


def test_a_rater_sees_the_test_and_nothing_else(shared):
    served, test, link = shared
    browser, page = rater(served, link)
    start = httpx.get(f"{served.url}/listen/{link.token}").text
    assert "2 trials" in start and "Listen &lt;carefully&gt;." in start
    clips = [clip.id for clip in served.studio.judging.clips()]
    trials = [trial.id for trial in served.studio.store.tests.trials(test.id)]
    for text in (start, page):
        for secret in (test.id, "Secret codecs", "codec-a", "codec-b", "original", *clips, *trials):
            assert secret not in text
    _, sources = trial_of(page)
    assert len(sources) == 4  # the reference, its hidden copy and two others
    for source in sources:
        sound = browser.get(f"/listen/{source}")
        assert sound.headers["content-type"] == "audio/flac"
        samples, rate = soundfile.read(io.BytesIO(sound.content))
        assert (len(samples), rate) == (RATE, RATE)
        assert b"codec" not in sound.content and b"settings" not in sound.content
    for path in ("/", "/clips/x/audio", f"/judgements/tests/{test.id}.csv", "/gradio_api/info",
                 "/config", "/v1/models", "/listen/../config"):  # fmt: skip
        refused = browser.get(path, follow_redirects=False)
        assert refused.status_code in (302, 401), path
    assert served.studio.store.tests.votes(test.id) == []


def test_the_sounds_carry_no_settings(shared, tmp_path):
    served, _, link = shared
    browser, page = rater(served, link)
    path = tmp_path / "sound.flac"
    path.write_bytes(browser.get(f"/listen/{trial_of(page)[1][1]}").content)
    assert read_tags(path) is None


def test_answers_are_kept_once_and_a_code_is_given_at_the_end(shared):
    served, test, link = shared
    browser, page = rater(served, link)
    first = trial_of(page)[0]
    assert answer(browser, link, page, 40).json() == {"done": 1, "of": 2}
    again = answer(browser, link, page, 90)
    assert (again.status_code, again.json()["detail"]) == (
        400, "This trial is answered already; each is answered once.",
    )  # fmt: skip
    page = browser.get(f"/listen/{link.token}").text
    assert "Trial 2 of 2" in page and trial_of(page)[0] != first
    assert answer(browser, link, page, 60).json() == {"done": 2, "of": 2}
    (row,) = served.studio.store.links.raters(link.token)
    assert (row.name, row.done, len(row.code)) == ("Bo", 2, 8)
    assert row.code in browser.get(f"/listen/{link.token}").text
    votes = served.studio.store.tests.votes(test.id)
    assert {vote.rater for vote in votes} == {"Bo"}
    assert sorted(vote.answer["scores"] for vote in votes) == [[40] * 3, [60] * 3]


def test_what_does_not_fit_is_refused_in_words(shared):
    served, test, link = shared
    browser, page = rater(served, link)
    assert "Listen to every sound" in answer(browser, link, page, heard=[0.0] * 4).json()["detail"]
    assert "each of the 4 sounds" in answer(browser, link, page, heard=[3.0]).json()["detail"]
    assert "from 0 to 100" in answer(browser, link, page, score=101).json()["detail"]
    assert answer(browser, link, page, heard=["x"] * 4).status_code == 400
    assert answer(browser, link, page, trial="nothing").status_code == 404
    assert answer(httpx.Client(base_url=served.url), link, page).status_code == 401
    assert browser.get(f"/listen/{link.token}/sound/nothing/0").status_code == 404
    source = trial_of(page)[1][0].rsplit("/", 1)[0]
    assert browser.get(f"/listen/{source}/99").status_code == 404
    assert httpx.get(f"{served.url}/listen/{source}/0").status_code == 401
    assert served.studio.store.tests.votes(test.id) == []


def test_a_name_is_one_person(shared):
    served, _, link = shared
    browser, page = rater(served, link, "Bo")
    answer(browser, link, page)
    stranger = httpx.Client(base_url=served.url, follow_redirects=True)
    refused = stranger.post(f"/listen/{link.token}/begin", data={"name": " bo "})
    assert refused.status_code == 400
    assert "has begun this test" in refused.text and "That was me" in refused.text
    page = stranger.post(f"/listen/{link.token}/begin", data={"name": "Bo", "again": "true"}).text
    assert "Trial 2 of 2" in page  # on another device
    for name, words in (("me", "kept for somebody else"), ("ann", "kept for"), (" ", "1 to")):
        answered = httpx.post(f"{served.url}/listen/{link.token}/begin", data={"name": name})
        assert (answered.status_code, words in answered.text) == (400, True), name


def test_raters_have_orders_of_their_own(shared):
    served, _, link = shared
    seen = set()
    for name in ("a", "b", "c", "d", "e", "f"):
        rater(served, link, name)
        row = served.studio.store.links.named(link.token, name)
        shown = served.studio.judging.links.present(row)
        seen.add((shown.trial.id, shown.shown))
        assert served.studio.judging.links.present(row).shown == shown.shown
    assert len(seen) > 2


def test_a_closed_link_gives_nothing(shared):
    served, _, link = shared
    browser, page = rater(served, link)
    served.studio.store.links.close(link.token)
    closed = browser.get(f"/listen/{link.token}")
    assert (closed.status_code, "This listening test is closed" in closed.text) == (410, True)
    assert "closed" in answer(browser, link, page).json()["detail"]
    assert browser.get(f"/listen/{trial_of(page)[1][0]}").status_code == 400
    assert httpx.get(f"{served.url}/listen/{'x' * 32}").status_code == 404
    served.studio.store.links.close(link.token, False)
    assert answer(browser, link, page).status_code == 200


def test_links_by_script(served):
    client = served.client()
    rng = np.random.default_rng(0)
    for engine in ("old", "new"):
        samples = (0.1 * rng.standard_normal(RATE)).astype(np.float32)
        served.studio.clips.add(
            samples, RATE, engine=engine, task="tts", text="x", title="x", peak_db=-10
        )
    test = client.predict("By link", task="tts", text="x", api_name="/create_test")
    link = client.predict(test["id"], message="Hello", api_name="/open_link")
    assert link["address"] == f"/listen/{link['token']}"
    page = httpx.get(served.url + link["address"])
    assert (page.status_code, "Hello" in page.text) == (200, True)
    rater(served, served.studio.store.links.get(link["token"]), "Cy")
    (row,) = client.predict(test["id"], api_name="/links")
    assert (row["closed"], [(r["name"], r["done"]) for r in row["raters"]]) == (False, [("Cy", 0)])
    assert client.predict(link["token"], api_name="/close_link")["closed"] is True
    assert httpx.get(served.url + link["address"]).status_code == 410


def test_sounds_from_folders_and_zips_are_compared(served, tmp_path):
    from zipfile import ZipFile

    from gradio_client import handle_file

    rng = np.random.default_rng(0)
    for system in ("original", "old", "new"):
        (tmp_path / system).mkdir()
        for name in ("a", "b"):
            path = tmp_path / system / f"{name}.wav"
            soundfile.write(path, 0.1 * rng.standard_normal(RATE), RATE, subtype="PCM_16")
    (tmp_path / "original" / "a.txt").write_text("Good morning.", encoding="utf-8")
    for system in ("old", "new"):
        with ZipFile(tmp_path / f"{system}.zip", "w") as archive:
            for path in (tmp_path / system).iterdir():
                archive.write(path, path.name)
    client = served.client()
    zips = [handle_file(str(tmp_path / f"{system}.zip")) for system in ("old", "new")]
    true = [handle_file(str(path)) for path in sorted((tmp_path / "original").iterdir())]
    sent = client.predict(zips, true, api_name="/import_sounds")
    folders = client.predict(
        generated_folders=[f"old={tmp_path}/old", f"newest={tmp_path}/new"],
        reference_folder=str(tmp_path / "original"),
        api_name="/import_sounds",
    )
    for number, (ids, newer) in enumerate(((sent, "new"), (folders, "newest"))):
        test = client.predict(
            f"Own {number}", "mushra", reference="reference", clip_ids=ids,
            api_name="/create_test",
        )  # fmt: skip
        assert set(test["config"]["systems"]) == {"reference", "old", newer}
        trials = served.studio.store.tests.trials(test["id"])
        assert sorted(trial.prompt for trial in trials) == ["Good morning.", "b"]
        assert {len(trial.stimuli) for trial in trials} == {4}  # with the anchor
    assert len(sent) == len(folders) == 6
