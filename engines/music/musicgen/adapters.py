"""Which adapters a run names, with what scale, and whether they fit its base."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from engines.base import Adapter, StudioError
from engines.music.musicgen import lora
from engines.music.musicgen.params import MAX_SCALE


def named(
    entries: Sequence[str], usual_scale: float, base: str, known: Sequence[Adapter]
) -> list[tuple[Adapter, float]]:
    """The adapters that ``entries`` name, as ``id`` or ``id@scale``, with their scales.

    Raises ``StudioError`` for an unknown one, one of another base, a scale out of bounds, and one
    that is named twice.
    """
    by_id = {adapter.id: adapter for adapter in known}
    chosen: dict[str, tuple[Adapter, float]] = {}
    for entry in entries:
        id, _, scale = entry.strip().partition("@")
        adapter = by_id.get(id)
        if adapter is None:
            fitting = ", ".join(each.id for each in known if each.base == base) or "none"
            raise StudioError(
                f"There is no adapter {id!r}. Adapters of {base}: {fitting}.", "adapters"
            )
        if adapter.base != base:
            raise StudioError(
                f"{adapter.title} was trained on {adapter.base} and cannot be used with {base}. "
                f"Choose {adapter.base} as the model, or another adapter.",
                "adapters",
            )
        if id in chosen:
            raise StudioError(f"{adapter.title} is named twice.", "adapters")
        chosen[id] = (adapter, _scale(entry, scale) if scale else usual_scale)
    return list(chosen.values())


def _scale(entry: str, text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = -1.0
    if not 0 <= scale <= MAX_SCALE:
        raise StudioError(
            f"{entry!r}: the scale of an adapter is a number from 0 to {MAX_SCALE:g}, as in "
            f"{entry.partition('@')[0]}@0.8.",
            "adapters",
        )
    return scale


def fits(adapter: Path, base: Path) -> None:
    """``lora.check``, once for each state of the files."""
    _checked(adapter, base, changed(adapter), changed(base))


@functools.lru_cache(maxsize=32)
def _checked(adapter: Path, base: Path, *changed: int) -> None:
    lora.check(adapter, base)


def changed(folder: Path) -> int:
    """When the weights in ``folder`` were last written, so that new ones are noticed."""
    return max((file.stat().st_mtime_ns for file in folder.glob("*.safetensors")), default=0)
