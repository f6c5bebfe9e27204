"""What speech engines share that hear a reference and speak on in its voice."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from engines.base import AudioFile, Job, Params
from engines.parts.references import Sound, check_length, level, read_sound, reference_text
from engines.tts.front_ends.language import NAMES, find_language
from engines.tts.speech import SpeechEngine, SpeechParams

AUTO = "auto"
MOST_GAIN = 2.0  # by which a part is brought to the level of the reference
SHORT_SCRIPTS = {"zh": 0.3, "ja": 0.35, "ko": 0.45}  # characters for those of Latin letters


class Language(StrEnum):
    """Languages of MaskGCT's front end, by ISO 639 code."""

    AUTO = "auto"
    CHINESE = "zh"
    ENGLISH = "en"
    JAPANESE = "ja"
    KOREAN = "ko"
    FRENCH = "fr"
    GERMAN = "de"


LABELS: dict[str, Any] = {AUTO: "Found in the text", **NAMES}


def language_field(title: str, what: str) -> Any:
    """A menu of languages."""
    return Field(
        Language.AUTO,
        title=title,
        description=f"Language of {what}; found in it unless given.",
        json_schema_extra={"labels": LABELS},
    )


class ZeroShotParams(SpeechParams):
    """A reference and what is said in it."""

    reference: AudioFile = Field(
        title="Reference",
        description="The voice to speak in: a few seconds of clean speech of one person.",
    )
    reference_text: str = Field(
        "",
        max_length=1000,
        title="Words of the reference",
        description="What is said in the reference, word for word.",
        json_schema_extra={"lines": 2},
    )
    even_loudness: bool = Field(
        True,
        title="Even loudness",
        description="Brings each part of a long text to the loudness of the reference.",
        json_schema_extra={"advanced": True},
    )


class ZeroShotEngine(SpeechEngine):
    """Hears the reference once, then speaks chunk after chunk; every step can be cancelled.

    Subclasses implement ``hear`` and ``say``.
    """

    shortest_s: ClassVar[float] = 1.0
    longest_s: ClassVar[float] = 30.0
    max_chunk_chars: ClassVar[int] = 200

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._level = 0.0

    @abstractmethod
    def hear(self, reference: Sound, params: Any) -> None:
        """Keep what the model needs of the reference until the job ends."""

    @abstractmethod
    def say(
        self,
        text: str,
        params: Any,
        rng: np.random.Generator,
        progress: Callable[[int, int], None],
    ) -> np.ndarray:
        """Samples ``(T,)`` of one chunk; ``progress`` is told each step and may raise."""

    def check(self, params: Params) -> None:
        """Raise ``StudioError`` for a text, reference or transcript that can't serve."""
        super().check(params)
        given: Any = params
        reference_text(given.reference_text)
        check_length(
            given.reference, "reference", shortest_s=self.shortest_s, longest_s=self.longest_s
        )

    def language(self, params: Any) -> str:
        """Of the text to speak."""
        chosen = getattr(params, "language", AUTO)
        return find_language(params.text) if chosen == AUTO else str(chosen)

    def chunk_chars(self, params: Any) -> tuple[int, int]:
        """Fewer where a character is a syllable."""
        share = SHORT_SCRIPTS.get(self.language(params), 1.0)
        return round(self.max_chunk_chars * share), round(self.first_chunk_chars * share)

    def begin(self, params: Any, job: Job) -> None:
        """Hear the reference."""
        job.check()
        job.progress(0, 1, "Reference")
        sound = read_sound(
            params.reference, "reference", shortest_s=self.shortest_s, longest_s=self.longest_s
        )
        self._level = level(sound.samples)
        self.hear(sound, params)

    def spoken(self, text: str, params: Any, job: Job, index: int, count: int) -> np.ndarray:
        """One chunk, at the loudness of the reference."""
        note = f"Part {index + 1} of {count}"

        def progress(done: int, total: int) -> None:
            job.check()
            job.progress(index + done / total, count, note)

        samples = self.say(text, params, job.rng(index), progress)
        own = level(samples)
        if params.even_loudness and own > 0:
            gain = float(np.clip(self._level / own, 1 / MOST_GAIN, MOST_GAIN))
            peak = float(np.abs(samples).max())
            samples = samples * min(gain, max(1.0, 1 / peak))
        return samples

    def speak(self, text: str, params: Any, rng: np.random.Generator) -> np.ndarray:
        """One chunk without progress."""
        return self.say(text, params, rng, lambda done, total: None)
