"""Networks that work on frames, over sounds of any length: windows on the grid of frames, with context.

Windows lie on fixed frames and hear the same context whatever is asked for, so that results don't depend
on how much memory there is; neighbouring pieces of sound fade into one another around each cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.audio import Joiner
from engines.base import StudioError
from engines.parts.references import LONGEST_SOURCE_S, check_length

FADE_S = 0.004
BLOCK = 1 << 18  # samples read at a time


@dataclass(frozen=True)
class FrameWindow:
    """Frames ``first`` to ``last`` are kept of those from ``start`` to ``end`` that are heard."""

    first: int
    last: int
    start: int
    end: int


def frame_windows(frames: int, size: int, context: int) -> list[FrameWindow]:
    """Windows of ``size`` frames with ``context`` on either side."""
    return [
        FrameWindow(
            first,
            min(frames, first + size),
            max(0, first - context),
            min(frames, first + size + context),
        )
        for first in range(0, frames, size)
    ]


def joined(
    windows: list[FrameWindow],
    hop: int,
    rate: int,
    samples: int,
    make: Callable[[FrameWindow], np.ndarray],
) -> Iterator[np.ndarray]:
    """Pieces ``(C, T)`` that are together exactly ``samples`` long.

    ``make`` gives the sound ``(C, T)`` of all frames that a window hears.
    """
    fade = min(round(FADE_S * rate), hop) // 2 * 2
    joiner = Joiner(rate, fade / rate)
    given = 0
    for number, window in enumerate(windows):
        last = number == len(windows) - 1
        made = make(window)
        before = fade // 2 if number else 0
        begin = (window.first - window.start) * hop - before
        length = (window.last - window.first) * hop + before + (0 if last else fade // 2)
        piece = made[..., begin : begin + length]
        short = length - piece.shape[-1]
        if short > 0:  # codecs with odd strides return a few samples less
            piece = np.pad(piece, ((0, 0), (0, short)))
        ready = joiner.feed(piece)
        if last and (tail := joiner.finish()).shape[-1]:
            ready = np.concatenate([ready, tail], axis=-1)
        ready = ready[..., : samples - given]
        given += ready.shape[-1]
        if ready.shape[-1]:
            yield ready


def read_resampled(path: Path, rate: int, channels: int, field: str = "source") -> np.ndarray:
    """A sound file as float32 ``(channels, T)`` at ``rate``, resampled while it is read.

    Its length is the file's, to the sample. Raises ``StudioError`` at ``field`` for a file that can't be
    read, lasts longer than an hour, or holds no numbers.
    """
    import soundfile
    import soxr

    check_length(path, field, shortest_s=0.0, longest_s=LONGEST_SOURCE_S)
    with soundfile.SoundFile(str(path)) as file:
        wanted = round(len(file) * rate / file.samplerate)
        if not wanted:
            raise StudioError(f"{path.name} is empty. Choose another sound.", field)
        out = np.zeros((channels, wanted), np.float32)
        stream = soxr.ResampleStream(file.samplerate, rate, channels, dtype="float32", quality="HQ")
        at = 0
        while True:
            block = file.read(BLOCK, dtype="float32", always_2d=True)
            if not np.isfinite(block).all():
                raise StudioError(
                    f"{path.name} holds values that are no numbers. Export it again.", field
                )
            ended = len(block) < BLOCK
            piece = _mixed(block, channels)
            if file.samplerate != rate:
                piece = stream.resample_chunk(piece, last=ended)
            piece = piece.reshape(-1, channels)[: wanted - at]
            out[:, at : at + len(piece)] = piece.T
            at += len(piece)
            if ended:
                return out


def _mixed(frames: np.ndarray, channels: int) -> np.ndarray:
    """Frames ``(T, C)`` as ``(T, channels)``: the mean in mono, a mono sound on both sides in stereo."""
    if frames.shape[1] == channels:
        return frames
    mono = frames.mean(axis=1, keepdims=True)
    if channels == 1 or frames.shape[1] < channels:
        return np.ascontiguousarray(np.repeat(mono, channels, axis=1))
    return np.ascontiguousarray(frames[:, :channels])
