"""What all speech engines share: text in, one chunk at a time out."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
from pydantic import Field

from engines.audio import Joiner, trim_silence
from engines.base import Clip, Engine, Job, Params, StudioError
from engines.onnx.session import give_memory_back
from engines.tts.text import check_text, chunk, clean, has_speech

MAX_CHARS = 50_000
CROSSFADE_S = 0.01
DEFAULT = "default"


NoiseScale: TypeAlias = Annotated[
    float,
    Field(
        ge=0,
        le=1.5,
        title="Noise scale",
        description="Variation of the sound itself: 0 is flat, high values get hoarse.",
        json_schema_extra={"step": 0.01, "advanced": True},
    ),
]


class SpeechParams(Params):
    """Parameters of every speech engine."""

    text: str = Field(
        min_length=1,
        max_length=MAX_CHARS,
        title="Text",
        description="What to say. Sentences are spoken one after the other; an empty line makes a "
        "longer pause.",
        json_schema_extra={"lines": 6},
    )
    pause_s: float = Field(
        0.3,
        ge=0,
        le=2,
        title="Pause",
        description="Silence between sentences; paragraphs get twice as much, the parts of a long "
        "sentence less.",
        json_schema_extra={"unit": "s", "step": 0.05, "advanced": True},
    )


class SpeechEngine(Engine):
    """Cuts the text into chunks, has each spoken, and hands every chunk over as soon as it is made.

    Subclasses implement ``speak``, ``sample_rate``, ``language`` and, where a chunk needs it,
    ``prepare``. Chunk number ``i`` draws its random numbers from ``job.rng(i)``, so that a chunk
    sounds the same whatever was said before it.
    """

    max_chunk_chars: ClassVar[int] = 300
    first_chunk_chars: ClassVar[int] = 80

    @abstractmethod
    def speak(self, text: str, params: Any, rng: np.random.Generator) -> np.ndarray:
        """Samples ``(T,)`` float32 of one chunk; empty if it has nothing to say."""

    def spoken(self, text: str, params: Any, job: Job, index: int, count: int) -> np.ndarray:
        """Chunk ``index`` of ``count``, as ``speak`` makes it; for engines whose steps can be counted."""
        return self.speak(text, params, job.rng(index))

    def begin(self, params: Any, job: Job) -> None:
        """What is done once before the first chunk, such as hearing a reference."""

    def chunk_chars(self, params: Any) -> tuple[int, int]:
        """Characters of a chunk at most, and of the first one."""
        return self.max_chunk_chars, self.first_chunk_chars

    @abstractmethod
    def sample_rate(self, params: Any) -> int:
        """Rate in Hz of what ``speak`` returns; the model is loaded."""

    @abstractmethod
    def language(self, params: Any) -> str:
        """Code of the language that the text is taken to be in."""

    def prepare(self, text: str, params: Any) -> str:
        """The text as the model reads it. Raises ``StudioError`` for what cannot be said."""
        return text

    def check(self, params: Params) -> None:
        """Raise ``StudioError`` for a text with nothing to read."""
        check_text(clean(getattr(params, "text", "")), MAX_CHARS)

    def revision(self, params: Any) -> str:
        """What made the sound: the commit of downloaded weights or the package of embedded ones."""
        weights = self.weights_for(params)
        return self.cache.revision(weights) if weights else ""

    def run(self, params: Any, job: Job) -> Clip:
        """Speak the text; the clip is exactly what was emitted, joined.

        Raises ``Cancelled`` between chunks and ``StudioError`` for text that cannot be spoken.
        """
        text = clean(params.text)
        check_text(text, MAX_CHARS)
        ready = self.prepare(text, params)
        self.begin(params, job)
        chunks = chunk(ready, self.language(params), *self.chunk_chars(params))
        chunks = [piece for piece in chunks if has_speech(piece.text)]
        rate = self.sample_rate(params)
        joiner = Joiner(rate, CROSSFADE_S)
        emitted: list[np.ndarray] = []

        def emit(samples: np.ndarray) -> None:
            if len(samples):
                emitted.append(samples)
                job.emit(samples, rate)

        for index, piece in enumerate(chunks):
            job.check()
            job.progress(index, len(chunks), f"Part {index + 1} of {len(chunks)}")
            samples = edges_off(self.spoken(piece.text, params, job, index, len(chunks)), rate)
            is_last = index == len(chunks) - 1
            ready_now = joiner.feed(samples, 0.0 if is_last else piece.end.pause_s(params.pause_s))
            emit(np.concatenate([ready_now, joiner.finish()]) if is_last else ready_now)
        give_memory_back()
        if not emitted:
            raise StudioError("Nothing in this text could be spoken. Write it in words.", "text")
        job.progress(len(chunks), len(chunks))
        return Clip(np.concatenate(emitted), rate, text=text, revision=self.revision(params))


def edges_off(samples: np.ndarray, rate: int) -> np.ndarray:
    """A chunk without the silence at its ends, so that pauses last as long as they say."""
    samples = np.clip(np.asarray(samples, dtype=np.float32), -1, 1)
    trimmed = trim_silence(samples, rate)
    return trimmed if len(trimmed) else samples
