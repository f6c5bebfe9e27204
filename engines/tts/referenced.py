"""Speech in the voice of a reference whose words are known: what Vevo and VevoSing share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from engines.base import AudioFile, Clip, Job, Seed
from engines.parts.pieces import beginning
from engines.parts.published import generator
from engines.parts.references import (
    LONGEST_SOURCE_S,
    check_length,
    level,
    read_sound,
    reference_text,
)
from engines.parts.vevo_settings import (
    LOUDNESS_DBFS,
    RATE,
    DrawingParams,
    FlowParams,
    Language,
    part_of,
    samples_of,
    told,
)
from engines.tts.front_ends.language import find_language
from engines.tts.front_ends.maskgct import phones
from engines.tts.speech import SpeechEngine, SpeechParams

SHORTEST_REFERENCE_S, LONGEST_REFERENCE_S, TIMBRE_S = 1.0, 15.0, 30.0


class TextAndReference(SpeechParams):
    """What is said, and by whom."""

    language: Language = Field(
        Language.AUTO, title="Language", description="Of the text; auto finds it."
    )
    reference: AudioFile = Field(
        title="Reference",
        description="Speech whose style is followed: 3 to 10 s, clean, one speaker; at most 15 s.",
    )
    reference_text: str = Field(
        "",
        max_length=2000,
        title="Words of the reference",
        description="What is said in the reference, word for word.",
        json_schema_extra={"lines": 2},
    )
    reference_language: Language = Field(
        Language.AUTO,
        title="Language of the reference",
        description="Of its words; auto finds it.",
        json_schema_extra={"advanced": True},
    )
    timbre_reference: AudioFile | None = Field(
        None,
        title="Reference of timbre",
        description="Another speaker's voice, in the style of the reference; the reference's own without.",
        json_schema_extra={"advanced": True},
    )


class ReferencedParams(FlowParams, DrawingParams, TextAndReference):
    """Parameters of one reading."""

    seed: Seed = -1


@dataclass
class Heard:
    """What a run knows of its references: phones of the transcript, style and timbre."""

    phones: list[int]
    style: Any
    timbre: Any


def language_of(asked: Language, text: str) -> str:
    """The language asked for, or that of the text."""
    return find_language(text) if asked is Language.AUTO else asked.value


class ReferencedSpeech(SpeechEngine):
    """Phones of transcript and text, style and timbre of references to sound; a subclass has the model."""

    max_chunk_chars: ClassVar[int] = 200

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._heard: Heard | None = None

    @abstractmethod
    def hear(self, sound: Any) -> Any:
        """What the model keeps of a reference."""

    @abstractmethod
    def voice(self, ids: list[int], heard: Heard, params: Any, rng: Any, progress: Any) -> Any:
        """Samples (1, L) of phones, those of the transcript before them."""

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for no text, no transcript, or a reference of a wrong length."""
        super().check(params)
        reference_text(params.reference_text)
        check_length(
            params.reference, "reference", shortest_s=SHORTEST_REFERENCE_S,
            longest_s=LONGEST_REFERENCE_S,
        )  # fmt: skip
        if params.timbre_reference is not None:
            check_length(
                params.timbre_reference, "timbre_reference", shortest_s=SHORTEST_REFERENCE_S,
                longest_s=LONGEST_SOURCE_S,
            )  # fmt: skip

    def sample_rate(self, params: Any) -> int:
        """24,000 Hz."""
        return RATE

    def language(self, params: Any) -> str:
        """The one asked for, or that of the text."""
        return language_of(params.language, params.text)

    def speak(self, text: str, params: Any, rng: np.random.Generator) -> np.ndarray:
        """Not used: ``spoken`` tells the steps too."""
        raise NotImplementedError

    def run(self, params: Any, job: Job) -> Clip:
        """Hear the references once, then speak chunk by chunk."""
        said = reference_text(params.reference_text)
        language = language_of(params.reference_language, said)
        known = phones(said, language).ids
        reference = read_sound(
            params.reference, "reference", shortest_s=SHORTEST_REFERENCE_S,
            longest_s=LONGEST_REFERENCE_S,
        )  # fmt: skip
        job.check()
        style = timbre = self.hear(reference)
        if params.timbre_reference is not None:
            other = read_sound(
                params.timbre_reference, "timbre_reference", shortest_s=SHORTEST_REFERENCE_S
            )
            timbre = self.hear(beginning(other, TIMBRE_S))
        self._heard = Heard(known, style, timbre)
        try:
            return super().run(params, job)
        finally:
            self._heard = None

    def spoken(self, text: str, params: Any, job: Job, index: int, count: int) -> np.ndarray:
        """One chunk at the published loudness."""
        heard = self._heard
        assert heard is not None
        ids = heard.phones + phones(text, self.language(params)).ids
        progress = told(job, index, count, part_of(index, count))
        samples = samples_of(self.voice(ids, heard, params, generator(job.rng(index)), progress))
        loud = level(samples)
        return samples * np.float32(10 ** (LOUDNESS_DBFS / 20) / loud) if loud else samples
