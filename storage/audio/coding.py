"""Encoding and decoding of sound files with libsndfile; nothing here knows of folders or rows.

``samples`` are float32 of shape ``(C, T)``: channels, time. Levels are never changed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.audio.embedded import Embedded, embed
from storage.base.errors import StorageError, translated

if TYPE_CHECKING:
    import numpy as np
    import soundfile

MAX_CHANNELS = 8
MAX_SAMPLE_RATE = 655_350  # of FLAC
MAX_DECODED_BYTES = 2**31
UNKNOWN_FRAMES = 2**63 - 1  # what libsndfile says of a FLAC stream without a length
BLOCK = 65_536  # frames; libsndfile's Vorbis encoder crashes on very long blocks
READABLE = "WAV, FLAC, MP3, OGG (Vorbis or Opus), AIFF, AU or CAF"


class Format(StrEnum):
    """Kinds of files that a clip can be saved as."""

    FLAC = "flac"
    WAV = "wav"
    MP3 = "mp3"
    OGG = "ogg"


@dataclass(frozen=True)
class Encoding:
    """A container and sample format in libsndfile's names, and the encoder's options."""

    container: str
    subtype: str
    options: tuple[tuple[str, Any], ...] = ()


FLAC_24 = Encoding("FLAC", "PCM_24")
WAV_24 = Encoding("WAV", "PCM_24")
WAV_FLOAT = Encoding("WAV", "FLOAT")
# Variable bit rate at the encoders' high settings: LAME -V 0, Vorbis quality 6.
MP3 = Encoding("MP3", "MPEG_LAYER_III", (("bitrate_mode", "VARIABLE"), ("compression_level", 0.0)))
OGG = Encoding("OGG", "VORBIS", (("compression_level", 0.4),))


def as_channels(samples: np.ndarray) -> np.ndarray:
    """Samples ``(T,)`` or ``(C, T)`` as float32 ``(C, T)``.

    Raises ``ValueError`` for other shapes and types, ``StorageError`` for NaN, infinity or silence
    of no length.
    """
    import numpy as np

    samples = np.asarray(samples)
    if not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(f"samples must be floating point, not {samples.dtype}")
    if samples.ndim == 1:
        samples = samples[None]
    if samples.ndim != 2 or not 1 <= samples.shape[0] <= MAX_CHANNELS:
        raise ValueError(f"expected (T,) or (C, T) with C <= {MAX_CHANNELS}, not {samples.shape}")
    if samples.shape[1] == 0:
        raise StorageError("There is no sound to store: it has no samples.")
    samples = samples.astype(np.float32, copy=False)
    if not np.isfinite(samples).all():
        raise StorageError("The sound holds values that are not numbers (NaN or infinity).")
    return samples


def exceeds_full_scale(samples: np.ndarray) -> bool:
    """Whether any value lies beyond -1 or 1, which files of whole numbers cannot hold."""
    import numpy as np

    return bool(np.abs(samples).max() > 1.0)


def encode(samples: np.ndarray, sample_rate: int, encoding: Encoding, tags: Embedded) -> bytes:
    """The whole file as bytes, with ``tags`` inside.

    FLAC, WAV and MP3 give the same bytes for the same input; OGG has a random serial number.
    Raises ``StorageError`` when the format cannot hold this sample rate or number of channels.
    """
    import soundfile

    buffer = BytesIO()
    try:
        with soundfile.SoundFile(
            buffer, "w", sample_rate, samples.shape[0], encoding.subtype,
            format=encoding.container, **dict(encoding.options),
        ) as file:  # fmt: skip
            for start in range(0, samples.shape[1], BLOCK):
                file.write(samples[:, start : start + BLOCK].T)
    except soundfile.SoundFileError as error:
        raise StorageError(
            f"{encoding.container} cannot hold {samples.shape[0]} channels at {sample_rate} Hz "
            f"({error}). Choose WAV or FLAC."
        ) from error
    if encoding == WAV_FLOAT:
        _clear_peak_time(buffer)
    embed(buffer, encoding.container, tags)
    return buffer.getvalue()


def _clear_peak_time(buffer: BytesIO) -> None:
    """Zero the time of writing that libsndfile puts into the PEAK chunk of float WAV files."""
    start = buffer.getvalue()[:256].find(b"PEAK")
    if start >= 0:
        buffer.seek(start + 12)  # name, size, version
        buffer.write(bytes(4))


@dataclass(frozen=True)
class Sound:
    """Decoded samples, float32 ``(C, T)``, their rate in Hz and libsndfile's name of their type."""

    samples: np.ndarray
    sample_rate: int
    subtype: str = ""


def decode(path: Path, max_duration_s: float, max_bytes: int) -> Sound:
    """Decode a sound file of unknown origin.

    The size and the header are judged before any sample is decoded; then what the header promised
    is checked against what there is. Raises ``StorageError`` for anything that is not a finite
    sound of at least one sample within the limits.
    """
    import soundfile

    if not path.is_file():
        raise StorageError(f"{path.name} is not a file.")
    with translated(path), path.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size
        if size > max_bytes:
            raise StorageError(
                f"{path.name} is {size / 1e6:.0f} MB; at most {max_bytes / 1e6:.0f} MB are taken."
            )
        try:
            # By descriptor, so that libsndfile looks at the content and never at the name.
            with soundfile.SoundFile(opened.fileno(), closefd=False) as file:
                _check_header(file, path.name, max_duration_s)
                sound = _read(file, path.name)
        except soundfile.SoundFileError as error:
            raise StorageError(
                f"{path.name} cannot be decoded ({error}). Expected {READABLE}; convert it to one "
                "of these, or check whether it plays elsewhere."
            ) from error
    return sound


def _check_header(file: soundfile.SoundFile, name: str, max_duration_s: float) -> None:
    """Raise ``StorageError`` when the header promises too much, or nothing."""
    if file.frames == 0:
        raise StorageError(f"{name} is empty: its header promises no samples.")
    if file.channels > MAX_CHANNELS:
        raise StorageError(f"{name} has {file.channels} channels; at most {MAX_CHANNELS} are used.")
    if file.samplerate > MAX_SAMPLE_RATE:
        raise StorageError(f"{name} has a sample rate of {file.samplerate} Hz, which is no sound.")
    if file.frames == UNKNOWN_FRAMES:
        raise StorageError(f"{name} does not say how long it is; save it again as WAV or FLAC.")
    duration_s = file.frames / file.samplerate
    if duration_s > max_duration_s:
        raise StorageError(
            f"{name} lasts {duration_s / 60:.1f} minutes; at most {max_duration_s / 60:.1f} "
            "minutes are taken. Cut it into shorter parts."
        )
    if file.frames * file.channels * 4 > MAX_DECODED_BYTES:
        raise StorageError(f"{name} is too large to decode; cut it or lower its sample rate.")


def _read(file: soundfile.SoundFile, name: str) -> Sound:
    import numpy as np

    samples = file.read(file.frames, "float32", always_2d=True).T
    if samples.shape[1] == 0:
        raise StorageError(f"{name} is damaged: it holds no samples, though its header says so.")
    if not np.isfinite(samples).all():
        raise StorageError(f"{name} holds values that are not numbers (NaN or infinity).")
    return Sound(np.ascontiguousarray(samples), file.samplerate, file.subtype)
