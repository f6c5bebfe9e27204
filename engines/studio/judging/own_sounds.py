"""Sounds from outside as clips to be judged: files that were sent, or folders of a system each."""

from __future__ import annotations

from pathlib import Path

from engines.audio import measure
from engines.base import StudioError
from engines.studio.evaluation.sources import Sources
from engines.studio.judging.designs import MADE_BY, REFERENCE_SYSTEM
from engines.studio.settings import VERSION
from engines.studio.sounds import IMPORTED
from storage import Store

MAX_SOUNDS = 1000


def add(store: Store, sources: Sources, task: str = "") -> list[str]:
    """Store the sounds as clips and give their ids; references are those of the system "reference".

    What several systems made of one thing has one text: the one that lies beside it, or its name. Nothing
    is stored when a file is refused. Raises ``StudioError`` or ``StorageError``.
    """
    sounds: dict[tuple[str, str], tuple[Path, str]] = {}
    for item in sources.items:
        text = item.text or item.name
        sounds.setdefault((item.system, item.name), (item.generated, text))
        if item.reference is not None:
            sounds.setdefault((REFERENCE_SYSTEM, item.name), (item.reference, text))
    if len(sounds) > MAX_SOUNDS:
        raise StudioError(f"That is {len(sounds):,} sounds; {MAX_SOUNDS:,} is the most for a test.")
    for path, _ in sounds.values():
        store.files.decode(path)
    return [
        _add(store, path, text, system, name, task)
        for (system, name), (path, text) in sounds.items()
    ]


def _add(store: Store, path: Path, text: str, system: str, name: str, task: str) -> str:
    samples, sample_rate = store.files.decode(path)
    levels = measure(samples, sample_rate)
    clip = store.clips.add(
        samples,
        sample_rate,
        engine=IMPORTED,
        task=task,
        text=text,
        title=f"{name} ({system})",
        settings={MADE_BY: system},
        peak_db=levels.peak_db,
        loudness_lufs=levels.loudness_lufs,
        app_version=VERSION,
    )
    return clip.id
