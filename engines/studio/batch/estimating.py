"""How long a batch may take, learned from the runs that this machine made before."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engines.base import Engine
from engines.parameters import Kind, knobs
from storage import JobRow, JobState, Store

RECENT_JOBS = 300
MOST_RUNS = 20


@dataclass(frozen=True)
class Estimate:
    """Seconds that open rows may take, None before the engine has run here, and from how many
    ``runs`` that was learned."""

    seconds: float | None
    runs: int


def estimate(store: Store, engine: Engine, batch_id: str) -> Estimate:
    """The median pace of the newest runs of ``engine``, times what the open rows ask for."""
    parameter = measure(engine)
    recent = store.jobs.list([JobState.DONE], limit=RECENT_JOBS)
    paces = [
        _took_s(job) / amount
        for job in recent
        if (job.kind, job.engine) == ("run", engine.card.id)
        and (amount := _amount(job.settings, parameter))
    ][:MOST_RUNS]
    if not paces:
        return Estimate(None, 0)
    seconds = statistics.median(paces) * store.batches.amount(batch_id, parameter)
    return Estimate(seconds, len(paces))


def measure(engine: Engine) -> str:
    """The parameter by which an engine's work grows: a duration, else its first text, else none."""
    listed = knobs(engine.Params)
    if any(knob.name == "duration_s" for knob in listed):
        return "duration_s"
    return next((k.name for k in listed if k.kind is Kind.TEXT and k.required), "")


def _amount(settings: Mapping[str, Any], parameter: str) -> float:
    value = settings.get(parameter, 1)
    amount = len(value) if isinstance(value, str) else float(value or 1)
    return amount * float(settings.get("variations") or 1)


def _took_s(job: JobRow) -> float:
    if not job.started_at or not job.finished_at:
        return 0.0
    started, finished = map(datetime.fromisoformat, (job.started_at, job.finished_at))
    return (finished - started).total_seconds()
