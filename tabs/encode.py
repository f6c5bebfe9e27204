"""Clips as bytes in the formats that clients ask for."""

from __future__ import annotations

import tempfile
from enum import StrEnum
from io import BytesIO
from pathlib import Path

from engines.audio import resample
from engines.studio import Studio
from storage import ClipRow

PCM_RATE = 24_000
OPUS_RATE = 48_000


class SpeechFormat(StrEnum):
    """Formats of ``/v1/audio/speech``. AAC has no encoder here."""

    MP3 = "mp3"
    OPUS = "opus"
    FLAC = "flac"
    WAV = "wav"
    PCM = "pcm"


MEDIA_TYPES = {
    SpeechFormat.MP3: "audio/mpeg",
    SpeechFormat.OPUS: "audio/ogg",
    SpeechFormat.FLAC: "audio/flac",
    SpeechFormat.WAV: "audio/wav",
    SpeechFormat.PCM: f"audio/pcm;rate={PCM_RATE}",
}


def encoded(studio: Studio, clip: ClipRow, format: SpeechFormat) -> bytes:
    """The clip's file in ``format``; all but PCM and Opus carry the settings it was made with.

    PCM is what OpenAI sends: 24 kHz, mono, 16 bit, little endian, no header.
    """
    if format is SpeechFormat.PCM:
        return _pcm(clip.path)
    if format is SpeechFormat.OPUS:
        return _opus(clip.path)
    with tempfile.TemporaryDirectory() as folder:
        path = studio.store.files.export(clip.path, format.value, Path(folder) / f"clip.{format}")
        return path.read_bytes()


def _pcm(path: Path) -> bytes:
    import numpy as np
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = resample(samples.mean(axis=1), rate, PCM_RATE)
    return (np.clip(mono, -1, 1) * 32767).round().astype("<i2").tobytes()


def _opus(path: Path) -> bytes:
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    buffer = BytesIO()
    frames = resample(samples.T, rate, OPUS_RATE).T
    soundfile.write(buffer, frames, OPUS_RATE, format="OGG", subtype="OPUS")
    return buffer.getvalue()
