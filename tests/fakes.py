"""The fake engines: real sound (sine tones), no model, so that tests run in milliseconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from enum import StrEnum

import numpy as np
from pydantic import Field

from engines.base import (
    AudioFile,
    Card,
    Choice,
    Clip,
    Device,
    Engine,
    Job,
    Params,
    Seed,
    StudioError,
    Task,
    Weights,
)
from engines.prompts import PromptParams, render_prompt


class Shape(StrEnum):
    """Waveform of the tone."""

    SINE = "sine"
    SQUARE = "square"


class ToneParams(Params):
    """Parameters of a tone; each step lasts ``step_s`` seconds of waiting."""

    text: str = Field(min_length=1, max_length=1000, description="What to write beside the tone.")
    pitch_hz: float = Field(
        440.0,
        ge=20,
        le=8000,
        description="Frequency of the tone.",
        json_schema_extra={"unit": "Hz"},
    )
    shape: Shape = Field(Shape.SINE, description="Waveform.")
    steps: int = Field(2, ge=1, le=1000, description="Number of pieces of a quarter second.")
    step_s: float = Field(
        0.0, ge=0, le=5, description="Waiting time a step.", json_schema_extra={"advanced": True}
    )
    loud: bool = Field(False, description="Twice the level.")
    fail: str = Field("", max_length=200, description="Fail with this message, or 'oom', 'crash'.")
    seed: Seed = -1


class Tone(Engine):
    """Steps of a quarter second of tone plus a little seeded noise."""

    card = Card(
        id="tone",
        title="Tone",
        task=Task.TTS,
        summary="A test tone.",
        license_code="MIT",
        license_weights="none",
        sample_rate=16000,
        languages=("en",),
        memory_mb={"float32": 100},
    )
    Params = ToneParams

    def __init__(self, cache):
        super().__init__(cache)
        self.loads = 0
        self.unloads = 0
        self.failures = 0

    def load(self, device: Device, params: Params | None = None) -> None:
        self.loads += 1

    def unload(self) -> None:
        self.unloads += 1

    def run(self, params: ToneParams, job: Job) -> Clip:
        rate, pieces = self.card.sample_rate, []
        if params.fail.startswith("at once:"):
            raise StudioError(params.fail.removeprefix("at once:"))
        for step in range(params.steps):
            job.check()
            t = (np.arange(rate // 4) + step * (rate // 4)) / rate
            wave = np.sin(2 * np.pi * params.pitch_hz * t)
            wave = np.sign(wave) if params.shape is Shape.SQUARE else wave
            noise = job.rng(step).standard_normal(len(t)) * 0.01
            piece = ((0.4 if params.loud else 0.2) * wave + noise).astype(np.float32)
            job.emit(piece, rate)
            pieces.append(piece)
            job.progress(step + 1, params.steps, f"step {step + 1} of {params.steps}")
            time.sleep(params.step_s)
            self._fail(params.fail, step)
        return Clip(np.concatenate(pieces), rate, text=params.text, revision="1")

    def _fail(self, how: str, step: int) -> None:
        if how == "oom" and not self.failures:
            self.failures += 1
            raise MemoryError("out of memory (pretended)")
        if how == "oom always":
            raise MemoryError("out of memory (pretended)")
        if how == "crash" and step:
            raise ZeroDivisionError("pretended bug")
        if how.startswith("error:") and step:
            raise StudioError(how.removeprefix("error:"))


class Hungry(Tone):
    """A tone engine that needs 900 MiB, to fill small budgets."""

    card = Card(
        id="hungry",
        title="Hungry tone",
        task=Task.TTS,
        summary="A test tone that says it needs much memory.",
        license_code="MIT",
        license_weights="none",
        sample_rate=16000,
        memory_mb={"float32": 900},
    )


class StrumParams(PromptParams):
    """Parameters of a strummed chord, with all that a music engine may ask for."""

    model: str = Field("strum-small", max_length=60, description="Weights.")
    duration_s: float = Field(1.0, ge=0.1, le=120, json_schema_extra={"unit": "s"})
    variations: int = Field(1, ge=1, le=8, description="How many different ones.")
    continue_from: AudioFile | None = Field(None, description="A clip to go on from.")
    adapters: tuple[str, ...] = Field((), max_length=2, description="Adapters, as id or id@scale.")
    adapter_scale: float = Field(1.0, ge=0, le=2, description="Strength of the adapters.")
    step_s: float = Field(0.0, ge=0, le=5, json_schema_extra={"advanced": True})
    seed: Seed = -1


class Strum(Engine):
    """Music in the manner of the real engine: prompts, variations, adapters; a decaying chord."""

    card = Card(
        id="strum",
        title="Strum",
        task=Task.MUSIC,
        summary="A test chord.",
        license_code="MIT",
        license_weights="CC-BY-NC-4.0",
        sample_rate=16000,
        non_commercial=True,
        memory_mb={"float32": 100},
    )
    Params = StrumParams

    def weights(self) -> list[Weights]:
        return [
            Weights("strum-small", "Strum small", embedded=True, non_commercial=True),
            Weights("strum-large", "Strum large", repo="some/strum", size_bytes=2_000_000_000),
        ]

    def weights_for(self, params: StrumParams) -> Weights:
        found = next((w for w in self.weights() if w.id == params.model), None)
        if found is None:
            raise StudioError(f"There is no model {params.model!r}.", "model")
        return found

    def choices(self, name: str) -> list[Choice]:
        if name == "model":
            return [Choice(w.id, w.title) for w in self.weights()]
        if name == "adapters":
            return [Choice(a.id, a.title) for a in self.cache.adapters()]
        return []

    def load(self, device: Device, params: Params | None = None) -> None: ...

    def unload(self) -> None: ...

    def run(self, params: StrumParams, job: Job) -> Iterator[Clip]:
        rate = self.card.sample_rate
        t = np.arange(round(params.duration_s * rate)) / rate
        for number in range(params.variations):
            job.check()
            seed = params.seed if number == 0 else int(job.rng(number).integers(2**31))
            pitch = 220 * 2 ** (np.random.default_rng(seed).integers(0, 13) / 12)
            chord = sum(np.sin(2 * np.pi * pitch * ratio * t) for ratio in (1, 1.25, 1.5))
            samples = (0.15 * chord * np.exp(-2 * t)).astype(np.float32)
            if number == 0:
                job.emit(samples, rate)
            job.progress(number + 1, params.variations, f"variation {number + 1}")
            time.sleep(params.step_s)
            yield Clip(
                samples,
                rate,
                text=render_prompt(params),
                revision="1",
                settings={"variations": 1, "seed": seed},
                adapter=" + ".join(entry.partition("@")[0] for entry in params.adapters),
            )
