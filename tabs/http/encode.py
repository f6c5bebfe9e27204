"""Sound as bytes in the formats that speech clients ask for: piece by piece, or a clip as a whole."""

from __future__ import annotations

import io
import struct
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engines.studio import Studio
from storage import ClipRow, Embedded
from storage.audio.embedded import id3_block

if TYPE_CHECKING:
    import numpy as np

PCM_RATE = 24_000
OPUS_RATE = 48_000
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
MP3_BITS = 128_000  # constant, so that a player can tell the length of what is still coming
OPUS_BITS = 64_000
FULL_SCALE_24 = 2**23
UNKNOWN = 0xFFFFFFFF  # as the size of a WAV file that is not finished


class SpeechFormat(StrEnum):
    """Formats of ``/v1/audio/speech``."""

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
# the header of FLAC states a length, so FLAC is sent when all of it is there
STREAMED = frozenset(SpeechFormat) - {SpeechFormat.FLAC}


class Encoder(Protocol):
    """Encodes pieces as they come; how the sound is cut into pieces changes no sample."""

    def feed(self, samples: np.ndarray, last: bool = False) -> bytes:
        """What can be sent after the float samples ``(C, T)``; all that is left when ``last``."""
        ...


def encoder(format: SpeechFormat, sample_rate: int, channels: int, tags: Embedded) -> Encoder:
    """An encoder for pieces of ``channels`` at ``sample_rate`` Hz; ``format`` is one of STREAMED.

    WAV and MP3 begin with ``tags``. WAV has 24 bits, as a stored clip. PCM is what OpenAI sends:
    24 kHz, mono, 16 bit, little endian, no header.
    """
    if format is SpeechFormat.PCM:
        return _Pcm(sample_rate)
    if format is SpeechFormat.WAV:
        return _Wav(sample_rate, channels, tags)
    if format is SpeechFormat.OPUS:
        return _Coded("ogg", "libopus", OPUS_RATE, OPUS_BITS, sample_rate, channels)
    rate = sample_rate if sample_rate in MP3_RATES else OPUS_RATE
    coded = _Coded("mp3", "libmp3lame", rate, MP3_BITS, sample_rate, channels)
    coded.head = id3_block(tags)
    return coded


def import_encoders() -> None:
    """Import what encoders need, which takes half a second the first time."""
    import av
    import mutagen.id3
    import soxr

    _ = av, mutagen.id3, soxr


def encoded(studio: Studio, clip: ClipRow, format: SpeechFormat) -> bytes:
    """The clip's file in ``format`` (not Opus or PCM) with the settings it was made with."""
    with tempfile.TemporaryDirectory() as folder:
        path = studio.store.files.export(clip.path, format.value, Path(folder) / f"clip.{format}")
        return path.read_bytes()


def _as_stored(samples: np.ndarray) -> np.ndarray:
    """``samples`` in the 24-bit steps of the clip that will be stored, as whole numbers."""
    import numpy as np

    steps = np.rint(np.asarray(samples, dtype=np.float64) * FULL_SCALE_24)
    return np.clip(steps, -FULL_SCALE_24, FULL_SCALE_24 - 1).astype(np.int32)


class _Resampler:
    """Pieces ``(C, T)`` at another rate; the same samples as of the whole sound at once."""

    def __init__(self, from_hz: int, to_hz: int, channels: int):
        import soxr

        self._stream = (
            None
            if from_hz == to_hz
            else soxr.ResampleStream(from_hz, to_hz, channels, dtype="float32", quality="HQ")
        )

    def feed(self, samples: np.ndarray, last: bool) -> np.ndarray:
        import numpy as np

        stored = (_as_stored(samples) / FULL_SCALE_24).astype(np.float32)
        if self._stream is None:
            return stored
        frames = self._stream.resample_chunk(np.ascontiguousarray(stored.T), last=last)
        return np.ascontiguousarray(frames.reshape(-1, len(stored)).T)


class _Pcm:
    def __init__(self, sample_rate: int):
        self._resampler = _Resampler(sample_rate, PCM_RATE, 1)

    def feed(self, samples: np.ndarray, last: bool = False) -> bytes:
        import numpy as np

        mono = self._resampler.feed(samples.mean(axis=0, keepdims=True), last)[0]
        return bytes((np.clip(mono, -1, 1) * 32767).round().astype("<i2").tobytes())


class _Wav:
    def __init__(self, sample_rate: int, channels: int, tags: Embedded):
        frame = 3 * channels
        form = struct.pack("<HHIIHH", 1, channels, sample_rate, sample_rate * frame, frame, 24)
        head = b"WAVE" + _chunk(b"fmt ", form) + _chunk(b"id3 ", id3_block(tags))
        sizes = struct.pack("<I", UNKNOWN)
        self._head = b"RIFF" + sizes + head + b"data" + sizes

    def feed(self, samples: np.ndarray, last: bool = False) -> bytes:
        import numpy as np

        steps = np.ascontiguousarray(_as_stored(samples).T.astype("<i4"))
        content = steps.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
        head, self._head = self._head, b""
        return head + content


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


class _Outlet(io.RawIOBase):
    """A file that can only be written; ``take`` gives what was."""

    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += bytes(data)
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


class _Coded:
    """MP3 or Opus, by FFmpeg's encoders in PyAV."""

    head = b""

    def __init__(
        self, container: str, codec: str, rate: int, bits: int, sample_rate: int, channels: int
    ):
        import av

        self._mixed = channels > 2
        channels = 1 if self._mixed else channels
        self._resampler = _Resampler(sample_rate, rate, channels)
        self._outlet = _Outlet()
        options = (
            {"page_duration": "20000"}  # microseconds: a page for each packet
            if container == "ogg"
            else {"write_xing": "0", "id3v2_version": "0"}  # both would need the whole
        )
        self._file: Any = av.open(self._outlet, "w", format=container, options=options)
        self._rate, self._layout = rate, "mono" if channels == 1 else "stereo"
        self._stream: Any = self._file.add_stream(
            codec, rate=rate, layout=self._layout, bit_rate=bits * channels
        )
        self._position = 0

    def feed(self, samples: np.ndarray, last: bool = False) -> bytes:
        import av
        import numpy as np

        mixed = samples.mean(axis=0, keepdims=True) if self._mixed else samples
        resampled = self._resampler.feed(mixed, last)
        if resampled.shape[1]:
            interleaved = np.ascontiguousarray(resampled.T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=self._layout)
            frame.sample_rate, frame.pts = self._rate, self._position
            self._position += resampled.shape[1]
            self._file.mux(self._stream.encode(frame))
        if last:
            self._file.mux(self._stream.encode(None))
            self._file.close()
        head, self.head = self.head, b""
        return head + self._outlet.take()
