"""A model hub on this machine: folders served as repositories, to the real download code."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

COMMIT = "c" * 40


@contextmanager
def small_hub(repositories: Mapping[str, Path]) -> Iterator[str]:
    """Serve ``repositories`` (``owner/name`` to a folder) and point ``HF_ENDPOINT`` there."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Keep quiet."""

        def do_HEAD(self) -> None:
            self.answer(False)

        def do_GET(self) -> None:
            self.answer(True)

        def answer(self, with_body: bool) -> None:
            path = unquote(self.path.split("?")[0]).lstrip("/")
            for repo, folder in sorted(repositories.items(), reverse=True):  # longer names first
                if path.startswith(f"api/models/{repo}"):
                    files = [item for item in sorted(folder.rglob("*")) if item.is_file()]
                    siblings = [
                        {
                            "rfilename": item.relative_to(folder).as_posix(),
                            "size": item.stat().st_size,
                        }
                        for item in files
                    ]
                    told = {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": siblings}
                    headers = {"Content-Type": "application/json"}
                    return self.reply(200, json.dumps(told).encode(), with_body, headers)
                if path.startswith(f"{repo}/resolve/"):
                    file = folder / path.removeprefix(f"{repo}/resolve/").split("/", 1)[1]
                    if file.is_file():
                        data = file.read_bytes()
                        tag = f'"{hashlib.sha256(data).hexdigest()}"'
                        return self.reply(
                            200, data, with_body, {"ETag": tag, "X-Repo-Commit": COMMIT}
                        )
            return self.reply(404 if path else 200, b"", with_body, {})

        def reply(self, status: int, body: bytes, with_body: bool, headers: dict) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", address)
        patch.delenv("HF_HUB_OFFLINE", raising=False)
        # the library reads that variable once, when it is imported
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        yield address
    server.shutdown()
