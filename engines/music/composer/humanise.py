"""Players instead of a grid: swing, a pulse that drifts a little, accents that are never twice the same."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from engines.music.composer.instruments import knowledge
from engines.music.composer.score import ARP, BASS, COMP, DRUMS, LEAD, PAD, Brief, Note
from engines.music.composer.styles import style

LOOSER = {DRUMS: 0.6, BASS: 0.7, COMP: 1.0, ARP: 0.7, PAD: 1.4, LEAD: 1.25}
DRIFT = 0.85  # of a deviation is still there at the next note
VELOCITY = {DRUMS: 2.0, ARP: 4.0}  # standard deviations


def swung(beats: np.ndarray, swing: float, of: int) -> np.ndarray:
    """Beats with every second eighth (or sixteenth) late; what lies between moves with them."""
    if not swing:
        return beats
    unit = 8 / of  # beats of one pair
    whole = np.floor(beats / unit + 1e-9)
    inside = np.clip(beats / unit - whole, 0, 1)
    middle = 0.5 + 0.5 * swing
    moved = np.where(
        inside < 0.5, inside / 0.5 * middle, middle + (inside - 0.5) / 0.5 * (1 - middle)
    )
    return (whole + moved) * unit


def humanise(
    notes: Iterable[Note], part: str, brief: Brief, rng: np.random.Generator
) -> tuple[Note, ...]:
    """The same notes as somebody would play them; sorted by their start."""
    planned = sorted(notes, key=lambda note: (note.start, note.pitch))
    if not planned:
        return ()
    facts = style(brief.style)
    swing, of = facts["swing"], facts.get("swing_of", 8)
    starts = np.array([note.start for note in planned])
    ends = starts + np.array([note.length for note in planned])
    starts, ends = swung(starts, swing, of), swung(ends, swing, of)
    shift = _deviations(starts, LOOSER.get(part, 1.0) * facts["loose"], rng)
    if part == DRUMS and facts.get("late"):
        back = [knowledge()["drum_keys"][name] for name in ("snare", "clap", "rim")]
        shift = shift + np.where(
            np.isin([note.pitch for note in planned], back), facts["late"], 0.0
        )
    moved = np.maximum(starts + shift / 1000 * brief.tempo / 60, 0.0)
    louder = rng.normal(0, VELOCITY.get(part, 3.0), len(planned))
    return tuple(
        Note(
            round(float(start), 5),
            round(max(float(end - begin), 0.05), 5),
            note.pitch,
            int(np.clip(note.velocity + more, 12, 126)),
        )
        for note, start, begin, end, more in zip(planned, moved, starts, ends, louder, strict=True)
    )


def _deviations(starts: np.ndarray, loose: float, rng: np.random.Generator) -> np.ndarray:
    """Milliseconds early or late: notes that begin together keep together, and a drift carries on."""
    _, group = np.unique(np.round(starts, 3), return_inverse=True)
    count = int(group.max()) + 1
    noise, drift = rng.normal(0, 1, count), np.zeros(count)
    pushes = rng.normal(0, 1, count)
    for index in range(1, count):
        drift[index] = DRIFT * drift[index - 1] + 0.4 * pushes[index]
    together = loose * np.clip(0.6 * noise + 0.6 * drift, -2.2, 2.2)
    alone = rng.normal(0, 0.15 * loose, len(starts))
    return together[group] + alone
