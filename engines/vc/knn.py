"""Voice conversion without a download: envelopes of a reference by nearest neighbours of the content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from engines.asr import shared as whisper
from engines.base import (
    AudioFile,
    Card,
    Clip,
    Device,
    Engine,
    Job,
    Params,
    StudioError,
    Task,
    Weights,
)
from engines.parts.references import LONGEST_SOURCE_S, check_length, read_sound
from engines.vc.conversion import Conversion, convert
from engines.vc.voices import LONGEST_S, RATE, SHORTEST_S, Voice, learn
from engines.world.pitch import PitchMode
from engines.world.source import Progress

SHORTEST_SOURCE_S = 0.3
LOWEST_HZ = 50
WORK_MB = 150  # beside Whisper: envelopes of a window
REFERENCES = ("reference", "reference_2", "reference_3")
MORE_REFERENCE = "More speech of the same speaker; five minutes in all at most."


class VoiceSounds(Params):
    """What is converted, and to whom."""

    source: AudioFile = Field(title="Source", description="The speech to convert, of any length.")
    reference: AudioFile = Field(
        title="Reference",
        description="Speech of the voice to convert to: 10 to 60 s, clean, one speaker.",
    )
    reference_2: AudioFile | None = Field(
        None,
        title="Second reference",
        description=MORE_REFERENCE,
        json_schema_extra={"advanced": True},
    )
    reference_3: AudioFile | None = Field(
        None,
        title="Third reference",
        description=MORE_REFERENCE,
        json_schema_extra={"advanced": True},
    )


class KnnVcParams(VoiceSounds):
    """Parameters of one conversion."""

    pitch_mode: PitchMode = Field(
        PitchMode.MATCH,
        title="Pitch",
        description="Keep it; match the reference's mean and range; move it by semitones; or move its "
        "median to the target or the reference's (automatic).",
    )
    semitones: float = Field(
        0.0,
        ge=-24,
        le=24,
        title="Semitones",
        description="Moves the pitch, in every mode but keep; 12 is an octave up.",
        json_schema_extra={"step": 0.5, "unit": "semitones"},
    )
    target_hz: float = Field(
        0.0,
        ge=0,
        le=800,
        title="Target pitch",
        description="The median that automatic aims at, from 50 Hz; 0 takes the reference's.",
        json_schema_extra={"unit": "Hz", "advanced": True},
    )
    formant_shift_st: float = Field(
        0.0,
        ge=-12,
        le=12,
        title="Formant shift",
        description="Moves the resonances after conversion: up sounds smaller, down larger.",
        json_schema_extra={"step": 0.5, "unit": "semitones"},
    )
    strength: float = Field(
        1.0,
        ge=0,
        le=1.5,
        title="Strength",
        description="0 leaves the timbre as it is, 1 takes the reference's, more goes beyond.",
        json_schema_extra={"step": 0.05},
    )
    neighbours: int = Field(
        8,
        ge=1,
        le=64,
        title="Neighbours",
        description="Frames of the reference that are averaged for each frame of the source.",
        json_schema_extra={"advanced": True},
    )
    mix: float = Field(
        0.75,
        ge=0,
        le=1,
        title="Mix",
        description="Share of the neighbours' envelopes; the rest is the source's own, moved by the "
        "difference of both voices. More is closer to the reference and less distinct.",
        json_schema_extra={"step": 0.05, "advanced": True},
    )
    protect_unvoiced: float = Field(
        0.2,
        ge=0,
        le=1,
        title="Protect unvoiced",
        description="1 leaves unvoiced sounds, such as s and breath, as they are.",
        json_schema_extra={"step": 0.05, "advanced": True},
    )


class KnnVc(Engine):
    """Learns the reference, then converts the source window by window; the same each time."""

    card = Card(
        id="knn_vc",
        title="Neighbours",
        task=Task.VC,
        summary="Converts speech to the voice of a reference at once: nothing to download or to train.",
        license_code="MIT (this studio), BSD-3-Clause (WORLD), MIT (faster-whisper)",
        license_weights="MIT (Whisper base)",
        sample_rate=RATE,
        paper="https://arxiv.org/abs/2305.18975",
        memory_mb={"float32": whisper.MEMORY_MB + WORK_MB},
        requires=(*whisper.MODULES, "pyworld", "soundfile"),
        pip_extra=f"{whisper.PACKAGES} pyworld-prebuilt soundfile",
        notes="After the idea of kNN-VC: what is said is found again in the reference by features of "
        "Whisper's encoder, and WORLD's envelopes are exchanged. Runs on the processor in any language; "
        "the extra is called transcription.",
    )
    Params = KnnVcParams

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._recogniser: Any = None

    def weights(self) -> Sequence[Weights]:
        """The embedded Whisper."""
        return (whisper.WEIGHTS,)

    def shared_mb(self, dtype: str, params: Any = None) -> dict[str, int]:
        """Whisper, which other engines use too."""
        return {whisper.NAME: whisper.MEMORY_MB}

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a source or references of a wrong length, or silent ones."""
        check_heard(params.source, "source", SHORTEST_SOURCE_S, LONGEST_SOURCE_S)
        check_target(params.target_hz)
        total_s = 0.0
        for field, path in references(params):
            total_s += check_heard(path, field, SHORTEST_S, LONGEST_S)
        if total_s > LONGEST_S:
            raise StudioError(
                f"The references last {total_s:.0f} s together; at most {LONGEST_S:.0f} s are used. "
                "Leave one out.",
                "reference",
            )

    def load(self, device: Device, params: Any = None) -> None:
        """Take the shared Whisper."""
        if self._recogniser is None:
            self._recogniser = whisper.recogniser(device)

    def unload(self) -> None:
        """Drop it."""
        self._recogniser = None

    def run(self, params: Any, job: Job) -> Clip:
        """The converted source, as long as it was."""
        source = read_sound(params.source, "source", shortest_s=SHORTEST_SOURCE_S)
        voice = learnt(params, self._recogniser, told(job, 0, 0.2, "Learning the voice"))
        how = Conversion(
            pitch_mode=params.pitch_mode,
            semitones=params.semitones,
            target_hz=params.target_hz or None,
            formant_semitones=params.formant_shift_st,
            strength=params.strength,
            neighbours=params.neighbours,
            mix=params.mix,
            protect_unvoiced=params.protect_unvoiced,
        )
        progress = told(job, 0.2, 1, "Converting")
        made, rate = convert(source.samples, source.rate, voice, self._recogniser, how, progress)
        job.check()
        made = np.clip(made, -1, 1)
        job.emit(made, rate)
        return Clip(made, rate, title=self.card.title)


def check_heard(path: Path, field: str, shortest_s: float, longest_s: float) -> float:
    """Length in seconds; raises ``StudioError`` as ``read_sound``, which reads sounds of minutes only."""
    length_s = check_length(path, field, shortest_s=shortest_s, longest_s=longest_s)
    if length_s <= LONGEST_S:
        read_sound(path, field, shortest_s=shortest_s, longest_s=longest_s)
    return length_s


def check_target(target_hz: float) -> None:
    """Raise ``StudioError`` for a target pitch below any voice."""
    if 0 < target_hz < LOWEST_HZ:
        raise StudioError(
            f"A target pitch of {target_hz:g} Hz is below any voice. Give {LOWEST_HZ} Hz or more; 0 takes "
            "the reference's.",
            "target_hz",
        )


def references(params: Any) -> list[tuple[str, Any]]:
    """Names and files of the references that are given."""
    given = [(field, getattr(params, field, None)) for field in REFERENCES]
    return [(field, path) for field, path in given if path is not None]


def learnt(params: Any, recogniser: Any, progress: Progress, rate: int = RATE) -> Voice:
    """The voice of all references of ``params``; raises ``StudioError`` for silent or unvoiced ones."""
    progress(0, 1)
    sounds = [read_sound(path, field, shortest_s=SHORTEST_S) for field, path in references(params)]
    heard = [(sound.samples, sound.rate) for sound in sounds]
    return learn(heard, recogniser, rate, progress)


def told(job: Job, start: float, end: float, note: str) -> Progress:
    """Progress of one of several steps, from ``start`` to ``end`` of 1; stops a cancelled job."""

    def tell(done: float, total: float) -> None:
        job.check()
        job.progress(start + (end - start) * done / total, 1, note)

    return tell
