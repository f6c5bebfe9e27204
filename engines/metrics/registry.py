"""All metrics by id, in the order of their groups."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from engines.base import StudioError
from engines.metrics.base import METRICS, Metric, Need

MODULES = (
    "f0",
    "energy",
    "cepstral",
    "stft",
    "separation",
    "perceptual",
    "intelligibility",
    "speaker",
    "dnsmos",
    "levels",
    "musical",
    "prompts",
)


def metrics(needs: Iterable[Need] = tuple(Need)) -> list[Metric]:
    """The metrics with one of these needs; imports no heavy library."""
    for name in MODULES:
        importlib.import_module(f"engines.metrics.{name}")
    wanted = set(needs)
    found = [each for each in METRICS.values() if each.card.needs in wanted]
    return sorted(found, key=lambda each: MODULES.index(each.function.__module__.split(".")[-1]))


def get(metric_id: str) -> Metric:
    """The metric with this id; raises ``StudioError`` that lists the known ones."""
    known = {each.card.id: each for each in metrics()}
    if metric_id not in known:
        raise StudioError(
            f"There is no metric {metric_id!r}. Known: {', '.join(known)}.", "metrics"
        )
    return known[metric_id]
