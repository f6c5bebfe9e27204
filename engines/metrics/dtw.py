"""Dynamic time warping over frames, with one byte of memory for each pair of frames.

Steps are (1, 1), (1, 0) and (0, 1) with equal weights and Euclidean cost, as in
``librosa.sequence.dtw`` and Sakoe & Chiba, IEEE ASSP 26 (1978); that function keeps two float64 and
one int32 matrix, which is 20 bytes a pair.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from engines.metrics.base import NotApplicable, Reason

MAX_CELLS = 400_000_000  # 100 s against 100 s at 5 ms, 400 MB
DIAGONAL, DOWN, RIGHT = 0, 1, 2


def align_frames(reference: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cheapest path between features ``(F1, D)`` and ``(F2, D)``: two index arrays ``(P,)``.

    Raises ``NotApplicable`` for sounds that are too long to warp.
    """
    if len(reference) * len(generated) > MAX_CELLS:
        raise NotApplicable(
            Reason.TOO_LONG,
            f"Warping {len(reference)} against {len(generated)} frames takes too much memory: split "
            "the sounds, or align by cut or pad.",
        )
    steps = _kernel()(
        np.ascontiguousarray(reference, np.float64), np.ascontiguousarray(generated, np.float64)
    )
    return _walk(steps)


@functools.cache
def _kernel() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    import numba

    return numba.njit(cache=True, fastmath={"contract", "reassoc"})(_steps)


def _steps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where the cheapest path into each cell comes from, uint8 ``(F1, F2)``."""
    rows, columns, size = a.shape[0], b.shape[0], a.shape[1]
    steps = np.empty((rows, columns), np.uint8)
    above = np.empty(columns)
    here = np.empty(columns)
    for i in range(rows):
        for j in range(columns):
            total = 0.0
            for k in range(size):
                difference = a[i, k] - b[j, k]
                total += difference * difference
            here[j] = np.sqrt(total)
        if i == 0:
            steps[0, 0] = 0
            for j in range(1, columns):
                here[j] += here[j - 1]
                steps[0, j] = 2
        else:
            here[0] += above[0]
            steps[i, 0] = 1
            for j in range(1, columns):
                best, step = above[j - 1], 0
                if above[j] < best:
                    best, step = above[j], 1
                if here[j - 1] < best:
                    best, step = here[j - 1], 2
                here[j] += best
                steps[i, j] = step
        above, here = here, above
    return steps


def _walk(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    i, j = steps.shape[0] - 1, steps.shape[1] - 1
    rows, columns = [i], [j]
    while i or j:
        step = steps[i, j]
        if step != RIGHT:
            i -= 1
        if step != DOWN:
            j -= 1
        rows.append(i)
        columns.append(j)
    return np.array(rows[::-1]), np.array(columns[::-1])
