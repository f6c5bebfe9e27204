"""Downloads against a small hub on this machine: progress, pinning, cancel, removal, no answer."""

from __future__ import annotations

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from engines.base import Cancelled, NotReady, StudioError, Weights
from engines.studio.hub import Hub
from tests.small_hub import small_hub

COMMIT = "a" * 40
FILES = {"voices/one.onnx": b"1" * 300_000, "voices/one.json": b"{}", "other.bin": b"no"}
ONE = Weights(id="one", title="Voice one", repo="some/voices", files=("voices/one.*",))


class Handler(BaseHTTPRequestHandler):
    """The three answers of a hub that its client asks for."""

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/models/some/voices"):
            siblings = [{"rfilename": name, "size": len(data)} for name, data in FILES.items()]
            body = json.dumps(
                {"id": "some/voices", "modelId": "some/voices", "sha": COMMIT, "siblings": siblings}
            ).encode()
            self.reply(200, body, with_body, {"Content-Type": "application/json"})
        elif "/resolve/" in path:
            name = path.split("/resolve/")[1].split("/", 1)[1]
            data = FILES[name]
            tag = f'"{abs(hash(name)):x}"'
            self.reply(200, data, with_body, {"ETag": tag, "X-Repo-Commit": COMMIT})
        else:
            self.reply(200 if path == "/" else 404, b"", with_body, {})

    def reply(self, status: int, body: bytes, with_body: bool, headers: dict) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    # the library reads that variable once, when it is imported
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield Hub(tmp_path, timeout_s=3)
    server.shutdown()
    server.server_close()


def nothing(*_: object) -> None:
    """Neither progress nor cancel."""


def test_a_download_brings_exactly_the_files_and_reports_bytes(hub):
    seen = []
    assert hub.path(ONE) is None
    folder = hub.download(ONE, lambda done, total, note: seen.append((done, total, note)), nothing)
    assert (folder / "voices/one.onnx").read_bytes() == FILES["voices/one.onnx"]
    assert not (folder / "other.bin").exists()
    assert hub.path(ONE) == folder
    assert hub.revision(ONE) == COMMIT
    assert hub.size(ONE) == 300_002
    assert seen[-1] == (300_002, 300_002, "Voice one")
    assert hub.cached() == ["some/voices"]


def test_removal_frees_the_bytes(hub):
    hub.download(ONE, nothing, nothing)
    assert hub.remove(ONE) == 300_002
    assert hub.path(ONE) is None
    assert hub.size(ONE) == 0
    assert hub.remove(ONE) == 0


def test_a_cancelled_download_stops_and_leaves_nothing_half_ready(hub):
    def check() -> None:
        raise Cancelled("job")

    with pytest.raises(Cancelled):
        hub.download(ONE, nothing, check)
    assert hub.path(ONE) is None
    assert hub.download(ONE, nothing, nothing) == hub.path(ONE)


def test_optional_files_are_fetched_where_they_are_there(hub):
    wanted = Weights(
        id="o", title="O", repo="some/voices", files=("other.bin",), optional=("voices/*", "no.txt")
    )
    folder = hub.download(wanted, nothing, nothing)
    assert (folder / "voices/one.json").read_bytes() == b"{}"
    assert hub.size(wanted) == 300_004
    assert hub.remove(wanted) == 300_004


def test_a_file_that_the_publisher_lacks_is_named(hub):
    lacking = Weights(id="x", title="X", repo="some/voices", files=("voices/one.*", "missing.bin"))
    with pytest.raises(StudioError, match=r"lacks some of .*missing\.bin"):
        hub.download(lacking, nothing, nothing)


def test_a_hub_that_refuses_is_told_with_what_is_cached(hub, monkeypatch):
    hub.download(ONE, nothing, nothing)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NotReady, match=r"can't be reached.*Cached here: some/voices"):
        hub.download(Weights(id="b", title="B", repo="b/b", files=("x",)), nothing, nothing)


def test_a_hub_that_never_answers_is_given_up_in_time(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        started = time.monotonic()
        with pytest.raises(NotReady, match="can't be reached"):
            Hub(tmp_path, timeout_s=1).download(ONE, nothing, nothing)
        assert time.monotonic() - started < 5


def test_offline_mode_is_told(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(NotReady, match="HF_HUB_OFFLINE is set"):
        hub.download(ONE, nothing, nothing)


def test_a_disk_that_is_too_small_is_told_before_the_download(hub, monkeypatch):
    monkeypatch.setattr(Hub, "free_bytes", lambda self: 1000)
    with pytest.raises(StudioError, match="needs 0 MB and the disk has 0 MB free"):
        hub.download(ONE, nothing, nothing)


def test_parts_of_other_repositories_are_fetched_with_the_weights_and_once(tmp_path):
    for name in ("model", "encoder"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.bin").write_bytes(name.encode() * 1000)
    encoder = Weights("encoder", "Encoder", repo="a/encoder", files=("*.bin",), size_bytes=7000)
    model = Weights(
        "model", "Model", repo="a/model", files=("*.bin",), size_bytes=5000, parts=(encoder,)
    )
    assert model.total_bytes == 12_000
    with small_hub({"a/model": tmp_path / "model", "a/encoder": tmp_path / "encoder"}):
        (tmp_path / "cache").mkdir()
        hub = Hub(tmp_path / "cache")
        told = []
        folder = hub.download(model, lambda *progress: told.append(progress), lambda: None)
    assert (folder / "weights.bin").read_bytes() == b"model" * 1000
    assert (hub.path(encoder) / "weights.bin").read_bytes() == b"encoder" * 1000
    assert told[-1] == (12_000, 12_000, "Model")


def test_weights_that_nobody_published_are_found_in_a_persons_own_folder(tmp_path):
    hub = Hub(tmp_path)
    own = Weights("noro", "Noro", files=("model.pt",))
    assert hub.path(own) is None
    (tmp_path / "own" / "noro").mkdir(parents=True)
    assert hub.path(own) is None
    (tmp_path / "own" / "noro" / "model.pt").write_bytes(b"x")
    assert hub.path(own) == tmp_path / "own" / "noro"
