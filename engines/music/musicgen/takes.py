"""One piece of music as it grows: its windows, and its sound in pieces.

The model hears at most a window at once. Longer music goes on window by window: the last frames of
what there is are the beginning of the next window, and only what follows them is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engines.audio import resample
from engines.music.musicgen.codes import channels_for, encode_audio
from engines.music.musicgen.sound import SoundStream

if TYPE_CHECKING:
    from engines.music.musicgen.checkpoint import Checkpoint, Loaded

FIRST_FRAMES = 25  # of the first piece: half a second at 50 frames/s
PIECE_FRAMES = 50  # of the others; each is decoded with some frames around it
SEAM_S = 0.05  # where a sound and its continuation overlap


@dataclass(frozen=True)
class Window:
    """One run of the model: ``start`` is its first frame, counted from the first new one (and so
    negative where it begins in what was given), ``known`` its first frames, ``frames`` all of them."""

    start: int
    known: int
    frames: int


def windows(new: int, longest: int, overlap: int, given: int = 0) -> list[Window]:
    """The windows for ``new`` frames after ``given`` ones, none longer than ``longest``.

    Each knows ``overlap`` frames of what came before, at most two thirds of ``longest``.
    """
    overlap = min(overlap, longest * 2 // 3)
    plan, done, known = [], 0, min(given, overlap)
    while done < new:
        frames = min(longest, known + new - done)
        plan.append(Window(done - known, known, frames))
        done += frames - known
        known = min(overlap, given + done)
    return plan


@dataclass(frozen=True)
class Beginning:
    """A sound to continue: ``samples (C, T)`` as the model would make them, ``codes (K, t)`` of its
    last frames."""

    samples: np.ndarray
    codes: np.ndarray


def beginning(loaded: Loaded, samples: np.ndarray, sample_rate: int, frames: int) -> Beginning:
    """``samples`` at the model's rate and channels, and the codes of at most ``frames`` at the end.

    Raises ``StudioError`` for a sound shorter than a frame.
    """
    checkpoint = loaded.checkpoint
    wave = channels_for(samples, checkpoint.channels)
    wave = resample(wave, sample_rate, checkpoint.sample_rate).astype(np.float32)
    whole = min(frames, wave.shape[1] // checkpoint.hop_length) * checkpoint.hop_length
    tail = wave[:, wave.shape[1] - whole :]
    return Beginning(wave, encode_audio(loaded, tail, checkpoint.sample_rate).numpy())


class Take:
    """The sound of one variation. Pieces joined are the whole, whatever the steps it grew by."""

    def __init__(self, loaded: Loaded, begun: Beginning | None = None):
        self._checkpoint: Checkpoint = loaded.checkpoint
        self._stream = SoundStream(loaded)
        self._codes: list[np.ndarray] = []
        self._waiting = 0
        self._next = FIRST_FRAMES
        self._fed = 0
        self._skip = 0
        self._old = np.zeros((self._checkpoint.channels, 0), np.float32)
        self._seam = np.zeros_like(self._old)
        self.pieces: list[np.ndarray] = []
        if begun is not None:
            self._begin(begun)

    def _begin(self, begun: Beginning) -> None:
        """The old sound up to the seam is the first piece; its codes lead the decoder to the seam."""
        given = begun.codes.shape[1] * self._checkpoint.hop_length
        seam = min(round(SEAM_S * self._checkpoint.sample_rate), given)
        length = begun.samples.shape[1]
        self._old, self._seam = begun.samples[:, : length - seam], begun.samples[:, length - seam :]
        self._skip = given - seam
        self._add(begun.codes)

    def opening(self) -> np.ndarray | None:
        """The sound that is continued, as far as nothing new is mixed into it; at most once."""
        old, self._old = self._old, self._old[:, :0]
        return self._keep(old)

    def grow(self, codes: np.ndarray) -> list[np.ndarray]:
        """Take the next codes ``(K, t)`` and return the pieces ``(C, n)`` that became ready."""
        self._add(codes)
        pieces = []
        while self._waiting >= self._next:
            pieces.append(self._decode(self._next, last=False))
            self._next = PIECE_FRAMES
        return [piece for piece in pieces if piece is not None]

    def finish(self) -> np.ndarray | None:
        """The last piece."""
        return self._decode(self._waiting, last=True)

    @property
    def samples(self) -> np.ndarray:
        """All pieces so far, joined, ``(C, T)``."""
        return np.concatenate(self.pieces, axis=1)

    def _add(self, codes: np.ndarray) -> None:
        self._codes.append(np.array(codes, np.int64))
        self._waiting += codes.shape[1]

    def _decode(self, frames: int, last: bool) -> np.ndarray | None:
        import torch

        held = np.concatenate(self._codes, axis=1)
        codes = torch.from_numpy(held[:, :frames])
        self._codes, self._waiting = [held[:, frames:]], self._waiting - frames
        samples = self._stream.finish(codes) if last else self._stream.push(codes)
        return self._keep(self._join(np.clip(samples, -1, 1)))

    def _join(self, samples: np.ndarray) -> np.ndarray:
        """Drop what is heard in the old sound, and fade from that into the new one at the seam."""
        skipped = min(self._skip, samples.shape[1])
        self._skip -= skipped
        samples = samples[:, skipped:].copy()
        width = min(self._seam.shape[1], samples.shape[1])
        if width:
            rising = (self._fed + np.arange(1, width + 1)) / (self._fed + self._seam.shape[1] + 1)
            old = self._seam[:, :width]
            samples[:, :width] = old * (1 - rising) + samples[:, :width] * rising
            self._seam, self._fed = self._seam[:, width:], self._fed + width
        return samples.astype(np.float32)

    def _keep(self, piece: np.ndarray) -> np.ndarray | None:
        if not piece.shape[1]:
            return None
        self.pieces.append(piece)
        return piece


def mono_flat(samples: np.ndarray) -> np.ndarray:
    """``(T,)`` for one channel, ``(C, T)`` for more."""
    return samples[0] if len(samples) == 1 else samples


def seeds(seed: int, count: int) -> Sequence[int]:
    """The seed of each variation: the first is ``seed``, the others depend on it and their number."""
    drawn = [np.random.SeedSequence((seed, i)).generate_state(1)[0] for i in range(1, count)]
    return [seed, *map(int, drawn)]
