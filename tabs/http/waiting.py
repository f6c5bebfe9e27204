"""Waits for jobs and runs without holding a thread or a transaction, so that hundreds can wait at once."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from anyio import to_thread

from engines.base import StudioError
from engines.studio import Studio
from engines.studio.runner import ENDED
from storage import JobRow
from storage.learning.runs import RunRow
from training.lab.lab import Lab
from training.lab.runs import WAITING

Row = TypeVar("Row")
FIRST_LOOK_S = 0.02
LONGEST_PAUSE_S = 0.25
RUN_PAUSE_S = 1.0


async def wait_for(
    studio: Studio,
    job_id: str,
    timeout_s: float | None = None,
    gone: Callable[[], Awaitable[bool]] | None = None,
) -> JobRow:
    """The job once it ended, or as it is after ``timeout_s`` seconds or when ``gone`` says true."""
    return await _until(
        lambda: studio.job(job_id), lambda job: job.state in ENDED, timeout_s, LONGEST_PAUSE_S, gone
    )


async def wait_for_run(lab: Lab, run_id: str, timeout_s: float | None = None) -> RunRow:
    """The training run once it ended, or as it is after ``timeout_s`` seconds."""
    return await _until(
        lambda: lab.run(run_id), lambda run: run.state not in WAITING, timeout_s, RUN_PAUSE_S
    )


async def _until(
    look: Callable[[], Row],
    ended: Callable[[Row], bool],
    timeout_s: float | None,
    longest_s: float,
    gone: Callable[[], Awaitable[bool]] | None = None,
) -> Row:
    started = time.monotonic()
    while True:
        row = await to_thread.run_sync(look)
        elapsed = time.monotonic() - started
        if ended(row) or (timeout_s is not None and elapsed >= timeout_s):
            return row
        if gone is not None and await gone():
            return row
        pause = min(longest_s, FIRST_LOOK_S + elapsed / 10)
        left = pause if timeout_s is None else min(pause, timeout_s - elapsed)
        await anyio.sleep(max(left, 0.001))


def require_done(job: JobRow) -> JobRow:
    """``job`` if it succeeded; raises ``StudioError`` with its own message otherwise."""
    if job.state != "done":
        raise StudioError(job.error or f"The job was {job.state}.")
    return job
