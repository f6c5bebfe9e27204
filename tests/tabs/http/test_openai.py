"""The OpenAI-compatible routes, through HTTP as their clients use them."""

import io
import threading
import time

import httpx
import numpy as np
import pytest
import soundfile

from engines.base import Weights
from tests.fakes import Tone

SPEECH = {"model": "tone", "input": "hello", "response_format": "wav"}


class Remote(Tone):
    """A tone engine whose weights are not on this machine."""

    card = Tone.card.__class__(**{**Tone.card.__dict__, "id": "remote"})

    def weights(self):
        return [Weights("w", "Far voice", repo="someone/voice", files=("a",), size_bytes=5_000_000)]


@pytest.fixture
def speak(served):
    """A function that posts to /v1/audio/speech with some fields changed."""
    client = httpx.Client(base_url=served.url, timeout=60)

    def post(**changes):
        return client.post("/v1/audio/speech", json=SPEECH | changes)

    yield post
    client.close()


def error_of(response):
    assert set(response.json()) == {"error"}
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}
    return response.json()["error"]


def test_speech_is_the_stored_clip_and_names_its_job(speak, served):
    answer = speak(settings={"seed": 5, "pitch_hz": 1000})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "audio/wav"
    clip = served.studio.clip(answer.headers["x-clip-id"])
    job = served.studio.job(answer.headers["x-job-id"])
    assert (clip.settings["seed"], clip.settings["pitch_hz"], clip.text) == (5, 1000, "hello")
    assert job.clip_ids == (clip.id,)
    heard, rate = soundfile.read(io.BytesIO(answer.content))
    stored, _ = soundfile.read(clip.path)
    assert rate == 16000
    np.testing.assert_array_equal(heard, stored)


@pytest.mark.parametrize(
    ("name", "start", "kind", "rate"),
    [
        ("mp3", b"ID3", "MP3", 16000),
        ("flac", b"fLaC", "FLAC", 16000),
        ("wav", b"RIFF", "WAV", 16000),
        ("opus", b"OggS", "OGG", 48000),
    ],
)
def test_formats(speak, name, start, kind, rate):
    content = speak(response_format=name).content
    assert content.startswith(start)
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        assert (file.format, file.samplerate, file.channels) == (kind, rate, 1)
        delay_s = 0.2 if name == "mp3" else 0.01  # of encoder and last frame
        assert file.frames / rate == pytest.approx(0.5, abs=delay_s)


def test_pcm_is_what_openai_sends(speak):
    answer = speak(response_format="pcm", settings={"seed": 1})
    samples = np.frombuffer(answer.content, "<i2") / 32768
    assert len(samples) == 12_000  # half a second at 24 kHz
    spectrum = np.abs(np.fft.rfft(samples))
    assert spectrum.argmax() * 2 == pytest.approx(440, abs=2)
    assert np.abs(samples).max() == pytest.approx(0.22, abs=0.04)


@pytest.mark.parametrize("voice", ["default", "alloy", "nova"])
def test_default_voices_work_everywhere(speak, voice):
    assert speak(voice=voice).status_code == 200


def test_aliases_are_the_first_ready_speech_engine(speak, served):
    answer = speak(model="tts-1")
    assert served.studio.clip(answer.headers["x-clip-id"]).engine == "tone"


@pytest.mark.parametrize(
    ("changes", "param", "words"),
    [
        ({"input": ""}, "input", "missing"),
        ({"input": "x" * 200_000}, "input", "200,000 characters; at most 1,000"),
        ({"voice": "nobody"}, "voice", "one voice"),
        ({"speed": 2}, "speed", "no speed"),
        ({"speed": 9}, "speed", "less than or equal to 4"),
        ({"instructions": "sadly"}, "instructions", "no instructions"),
        ({"response_format": "aac"}, "response_format", "'mp3', 'opus'"),
        ({"settings": {"pitch_hz": 5}}, "pitch_hz", "20 to 8,000, not 5"),
        ({"settings": {"pitsch": 5}}, "pitsch", "not a parameter here"),
        ({"unknown": 1}, "unknown", "not permitted"),
    ],
)
def test_wrong_values_are_told_by_name(speak, changes, param, words):
    started = time.monotonic()
    answer = speak(**changes)
    error = error_of(answer)
    assert answer.status_code == 400
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert words in error["message"]
    assert time.monotonic() - started < 2


def test_unknown_models_and_routes_are_404(speak, served):
    answer = speak(model="nothing")
    assert (answer.status_code, error_of(answer)["code"]) == (404, "model_not_found")
    assert "tone, hungry" in error_of(answer)["message"]
    for path in ("/v1/models/nothing", "/v1/images"):
        assert httpx.get(served.url + path).status_code == 404
    assert error_of(httpx.get(served.url + "/v1/images"))["message"].startswith(
        "There is no /v1/im"
    )


def test_weights_that_are_not_here_are_503(speak, served):
    served.studio.registry.add(Remote)
    answer = speak(model="remote")
    assert answer.status_code == 503
    assert "Far voice is not on this machine yet" in error_of(answer)["message"]


def test_a_failed_job_is_500_with_its_words(speak):
    answer = speak(settings={"fail": "at once:The violin is broken."})
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (500, "job_failed")
    assert error["message"] == "The violin is broken."


def test_bodies_must_be_json_and_of_sensible_size(served):
    url = served.url + "/v1/audio/speech"
    form = httpx.post(url, content='{"model": "tone"}', headers={"content-type": "text/plain"})
    assert (form.status_code, error_of(form)["code"]) == (415, "content_type")
    broken = httpx.post(url, content="{", headers={"content-type": "application/json"})
    assert broken.status_code == 400
    huge = httpx.post(url, json=SPEECH | {"input": "x" * 5_000_000})
    assert (huge.status_code, error_of(huge)["code"]) == (413, "body_too_large")

    def pieces():
        for _ in range(80):
            yield b"x" * 65536

    headers = {"content-type": "application/json"}
    chunked = httpx.post(url, content=pieces(), headers=headers)
    assert chunked.status_code == 413
    assert served.studio.jobs.list() == []


def test_models_lists_what_is_ready(served):
    served.studio.registry.add(Remote)
    listed = httpx.get(served.url + "/v1/models").json()
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["tone", "hungry"]
    one = httpx.get(served.url + "/v1/models/remote").json()
    assert (one["id"], one["object"], one["state"]) == ("remote", "model", "download")


def test_requests_share_one_queue_and_a_gone_client_cancels_its_job(served, speak):
    slow = {"steps": 1000, "step_s": 0.1}
    first = threading.Thread(target=speak, kwargs={"settings": {"steps": 20, "step_s": 0.1}})
    first.start()
    _until(lambda: [job.state for job in served.studio.jobs.list()] == ["running"])
    with pytest.raises(httpx.ReadTimeout):
        body = SPEECH | {"settings": slow}
        httpx.post(served.url + "/v1/audio/speech", json=body, timeout=0.5)
    newest = served.studio.jobs.list(limit=1)[0]
    assert newest.settings["steps"] == 1000
    assert served.studio.wait(newest.id, 10).state == "cancelled"
    first.join()
    assert served.studio.jobs.list()[1].state == "done"


def test_openapi_describes_the_body(served):
    schema = httpx.get(served.url + "/openapi.json").json()
    assert {"/v1/audio/speech", "/v1/models", "/healthz", "/metrics"} <= set(schema["paths"])
    body = schema["components"]["schemas"]["SpeechRequest"]["properties"]
    assert list(body) == [
        "model", "input", "voice", "response_format", "speed", "instructions", "stream_format",
        "settings",
    ]  # fmt: skip
    assert all(field["description"] for field in body.values())
    assert (body["speed"]["minimum"], body["speed"]["maximum"]) == (0.25, 4.0)


@pytest.mark.parametrize("path", ["/docs", "/login"])
def test_pages_load_nothing_from_elsewhere(serve, path):
    served = serve(api_key=["secret"])
    page = httpx.get(served.url + path, headers={"Authorization": "Bearer secret"}).text
    assert "http://" not in page
    assert "https://" not in page


def _until(happened, timeout_s=10):
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)
