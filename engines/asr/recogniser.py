"""A loaded Whisper: transcription, language detection and the encoder's features."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from engines.asr.models import RATE, Model, open_whisper
from engines.asr.timing import tightened
from engines.asr.transcripts import Segment, Transcript, Word
from engines.audio import as_channels, resample
from engines.base import StudioError

SILENT_PEAK = 1e-4  # -80 dBFS: Whisper makes words up for silence
SHORTEST_S = 0.05
FRAME_S = 0.02  # from one feature to the next
WINDOW_S, CONTEXT_S = 10.0, 1.0  # of the encoder's features
_MEL_HOP = 160

Progress = Callable[[float, float], None]


class Recogniser:
    """Whisper in memory. Calls from several threads take turns; ``close`` frees the memory."""

    def __init__(self, model: str = Model.BASE, device: str = "cpu", threads: int = 0):
        self.model = model
        self._whisper: Any = open_whisper(model, device, threads)
        self._lock = threading.Lock()

    def close(self) -> None:
        """Free the model. The recogniser cannot be used afterwards."""
        self._whisper = None

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that the model knows."""
        return tuple(self._whisper.supported_languages)

    def transcribe(
        self,
        audio: np.ndarray,
        rate: int,
        language: str | None = None,
        word_times: bool = False,
        prompt: str = "",
        beam_size: int = 5,
        progress: Progress | None = None,
    ) -> Transcript:
        """The words in ``audio``, ``(T,)`` or ``(C, T)``; the same each time, as nothing is sampled.

        ``language`` None detects it. ``prompt`` is text before the first word: names and spellings.
        ``progress`` is told seconds done and in all after each segment, and may raise to stop.
        Raises ``StudioError`` for a language that the model does not know.
        """
        heard = mono(audio, rate)
        duration_s = len(heard) / RATE
        language = self._known(language)
        if np.abs(heard).max(initial=0) < SILENT_PEAK or duration_s < SHORTEST_S:
            return Transcript(duration_s=duration_s)
        with self._lock:
            found, info = self._whisper.transcribe(
                heard,
                language=language,
                word_timestamps=word_times,
                initial_prompt=prompt or None,
                beam_size=beam_size,
                temperature=0.0,
                condition_on_previous_text=False,
            )
            segments = []
            for segment in found:
                segments.append(_segment(segment, heard))
                if progress is not None:
                    progress(min(segment.end, duration_s), duration_s)
        return Transcript(
            tuple(segments), info.language, float(info.language_probability), duration_s
        )

    def detect_language(self, audio: np.ndarray, rate: int) -> tuple[str, float]:
        """The language spoken in the first 30 s, and how probable it is."""
        if not self._whisper.model.is_multilingual:
            return "en", 1.0
        with self._lock:
            code, probability, _others = self._whisper.detect_language(mono(audio, rate))
        return code, float(probability)

    def features(
        self, audio: np.ndarray, rate: int, progress: Progress | None = None
    ) -> np.ndarray:
        """What the encoder makes of ``audio``: ``(F, D)`` float32, one row each 20 ms.

        D is 512 for base and 384 for tiny.en. Windows of 10 s overlap by a second on either side, so
        that a row does not depend on where windows meet.
        """
        import ctranslate2

        heard = mono(audio, rate)
        frames = max(1, round(len(heard) / RATE / FRAME_S))
        step = round((WINDOW_S - 2 * CONTEXT_S) / FRAME_S)
        context = round(CONTEXT_S / FRAME_S)
        samples = round(FRAME_S * RATE)
        parts = []
        for start in range(0, frames, step):
            first, last = max(0, start - context), min(frames, start + step + context)
            piece = heard[first * samples : last * samples]
            mel = self._mel(piece, 2 * (last - first))
            with self._lock:
                encoded = self._whisper.model.encode(
                    ctranslate2.StorageView.from_array(mel[None]), to_cpu=True
                )
            end = min(start + step, frames)
            parts.append(np.array(encoded, dtype=np.float32)[0, start - first : end - first])
            if progress is not None:
                progress(end * FRAME_S, frames * FRAME_S)
        return np.concatenate(parts)

    def _mel(self, piece: np.ndarray, frames: int) -> np.ndarray:
        """The encoder's input ``(80, frames)`` for ``piece``, padded with silence."""
        piece = np.pad(piece, (0, max(0, frames * _MEL_HOP - len(piece))))
        mel = self._whisper.feature_extractor(piece, padding=_MEL_HOP)
        return np.ascontiguousarray(mel[:, :frames], dtype=np.float32)

    def _known(self, language: str | None) -> str | None:
        code = (language or "").lower().split("-")[0] or None
        if code is not None and code not in self.languages:
            names = ", ".join(self.languages[:8]) + (", …" if len(self.languages) > 8 else "")
            raise StudioError(
                f"Whisper {self.model} does not know the language {language!r}. It knows {names}.",
                "language",
            )
        return code


def mono(audio: np.ndarray, rate: int) -> np.ndarray:
    """The mean of the channels at 16 kHz, ``(T,)`` float32."""
    return resample(as_channels(audio).mean(axis=0), rate, RATE)


def _segment(segment: Any, heard: np.ndarray) -> Segment:
    """Times end with the sound: Whisper counts to the end of its padded window."""
    last_s = len(heard) / RATE
    words = tuple(
        Word(word.word, *_span(word, last_s), float(word.probability))
        for word in segment.words or ()
    )
    return Segment(segment.text.strip(), *_span(segment, last_s), tightened(words, heard))


def _span(timed: Any, last_s: float) -> tuple[float, float]:
    return float(min(timed.start, last_s)), float(min(timed.end, last_s))
