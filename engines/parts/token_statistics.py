"""Audio tokens in numbers and as a picture: use, entropy and bitrate of each codebook."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ROW_PIXELS = 12


@dataclass(frozen=True)
class CodebookStatistics:
    """One codebook: ``used`` of its ``size`` entries occur; ``entropy_bits`` a frame of those that do.

    ``bitrate_bps`` is what fixed-length codes take, ``entropy_bps`` what an ideal code of the measured
    frequencies would take.
    """

    codebook: int
    size: int
    used: int
    entropy_bits: float
    bitrate_bps: float
    entropy_bps: float

    @property
    def use(self) -> float:
        """Share of the entries that occur."""
        return self.used / self.size


def statistics(
    codes: np.ndarray, sizes: Sequence[int], frame_rate: float
) -> list[CodebookStatistics]:
    """Of codes ``(K, T)`` with ``sizes`` entries in each codebook, ``frame_rate`` frames a second."""
    return [
        _of_one(number, row, size, frame_rate)
        for number, (row, size) in enumerate(zip(codes, sizes, strict=True), 1)
    ]


def _of_one(number: int, row: np.ndarray, size: int, frame_rate: float) -> CodebookStatistics:
    counts = np.bincount(row, minlength=size)
    shares = counts[counts > 0] / max(len(row), 1)
    entropy = float(-(shares * np.log2(shares)).sum()) + 0.0
    return CodebookStatistics(
        number, size, len(shares), entropy, math.log2(size) * frame_rate, entropy * frame_rate
    )


def bitrate_bps(sizes: Sequence[int], frame_rate: float) -> float:
    """Bits a second of fixed-length codes of all codebooks."""
    return frame_rate * sum(math.log2(size) for size in sizes)


def heat_map(codes: np.ndarray, sizes: Sequence[int], columns: int = 1000) -> np.ndarray:
    """Codes ``(K, T)`` as float32 ``(K, min(T, columns))`` in 0 to 1, by their place in the codebook.

    Where frames are more than columns, each column shows the frame in its middle.
    """
    frames = codes.shape[1]
    width = min(frames, columns)
    middles = ((np.arange(width) + 0.5) * frames / max(width, 1)).astype(int)
    return (codes[:, middles] / np.maximum(np.array(sizes)[:, None] - 1, 1)).astype(np.float32)


def picture(codes: np.ndarray, sizes: Sequence[int], columns: int = 1000) -> bytes:
    """The heat map as a PNG, the first codebook on top."""
    from matplotlib.image import imsave

    shown = np.repeat(heat_map(codes, sizes, columns), ROW_PIXELS, axis=0)
    out = io.BytesIO()
    imsave(out, shown, cmap="viridis", vmin=0, vmax=1, format="png")
    return out.getvalue()
