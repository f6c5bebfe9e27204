"""Converts speech to another voice: pitch, envelopes, formants; sounds of any length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from engines.asr.recogniser import Recogniser
from engines.audio import as_channels, resample
from engines.base import StudioError
from engines.vc.content import Centre, Content, centre, content, joined
from engines.vc.matching import change
from engines.vc.voices import Voice
from engines.world.envelopes import shift_formants, to_frames
from engines.world.frames import Frames, level
from engines.world.pitch import PitchMode, moved, statistics
from engines.world.source import Progress, Source


@dataclass(frozen=True)
class Conversion:
    """How to convert.

    ``strength`` 0 leaves the timbre as it is, 1 takes the reference's, up to 1.5 beyond. ``mix`` is the
    share of the neighbours' envelopes in it; more is closer to the reference and less distinct.
    ``protect_unvoiced`` 1 leaves unvoiced sounds, such as s and breath, as they are. ``semitones`` are
    added to what ``pitch_mode`` does, ``target_hz`` is the median that ``AUTOMATIC`` aims at.
    """

    pitch_mode: PitchMode = PitchMode.MATCH
    semitones: float = 0.0
    target_hz: float | None = None
    formant_semitones: float = 0.0
    strength: float = 1.0
    neighbours: int = 8
    mix: float = 0.75
    protect_unvoiced: float = 0.2


class Timbre:
    """The envelopes of a source as those of a voice, window by window; loudness stays."""

    def __init__(
        self, source: Source, voice: Voice, recogniser: Recogniser, how: Conversion
    ) -> None:
        if source.rate != voice.rate:
            raise ValueError(f"source at {source.rate} Hz, voice at {voice.rate} Hz")
        self._source, self._voice, self._recogniser, self._how = source, voice, recogniser, how
        self._known: dict[int, Content] = {}
        self._centre = self._learnt()

    def _learnt(self) -> Centre:
        numbers = self._source.spread()
        self._known = {number: self._content(number) for number in numbers}
        return centre(joined(list(self._known.values())))

    def _content(self, number: int) -> Content:
        heard = self._source.heard(self._source.windows[number])
        return content(heard, self._source.analysed(number), self._recogniser)

    def __call__(self, number: int, frames: Frames) -> Frames:
        """The frames of window ``number`` in the other voice, at their own pitch."""
        steps = self._known.pop(number, None) or self._content(number)
        added = change(steps, self._centre, self._voice, self._how.neighbours, self._how.mix)
        added = to_frames(added, len(frames)) * np.float32(self._how.strength)
        added[~frames.voiced] *= np.float32(1 - self._how.protect_unvoiced)
        made = frames.log_envelope + added
        return replace(frames, log_envelope=made - level(made) + level(frames.log_envelope))


def convert(
    samples: np.ndarray,
    rate: int,
    voice: Voice,
    recogniser: Recogniser,
    how: Conversion | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, int]:
    """``samples`` ``(T,)`` or ``(C, T)`` in ``voice``: mono float32 at the voice's rate, as long.

    The same each time. ``progress`` is told after each window and may raise to stop. Raises
    ``StudioError`` for a sound without voiced speech, or with values that are not finite.
    """
    how = how or Conversion()
    source = opened(samples, rate, voice.rate, halved(progress, 0))
    pitch = statistics(source.f0)
    if pitch.median_hz == 0:
        raise StudioError(
            "There is no voiced speech in the sound: nothing could be converted.", "source"
        )
    f0 = moved(source.f0, pitch, voice.pitch, how.pitch_mode, how.semitones, how.target_hz)
    timbre = Timbre(source, voice, recogniser, how)

    def changed(number: int, frames: Frames) -> Frames:
        made = timbre(number, frames) if how.strength else frames
        envelope = shift_formants(made.log_envelope, how.formant_semitones)
        return replace(made, log_envelope=envelope)

    return source.rendered(changed, progress=halved(progress, 1), f0=f0), voice.rate


def opened(samples: np.ndarray, rate: int, at: int, progress: Progress | None) -> Source:
    """A sound as a ``Source`` at another rate; raises ``StudioError`` for what is no sound."""
    channels = as_channels(samples)
    if not channels.size:
        raise StudioError("The sound is empty. Choose another one.", "source")
    if not np.isfinite(channels).all():
        raise StudioError("The sound holds values that are no numbers. Export it again.", "source")
    return Source(resample(channels.mean(axis=0), rate, at), at, progress=progress)


def halved(progress: Progress | None, half: int) -> Callable[[float, float], None] | None:
    """``progress`` of the first or second of two passes, told as one."""
    if progress is None:
        return None
    return lambda done, total: progress(half * total + done, 2 * total)
