"""Many who wait, many who come: the server answers others at once and keeps nothing of those gone."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from storage import DatasetFilter
from tabs.http import media, sessions
from tabs.learn.steps import lab_of
from training.lab import processes

CROWD = 45


@pytest.fixture
def run_id(served, tiny_musicgen, monkeypatch):
    """A training run that goes on for a minute and learns nothing."""
    from engines.music.musicgen.engine import MusicGen

    monkeypatch.setattr(processes, "MODULE", "tests.training.lab.pretend")
    studio = served.studio
    shutil.copytree(tiny_musicgen, studio.hub.root / "own" / "tiny")
    studio.registry.add(MusicGen)
    for seed in (1, 2, 3):
        clip = studio.make("tone", text=f"piano {seed}", seed=seed)[0]
        studio.store.judgements.rate(clip.id, "overall", 5, "ann")
    lab = lab_of(studio)
    dataset = lab.create_dataset("liked", DatasetFilter(), 0.34)
    row = lab.train({"base": "tiny", "dataset": dataset.id, "epochs": 120, "lora_r": 1})
    yield row.id
    lab.stop_run(row.id)
    lab.wait_run(row.id, 30)


def slowest_s(url, others, paths):
    """Seconds of the slowest answer of ``paths`` while ``others`` of a crowd are under way."""
    longest, looks = 0.0, 0
    while others() and looks < 20:
        for method, path in paths:
            started = time.perf_counter()
            sent = {"json": {"data": []}} if method == "POST" else {}
            answer = httpx.request(method, url + path, timeout=60, **sent)
            assert answer.status_code == 200
            longest = max(longest, time.perf_counter() - started)
        looks += 1
    assert looks
    return longest


PATHS = (("GET", "/"), ("GET", "/healthz"), ("POST", "/gradio_api/run/status"))


def test_many_who_wait_for_a_run_hold_up_nobody(served, run_id):
    left = [CROWD]

    def wait(_):
        sent = {"data": [run_id, 4]}
        answer = httpx.post(f"{served.url}/gradio_api/run/wait_run", json=sent, timeout=60)
        left[0] -= 1
        return answer.json()["data"][0]["state"]

    with ThreadPoolExecutor(CROWD) as pool:
        waiting = pool.map(wait, range(CROWD))
        time.sleep(1)
        assert slowest_s(served.url, lambda: left[0] == CROWD, PATHS) < 1
        assert set(waiting) <= {"running", "queued"}


def test_many_pictures_hold_up_nobody(served, monkeypatch):
    clip = served.studio.make("tone", text="hello")[0]
    go_on, drawn = threading.Event(), []

    def draw(*_):
        drawn.append(go_on.wait(20))
        return b"png"

    monkeypatch.setattr(media, "draw", draw)

    def picture(number):
        theme = ("light", "dark")[number % 2]
        return httpx.get(f"{served.url}/clips/{clip.id}/picture.png?theme={theme}", timeout=60)

    with ThreadPoolExecutor(CROWD) as pool:
        pictures = pool.map(picture, range(CROWD))
        time.sleep(1)
        try:
            sound = ("GET", f"/clips/{clip.id}/audio")
            assert slowest_s(served.url, lambda: True, (*PATHS, sound)) < 1
        finally:
            go_on.set()
        assert {answer.status_code for answer in pictures} == {200}


def called(http, session=None):
    """One call of ``/status`` as curl makes it."""
    sent = {"data": []} | ({"session_hash": session} if session else {})
    event = http.post("/gradio_api/call/status", json=sent).json()["event_id"]
    answer = http.get(f"/gradio_api/call/status/{event}")
    assert "event: complete" in answer.text
    return event


def test_calls_without_a_session_leave_nothing(served_whole):
    demo, url = served_whole
    with httpx.Client(base_url=url, timeout=60) as http:
        for _ in range(5):
            called(http)
        unread = http.post("/gradio_api/call/status", json={"data": []}).json()["event_id"]
        time.sleep(1.5)
        assert list(demo.state_holder.session_data) == []
        queue = demo._queue
        assert set(queue.pending_messages_per_session) == {unread}
        assert "event: complete" in http.get(f"/gradio_api/call/status/{unread}").text
        time.sleep(1.5)
        assert not queue.pending_messages_per_session
        assert not queue.pending_event_ids_session


def test_a_session_keeps_what_differs_and_goes_when_it_is_old(served_whole):
    demo, url = served_whole
    holder = demo.state_holder
    with httpx.Client(base_url=url, timeout=60) as http:
        called(http, "browser")
        state = holder.session_data["browser"]
        assert len(state.blocks_config.blocks.maps[0]) <= 1
        assert len(state.blocks_config.blocks) == len(demo.default_config.blocks) > 900
        assert not list(state.components)
        assert not state.config_values
        now = time.monotonic()
        holder._clock = lambda: now + sessions.CLOSED_S + 60
        holder.tidy()
        assert "browser" in holder
        state.is_closed = True
        holder.tidy()
        assert "browser" not in holder
        for number in range(sessions.CAPACITY + 5):
            holder[f"browser {number}"]
        assert len(holder.session_data) == sessions.CAPACITY


@pytest.fixture
def served_whole(studio):
    """The whole page and its address."""
    from tabs import layout
    from tabs.http import server

    demo = layout.build(studio)
    with server.serving(studio, demo, **layout.page_kwargs()) as url:
        yield demo, url


def test_the_page_is_sent_compressed_and_streams_and_sounds_are_not(served_whole, studio):
    _, url = served_whole
    clip = studio.make("tone", text="hello")[0]
    with httpx.Client(base_url=url, headers={"Accept-Encoding": "gzip"}, timeout=60) as http:
        page, plain = http.get("/"), http.get("/", headers={"Accept-Encoding": "identity"})
        assert page.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert len(page.content) > 500_000
        assert int(page.headers["content-length"]) < 0.15 * len(page.content)
        for path in ("/openapi.json", "/config"):
            assert http.get(path).headers["content-encoding"] == "gzip"
        sound = http.get(f"/clips/{clip.id}/audio")
        assert "content-encoding" not in sound.headers
        part = http.get("/openapi.json", headers={"Range": "bytes=0-10"})
        assert "content-encoding" not in part.headers
        event = http.post("/gradio_api/call/status", json={"data": []}).json()["event_id"]
        stream = http.get(f"/gradio_api/call/status/{event}")
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in stream.headers
