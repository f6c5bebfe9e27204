"""The door: who gets in, how often, from where; and starting and stopping the server."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AuthenticationError

from engines.base import StudioError
from engines.studio.settings import VERSION
from tabs.http import auth, server
from tabs.http.limits import TokenBuckets
from tests.conftest import make_settings, served_app
from tests.fakes import Tone

ROOT = Path(__file__).parents[3]
KEY = {"Authorization": "Bearer key-one"}
COVERED = (
    "/config", "/openapi.json", "/docs", "/metrics", "/v1/models", "/gradio_api/info",
    "/gradio_api/openapi.json", "/gradio_api/mcp/schema", "/gradio_api/file=/etc/passwd",
    "/gradio_api/upload", "/gradio_api/queue/join", "/gradio_api/call/status", "/clips/x/audio",
    "/v1/audio/speech", "/nothing",
)  # fmt: skip


# --- auth -----------------------------------------------------------------------------------


@pytest.mark.parametrize("protection", [{"auth": ["ann:secret"]}, {"api_key": ["key-one"]}])
def test_everything_but_health_and_login_asks_who_you_are(serve, protection):
    url = serve(mcp=True, **protection).url
    for path in COVERED:
        for method in ("GET", "POST"):
            answer = httpx.request(method, url + path)
            assert (path, method, answer.status_code) == (path, method, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "Log in" in json.dumps(answer.json())
    assert httpx.get(url + "/v1/models").json()["error"]["code"] == "invalid_api_key"
    health = httpx.get(url + "/healthz")
    assert health.json() == {"status": "ok", "version": VERSION, "queue": 0}
    assert httpx.get(url + "/login").status_code == 200


def test_a_browser_is_sent_to_the_login_page_and_back(serve):
    url = serve(auth=["ann:secret", "bob:other"]).url
    with httpx.Client(base_url=url, headers={"accept": "text/html"}) as browser:
        assert browser.get("/").headers["location"] == "/login"
        answer = browser.get("/some/page")
        assert (answer.status_code, answer.headers["location"]) == (
            302,
            "/login?next=%2Fsome%2Fpage",
        )
        page = browser.get(answer.headers["location"]).text
        target = re.search(r'action="([^"]+)"', page)[1]
        wrong = browser.post(target, data={"username": "ann", "password": "other"})
        assert (wrong.status_code, "Wrong name or password" in wrong.text) == (401, True)
        right = browser.post(target, data={"username": "ann", "password": "secret"})
        assert (right.status_code, right.headers["location"]) == (303, "/some/page")
        cookie = right.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert browser.get("/").status_code == 200
        assert browser.get("/gradio_api/user").json() == "ann"
        assert browser.get("/logout").headers["location"] == "/login"
        assert browser.get("/").status_code == 302


def test_a_session_ends_on_the_server_too(serve):
    url = serve(auth=["ann:secret"]).url
    answer = httpx.post(url + "/login", data={"username": "ann", "password": "secret"})
    cookies = dict(answer.cookies)
    assert httpx.get(url + "/metrics", cookies=cookies).status_code == 200
    httpx.post(url + "/logout", cookies=cookies)
    assert httpx.get(url + "/metrics", cookies=cookies).status_code == 401


def test_sessions_expire(tmp_path):
    now = [1000.0]
    access = auth.Access(make_settings(tmp_path, auth=["ann:secret"]), clock=lambda: now[0])
    secret = access.login("ann", "secret")
    assert access.identify("", secret) == auth.User("ann")
    now[0] += auth.SESSION_S + 1
    assert access.identify("", secret) is None


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("Bearer key-one", True),
        ("bearer key-two", True),
        ("Bearer key-on", False),
        ("Bearer", False),
        ("Basic key-one", False),
        ("Bearer schlüssel", False),
    ],
)
def test_bearer_keys(serve, header, allowed):
    url = serve(api_key=["key-one", "key-two"]).url
    answer = httpx.get(url + "/v1/models", headers={"Authorization": header.encode()})
    assert answer.status_code == (200 if allowed else 401)


def test_clients_get_in_by_key_password_or_key_as_password(serve):
    served = serve(auth=["ann:secret"], api_key=["key-one"])
    for kwargs in ({"headers": KEY}, {"auth": ("ann", "secret")}):
        client = served.client(**kwargs)
        _, job = client.predict("hello", "tone", api_name="/tts")
        assert job["state"] == "done"
        assert job["owner"] == ("ann" if "auth" in kwargs else "key 1")
    for wrong in (("ann", "wrong"), ("key-one", "key-one")):
        with pytest.raises(AuthenticationError):
            served.client(auth=wrong)
    with pytest.raises(AuthenticationError):
        served.client()


def test_with_keys_alone_the_key_is_the_password(serve):
    served = serve(api_key=["key-one"])
    assert served.client(auth=("anyone", "key-one")).predict(api_name="/jobs") == []
    with pytest.raises(AuthenticationError):
        served.client(auth=("anyone", "guess"))


def test_guessing_passwords_is_slowed_down(serve):
    url = serve(auth=["ann:secret"]).url
    codes = []
    with httpx.Client(base_url=url) as http:
        while 429 not in codes and len(codes) < 30:  # one more is free every six seconds
            answer = http.post("/login", data={"username": "ann", "password": "guess"})
            codes.append(answer.status_code)
    assert codes[: auth.FAILED_LOGINS_A_MINUTE] == [401] * auth.FAILED_LOGINS_A_MINUTE
    assert codes[-1] == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 7


def test_guessing_keys_is_slowed_down(serve):
    url = serve(api_key=["key-one"]).url
    with httpx.Client(base_url=url) as http:
        codes = []
        while 429 not in codes and len(codes) < 30:
            guess = {
                "Authorization": f"Bearer guess-{len(codes)}",
                "X-Forwarded-For": f"1.2.3.{len(codes)}",
            }
            answer = http.get("/v1/models", headers=guess)
            codes.append(answer.status_code)
        assert set(codes[:-1]) == {401}
        assert len(codes) <= auth.FAILED_LOGINS_A_MINUTE + 3  # some are free again meanwhile
        assert codes[-1] == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 7
        assert "Too many wrong keys" in answer.json()["error"]["message"]
        assert http.get("/healthz").status_code == 200


def test_only_configured_proxies_say_who_asks(serve):
    url = serve(api_key=["key-one"], trusted_proxy="127.0.0.0/8, ::1").url
    for number in range(auth.FAILED_LOGINS_A_MINUTE + 5):
        headers = {"Authorization": "Bearer guess", "X-Forwarded-For": f"1.2.3.{number}"}
        assert httpx.get(url + "/v1/models", headers=headers).status_code == 401


def test_a_proxy_is_an_address(tmp_path):
    with pytest.raises(
        ValueError, match="'my-proxy' does not appear to be an IPv4 or IPv6 network"
    ):
        make_settings(tmp_path, trusted_proxy="my-proxy")


@pytest.mark.parametrize(
    ("headers", "out"),
    [
        ({}, True),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"referer": "http://evil.example/page"}, False),
    ],
)
def test_no_other_site_logs_a_visitor_out(serve, headers, out):
    url = serve(auth=["ann:secret"]).url
    answer = httpx.post(url + "/login", data={"username": "ann", "password": "secret"})
    cookies = dict(answer.cookies)
    assert httpx.get(url + "/logout", cookies=cookies, headers=headers).status_code == (
        303 if out else 403
    )
    assert httpx.get(url + "/metrics", cookies=cookies).status_code == (401 if out else 200)


def test_pages_of_other_ports_read_nothing(served):
    other = {"origin": "http://localhost:3000"}
    for path in ("/config", "/gradio_api/info", "/openapi.json", "/"):
        answer = httpx.get(served.url + path, headers=other)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        asked = other | {"access-control-request-method": "GET"}
        answer = httpx.options(served.url + path, headers=asked)
        assert answer.status_code == 403


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example", "/\\evil", "evil", "/a\nb"]
)
def test_login_leads_to_this_server_only(path):
    assert auth.safe_next(path) == "/"


def test_an_open_studio_asks_nothing(served):
    assert httpx.get(served.url + "/").status_code == 200
    assert httpx.get(served.url + "/login").headers["location"] == "/"
    answer = httpx.get(served.url + "/v1/models", headers={"Authorization": "Bearer anything"})
    assert answer.status_code == 200


# --- other sites, other names, other files ---------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"host": "evil.example"}, 403),
        ({"host": "127.evil.example"}, 403),
        ({"host": "localhost:1"}, 200),
        ({"host": "studio.example", "x-forwarded-host": "studio.example"}, 403),
    ],
)
def test_other_sites_cannot_use_a_visitors_browser(served, headers, status):
    answer = httpx.post(served.url + "/gradio_api/run/status", json={"data": []}, headers=headers)
    assert answer.status_code == status


def test_the_own_page_may_post_and_a_proxy_may_stand_in_front(serve):
    url = serve(api_key=["key-one"]).url
    for headers in (
        {"origin": url},
        {"origin": "https://studio.example", "host": "studio.example"},
        {"origin": "https://studio.example", "x-forwarded-host": "studio.example"},
    ):
        answer = httpx.post(
            url + "/gradio_api/run/status", json={"data": []}, headers=headers | KEY
        )
        assert answer.status_code == 200


def test_pages_cannot_be_framed_and_types_are_not_guessed(served):
    headers = httpx.get(served.url + "/").headers
    assert headers["content-security-policy"] == "frame-ancestors 'self'"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}])
def test_only_uploaded_files_are_taken(served, tmp_path, meta):
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    sent = {"path": str(secret), **meta}
    answer = httpx.post(served.url + "/gradio_api/run/restore", json={"data": [sent]})
    assert answer.status_code == 400
    assert re.search("Send the file itself|not uploaded by a user", answer.json()["error"])


def test_only_sounds_are_served_from_the_data_folder(served):
    clip = served.studio.make("tone", text="hello")[0]
    data = served.studio.settings.data.resolve()
    given = httpx.get(f"{served.url}/gradio_api/file={clip.path}")
    assert (given.status_code, given.content) == (200, clip.path.read_bytes())
    for path in (data / "studio.db", data / "audio" / ".." / "studio.db", Path("/etc/passwd")):
        answer = httpx.get(f"{served.url}/gradio_api/file={path}")
        assert answer.status_code in (403, 404)


def test_uploads_are_limited(serve):
    url = serve(max_upload_mb=1).url
    for size, status in ((1000, 200), (2_000_000, 413)):
        files = {"files": ("a.wav", b"x" * size)}
        assert httpx.post(url + "/gradio_api/upload", files=files).status_code == status


# --- how often ------------------------------------------------------------------------------


def test_token_buckets_fill_evenly():
    now = [0.0]
    buckets = TokenBuckets(6, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(6)] == [0.0] * 6
    assert buckets.take("a") == pytest.approx(10)
    assert buckets.take("b") == 0.0
    now[0] = 9.0
    assert buckets.take("a") == pytest.approx(1)
    now[0] = 10.0
    assert buckets.take("a") == 0.0
    assert TokenBuckets(0).take("a") == 0.0


def test_each_key_has_its_own_rate(serve):
    url = serve(api_key=["key-one", "key-two"], rate_limit=3).url
    with httpx.Client(base_url=url, headers=KEY) as client:
        assert client.get("/v1/models").status_code == 200
        for path in ("/gradio_api/run/status", "/gradio_api/call/status"):
            assert client.post(path, json={"data": []}).status_code == 200
        limited = client.get("/v1/models")
        assert limited.status_code == 429
        assert 1 <= int(limited.headers["retry-after"]) <= 20
        assert limited.json()["error"]["code"] == "rate_limit_exceeded"
        limited = client.post("/gradio_api/queue/join", json={})
        assert (limited.status_code, set(limited.json())) == (429, {"detail"})
        # looking is free
        assert client.get("/config").status_code == 200
        assert "studio_http_429_total 2.0" in client.get("/metrics").text
    other = httpx.get(url + "/v1/models", headers={"Authorization": "Bearer key-two"})
    assert other.status_code == 200


def test_rate_limit_0_is_none(serve):
    url = serve(api_key=["key-one"], rate_limit=0).url
    with httpx.Client(base_url=url, headers=KEY) as client:
        assert {client.get("/v1/models").status_code for _ in range(150)} == {200}


# --- metrics --------------------------------------------------------------------------------


def test_metrics_count_what_happened(served):
    studio = served.studio
    studio.make("tone", text="hello", steps=4)
    with pytest.raises(StudioError):
        studio.make("tone", text="hello", fail="error:no")
    text = httpx.get(served.url + "/metrics").text
    values = dict(re.findall(r"^(studio_\S+) ([\d.e+-]+)$", text, re.M))
    assert float(values['studio_jobs_total{engine="tone",kind="run",state="done"}']) == 1
    assert float(values['studio_jobs_total{engine="tone",kind="run",state="failed"}']) == 1
    assert float(values['studio_job_duration_seconds_count{engine="tone"}']) == 2
    assert float(values['studio_engine_loaded{engine="tone"}']) == 1
    assert float(values['studio_engine_loaded{engine="hungry"}']) == 0
    assert float(values['studio_queue_jobs{state="queued"}']) == 0
    assert float(values["studio_memory_reserved_bytes"]) == 100 * 1024**2
    made = sum(clip.duration_s for clip in studio.clips.search(_all()).rows)
    assert float(values['studio_audio_seconds_total{engine="tone"}']) == pytest.approx(made)


def _all():
    from storage import ClipQuery

    return ClipQuery()


# --- starting and stopping ------------------------------------------------------------------


def test_nothing_calls_home(serve, monkeypatch):
    """Build, serve, load the page and make a sound without a socket that leaves this machine."""
    asked = []
    real_lookup, real_connect = socket.getaddrinfo, socket.socket.connect

    def lookup(host, *args, **kwargs):
        asked.append(str(host))
        return real_lookup(host, *args, **kwargs)

    def connect(self, address):
        asked.append(str(address[0]) if isinstance(address, tuple) else "127.0.0.1")
        return real_connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr(socket.socket, "connect", connect)
    served = serve()
    assert httpx.get(served.url + "/").status_code == 200
    assert httpx.get(served.url + "/config").status_code == 200
    served.client().predict("hello", "tone", api_name="/tts")
    time.sleep(0.5)
    assert set(asked) <= {"127.0.0.1", "localhost", "::1"}


def test_a_taken_port_is_told(studio, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        object.__setattr__(studio, "settings", studio.settings.model_copy(update={"port": port}))
        with pytest.raises(StudioError, match=f"Port {port} is taken .* --port"):
            server.listen(studio)


def test_exposure_is_refused(studio, capsys):
    changed = studio.settings.model_copy(update={"host": "0.0.0.0"})
    studio.settings = changed
    assert server.serve(studio, None) == server.EXIT_REFUSED
    assert "--auth user:password" in capsys.readouterr().err


SCRIPT = """
import os, sys, json
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
from engines import registry
from engines.studio.settings import Settings
from engines.studio import Studio
from tabs import api
from tabs.http import server
from tests.fakes import Tone
import gradio as gr
from pathlib import Path
folder = Path(sys.argv[1])
(folder / "none.json").write_text("[]")
registry.BUILT_IN = folder / "none.json"
with Studio(Settings(_cli_parse_args=[], data=folder / "data", port=0, device="cpu")) as studio:
    studio.registry.add(Tone)
    with gr.Blocks(analytics_enabled=False) as demo:
        api.build(studio)
    status = server.serve(studio, demo, {"theme": gr.themes.Soft()})
print("closed", status, flush=True)
sys.exit(status)
"""


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_gracefully(tmp_path, which):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        url = re.fullmatch(
            rf"Amphion Studio {re.escape(VERSION)} at (http://127.0.0.1:\d+)\n", line
        )
        client = Client(url[1], verbose=False)
        settings = {"text": "hello", "steps": 100, "step_s": 0.1}
        _, job = client.predict("tone", settings, api_name="/submit")
        while not client.predict(job["id"], api_name="/job")["progress"]:
            time.sleep(0.05)
        process.send_signal(which)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (output, process.returncode) == ("closed 0\n", 0), errors
    from storage import JobState, Store

    with Store.open(tmp_path / "data") as store:
        job = store.jobs.list()[0]
        assert job.state is JobState.INTERRUPTED
        assert len(job.clip_ids) == 1  # what was finished is kept


def test_two_studios_on_one_host_keep_their_sessions_apart(tmp_path):
    names = {
        auth.Access(make_settings(tmp_path / name, auth=["a:b"])).cookie for name in ("one", "two")
    }
    assert len(names) == 2


def test_serving_twice_at_once(tmp_path, no_engines):
    from engines.studio import Studio

    urls = []
    with Studio(make_settings(tmp_path)) as studio:
        studio.registry.add(Tone)
        with served_app(studio) as first, served_app(studio) as second:
            urls = [first.url, second.url]
            assert first.client().predict(api_name="/jobs") == []
            assert second.client().predict(api_name="/jobs") == []
    assert urls[0] != urls[1]
