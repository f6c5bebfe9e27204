"""Singing changed without a download: key, tempo, vibrato, formants, melody, timbre of a reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

from engines.asr import shared as whisper
from engines.asr.models import TRANSCRIPTION
from engines.base import (
    AudioFile,
    Card,
    Clip,
    Device,
    Engine,
    Job,
    MidiFile,
    Params,
    StudioError,
    Task,
    Weights,
)
from engines.packages import package_folder
from engines.parts.references import LONGEST_SOURCE_S, read_sound
from engines.svc.melody import Timing
from engines.svc.midi import from_midi
from engines.svc.singing import RATE, Key, Singing, sing
from engines.vc.conversion import Conversion
from engines.vc.knn import WORK_MB, check_heard, check_target, learnt, told
from engines.vc.voices import LONGEST_S, SHORTEST_S

SHORTEST_SOURCE_S = 0.3


class WorldSingingParams(Params):
    """Parameters of one conversion."""

    source: AudioFile = Field(title="Source", description="Singing of one voice, without music.")
    reference: AudioFile | None = Field(
        None,
        title="Reference",
        description="A voice whose timbre is taken on: 10 to 60 s, clean. The source's own without.",
    )
    melody: MidiFile | None = Field(
        None,
        title="Melody",
        description="A MIDI file whose notes are sung in place of the sung ones, with the same words.",
    )
    timing: Timing = Field(
        Timing.NOTES,
        title="Timing",
        description="Whose rhythm is kept when a melody is given: that of the notes or the sung one.",
        json_schema_extra={"advanced": True},
    )
    key: Key = Field(
        Key.SEMITONES,
        title="Key",
        description="By the semitones below; or so that the median pitch is the target's or the "
        "reference's (automatic), by whole octaves only (octaves); the semitones are then added.",
    )
    key_shift_st: float = Field(
        0.0,
        ge=-24,
        le=24,
        title="Key shift",
        description="Moves the key; 12 is an octave up.",
        json_schema_extra={"step": 1, "unit": "semitones"},
    )
    target_hz: float = Field(
        0.0,
        ge=0,
        le=1500,
        title="Target pitch",
        description="The median that an automatic key aims at, from 50 Hz; 0 takes the reference's.",
        json_schema_extra={"unit": "Hz", "advanced": True},
    )
    tempo_ratio: float = Field(
        1.0,
        ge=0.25,
        le=4,
        title="Tempo",
        description="2 is twice as fast; the pitch stays.",
        json_schema_extra={"step": 0.05, "unit": "x"},
    )
    formant_shift_st: float = Field(
        0.0,
        ge=-12,
        le=12,
        title="Formant shift",
        description="Moves the resonances: up sounds smaller, down larger.",
        json_schema_extra={"step": 0.5, "unit": "semitones"},
    )
    vibrato_depth: float = Field(
        1.0,
        ge=0,
        le=3,
        title="Vibrato",
        description="0 is a straight line, 1 as sung, 2 twice as deep.",
        json_schema_extra={"step": 0.1, "unit": "x"},
    )
    strength: float = Field(
        1.0,
        ge=0,
        le=1.5,
        title="Strength",
        description="How much of the reference's timbre is taken on; more than 1 goes beyond.",
        json_schema_extra={"step": 0.05, "advanced": True},
    )


class WorldSinging(Engine):
    """WORLD takes the singing apart and sings it again; the same each time."""

    card = Card(
        id="world_singing",
        title="WORLD Singing",
        task=Task.SVC,
        summary="Changes key, tempo, vibrato, melody and timbre of singing at once: nothing to download.",
        license_code="MIT (this studio), BSD-3-Clause (WORLD), MIT (faster-whisper)",
        license_weights="MIT (Whisper base), for a reference only",
        sample_rate=RATE,
        paper="https://doi.org/10.1587/transinf.2015EDP7457",
        home="https://github.com/mmorise/World",
        memory_mb={"float32": whisper.MEMORY_MB + WORK_MB},
        requires=("pyworld", "scipy", "soundfile", "mido"),
        pip_extra="pyworld-prebuilt scipy soundfile mido",
        notes="A reference needs Whisper base, from the extra called transcription. Made for one voice: "
        "separate the music first.",
    )
    Params = WorldSingingParams

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._recogniser: Any = None

    def weights(self) -> Sequence[Weights]:
        """The embedded Whisper, by which a reference is heard."""
        return (whisper.WEIGHTS,)

    def memory_mb(self, dtype: str, params: Any = None) -> int:
        """Whisper is loaded for a reference only."""
        return WORK_MB + sum(self.shared_mb(dtype, params).values())

    def shared_mb(self, dtype: str, params: Any = None) -> dict[str, int]:
        """Whisper, which other engines use too."""
        without = params is not None and params.reference is None and self._recogniser is None
        return {} if without else {whisper.NAME: whisper.MEMORY_MB}

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for sounds of a wrong length, a key without a target, a bad melody."""
        check_heard(params.source, "source", SHORTEST_SOURCE_S, LONGEST_SOURCE_S)
        check_target(params.target_hz)
        if params.reference is not None:
            check_heard(params.reference, "reference", SHORTEST_S, LONGEST_S)
            for module in whisper.MODULES:
                package_folder(module, module.replace("_", "-"), TRANSCRIPTION)
        elif params.key is not Key.SEMITONES and not params.target_hz:
            raise StudioError(
                "The key can't be chosen by itself: there is neither a reference nor a target pitch. "
                "Give one, or set the key by semitones.",
                "key",
            )
        self._notes(params)

    def load(self, device: Device, params: Any = None) -> None:
        """Take the shared Whisper where there is a reference."""
        if self._recogniser is None and params is not None and params.reference is not None:
            self._recogniser = whisper.recogniser(device)

    def unload(self) -> None:
        """Drop it."""
        self._recogniser = None

    def run(self, params: Any, job: Job) -> Clip:
        """The source, sung as asked."""
        source = read_sound(params.source, "source", shortest_s=SHORTEST_SOURCE_S)
        voice, start = None, 0.0
        if params.reference is not None:
            start = 0.2
            progress = told(job, 0, start, "Learning the voice")
            voice = learnt(params, self._recogniser, progress, RATE)
        how = Singing(
            key=params.key,
            semitones=params.key_shift_st,
            target_hz=params.target_hz or None,
            tempo=params.tempo_ratio,
            formant_semitones=params.formant_shift_st,
            vibrato_depth=params.vibrato_depth,
            timing=params.timing,
            timbre=Conversion(strength=params.strength),
        )
        sung = sing(
            source.samples,
            source.rate,
            how,
            melody=self._notes(params),
            voice=voice,
            recogniser=self._recogniser if voice else None,
            progress=told(job, start, 1, "Singing"),
        )
        job.check()
        made = np.clip(sung.samples, -1, 1)
        job.emit(made, sung.sample_rate)
        return Clip(made, sung.sample_rate, title=self.card.title)

    @staticmethod
    def _notes(params: Any) -> Any:
        return None if params.melody is None else from_midi(params.melody.read_bytes())
