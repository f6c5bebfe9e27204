"""Notes as plain tones, for models that take a melody from a sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.base import StudioError
from engines.svc.melody import MelodyNote

PARTIALS = 6
EDGE_S = 0.01


def tones(notes: Sequence[MelodyNote], rate: int, longest_s: float) -> np.ndarray:
    """Samples ``(T,)`` of harmonic tones, from the first note on; longer than ``longest_s`` is an error."""
    start = min(note.start_s for note in notes)
    length_s = max(note.end_s for note in notes) - start
    if length_s > longest_s:
        raise StudioError(
            f"The melody lasts {length_s:.0f} s; at most {longest_s:.0f} s are sung. Cut it.",
            "midi",
        )
    out = np.zeros(round(length_s * rate) + 1, np.float32)
    for note in notes:
        first = round((note.start_s - start) * rate)
        t = np.arange(round((note.end_s - note.start_s) * rate)) / rate
        hz = 440 * 2 ** ((note.pitch - 69) / 12)
        heard = [k for k in range(1, PARTIALS + 1) if k * hz < rate / 2]
        tone = sum(np.sin(2 * np.pi * hz * k * t) / k for k in heard)
        edges = np.minimum(1, np.minimum(t, t[::-1]) / EDGE_S)
        part = out[first : first + len(t)]
        part += (0.2 * tone * edges)[: len(part)].astype(np.float32)
    return out
