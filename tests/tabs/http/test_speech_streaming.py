"""``/v1/audio/speech`` while the speech is made: over HTTP, and with OpenAI's own client."""

import base64
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import openai
import pytest
import soundfile
from gradio_client import handle_file

from engines.audio import resample

BODY = {"model": "tone", "input": "hello", "voice": "default"}
SLOW = {"steps": 5, "step_s": 0.4, "seed": 3}  # a quarter second of sound each 0.4 s
ENDLESS = {"steps": 1000, "step_s": 0.1}


@pytest.fixture
def http(served):
    with httpx.Client(base_url=served.url, timeout=60) as client:
        yield client


def stored(served, headers):
    """Samples of the clip that an answer names."""
    samples, rate = soundfile.read(served.studio.clip(headers["x-clip-id"]).path, dtype="float32")
    assert rate == 16000
    return samples


def received(answer):
    """When each part of an answer came, in seconds after the request, and the parts."""
    started, times, parts = time.monotonic(), [], []
    for part in answer.iter_raw():
        times.append(time.monotonic() - started)
        parts.append(part)
    return times, parts


def until(happened, timeout_s=10):
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("form", ["pcm", "wav", "mp3", "opus"])
def test_sound_comes_while_later_pieces_are_made(http, served, form):
    body = BODY | {"response_format": form, "settings": SLOW}
    started = time.monotonic()
    with http.stream("POST", "/v1/audio/speech", json=body) as answer:
        assert answer.status_code == 200
        assert answer.headers["transfer-encoding"] == "chunked"
        assert "content-length" not in answer.headers
        assert time.monotonic() - started < 0.35  # the first piece is there at once
        job = served.studio.job(answer.headers["x-job-id"])
        assert job.state == "running"
        times, parts = received(answer)
    assert served.studio.job(job.id).clip_ids == (answer.headers["x-clip-id"],)
    assert len(parts) >= 5
    assert max(np.diff([0, *times])[:-1]) < 0.8  # the last comes when the clip is stored
    assert sum(len(part) for part in parts[:2]) < sum(len(part) for part in parts) / 2
    content, clip = b"".join(parts), stored(served, answer.headers)
    if form == "pcm":
        expected = (np.clip(resample(clip, 16000, 24000), -1, 1) * 32767).round().astype("<i2")
        assert content == expected.tobytes()
        return
    heard, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    if form == "wav":
        assert rate == 16000
        np.testing.assert_array_equal(heard, clip)
        return
    delay_s = 0.2 if form == "mp3" else 0.01
    assert len(heard) / rate == pytest.approx(len(clip) / 16000, abs=delay_s)
    spectrum = np.abs(np.fft.rfft(heard))
    assert spectrum.argmax() * rate / len(heard) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("form", ["pcm", "wav", "opus", "flac"])
def test_events_carry_the_same_bytes(http, served, form):
    body = BODY | {"response_format": form, "settings": SLOW, "stream_format": "sse"}
    with http.stream("POST", "/v1/audio/speech", json=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert {each["type"] for each in events[:-1]} == {"speech.audio.delta"}
    assert len(events) - 1 >= (1 if form == "flac" else 5)
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["usage"]["total_tokens"] == 0
    content = b"".join(base64.b64decode(each["audio"]) for each in events[:-1])
    clip = stored(served, answer.headers)
    if form == "pcm":
        assert len(content) == 2 * len(clip) * 24 // 16
    else:
        heard, rate = soundfile.read(io.BytesIO(content), dtype="float32")
        assert len(heard) / rate == len(clip) / 16000
    if form in ("wav", "flac"):
        np.testing.assert_array_equal(heard, clip)


@pytest.mark.parametrize("form", ["wav", "mp3"])
def test_a_streamed_file_restores_its_settings(http, served, tmp_path, form):
    settings = {"pitch_hz": 500, "seed": 9}
    answer = http.post(
        "/v1/audio/speech", json=BODY | {"response_format": form, "settings": settings}
    )
    file = tmp_path / f"hello.{form}"
    file.write_bytes(answer.content)
    found = served.client().predict(handle_file(str(file)), api_name="/restore")
    assert found["engine"] == "tone"
    assert found["settings"] == served.studio.clip(answer.headers["x-clip-id"]).settings


@pytest.mark.parametrize("form", ["pcm", "flac"])
def test_a_client_that_goes_cancels_its_job(http, served, form):
    body = BODY | {"response_format": form, "settings": ENDLESS}
    if form == "flac":  # nothing is sent before the end
        with pytest.raises(httpx.ReadTimeout):
            http.post("/v1/audio/speech", json=body, timeout=0.5)
        (job,) = served.studio.jobs.list()
    else:
        with http.stream("POST", "/v1/audio/speech", json=body) as answer:
            parts = answer.iter_raw()
            assert 8_000 < len(next(parts)) <= 12_000
            job = served.studio.job(answer.headers["x-job-id"])
            assert job.state == "running"
    until(lambda: served.studio.job(job.id).state == "cancelled", 3)


def test_a_failure_before_the_first_piece_is_an_answer_of_500(http, served):
    for form in ("pcm", "wav", "mp3", "opus", "flac"):
        for kind in ("audio", "sse"):
            settings = {"fail": "at once:The bow broke."}
            body = BODY | {"response_format": form, "settings": settings, "stream_format": kind}
            answer = http.post("/v1/audio/speech", json=body)
            assert (answer.status_code, answer.headers["content-type"]) == (500, "application/json")
            assert answer.json()["error"]["message"] == "The bow broke."


def test_a_failure_in_the_middle_is_not_taken_for_the_end(http, caplog):
    settings = {"steps": 3, "step_s": 0.2, "fail": "error:The bow broke."}
    body = BODY | {"response_format": "pcm", "settings": settings}
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked"):
        http.post("/v1/audio/speech", json=body)
    assert "breaks off: The bow broke." in caplog.text
    assert "Traceback" not in caplog.text
    told = http.post("/v1/audio/speech", json=body | {"stream_format": "sse"}).text
    last = json.loads(told.strip().splitlines()[-1].removeprefix("data: "))
    assert (last["type"], last["error"]["message"]) == ("error", "The bow broke.")


def test_an_unknown_kind_of_stream_is_refused(http):
    answer = http.post("/v1/audio/speech", json=BODY | {"stream_format": "websocket"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "stream_format")


def test_many_streams_leave_the_studio_responsive(http, served):
    """More than the 40 threads that Gradio and our routes share: one plays, the others wait."""
    body = BODY | {"response_format": "pcm", "settings": ENDLESS}
    with ThreadPoolExecutor(60) as pool:
        opened = [
            pool.submit(httpx.post, served.url + "/v1/audio/speech", json=body, timeout=60)
            for _ in range(60)
        ]
        until(lambda: served.studio.jobs.counts()["queued"] == 59)
        started = time.monotonic()
        assert http.get("/healthz").status_code == 200
        assert "studio_queue_jobs" in http.get("/metrics").text
        assert served.client().predict(api_name="/status")["running"] == 1
        assert time.monotonic() - started < 3
        for job in served.studio.jobs.list(limit=60):
            served.studio.cancel(job.id)
        failed = [each.exception() for each in opened]
        answers = [each.result() for each, error in zip(opened, failed, strict=True) if not error]
    assert [type(error) for error in failed if error] == [httpx.RemoteProtocolError]
    assert {answer.status_code for answer in answers} == {500}
    assert answers[0].json()["error"]["message"] == "The job was cancelled."


# --- OpenAI's client --------------------------------------------------------------------------


@pytest.fixture
def client(serve):
    served = serve(api_key=["secret"])
    with openai.OpenAI(
        base_url=served.url + "/v1", api_key="secret", max_retries=0, timeout=60
    ) as made:
        made.served = served
        yield made


def test_the_official_client_gets_the_whole(client, tmp_path):
    answer = client.audio.speech.create(
        model="tts-1", voice="alloy", input="hello", response_format="wav"
    )
    clip = stored(client.served, answer.response.headers)
    heard, _ = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    np.testing.assert_array_equal(heard, clip)
    assert [model.id for model in client.models.list()] == ["tone", "hungry"]


def test_the_official_client_streams(client):
    settings = {"settings": SLOW}
    started = time.monotonic()
    with client.audio.speech.with_streaming_response.create(
        model="tone", voice="nova", input="hello", response_format="pcm", extra_body=settings
    ) as answer:
        parts = answer.iter_bytes()
        content = next(parts)
        first_s = time.monotonic() - started
        content += b"".join(parts)
    assert first_s < 0.4 < 1.6 < time.monotonic() - started
    clip = stored(client.served, answer.headers)
    assert len(content) == 2 * len(clip) * 24 // 16


def test_the_official_client_reads_events(client):
    with client.audio.speech.with_streaming_response.create(
        model="tone", voice="nova", input="hello", response_format="pcm", stream_format="sse"
    ) as answer:
        kinds = [json.loads(line[6:])["type"] for line in answer.iter_lines() if line]
    assert kinds[0] == "speech.audio.delta"
    assert kinds[-1] == "speech.audio.done"


def test_the_official_client_raises_the_errors_of_the_studio(client):
    with pytest.raises(openai.BadRequestError, match="no speed") as caught:
        client.audio.speech.create(model="tone", voice="alloy", input="hello", speed=2)
    assert caught.value.param == "speed"
    with pytest.raises(openai.NotFoundError, match="There is no engine"):
        client.audio.speech.create(model="gpt-tts", voice="alloy", input="hello")
    with pytest.raises(openai.InternalServerError, match="The bow broke"):
        client.audio.speech.create(
            model="tone", voice="alloy", input="hello",
            extra_body={"settings": {"fail": "at once:The bow broke."}},
        )  # fmt: skip
    wrong = client.with_options(api_key="other")
    with pytest.raises(openai.AuthenticationError):
        wrong.audio.speech.create(model="tone", voice="alloy", input="hello")
