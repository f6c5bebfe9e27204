"""Speech in the voice of a reference, in several variations at once, cancelled at any step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from engines.audio import Joiner
from engines.base import AudioFile, Clip, Job, Seed, StudioError
from engines.onnx.session import give_memory_back
from engines.parts.variations import seeds
from engines.tts.speech import CROSSFADE_S, SpeechEngine, SpeechParams, edges_off
from engines.tts.text import chunk, clean, has_speech

Step = Callable[[int, int], None]
"""Called before each step of the model with how many are done, of how many; raises to cancel."""


class PromptedParams(SpeechParams):
    """Parameters of every engine that hears a voice first."""

    reference: AudioFile = Field(
        title="Reference",
        description="A few seconds of the voice to speak in, clean and of one speaker.",
    )
    variations: int = Field(
        1,
        ge=1,
        le=8,
        title="Variations",
        description="How many readings are made, all at once. Each has a seed of its own, which does "
        "not depend on how many are made.",
    )
    seed: Seed = -1


class PromptedSpeech(SpeechEngine):
    """Speaks chunk after chunk; all variations of a chunk are made together.

    Chunk ``i`` of the variation with seed ``s`` draws from what ``job.rng(i)`` is in a job of seed ``s``.
    The first variation is heard as it grows.
    """

    @abstractmethod
    def speak_all(
        self, text: str, params: Any, rngs: Sequence[np.random.Generator], step: Step
    ) -> list[np.ndarray]:
        """Samples ``(T,)`` of one chunk for each generator."""

    def speak(self, text: str, params: Any, rng: np.random.Generator) -> np.ndarray:
        """One chunk in one variation."""
        return self.speak_all(text, params, [rng], lambda done, total: None)[0]

    def run(self, params: Any, job: Job) -> Iterator[Clip]:  # type: ignore[override]
        """Speak the text; one clip for each variation, the first heard as it grows.

        Raises ``Cancelled`` at any step and ``StudioError`` for text that cannot be spoken.
        """
        text = clean(params.text)
        ready = self.prepare(text, params)
        chunks = chunk(ready, self.language(params), *self.chunk_chars(params))
        chunks = [piece for piece in chunks if has_speech(piece.text)]
        rate, drawn = self.sample_rate(params), seeds(job.seed, params.variations)
        joiners = [Joiner(rate, CROSSFADE_S) for _ in drawn]
        made: list[list[np.ndarray]] = [[] for _ in drawn]
        job.check()
        self.begin(params, job)
        for index, piece in enumerate(chunks):
            step = _steps(job, index, len(chunks))
            step(0, 1)
            rngs = [np.random.default_rng([seed, index]) for seed in drawn]
            spoken = self.speak_all(piece.text, params, rngs, step)
            last = index == len(chunks) - 1
            pause = 0.0 if last else piece.end.pause_s(params.pause_s)
            for place, (joiner, samples) in enumerate(zip(joiners, spoken, strict=True)):
                now = joiner.feed(edges_off(samples, rate), pause)
                now = np.concatenate([now, joiner.finish()]) if last else now
                made[place].append(now)
                if place == 0 and len(now):
                    job.emit(now, rate)
        give_memory_back()
        for seed, pieces in zip(drawn, made, strict=True):
            samples = np.concatenate([np.zeros(0, np.float32), *pieces])
            if not len(samples):
                raise StudioError("Nothing was spoken. Try another seed or reference.", "text")
            own = {"variations": 1, "seed": seed}
            yield Clip(samples, rate, text=text, revision=self.revision(params), settings=own)


def _steps(job: Job, index: int, count: int) -> Step:
    def step(done: int, total: int) -> None:
        job.check()
        job.progress(index + done / max(total, 1), count, f"Part {index + 1} of {count}")

    return step
