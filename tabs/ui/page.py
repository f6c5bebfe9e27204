"""What a tab tells the layout: how it is brought up to date when it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import gradio as gr

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass
class Page:
    """``refresh`` are the keyword arguments of an event listener (``fn``, ``inputs``, ``outputs``)
    that redraws the page; ``forget`` is called when the browser leaves."""

    refresh: dict[str, Any] = field(default_factory=dict)
    forget: Callable[..., None] | None = None


def refresher(fn: Callable, inputs: Any = None, outputs: Any = None) -> dict[str, Any]:
    """The ``refresh`` of a page that is redrawn by ``fn``."""
    return {"fn": fn, "inputs": inputs, "outputs": outputs, "queue": False, **QUIET}


class Opens(Protocol):
    """A page that another page can open a clip in: ``opened`` gives the updates of the tabs, the ``view``
    and the ``outputs``."""

    @property
    def view(self) -> gr.State: ...

    @property
    def outputs(self) -> list[Any]: ...

    def opened(self, clip_id: str, current: Any) -> list[Any]: ...
