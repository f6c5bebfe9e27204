"""Vevo's conversions (Zhang et al., ICLR 2025): the timbre of a reference, its style, or both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from engines.audio import Joiner
from engines.base import AudioFile, Card, Clip, Job, Params, Seed, Task, Weights
from engines.parts import vevo as parts
from engines.parts.pieces import as_loud, beginning, pieces, silent
from engines.parts.published import Part, generator
from engines.parts.references import LONGEST_SOURCE_S, Sound, check_length, read_sound
from engines.parts.vevo_settings import (
    LANGUAGES,
    RATE,
    DrawingParams,
    FlowParams,
    part_of,
    samples_of,
    told,
)
from engines.parts.windows import converted, windows

CROSSFADE_S = 0.02
SHORTEST_S, SHORTEST_REFERENCE_S = 0.1, 1.0
WINDOW_S, REFERENCE_S = 30.0, 30.0  # of timbre
PIECE_S, STYLE_S = 10.0, 10.0  # where the pace changes too


class SourceParams(Params):
    """What is converted, and to whom."""

    source: AudioFile = Field(title="Source", description="The speech to convert, of any length.")
    reference: AudioFile = Field(
        title="Reference",
        description="Speech of the voice to convert to: 3 to 10 s, clean, one speaker. More is cut off.",
    )


class TimbreParams(FlowParams, SourceParams):
    """Parameters of a conversion of timbre."""

    seed: Seed = -1


class VoiceParams(FlowParams, DrawingParams, SourceParams):
    """Parameters of a conversion of style, or of style and timbre."""

    seed: Seed = -1


def vevo_card(id: str, title: str, summary: str, of: tuple[Part, ...], notes: str) -> Card:
    """What the three conversions have in common."""
    return Card(
        id=id,
        title=title,
        task=Task.VC,
        summary=summary,
        license_code=parts.LICENSE_CODE,
        license_weights=f"{parts.LICENSE} (Vevo), Apache-2.0 (HuBERT)",
        sample_rate=RATE,
        languages=LANGUAGES,
        non_commercial=True,
        paper=parts.PAPER,
        home=parts.HOME,
        memory_mb=parts.memory_of(of),
        requires=("torch", "transformers", "soundfile"),
        pip_extra="torch transformers soundfile",
        notes=notes,
    )


class _Conversion(parts.VevoEngine):
    """Checks and results of all conversions."""

    def check(self, params: Any) -> None:
        """Raise ``StudioError`` for a source or a reference that is too short."""
        check_length(params.source, "source", shortest_s=SHORTEST_S, longest_s=LONGEST_SOURCE_S)
        check_length(
            params.reference, "reference", shortest_s=SHORTEST_REFERENCE_S,
            longest_s=LONGEST_SOURCE_S,
        )  # fmt: skip

    def sounds(self, params: Any, longest_s: float) -> tuple[Sound, Sound]:
        """The source, and as much of the reference as is heard."""
        source = read_sound(params.source, "source", shortest_s=SHORTEST_S)
        reference = read_sound(params.reference, "reference", shortest_s=SHORTEST_REFERENCE_S)
        return source, beginning(reference, longest_s)

    def clip(self, made: list[np.ndarray]) -> Clip:
        """All pieces as one."""
        return Clip(
            np.concatenate(made), RATE, title=self.card.title,
            revision=self.cache.revision(self.needs),
        )  # fmt: skip


class VevoTimbre(_Conversion):
    """Another's timbre; pace, accent and melody stay."""

    card = vevo_card(
        "vevo-timbre",
        "Vevo Timbre",
        "Takes on the timbre of a reference; pace, accent and emotion of the source stay.",
        parts.OF_TIMBRE,
        "Hears the source in windows of 30 s and as much of the reference. The pitch follows the "
        "reference's range.",
    )
    Params = TimbreParams
    needs: ClassVar[Weights] = parts.SOUND
    uses: ClassVar[tuple[Part, ...]] = parts.OF_TIMBRE

    def run(self, params: Any, job: Job) -> Clip:
        """Convert window by window; what is emitted, joined, is the clip, as long as the source."""
        vevo = self.vevo
        source, heard = self.sounds(params, REFERENCE_S)
        job.check()
        reference = vevo.reference(parts.row(heard, self._device))
        cut = windows(source, WINDOW_S)

        def convert(window: Sound, number: int) -> np.ndarray:
            job.check()
            if silent(window):
                return np.zeros(round(window.duration_s * RATE), np.float32)
            note = part_of(number, len(cut))
            made = vevo.timbre(
                parts.row(window, self._device),
                reference,
                generator=generator(job.rng(number)),
                settings=params.flow,
                progress=told(job, number, len(cut), note),
            )
            return samples_of(made)

        made = []
        for piece in converted(source, cut, RATE, convert):
            made.append(piece)
            job.emit(piece, RATE)
        return self.clip(made)


class VevoVoice(_Conversion):
    """Another's timbre and style: accent, emotion and pace are the reference's."""

    card = vevo_card(
        "vevo-voice",
        "Vevo Voice",
        "Takes on timbre and style of a reference: accent, emotion and pace change too.",
        parts.OF_VOICE,
        "Long sources are cut at pauses into pieces of about 10 s; the result may be longer or shorter "
        "than the source.",
    )
    Params = VoiceParams
    needs: ClassVar[Weights] = parts.CONVERSION
    uses: ClassVar[tuple[Part, ...]] = parts.OF_VOICE
    timbre_of_source: ClassVar[bool] = False

    def run(self, params: Any, job: Job) -> Clip:
        """Convert piece by piece, each as loud as in the source; what is emitted is the clip."""
        source, heard = self.sounds(params, STYLE_S)
        job.check()
        convert = self._converter(heard, params, job)
        cut = pieces(source, PIECE_S)
        joiner, made = Joiner(RATE, CROSSFADE_S), []
        for number, piece in enumerate(cut):
            job.check()
            if silent(piece):
                samples = np.zeros(round(piece.duration_s * RATE), np.float32)
            else:
                samples = convert(piece, number, len(cut))
            ready = joiner.feed(samples)
            if number == len(cut) - 1:
                ready = np.concatenate([ready, joiner.finish()])
            if len(ready):
                made.append(ready)
                job.emit(ready, RATE)
        return self.clip(made)

    def _converter(
        self, heard: Sound, params: Any, job: Job
    ) -> Callable[[Sound, int, int], np.ndarray]:
        vevo = self.vevo
        style_samples = parts.row(heard, self._device)
        style = vevo.reference(style_samples)

        def convert(piece: Sound, number: int, count: int) -> np.ndarray:
            samples = parts.row(piece, self._device)
            inputs = vevo.content_tokens(style_samples, samples)
            given = inputs.shape[1] + style.tokens.shape[1] + 3
            params.check_room(given, "reference")
            (made,) = vevo.spoken(
                inputs,
                style,
                vevo.reference(samples) if self.timbre_of_source else style,
                generators=[generator(job.rng(number))],
                drawing=params.drawing,
                flowing=params.flow,
                progress=told(job, number, count, part_of(number, count)),
            )
            return as_loud(samples_of(made), piece)

        return convert


class VevoStyle(VevoVoice):
    """Another's style in one's own timbre."""

    card = vevo_card(
        "vevo-style",
        "Vevo Style",
        "Takes on accent, emotion and pace of a reference; the timbre of the source stays.",
        parts.OF_VOICE,
        "Long sources are cut at pauses into pieces of about 10 s; the result may be longer or shorter "
        "than the source.",
    )
    timbre_of_source: ClassVar[bool] = True
