"""VevoSing's conversion (Vevo 1.5, Zhang et al. 2025): a song in the timbre of a reference."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from engines.base import AudioFile, Clip, Job, Seed, Task
from engines.parts import vevosing as parts
from engines.parts.pieces import beginning, silent
from engines.parts.published import generator
from engines.parts.references import LONGEST_SOURCE_S, Sound, check_length, read_sound
from engines.parts.vevo_settings import RATE, FlowParams, part_of, samples_of, told
from engines.parts.windows import converted, windows
from engines.world.frames import harvest
from engines.world.pitch import PitchStatistics, shift_between, statistics

HEARD_S = 30.0  # by Whisper
PITCH_S = 60.0  # of a source, from which its key is found
SHORTEST_S, SHORTEST_REFERENCE_S = 0.1, 1.0
MOST_SHIFT = 24


class SingingSource(parts.ModelParams):
    """What is converted, and to whom."""

    source: AudioFile = Field(
        title="Source",
        description="The singing or speech to convert, of any length, without music.",
    )
    reference: AudioFile = Field(
        title="Reference",
        description="The voice to convert to: 5 to 30 s, clean, one voice. More is cut off.",
    )
    fit_key: bool = Field(
        True,
        title="Fit the key",
        description="Move the melody to where the reference's voice lies, by whole semitones.",
    )
    key_shift_st: int = Field(
        0,
        ge=-MOST_SHIFT,
        le=MOST_SHIFT,
        title="Key shift",
        description="Moves the melody that is heard, in addition.",
        json_schema_extra={"unit": "st"},
    )


class TimbreParams(FlowParams, SingingSource):
    """Parameters of a conversion."""

    seed: Seed = -1


class VevoSingTimbre(parts.VevoSingEngine):
    """Another's timbre; words, pace and melody stay."""

    card = parts.card(
        "vevosing",
        "VevoSing",
        Task.SVC,
        "Sings a song in the voice of a reference; words, pace and melody stay.",
        "Hears the source in windows of 30 s and as much of the reference. Separate the music first.",
        song=False,
    )
    Params = TimbreParams
    song: ClassVar[bool] = False

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a source or a reference that is too short."""
        check_length(params.source, "source", shortest_s=SHORTEST_S, longest_s=LONGEST_SOURCE_S)
        check_length(
            params.reference, "reference", shortest_s=SHORTEST_REFERENCE_S,
            longest_s=LONGEST_SOURCE_S,
        )  # fmt: skip

    def run(self, params: Any, job: Job) -> Clip:
        """Convert window by window; what is emitted, joined, is the clip, as long as the source."""
        vevo = self.vevo
        source = read_sound(params.source, "source", shortest_s=SHORTEST_S)
        sound = read_sound(params.reference, "reference", shortest_s=SHORTEST_REFERENCE_S)
        heard = beginning(sound, HEARD_S)
        semitones = params.key_shift_st + (between(source, heard) if params.fit_key else 0)
        semitones = max(-2 * MOST_SHIFT, min(2 * MOST_SHIFT, semitones))
        job.check()
        reference = vevo.reference(self.tensor(heard))
        cut = windows(source, HEARD_S)

        def convert(window: Sound, number: int) -> np.ndarray:
            job.check()
            if silent(window):
                return np.zeros(round(window.duration_s * RATE), np.float32)
            made = vevo.timbre(
                self.tensor(window),
                reference,
                generator=generator(job.rng(number)),
                semitones=semitones,
                settings=params.flow,
                progress=told(job, number, len(cut), part_of(number, len(cut))),
            )
            return samples_of(made)

        made = []
        for piece in converted(source, cut, RATE, convert):
            made.append(piece)
            job.emit(piece, RATE)
        return Clip(
            np.concatenate(made), RATE, title=self.card.title,
            revision=self.cache.revision(self.weights_for(params)),
        )  # fmt: skip


def between(source: Sound, reference: Sound) -> int:
    """Semitones from the median pitch of one to that of the other; 0 where one has none."""
    own, other = pitch(source), pitch(reference)
    return round(shift_between(own, other.median_hz)) if other.median_hz else 0


def pitch(sound: Sound) -> PitchStatistics:
    """Of the beginning of a sound."""
    first = sound.part(0, PITCH_S)
    return statistics(harvest(first.at(16_000), 16_000))
