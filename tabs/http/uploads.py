"""Files that clients send: believed only when they lie where uploads are kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from engines.base import Engine, StudioError
from engines.parameters import Kind, knobs
from engines.studio import Studio

EXPORTS = "exports"


def uploaded(path: str) -> Path:
    """``path`` as a file that was uploaded before; raises ``StudioError`` for any other."""
    resolved, root = Path(path).resolve(), Path(get_upload_folder()).resolve()
    if not (resolved.is_relative_to(root) and resolved.is_file()):
        raise StudioError("Send the file itself, with gradio_client.handle_file(path).", "file")
    return resolved


def with_media(studio: Studio, engine: Engine, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with every sent file, or the id of a clip, replaced by a path that may be read."""
    media = {knob.name for knob in knobs(engine.Params) if knob.kind is Kind.MEDIA}
    return {
        name: _media(studio, value) if name in media and value is not None else value
        for name, value in values.items()
    }


def _media(studio: Studio, value: Any) -> str:
    if isinstance(value, str):
        return str(studio.clip(value).path)
    path = value.get("path") if isinstance(value, Mapping) else getattr(value, "path", None)
    return str(uploaded(str(path)))


def export_folder() -> Path:
    """Where files made for one download are put; Gradio's ``delete_cache`` empties it."""
    folder = Path(get_upload_folder()) / EXPORTS
    folder.mkdir(parents=True, exist_ok=True)
    return folder
