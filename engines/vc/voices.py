"""A voice to convert to, learnt from one or several references in seconds; nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.asr.recogniser import Recogniser
from engines.audio import as_channels, resample
from engines.base import StudioError
from engines.vc.content import Centre, Content, centre, content, joined
from engines.world.pitch import PitchStatistics, statistics
from engines.world.source import Progress, Source

RATE = 24_000  # of conversion: WORLD's envelopes of source and reference must have the same bins
SHORTEST_S = 1.0  # of voiced speech
LONGEST_S = 300.0  # of all references together


@dataclass(frozen=True)
class Voice:
    """What conversion needs of a voice: its steps, their centre, its pitch, its rate.

    ``speech_s`` is how much was not silence.
    """

    steps: Content
    centre: Centre
    pitch: PitchStatistics
    speech_s: float
    rate: int = RATE


def learn(
    references: Sequence[tuple[np.ndarray, int]],
    recogniser: Recogniser,
    rate: int = RATE,
    progress: Progress | None = None,
) -> Voice:
    """The voice of one or several sounds ``(samples, rate)`` of one speaker.

    Pitch and envelopes are those of all of them together. Raises ``StudioError`` where there is less
    than a second of voiced speech, or more than five minutes of sound.
    """
    if not references:
        raise StudioError("A reference is needed: choose a clip or a saved voice.", "reference")
    total_s = sum(as_channels(samples).shape[1] / given for samples, given in references)
    if total_s > LONGEST_S:
        raise StudioError(
            f"The references last {total_s:.0f} s; at most {LONGEST_S:.0f} s are used. Cut them: 10 to "
            "60 s of clean speech are enough.",
            "reference",
        )
    parts, contours = [], []
    for number, (samples, given) in enumerate(references):
        source = Source(resample(as_channels(samples).mean(axis=0), given, rate), rate)
        contours.append(source.f0)
        for index, window in enumerate(source.windows):
            parts.append(content(source.heard(window), source.analysed(index), recogniser))
        if progress is not None:
            progress(number + 1, len(references))
    steps, f0 = joined(parts), np.concatenate(contours)
    voiced_s = float((f0 > 0).sum() * 0.005)
    if voiced_s < SHORTEST_S:
        raise StudioError(
            f"The reference holds {int(10 * voiced_s) / 10:.1f} s of voiced speech; at least "
            f"{SHORTEST_S:.0f} s are needed, 10 s or more are better.",
            "reference",
        )
    active = steps.active
    kept = Content(
        *(getattr(steps, name)[active] for name in
          ("features", "cepstra", "envelope", "voicing", "level_db"))
    )  # fmt: skip
    return Voice(kept, centre(kept), statistics(f0), float(active.sum() * 0.02), rate)
