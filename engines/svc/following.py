"""The pitch of a MIDI melody in place of the sung one, in the singer's timing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines.parts.references import Sound
from engines.parts.windows import Window
from engines.svc.melody import Timing, plan
from engines.svc.midi import from_midi
from engines.svc.singing import power_db
from engines.world.frames import HOP_S
from engines.world.source import Source


def melody_contours(
    sound: Sound, midi: Path, cut: Sequence[Window], f0: Sequence[np.ndarray], hop: int
) -> list[np.ndarray]:
    """F0 of each window's frames of ``hop`` samples, those of ``midi`` where ``f0`` is voiced.

    Vibrato stays as sung. Raises ``StudioError`` for a file without a melody, or a source without a voice.
    """
    source = Source(sound.samples, sound.rate)
    notes = from_midi(midi.read_bytes())
    asked = plan(source.f0, power_db(source), notes, Timing.SUNG).f0
    made = []
    for window, sung in zip(cut, f0, strict=True):
        times = window.start_s + np.arange(len(sung)) * hop / sound.rate
        places = np.clip((times / HOP_S).round().astype(int), 0, len(asked) - 1)
        made.append(np.where(sung > 0, asked[places], 0).astype(np.float32))
    return made
