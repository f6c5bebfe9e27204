"""F0 at the frames of a model, by WORLD's Harvest."""

from __future__ import annotations

import numpy as np

SHORTEST_S = 0.1  # what Harvest needs


def track(
    samples: np.ndarray,
    rate: int,
    hop: int,
    frames: int,
    floor: float = 50.0,
    ceiling: float = 1100.0,
) -> np.ndarray:
    """F0 in Hz of each of ``frames`` frames of ``hop`` samples, 0 where unvoiced, float32 ``(T,)``."""
    import pyworld

    if len(samples) < SHORTEST_S * rate:
        return np.zeros(frames, np.float32)
    f0, _ = pyworld.harvest(samples.astype(np.float64), rate, floor, ceiling, 1000 * hop / rate)
    return np.pad(f0[:frames], (0, max(0, frames - len(f0)))).astype(np.float32)
