"""What a worker process does. Nothing heavy is imported before its threads are limited."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engines.metrics.base import Score
    from engines.metrics.pairing import Item

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

Wishes = list[tuple[str, dict[str, Any], tuple[str, ...]]]  # metric id, settings, notes


def begin() -> None:
    """Use one thread: there are as many processes as cores."""
    for name in THREADS:
        os.environ[name] = "1"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def work(item: Item, wishes: Wishes) -> list[Score]:
    """Scores of one item."""
    from engines.metrics.evaluate import Planned, measure_files
    from engines.metrics.registry import get

    planned = []
    for metric_id, settings, notes in wishes:
        metric = get(metric_id)
        planned.append(Planned(metric, metric.Settings.model_validate(settings), notes))
    return measure_files(planned, item.generated, item.reference, item.text, item.language)
