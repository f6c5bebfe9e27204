"""The tables of ``data/``, optional libraries, and the error for a text without a sound."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from engines.base import StudioError
from engines.packages import need

DATA = Path(__file__).with_name("data")
EXTRA = "languages"
"""The extra of this project that brings the libraries of all languages."""
PAUSES = ("sp", "spn", "sil")
"""The last of the ARPAbet phones: a short pause, noise, silence."""


@cache
def table(name: str) -> dict[str, Any]:
    """``data/<name>.json``; not to be changed."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def library(module: str) -> Any:
    """An optional library; ``NotReady`` says how to install it."""
    return need(module, EXTRA)


def nothing_to_say(text: str, language: str) -> StudioError:
    """The error for a text that has no sound in ``language`` (its name)."""
    shown = " ".join(text.split())
    shown = f"{shown[:30]}…" if len(shown) > 30 else shown
    what = f"“{shown}” has" if shown else "The text is empty; it has"
    return StudioError(
        f"{what} nothing that can be read as {language}. Type at least one word of it, or choose "
        "another language.",
        "text",
    )
