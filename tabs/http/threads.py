"""Work that takes the processor, in a small pool of its own.

Short work shares the common pools; work of a second or more would use them up, and then pages,
files and waiting calls would stand still.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

AT_ONCE = max(2, os.cpu_count() or 2)
P = ParamSpec("P")
R = TypeVar("R")
_limiter: RunVar[CapacityLimiter] = RunVar("heavy work")


async def run_heavy(work: Callable[[], R]) -> R:
    """The result of ``work``, done in a thread; at most ``AT_ONCE`` of these run at a time."""
    limiter = _limiter.get(None)
    if limiter is None:
        limiter = CapacityLimiter(AT_ONCE)
        _limiter.set(limiter)
    return await to_thread.run_sync(work, limiter=limiter)


def heavy(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """``function``, a route or an endpoint, as a coroutine that runs by ``run_heavy``."""

    @functools.wraps(function)
    async def waiting(*args: P.args, **kwargs: P.kwargs) -> R:
        return await run_heavy(functools.partial(function, *args, **kwargs))

    return waiting
