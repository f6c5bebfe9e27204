"""Singing from text with VevoSing: a song to a melody, another singer's style, and edited words."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from engines.base import AudioFile, Clip, Job, MidiFile, Params, Seed, StudioError, Task
from engines.parts import vevosing as parts
from engines.parts.pieces import as_loud, beginning
from engines.parts.published import generator
from engines.parts.references import Sound, check_length, level, read_sound, reference_text
from engines.parts.vevo_settings import (
    LOUDNESS_DBFS,
    RATE,
    DrawingParams,
    FlowParams,
    Language,
    samples_of,
    told,
)
from engines.svc.midi import from_midi
from engines.svc.tones import tones
from engines.tts.front_ends.language import find_language
from engines.tts.front_ends.maskgct import phones

HEARD_S, MELODY_S = 30.0, 60.0
SHORTEST_S = 1.0
MARKS = 5
MOST_CHARS = 1000


def words(title: str, description: str, **more: Any) -> Any:
    """A field of lyrics."""
    return Field(
        max_length=MOST_CHARS, title=title, description=description,
        json_schema_extra={"lines": 3}, **more,
    )  # fmt: skip


LANGUAGE = Field(Language.AUTO, title="Language", description="Of the words; auto finds it.")
RATIO = Field(
    1.0,
    ge=0.5,
    le=2,
    title="Duration ratio",
    description="How long the melody lasts, as a share of how long it does.",
    json_schema_extra={"step": 0.05, "unit": "x", "advanced": True},
)
SOURCE = Field(title="Source", description="Singing of at most 30 s, without music.")
SOURCE_TEXT = words("Words of the source", "What is sung in the source, word for word.", default="")
REFERENCE = Field(
    title="Reference", description="A singer whose style is followed, 1 to 30 s, without music."
)
REFERENCE_TEXT = words(
    "Words of the reference", "What is sung in the reference, word for word.", default=""
)


class SongText(parts.ModelParams):
    """A song: words, singer, melody."""

    text: str = words("Words", "What to sing; about 30 s at most.", min_length=1)
    language: Language = LANGUAGE
    reference: AudioFile = REFERENCE
    reference_text: str = REFERENCE_TEXT
    melody: AudioFile | None = Field(
        None,
        title="Melody",
        description="A sound whose melody is sung: humming, an instrument, another song. At most 60 s.",
    )
    midi: MidiFile | None = Field(
        None, title="MIDI", description="The melody as a MIDI file, in place of a sound."
    )
    timbre_reference: AudioFile | None = Field(
        None,
        title="Reference of timbre",
        description="Another voice, in the style of the reference; the reference's own without.",
        json_schema_extra={"advanced": True},
    )
    duration_ratio: float = RATIO


class StyleText(parts.ModelParams):
    """A source in another singer's style."""

    source: AudioFile = SOURCE
    source_text: str = SOURCE_TEXT
    reference: AudioFile = REFERENCE
    reference_text: str = REFERENCE_TEXT
    language: Language = LANGUAGE
    duration_ratio: float = RATIO


class EditText(parts.ModelParams):
    """A source with other words."""

    source: AudioFile = SOURCE
    source_text: str = SOURCE_TEXT
    text: str = words("New words", "The whole text as it is to be sung.", min_length=1)
    language: Language = LANGUAGE
    duration_ratio: float = RATIO


class SongParams(FlowParams, DrawingParams, SongText):
    """Parameters of a song from text."""

    seed: Seed = -1


class StyleParams(FlowParams, DrawingParams, StyleText):
    """Parameters of a conversion of style."""

    seed: Seed = -1


class EditParams(FlowParams, DrawingParams, EditText):
    """Parameters of an edit."""

    seed: Seed = -1


class _Song(parts.VevoSingEngine):
    """What is common: words and sounds in, one clip out."""

    def heard(self, params: Params, field: str) -> Sound:
        """A sound that is heard whole."""
        return read_sound(getattr(params, field), field, shortest_s=SHORTEST_S, longest_s=HEARD_S)

    def check_heard(self, params: Any, field: str) -> None:
        """Raise ``StudioError`` for a sound of a wrong length or without its words."""
        check_length(getattr(params, field), field, shortest_s=SHORTEST_S, longest_s=HEARD_S)
        reference_text(getattr(params, f"{field}_text"), f"{field}_text")

    def sung(
        self,
        params: Any,
        job: Job,
        said: str,
        text: str,
        style: Sound,
        timbre: Sound,
        melody: Sound | None,
    ) -> np.ndarray:
        """Samples ``(T,)`` of ``text`` behind ``said``, which is the style's."""
        import torch

        ids = [id for part in (said, text) for id in phones(part, spoken_in(params, part)).ids]
        job.check()
        vevo, samples = self.vevo, self.tensor(style)
        own = vevo.reference(samples)
        other = own if timbre is style else vevo.reference(self.tensor(timbre))
        tune = None
        if melody is not None:
            tune = vevo.melody_tokens([samples, self.tensor(melody)], params.duration_ratio)
        given = len(ids) + own.tokens.shape[1] + MARKS + (0 if tune is None else tune.shape[1])
        params.check_room(given, "text" if hasattr(params, "text") else "source")
        (made,) = vevo.sung(
            torch.tensor([ids], device=samples.device),
            own,
            other,
            generators=[generator(job.rng(0))],
            melody=tune,
            drawing=params.drawing,
            flowing=params.flow,
            progress=told(job, 0, 1),
        )
        return samples_of(made)

    def clip(self, samples: np.ndarray, text: str, params: Any, job: Job) -> Clip:
        """The result, heard at once."""
        samples = np.clip(samples, -1, 1)
        job.emit(samples, RATE)
        revision = self.cache.revision(self.weights_for(params))
        return Clip(samples, RATE, text=text, revision=revision)


class VevoSong(_Song):
    """Words and a melody to a song."""

    card = parts.card(
        "vevosing-song",
        "VevoSing Song",
        Task.SVC,
        "Sings words to a melody, hummed, played or from a MIDI file, in the style of a reference.",
        "Needs the words of the reference. Without a melody it finds one of its own.",
    )
    Params = SongParams

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for two melodies or a reference that can't be used."""
        self.check_heard(params, "reference")
        if params.melody is not None and params.midi is not None:
            raise StudioError("Give a sound or a MIDI file as the melody, not both.", "midi")

    def run(self, params: Any, job: Job) -> Clip:
        """One clip."""
        style = self.heard(params, "reference")
        timbre = style
        if params.timbre_reference is not None:
            other = read_sound(params.timbre_reference, "timbre_reference", shortest_s=SHORTEST_S)
            timbre = beginning(other, HEARD_S)
        said = reference_text(params.reference_text)
        made = self.sung(params, job, said, params.text, style, timbre, self._melody(params))
        made = made * np.float32(10 ** (LOUDNESS_DBFS / 20) / max(level(made), 1e-6))
        return self.clip(made, params.text, params, job)

    @staticmethod
    def _melody(params: Any) -> Sound | None:
        if params.midi is not None:
            return Sound(tones(from_midi(params.midi.read_bytes()), RATE, MELODY_S), RATE)
        if params.melody is None:
            return None
        return read_sound(params.melody, "melody", longest_s=MELODY_S)


class VevoSingStyle(_Song):
    """Another singer's style in one's own timbre."""

    card = parts.card(
        "vevosing-style",
        "VevoSing Style",
        Task.SVC,
        "Sings a source in the style of a reference; words, melody and timbre of the source stay.",
        "Needs the words of both. Hears at most 30 s of each.",
    )
    Params = StyleParams

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for sounds that can't be used."""
        self.check_heard(params, "source")
        self.check_heard(params, "reference")

    def run(self, params: Any, job: Job) -> Clip:
        """One clip, as loud as the source."""
        source, style = self.heard(params, "source"), self.heard(params, "reference")
        said = reference_text(params.reference_text)
        text = reference_text(params.source_text, "source_text")
        made = self.sung(params, job, said, text, style, source, source)
        return self.clip(as_loud(made, source), text, params, job)


class VevoSingEdit(_Song):
    """Other words to the same melody, by the same singer."""

    card = parts.card(
        "vevosing-edit",
        "VevoSing Edit",
        Task.SVC,
        "Changes the words of a recording; melody, style and timbre stay.",
        "Needs the words of the source. Hears at most 30 s.",
    )
    Params = EditParams

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a source that can't be used."""
        self.check_heard(params, "source")

    def run(self, params: Any, job: Job) -> Clip:
        """One clip, as loud as the source."""
        source = self.heard(params, "source")
        said = reference_text(params.source_text, "source_text")
        made = self.sung(params, job, said, params.text, source, source, source)
        return self.clip(as_loud(made, source), params.text, params, job)


def spoken_in(params: Any, text: str) -> str:
    """The language asked for, or that of ``text``."""
    asked: Language = params.language
    return find_language(text) if asked is Language.AUTO else asked.value
