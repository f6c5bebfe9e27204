"""Short ways to ask for a metric."""

from __future__ import annotations

import numpy as np

from engines.metrics.base import Score
from engines.metrics.case import Case
from engines.metrics.evaluate import measure, plan
from engines.metrics.sound import Sound

from .conftest import RATE


def case(
    generated: np.ndarray, reference: np.ndarray | None = None, rate: int = RATE, **more: str
) -> Case:
    """A case of samples at one rate."""
    target = None if reference is None else Sound(reference, rate)
    return Case(Sound(generated, rate), target, **more)


def score(metric: str, of: Case, **settings: object) -> Score:
    """One score."""
    return measure(of, plan([metric], settings))[0]


def value(metric: str, of: Case, **settings: object) -> float:
    """One number; fails with the reason if there is none."""
    found = score(metric, of, **settings)
    assert found.value is not None, found.message
    return found.value
