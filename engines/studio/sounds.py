"""Sounds that engines are given: those from outside become clips, so that they stay.

A stored setting names a sound by the path of a clip's file, whose name is the hash of its content;
by that it is found again in another data folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.audio import measure
from engines.base import Engine
from engines.parameters import knobs
from engines.studio.settings import VERSION
from storage import ClipRow, Embedded, Store

IMPORTED = "import"


def kept(store: Store, engine: Engine, settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` with the path of each sound from outside replaced by that of its new clip.

    Raises ``StorageError`` for what is no sound.
    """
    values = dict(settings)
    for name in _named(engine, settings):
        path = Path(values[name])
        if not path.resolve().is_relative_to(store.files.root):
            values[name] = str(add(store, path, str(engine.card.task)).path)
    return values


def found(
    store: Store, engine: Engine, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """``settings`` with the paths of their sounds as they are here, and the names of those that
    are not here, which are left out."""
    values, gone = dict(settings), []
    for name in _named(engine, settings):
        if Path(values[name]).is_file():
            continue
        clip = store.clips.find_by_hash(Path(values[name]).stem)
        if clip is None:
            gone.append(name)
            del values[name]
        else:
            values[name] = str(clip.path)
    return values, gone


def add(store: Store, path: Path, task: str) -> ClipRow:
    """The clip of a sound from outside: the one that is here, or a new one named like the file."""
    content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    here = store.clips.find_by_hash(content)
    if here is not None:
        return here
    samples, sample_rate = store.files.decode(path)
    tags = Embedded(engine=IMPORTED, title=path.stem, app_version=VERSION)
    here = store.clips.find_by_hash(store.files.encode(samples, sample_rate, tags).hash)
    if here is not None:
        return here
    levels = measure(samples, sample_rate)
    return store.clips.add(
        samples,
        sample_rate,
        engine=IMPORTED,
        task=task,
        title=path.stem,
        peak_db=levels.peak_db,
        loudness_lufs=levels.loudness_lufs,
        app_version=VERSION,
    )


def _named(engine: Engine, settings: Mapping[str, Any]) -> list[str]:
    """The parameters that name a sound in ``settings``."""
    return [k.name for k in knobs(engine.Params) if k.media == "audio" and settings.get(k.name)]
