"""Fixtures for tests that go through the doors people use: the studio and the served app.

All state lives in a temporary folder; engines are the fakes of ``tests.fakes``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
if os.environ.get("PYTEST_XDIST_WORKER"):  # each worker has one core
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from engines import registry
from engines.studio import Studio
from engines.studio.settings import Settings
from tests import tiny_musicgen as tiny
from tests.fakes import Hungry, Tone


@dataclass
class Served:
    """The whole app on a free port."""

    url: str
    studio: Studio

    def client(self, **kwargs: Any) -> Any:
        """A ``gradio_client.Client`` of the app."""
        from gradio_client import Client

        return Client(self.url, verbose=False, analytics_enabled=False, **kwargs)


@pytest.fixture(scope="session")
def tiny_musicgen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny MusicGen with random weights: 3,200 Hz, mono, 50 frames/s."""
    return tiny.make(tmp_path_factory.mktemp("musicgen") / "tiny-musicgen")


@pytest.fixture
def no_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Studios start without the built-in engines and those of installed packages."""
    empty = tmp_path / "engines.json"
    empty.write_text("[]", encoding="utf-8")
    monkeypatch.setattr(registry, "BUILT_IN", empty)
    monkeypatch.setattr(registry, "entry_points", lambda group: [])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a studio in a temporary folder on a free port of this machine."""
    return make_settings(tmp_path)


def make_settings(tmp_path: Path, **changes: Any) -> Settings:
    """Settings of a studio in ``tmp_path``, blind to this machine's environment and arguments."""
    return Settings(_cli_parse_args=[], data=tmp_path / "data", port=0, device="cpu", **changes)


@pytest.fixture
def studio(settings: Settings, no_engines: None) -> Iterator[Studio]:
    """A running studio with the fake engines."""
    with Studio(settings) as running:
        running.registry.add(Tone)
        running.registry.add(Hungry)
        yield running


@pytest.fixture
def serve(tmp_path: Path, no_engines: None) -> Iterator[Callable[..., Served]]:
    """A function that serves a studio with the fake engines and any settings changed."""
    with ExitStack() as stack:

        def start(**changes: Any) -> Served:
            running = stack.enter_context(Studio(make_settings(tmp_path, **changes)))
            running.registry.add(Tone)
            running.registry.add(Hungry)
            return stack.enter_context(served_app(running))

        yield start


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    """The app with the fake engines, open to this machine."""
    return serve()


class served_app:
    """Context manager: ``studio`` on a free port, its endpoints alone or the ``whole`` page, as
    ``app.py`` serves it."""

    def __init__(self, studio: Studio, whole: bool = False):
        self._studio = studio
        self._whole = whole
        self._stack = ExitStack()

    def __enter__(self) -> Served:
        import gradio as gr

        from tabs import api, layout
        from tabs.http import server

        if self._whole:
            demo, page = layout.build(self._studio), layout.page_kwargs()
        else:
            with gr.Blocks(analytics_enabled=False) as demo:
                gr.Markdown("Amphion Studio")
                api.build(self._studio)
            page = {"routers": api.ROUTERS}
        url = self._stack.enter_context(server.serving(self._studio, demo, **page))
        return Served(url, self._studio)

    def __exit__(self, *_: object) -> None:
        self._stack.close()
