"""Waits for jobs without holding a thread or a transaction, so that hundreds can wait at once."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import anyio
from anyio import to_thread

from engines.base import StudioError
from engines.runner import ENDED
from engines.studio import Studio
from storage import JobRow

FIRST_LOOK_S = 0.02
LONGEST_PAUSE_S = 0.25


async def wait_for(
    studio: Studio,
    job_id: str,
    timeout_s: float | None = None,
    gone: Callable[[], Awaitable[bool]] | None = None,
) -> JobRow:
    """The job once it ended, or as it is after ``timeout_s`` seconds or when ``gone`` says true."""
    started = time.monotonic()
    while True:
        job = await to_thread.run_sync(studio.job, job_id)
        elapsed = time.monotonic() - started
        if job.state in ENDED or (timeout_s is not None and elapsed >= timeout_s):
            return job
        if gone is not None and await gone():
            return job
        pause = min(LONGEST_PAUSE_S, FIRST_LOOK_S + elapsed / 10)
        left = pause if timeout_s is None else min(pause, timeout_s - elapsed)
        await anyio.sleep(max(left, 0.001))


def require_done(job: JobRow) -> JobRow:
    """``job`` if it succeeded; raises ``StudioError`` with its own message otherwise."""
    if job.state != "done":
        raise StudioError(job.error or f"The job was {job.state}.")
    return job
