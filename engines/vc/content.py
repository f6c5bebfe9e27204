"""What is said, 20 ms by 20 ms: Whisper's features beside cepstra, and the envelopes that go with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.asr.recogniser import Recogniser
from engines.world.envelopes import PER_STEP, to_cepstra, to_steps
from engines.world.frames import Frames

ACTIVE_DB = 45.0  # below the loudest frame a frame is silence
LOG_TO_DB = 10 / np.log(10)


@dataclass(frozen=True)
class Content:
    """Steps of 20 ms: ``features`` ``(N, D)``, ``cepstra`` ``(N, 31)``, ``envelope`` (log power)
    ``(N, B)``, ``voicing`` from 0 to 1 and ``level_db`` ``(N,)``."""

    features: np.ndarray
    cepstra: np.ndarray
    envelope: np.ndarray
    voicing: np.ndarray
    level_db: np.ndarray

    def __len__(self) -> int:
        return len(self.features)

    @property
    def active(self) -> np.ndarray:
        """Which steps are not silence, bool ``(N,)``."""
        return self.level_db > self.level_db.max(initial=-200.0) - ACTIVE_DB

    @property
    def voiced(self) -> np.ndarray:
        """Which steps are mostly voiced, bool ``(N,)``."""
        return self.voicing > 0.5


def content(samples: np.ndarray, frames: Frames, recogniser: Recogniser) -> Content:
    """The content of mono ``samples``, whose frames are ``frames``."""
    features = recogniser.features(samples, frames.rate)
    steps = max(1, min(len(features), -(-len(frames) // PER_STEP)))
    envelope = to_steps(frames.log_envelope, steps)
    return Content(
        features[:steps],
        to_cepstra(envelope, frames.rate),
        envelope,
        to_steps(frames.voiced.astype(np.float32), steps),
        LOG_TO_DB * np.log(np.exp(envelope).mean(axis=1) + 1e-12),
    )


def joined(parts: list[Content]) -> Content:
    """Several contents in one, such as those of several references."""
    return Content(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("features", "cepstra", "envelope", "voicing", "level_db")
        )
    )


@dataclass(frozen=True)
class Centre:
    """What the active steps of a voice have in common: taken off before two voices are compared.

    ``voiced`` and ``unvoiced`` are mean cepstra of either kind, None where there are too few.
    """

    features: np.ndarray
    cepstra: np.ndarray
    deviation: np.ndarray
    voiced: np.ndarray | None
    unvoiced: np.ndarray | None


FEWEST = 5


def centre(of: Content) -> Centre:
    """Means and deviations over the active steps."""
    active = of.active if of.active.any() else np.ones(len(of), bool)
    cepstra = of.cepstra[active]

    def mean(some: np.ndarray) -> np.ndarray | None:
        return of.cepstra[some].mean(axis=0) if some.sum() >= FEWEST else None

    return Centre(
        of.features[active].mean(axis=0),
        cepstra.mean(axis=0),
        cepstra.std(axis=0) + 1e-6,
        mean(active & of.voiced),
        mean(active & ~of.voiced),
    )
